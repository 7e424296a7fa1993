"""Cancel scopes. Cancelling writes the scope and every task beneath it.

A step of a task may notice that it is cancelled at any of its checkpoints, so each step reads its
own task (`sim._dependence.footprint` sees to that), and cancelling it does not commute with its steps. Nor
does it with waking it: who comes first decides what the task gets. Tasks behind a shield are
written, too: they will see the cancellation when they leave it.

A cancellation takes its task out of whatever it waits in; that is an access of that thing, as
noted when the task began to wait. It comes after the scope and the tasks, for it depends on them: what a
step is known to do if something else comes first is what it does up to there (`Footprints.beginning`).
(The order of tasks in which Trio does so is that of their identities: `sim._kernel.order`.)

Entering a scope writes it: a second task cannot, and a relative deadline becomes an absolute one. Whether it
has caught a cancellation is a part of it. Deadlines are not here: they expire in steps of the clock.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.threads import THREAD, task_register
from sim._dependence.wrap import Wrapper, calling, making
from sim._run.step import Operation

_KIND = "scope"
_CAUGHT = "caught"
_SCOPE: Any = trio.CancelScope
_TASK: Any = trio.lowlevel.Task


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    cancel, abort = _SCOPE._cancel, _TASK._attempt_abort

    @functools.wraps(cancel)
    def cancelled(self: Any, *reason: Any) -> None:
        if self._cancel_called:
            recorder.touched(self, _KIND, Operation.READ)
        else:
            _written(recorder, self)
        cancel(self, *reason)

    @functools.wraps(abort)
    def aborted(self: Any, raise_cancel: Any) -> None:
        lot = self.custom_sleep_data
        if isinstance(lot, trio.lowlevel.ParkingLot):
            # A condition may have moved it since it parked.
            recorder.touched(lot, "lot", Operation.WRITE)
        else:
            recorder.stops_waiting(self)
            register = task_register(self._abort_func)
            if register is not None:
                recorder.touched(register, THREAD, Operation.WRITE)
        abort(self, raise_cancel)

    yield making(recorder, _SCOPE, _KIND)
    yield _SCOPE, "_cancel", cancelled
    yield calling(recorder, _SCOPE, "__enter__", _KIND, Operation.WRITE)
    # Whether it was cancelled when it is left.
    yield calling(recorder, _SCOPE, "_close", _KIND, Operation.READ)
    yield _TASK, "_attempt_abort", aborted
    for name in ("cancel_called", "deadline", "relative_deadline", "is_relative", "shield"):
        yield _SCOPE, name, _watched(recorder, getattr(_SCOPE, name))
    yield _SCOPE, "cancelled_caught", _caught(recorder)
    yield calling(recorder, _SCOPE, "__repr__", _KIND, Operation.READ)


def _watched(recorder: Recorder, original: property) -> property:
    get, put = original.fget, original.fset
    assert get is not None

    def read(self: Any) -> Any:
        recorder.touched(self, _KIND, Operation.READ)
        return get(self)

    def written(self: Any, value: Any) -> None:
        _written(recorder, self)
        assert put is not None
        put(self, value)

    return property(read, None if put is None else written)


def _caught(recorder: Recorder) -> property:
    slot = _SCOPE.cancelled_caught

    def read(self: Any) -> Any:
        recorder.touched(self, _KIND, Operation.READ, _CAUGHT)
        return slot.__get__(self)

    def written(self: Any, value: Any) -> None:
        if value:  # not when it is made
            recorder.touched(self, _KIND, Operation.WRITE, _CAUGHT)
        slot.__set__(self, value)

    return property(read, written)


def _written(recorder: Recorder, scope: Any) -> None:
    if recorder.noting:
        recorder.touched(scope, _KIND, Operation.WRITE)
        if scope._cancel_status is not None:
            recorder.cancelled_all(beneath(scope._cancel_status))


def beneath(status: Any) -> Iterator[Any]:
    """The tasks that a cancellation of a cancel status concerns, in any order."""
    pending = [status]
    while pending:
        inner = pending.pop()
        yield from inner._tasks
        pending.extend(inner._children)
