"""Memory channels: two operations on one channel do not commute, on different channels they do.

Both ends and all their clones share one state, and that is the object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, looking, making
from sim._run.step import Operation
from sim._trio import MemoryChannelState

_KIND = "channel"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    yield making(recorder, MemoryChannelState, _KIND)
    for owner, step, wait in (
        (trio.MemorySendChannel, "send_nowait", "send"),
        (trio.MemoryReceiveChannel, "receive_nowait", "receive"),
    ):
        yield _on_state(recorder, owner, step, Operation.WRITE)
        yield _on_state(recorder, owner, "close", Operation.WRITE)
        yield _on_state(recorder, owner, "clone", Operation.WRITE)
        yield _on_state(recorder, owner, "statistics", Operation.READ)
        yield _waiting(recorder, owner, wait)
    # `trio.as_safe_channel` looks at this behind the channel's back.
    yield looking(recorder, MemoryChannelState, "open_receive_channels", _KIND)


def _on_state(recorder: Recorder, owner: Any, name: str, operation: Operation) -> Wrapper:
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def called(self: Any, *args: Any) -> Any:
        recorder.touched(self._state, _KIND, operation)
        return original(self, *args)

    return owner, name, called


def _waiting(recorder: Recorder, owner: Any, name: str) -> Wrapper:
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    async def called(self: Any, *args: Any) -> Any:
        recorder.waits(self._state, _KIND, (Operation.WRITE, ""))
        return await original(self, *args)

    return owner, name, called
