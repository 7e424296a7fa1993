"""Nurseries. Two tasks that end in a nursery commute, as do two that are started in it by its own.

Ending is an update: which task comes last decides who wakes the parent, but not that it is woken
once all have ended. The block of the parent counts as one more task: whether the parent comes to
its end before the tasks or after, it takes one step more when all are over, and that step is a join
of them all. Starting a task from outside may find the nursery closed: it looks, and is a write only if it is
open still. So what finds it closed may come before the step that joins it or after.

A task is born cancelled or not, depending on the scopes around the nursery: starting reads them.

The exceptions of a nursery are seen in the order in which they came, and so is a part of the nursery that is
written. Cancellations are all alike: one that comes alone updates that part. A nested nursery turns them into
a group, which does not commute with them, but with other groups.

Only a task's own steps change its nurseries and its coroutine, so looking at these counts as looking at the
task.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import trio

from sim._dependence.cancellation import beneath
from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, making, reading
from sim._run.errors import only_cancelled
from sim._run.step import Operation
from sim._trio import Runner, TaskStatus, running_task

_KIND = "nursery"
_EXCEPTIONS = "exceptions"
_STATUSES = "statuses"
_NURSERY: Any = trio.Nursery


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    finished, nested_finished = _NURSERY._child_finished, _NURSERY._nested_child_finished
    check = _NURSERY._check_nursery_closed
    spawn = Runner.spawn_impl
    started, start = TaskStatus.started, _NURSERY.start
    add = _NURSERY._add_exc

    @functools.wraps(finished)
    def child_finished(self: Any, task: Any, outcome: Any) -> None:
        if recorder.noting:
            recorder.touched(self, _KIND, Operation.UPDATE)
            # A cancellation that comes later no longer finds the task.
            _read_scopes(recorder, self._cancel_status)
        finished(self, task, outcome)

    @functools.wraps(check)
    def check_closed(self: Any) -> None:
        # A parent that waits for its tasks is not woken by being cancelled.
        if recorder.noting and self._parent_waiting_in_aexit:
            recorder.lets_go(self._parent_task)
        check(self)

    @functools.wraps(nested_finished)
    async def nested_child_finished(self: Any, error: Any) -> Any:
        recorder.touched(self, _KIND, Operation.UPDATE)
        result = await nested_finished(self, error)
        recorder.touched(self, _KIND, Operation.JOIN)
        return result

    @functools.wraps(add)
    def added(self: Any, exc: BaseException, *reason: Any, **named: Any) -> None:
        recorder.touched(self, _KIND, _adding(exc), _EXCEPTIONS)
        add(self, exc, *reason, **named)

    @functools.wraps(spawn)
    def spawned(self: Any, async_fn: Any, args: Any, nursery: Any, *rest: Any, **options: Any) -> Any:
        if recorder.noting and isinstance(nursery, _NURSERY):
            task = running_task()
            own = task is nursery._parent_task or task in nursery._children
            if own:
                recorder.touched(nursery, _KIND, Operation.UPDATE)
            else:
                _changed_from_outside(recorder, nursery)
            _read_scopes(recorder, nursery._cancel_status)
        elif nursery is self.system_nursery:
            # Whether the run still goes on for system tasks.
            recorder.touched(nursery, "system nursery", Operation.READ)
        return spawn(self, async_fn, args, nursery, *rest, **options)

    @functools.wraps(started)
    def was_started(self: Any, *value: Any) -> None:
        # Only the first of two calls counts, also where both nurseries are closed.
        recorder.touched(self._new_nursery, _KIND, Operation.WRITE, _STATUSES)
        for nursery in (self._old_nursery, self._new_nursery):
            _changed_from_outside(recorder, nursery)
            _read_scopes(recorder, nursery._cancel_status)
        # They go over to other scopes, which may be cancelled.
        recorder.cancelled_all(beneath(self._old_nursery._cancel_status))
        started(self, *value)

    @functools.wraps(start)
    async def start_called(self: Any, *args: Any, **options: Any) -> Any:
        _changed_from_outside(recorder, self)
        if self._closed:
            return await start(self, *args, **options)
        # It keeps the nursery open as long as it is under way, and may be what closes it.
        try:
            return await start(self, *args, **options)
        finally:
            recorder.touched(self, _KIND, Operation.WRITE)

    yield making(recorder, _NURSERY, _KIND)
    yield reading(recorder, _NURSERY, "child_tasks", _KIND)
    yield _NURSERY, "_child_finished", child_finished
    yield _NURSERY, "_add_exc", added
    yield _NURSERY, "_check_nursery_closed", check_closed
    yield _NURSERY, "_nested_child_finished", nested_child_finished
    yield _NURSERY, "start", start_called
    yield Runner, "spawn_impl", spawned
    yield TaskStatus, "started", was_started


def _changed_from_outside(recorder: Recorder, nursery: Any) -> None:
    recorder.touched(nursery, _KIND, Operation.READ)
    if not nursery._closed:
        recorder.touched(nursery, _KIND, Operation.WRITE)


def _adding(error: BaseException) -> Operation:
    if isinstance(error, trio.Cancelled):
        return Operation.UPDATE
    return Operation.READ if only_cancelled(error) else Operation.WRITE


def _read_scopes(recorder: Recorder, status: Any) -> None:
    while status is not None:
        recorder.touched(status._scope, "scope", Operation.READ)
        status = status._parent
