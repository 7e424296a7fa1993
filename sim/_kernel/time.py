"""The passing of time, as programs see it: no task runs meanwhile, and instruments are told of each wait."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from typing import Any, Final

from sim._kernel.fairness import Fairness
from sim._kernel.findings import Findings
from sim._kernel.identities import Identities
from sim._kernel.invariants import Invariants
from sim._kernel.step_reports import StepReports
from sim._run.step import ROOT, TaskId
from sim._trio import RUN_CONTEXT
from sim._world.clock import VirtualClock

# Trio's own loop waits no longer at a time, in seconds, and then looks again.
_LONGEST_WAIT: Final = 24 * 60 * 60


@contextlib.contextmanager
def outside_tasks() -> Generator[None]:
    """Let no task be the current one in the block: what is called there is called by the loop."""
    task = RUN_CONTEXT.__dict__.pop("task", None)
    try:
        yield
    finally:
        if task is not None:
            RUN_CONTEXT.task = task


def expire(deadlines: Any, now: float) -> None:
    """Cancel the scopes whose deadline has passed, and so call the abort functions of what waits in them.

    Args:
        deadlines: those of the run.
        now: the time of its clock, in seconds.
    """
    # Asked after nearly every step.
    if deadlines._heap and deadlines._heap[0][0] <= now:
        with outside_tasks():
            deadlines.expire(now)


@contextlib.contextmanager
def io_wait(instruments: Any, seconds: float) -> Generator[None]:
    """Tell instruments that the run waits in the block, as Trio's loop does for input or a deadline.

    Args:
        instruments: those of the run.
        seconds: how long the wait is.
    """
    seconds = min(seconds, _LONGEST_WAIT)
    if "before_io_wait" in instruments:
        with outside_tasks():
            instruments.call("before_io_wait", seconds)
    yield
    if "after_io_wait" in instruments:
        with outside_tasks():
            instruments.call("after_io_wait", seconds)


class Time:
    """Lets time pass in an execution, and wakes who waits for it."""

    def __init__(
        self,
        runner: Any,
        clock: VirtualClock,
        identities: Identities,
        reports: StepReports,
        fairness: Fairness,
        invariants: Invariants,
        findings: Findings,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._identities = identities
        self._reports = reports
        self._fairness = fairness
        self._invariants = invariants
        self._findings = findings

    def move(self, until: float) -> None:
        """Let time pass until a moment."""
        self._clock.now = max(self._clock.now, until)
        expire(self._runner.deadlines, self._clock.now)

    def wake(self) -> bool:
        """Nothing is runnable: let those go on that wait for that, or time pass.

        Returns:
            False if nothing will ever be runnable again.
        """
        runner, ids = self._runner, self._identities.ids
        idle = runner.waiting_for_idle
        if idle:
            # The cushion is in real seconds, of which none pass here: the shortest comes first.
            cushion = idle.keys()[0][0]
            with io_wait(runner.instruments, cushion):
                pass
            while idle and idle.keys()[0][0] == cushion:
                _, task = idle.popitem(0)
                runner.reschedule(task)
        else:
            while not runner.runq:
                deadline = runner.deadlines.next_deadline()
                if deadline == math.inf:
                    return False
                with io_wait(runner.instruments, self._clock.deadline_to_sleep_time(deadline)):
                    self._clock.now = max(self._clock.now, deadline)
                expire(runner.deadlines, self._clock.now)
        # An abort function may have started some.
        made = [self._identities.name_child(ROOT, task) for task in runner.runq if task not in ids]
        runner.runq.sort(key=ids.__getitem__)
        woken = [ids[task] for task in runner.runq]
        self._reports.clock(spawned=made, woken=[one for one in woken if one not in made] if made else woken)
        return True

    def end_round(self) -> None:
        """All that can run spin: let them go on, and time pass if nothing else is left."""
        runner, ids, fairness = self._runner, self._identities.ids, self._fairness
        runq = runner.runq
        woken = [*fairness.spinning]
        pause = fairness.end_round(runq, ids)
        made: list[TaskId] = []
        if pause:
            before = len(runq)
            self.move(min(self._clock.now + pause, runner.deadlines.next_deadline()))
            # An abort function may have started some.
            made = [self._identities.name_child(ROOT, task) for task in runq[before:] if task not in ids]
            woken += [task for task in runq[before:] if ids[task] not in made]
            runq.sort(key=ids.__getitem__)
        self._reports.clock(spawned=made, woken=sorted(ids[task] for task in woken))
        if pause:
            self.find_overdue(self._clock.elapsed)

    def find_overdue(self, now: float) -> None:
        """Find a promise that should have been kept by now."""
        if self._invariants.watched:
            overdue = self._invariants.overdue(now)
            if overdue is not None:
                self._findings.find(overdue)
