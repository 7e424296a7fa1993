"""What `trio.testing` shares between tasks: memory streams, and the sequencer.

All of it counts as written whenever it is used. A stream is used by one task at each end, so there is
little to be gained by telling more apart; and a sequencer makes its events when they are first needed,
by whoever that is.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import trio.testing
import trio.testing._memory_streams as _trio_streams
from trio._util import ConflictDetector

from sim._footprint import Recorder
from sim._kernel._dependence._wrap import Wrapper, calling, making
from sim.strategies import Operation

_QUEUE = "byte queue"
_SEQUENCER = "sequencer"
_UNBOUNDED: Any = _trio_streams._UnboundedByteQueue
_LOCKSTEP: Any = _trio_streams._LockstepByteQueue


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    yield making(recorder, _UNBOUNDED, _QUEUE)
    # _check_max_bytes comes first in both ways to get, and _get_impl last, behind the wait.
    for name in ("close", "close_and_wipe", "put", "_check_max_bytes", "_get_impl"):
        yield calling(recorder, _UNBOUNDED, name, _QUEUE, Operation.WRITE)
    yield making(recorder, _LOCKSTEP, _QUEUE)
    for name in ("close_sender", "close_receiver", "_something_happened"):
        yield calling(recorder, _LOCKSTEP, name, _QUEUE, Operation.WRITE)
    yield _lockstep_wait(recorder)
    yield making(recorder, ConflictDetector, "conflict detector")
    for name in ("__enter__", "__exit__"):
        yield calling(recorder, ConflictDetector, name, "conflict detector", Operation.WRITE)
    yield making(recorder, trio.testing.Sequencer, _SEQUENCER)
    yield _sequence_point(recorder)


def _lockstep_wait(recorder: Recorder) -> Wrapper:
    original: Callable[..., Any] = _LOCKSTEP._wait_for

    @functools.wraps(original)
    async def waited(self: Any, condition: Any) -> None:
        recorder.touched(self, _QUEUE, Operation.WRITE)
        try:
            await original(self, condition)
        finally:
            recorder.touched(self, _QUEUE, Operation.WRITE)

    return _LOCKSTEP, "_wait_for", waited


def _sequence_point(recorder: Recorder) -> Wrapper:
    sequencer: Any = trio.testing.Sequencer
    original: Callable[..., Any] = sequencer.__call__

    @contextlib.asynccontextmanager
    async def called(self: Any, position: int) -> AsyncGenerator[None]:
        recorder.touched(self, _SEQUENCER, Operation.WRITE)
        async with original(self, position):
            try:
                yield
            finally:
                recorder.touched(self, _SEQUENCER, Operation.WRITE)

    return sequencer, "__call__", called
