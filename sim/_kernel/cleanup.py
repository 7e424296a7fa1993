"""Leaving nothing of an execution: no task, no coroutine that was not run to its end."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any, Final

from sim._kernel.findings import Findings
from sim._kernel.outer_nurseries import OuterNurseries
from sim._kernel.scheduler import BudgetUsedUp, Scheduler
from sim._run.choices import ChoiceLog
from sim._run.strategy import ChoiceKind, Strategy
from sim._trio import RUN_CONTEXT

# Steps given to tasks to clean up after themselves once an execution is over early, and to each of them.
_STEPS: Final = 2_000
_STEPS_OF_TASK: Final = 50


def cancel_everything(
    runner: Any,
    scheduler: Scheduler,
    nurseries: OuterNurseries,
    findings: Findings,
    close_generators: Callable[[], bool],
    deadlines: Callable[[], Any],
) -> None:
    """Let the tasks unwind themselves: cancel them, and step them in turn.

    Nothing that happens here is a finding; the verdict was given before.

    Args:
        close_generators: starts to close generators that were left half-way; says whether there are any.
        deadlines: makes what holds none.
    """
    allowed = _STEPS + _STEPS_OF_TASK * len(runner.tasks)
    steps, scheduler.steps = scheduler.steps, scheduler.max_steps - allowed
    log, scheduler.log = scheduler.log, ChoiceLog()
    nurseries.cancel()
    turns = _TakeTurns()
    with findings.closed(), contextlib.suppress(BudgetUsedUp):
        while runner.runq or scheduler.time.wake() or close_generators():
            scheduler.step_until_idle(turns, None)
            findings.first = None
    scheduler.steps, scheduler.log = steps, log
    nurseries.renew()
    runner.deadlines = deadlines()


def close_by_force(runner: Any, scheduler: Scheduler, findings: Findings) -> None:
    """Throw GeneratorExit into what does not end by itself, and never touch again what catches that too."""
    steps = scheduler.steps
    for task in list(runner.tasks):
        # It was told to end and did not; whatever it raises now comes too late to matter.
        RUN_CONTEXT.task = task
        # A step like any other to who watches over them, but one in which no thread makes another.
        scheduler.steps = max(scheduler.steps, scheduler.max_steps) + 1
        scheduler.others = len(runner.runq)
        try:
            with findings.closed(), contextlib.suppress(BaseException):
                task.coro.close()
        finally:
            scheduler.others = -1
        if task.coro.cr_frame is not None:
            _keep_for_ever(task.coro)
    for task in list(runner.tasks):
        for nursery in task._child_nurseries:
            nursery._children.clear()
        parent = task._parent_nursery
        if parent is not None:
            parent._children.discard(task)
    runner.runq = []
    runner.tasks = set()
    scheduler.steps = steps


def _keep_for_ever(coroutine: Any) -> None:
    """Let nobody ever free a coroutine, not even the interpreter at its end.

    Freeing it throws GeneratorExit into it once more. Its loop catches that, and Trio is gone by then
    to wait in: what it tries raises at once, and it would try for ever.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


class _TakeTurns(Strategy):
    """Every task in its turn: fair, so that tasks that wait for each other's clean-up get on."""

    def begin_execution(self) -> bool:
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        return alternatives - 1 if kind is ChoiceKind.SCHEDULE else 0
