"""What `trio.testing` shares between tasks: streams in memory, and the sequencer; and the unbounded queue.

All of it counts as written whenever it is used, a stream also where its methods go on after a wait and
look again whether it was closed meanwhile. A stream is used by one task at each end, so there is little to
be gained by telling more apart; and a sequencer makes its events when they are first needed, by whoever
that is. The unbounded queue, which Trio has deprecated, is no better off.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import trio.testing
import trio.testing._memory_streams as _trio_streams
from trio._util import ConflictDetector

from sim._footprint import Recorder
from sim._kernel._dependence._wrap import Wrapper, making, using
from sim.strategies import Operation

_SEQUENCER = "sequencer"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    for owner, kind in (
        (_trio_streams._UnboundedByteQueue, "byte queue"),
        (_trio_streams._LockstepByteQueue, "byte queue"),
        (trio.testing.MemorySendStream, "stream"),
        (trio.testing.MemoryReceiveStream, "stream"),
        (ConflictDetector, "conflict detector"),
        (trio.lowlevel.UnboundedQueue, "queue"),
    ):
        yield making(recorder, owner, kind)
        yield from using(recorder, owner, kind)
    yield making(recorder, trio.testing.Sequencer, _SEQUENCER)
    yield _sequence_point(recorder)


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
