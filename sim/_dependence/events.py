"""Events. Waiting commutes with waiting; the first `set` with nothing, any later one with a look.

The order in which tasks wait for an event is nowhere kept, so waiting only reads. The first `set`
changes the event; one that finds it set has only seen that. (Two calls of `set` could be taken to
commute, but then the step that a waiter's next one depends on would be the one or the other in
runs that count as the same.) A waiter that is cancelled reads as well: whether it is woken or
cancelled depends on what came first, and two that are cancelled do not meet.

How many wait is seen in the statistics: so beginning to wait, and being taken out, update that.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, calling, making
from sim._run.step import Operation

_KIND = "event"
_WAITERS = "waiters"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    wait, set_, statistics = trio.Event.wait, trio.Event.set, trio.Event.statistics

    @functools.wraps(wait)
    async def waited(self: Any) -> None:
        recorder.touched(self, _KIND, Operation.READ)
        if not self._flag:
            recorder.touched(self, _KIND, Operation.UPDATE, _WAITERS)
            recorder.waits(self, _KIND, (Operation.READ, ""), (Operation.UPDATE, _WAITERS))
        await wait(self)

    @functools.wraps(set_)
    def was_set(self: Any) -> None:
        recorder.touched(self, _KIND, Operation.READ if self._flag else Operation.WRITE)
        set_(self)

    @functools.wraps(statistics)
    def looked_at(self: Any) -> Any:
        recorder.touched(self, _KIND, Operation.READ)
        recorder.touched(self, _KIND, Operation.READ, _WAITERS)
        return statistics(self)

    yield making(recorder, trio.Event, _KIND)
    yield trio.Event, "wait", waited
    yield trio.Event, "set", was_set
    yield calling(recorder, trio.Event, "is_set", _KIND, Operation.READ)
    yield trio.Event, "statistics", looked_at
