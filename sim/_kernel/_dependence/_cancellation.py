"""Cancel scopes. Cancelling writes the scope and every task beneath it.

A step of a task may notice that it is cancelled at any of its checkpoints, so each step reads its
own task (`sim._footprint` sees to that), and cancelling it does not commute with its steps. Nor
does it with waking it: who comes first decides what the task gets. Tasks behind a shield are
written, too: they will see the cancellation when they leave it.

A cancellation takes its task out of whatever it waits in; that is an access of that thing, as
noted when the task began to wait. Deadlines are not here: they expire in steps of the clock.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import trio

from sim._footprint import Recorder
from sim._kernel._dependence._wrap import Wrapper, calling, making
from sim.strategies import Operation

_KIND = "scope"
_SCOPE: Any = trio.CancelScope
_TASK: Any = trio.lowlevel.Task


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    cancel, abort = _SCOPE._cancel, _TASK._attempt_abort

    @functools.wraps(cancel)
    def cancelled(self: Any, *reason: Any) -> None:
        before = recorder.count
        if self._cancel_called:
            recorder.touched(self, _KIND, Operation.READ)
        else:
            _written(recorder, self)
        cancel(self, *reason)
        recorder.sort_from(before)

    @functools.wraps(abort)
    def aborted(self: Any, raise_cancel: Any) -> None:
        lot = self.custom_sleep_data
        if isinstance(lot, trio.lowlevel.ParkingLot):
            # A condition may have moved it since it parked.
            recorder.touched(lot, "lot", Operation.WRITE)
        else:
            recorder.stops_waiting(self)
        abort(self, raise_cancel)

    yield making(recorder, _SCOPE, _KIND)
    yield _SCOPE, "_cancel", cancelled
    # Whether it was cancelled before it is entered, and whether when it is left.
    yield calling(recorder, _SCOPE, "__enter__", _KIND, Operation.READ)
    yield calling(recorder, _SCOPE, "_close", _KIND, Operation.READ)
    yield _TASK, "_attempt_abort", aborted
    for name in ("cancel_called", "deadline", "shield"):
        yield _SCOPE, name, _watched(recorder, getattr(_SCOPE, name))


def _watched(recorder: Recorder, original: property) -> property:
    get, put = original.fget, original.fset
    assert get is not None

    def read(self: Any) -> Any:
        recorder.touched(self, _KIND, Operation.READ)
        return get(self)

    def written(self: Any, value: Any) -> None:
        before = recorder.count
        _written(recorder, self)
        assert put is not None
        put(self, value)
        recorder.sort_from(before)

    return property(read, None if put is None else written)


def _written(recorder: Recorder, scope: Any) -> None:
    recorder.touched(scope, _KIND, Operation.WRITE)
    pending = [scope._cancel_status]
    while pending:
        status = pending.pop()
        if status is not None:
            for task in status._tasks:
                recorder.cancelled(task)
            pending.extend(status._children)
