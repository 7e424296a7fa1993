"""Partial-order reduction within a bound on preemptions: `dpor:2`.

A schedule of few preemptions may be equivalent to one of many, so what an unbounded reduction keeps of
each trace may lie beyond the bound; and what it would learn of a trace beyond the bound, it needs to find
some within (Coons, Musuvathi, McKinley, "Bounded Partial-Order Reduction", OOPSLA 2013). So this is
another algorithm: the depth-first search within the bound, which gives up an execution when it comes to a
state that it has gone on from before, with no fewer preemptions left and the same task running. A state is
taken for the same if the steps that led to it are the same up to the order of those that commute
(happens-before caching: Musuvathi, Qadeer, "Partial-Order Reduction for Context-Bounded State
Exploration", 2007). Since a search depth first has seen all that follows a state before it meets it again,
nothing within the bound is lost.

The price is memory: a number for each state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from sim._run.step import CLOCK, Step, TaskId
from sim._run.strategy import ABANDON, ChoiceKind, Execution, Verdict
from sim.strategies._bounded import DEFAULT_BOUND, PreemptionBounded
from sim.strategies._happens_before import HappensBefore


@final
class BoundedDpor(PreemptionBounded):
    """Every behaviour that takes at most ``bound`` preemptions.

    A fault or a draw other than the quiet one costs 1, too.

    Args:
        seed: not used; the order of exploration is fixed.
        bound: how much an execution may cost, 0 or more.
    """

    wants_footprints: ClassVar[bool] = True

    def __init__(self, seed: int = 0, bound: int = DEFAULT_BOUND) -> None:
        super().__init__(seed, bound)
        self._order = HappensBefore()
        # A number for the trace so far: the sum of those of its steps, so that their order is no matter.
        self._trace = 0
        self._draws: list[int] = []
        # Of each state that was gone on from, the most that there was left to spend.
        self._most_left: dict[int, int] = {}
        self._traces: set[int] = set()

    def begin_execution(self) -> bool:
        self._order.truncate(0)
        self._trace = 0
        self._draws.clear()
        return super().begin_execution()

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        index = super().choose(kind, alternatives)
        if kind is not ChoiceKind.SCHEDULE:
            self._draws.append(index)
        return index

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        if self._is_past_repetition:
            going_on = previous if enabled[0] == previous else None
            state = hash((self._trace, going_on))
            if self._most_left.get(state, -1) >= self._left:
                return ABANDON
            self._most_left[state] = self._left
        return super().choose_task(enabled, previous)

    def step_done(self, step: Step) -> None:
        order = self._order
        footprint = order.footprints.of(step.accesses)
        event = order.append(step.task, footprint, step.wakes, after_all=step.task == CLOCK)
        self._trace += hash((event.key, *self._draws))
        self._draws.clear()

    def end_execution(self, execution: Execution) -> None:
        super().end_execution(execution)
        if execution.outdated:
            self.begin_anew()
            self._order = HappensBefore()
            self._most_left.clear()
            self._traces.clear()
        elif execution.verdict is not Verdict.ABANDONED:
            self._traces.add(self._trace)

    @property
    def coverage(self) -> str:
        quantity = "all" if self._exhausted else "the first"
        traces = f"{quantity} {len(self._traces):,} trace{'s' if len(self._traces) != 1 else ''}"
        return f"{traces} with at most {self._bound} preemptions" if self._left_out else traces
