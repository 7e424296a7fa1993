"""Reports steps to the strategy: the accesses of each, the tasks it started and woke, and its end.

Only a strategy that wants footprints is told. One that repeats the beginning of an earlier execution has a
script of it, which is followed here step by step; where it cannot be followed, the program is not the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NoReturn

from sim._dependence.footprint import Recorder
from sim._kernel.faults import FaultInjector
from sim._kernel.identities import Identities
from sim._kernel.invariants import Invariants
from sim._run.step import CLOCK, Ending, Step, TaskId
from sim._run.strategy import RepetitionDiverged, Strategy
from sim._run.trace import location, short_name


class StepReports:
    """Reports the steps of an execution to its strategy.

    Attributes:
        strategy: is told; None between executions, and while one is cleaned up after.
        scripted: how many steps of its script were made.
        faults: what could strike is looked at after each step of the clock.
    """

    def __init__(self, runner: Any, identities: Identities, invariants: Invariants) -> None:
        self._runner = runner
        self._identities = identities
        self._invariants = invariants
        self.strategy: Strategy | None = None
        self.scripted = 0
        self.faults: FaultInjector | None = None

    def begin(self, strategy: Strategy) -> None:
        """Begin an execution."""
        self.strategy = strategy
        self.scripted = 0

    def clock(self, *, spawned: Sequence[TaskId] = (), woken: Sequence[TaskId] = ()) -> None:
        """Report a step of the clock: it passes when nothing else can run.

        Args:
            spawned: which tasks it has started.
            woken: which it has made runnable.
        """
        strategy = self.strategy
        if strategy is not None and strategy.wants_footprints:
            if self.faults is not None:
                self.faults.look()
            if self._invariants.watched:
                self._invariants.after_time()
            if self.scripted < len(strategy.script):
                if strategy.script[self.scripted] != CLOCK:
                    self.diverge(self.scripted)
                self.scripted += 1
            else:
                strategy.step_done(Step(CLOCK, (), tuple(spawned), tuple(woken), Ending.RUNNABLE))

    def step(
        self, recorder: Recorder, task: Any, over: bool, before: int, made: int, inner_tasks: int
    ) -> None:
        """Report a step of a task.

        Args:
            recorder: has seen it.
            task: who made it; it is the first in the queue if it can go on.
            over: it was its last.
            before: how many other tasks were runnable before it.
            made: how many tasks it has created.
            inner_tasks: how many of them were created inside of it, by steps of threads.
        """
        runq, ids = self._runner.runq, self._identities.ids
        can_go_on = bool(runq) and runq[0] is task
        identity = ids[task]
        spawned: tuple[TaskId, ...] = ()
        if made:
            spawned = self._identities.last_children(identity, made)
        woken: tuple[TaskId, ...] = ()
        first = before + can_go_on
        # A task made inside the step may have left the queue again.
        if len(runq) > first + made - inner_tasks:
            woken = tuple(sorted(ids[other] for other in runq[first:] if ids[other] not in spawned))
            for other in woken:
                recorder.woken(other)
        if self._invariants.watched:
            self._invariants.add_to(recorder)
        ending = Ending.FINISHED if over else Ending.RUNNABLE if can_go_on else Ending.BLOCKED
        assert self.strategy is not None
        joining = recorder.joining(woken) if woken else ()
        self.strategy.step_done(Step(identity, recorder.end_step(), spawned, woken, ending, joining))

    def diverge(self, scripted: int) -> NoReturn:
        """The script cannot be followed further than so many steps: who comes then cannot run.

        Raises:
            RepetitionDiverged: always.
        """
        assert self.strategy is not None
        runnable = [self._identities.ids[task] for task in self._runner.runq]
        raise RepetitionDiverged(scripted, self.strategy.script[scripted], runnable)

    def describe_places(self, awaited: Hashable | None) -> str:
        """Where the tasks stand that can run now, and one that was to run.

        Args:
            awaited: the identity of that one.
        """
        ids, runq = self._identities.ids, self._runner.runq
        tasks = [task for task, identity in ids.items() if identity == awaited or task in runq]
        return ", ".join(
            f"{ids[task]!r} is {short_name(task.name)} at {location(task) or 'its end'}" for task in tasks
        )
