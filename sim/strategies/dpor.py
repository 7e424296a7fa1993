"""The strategy `dpor`: every behaviour of a program, one execution for each.

It holds the search of `_optimal_dpor` against what the kernel tells of tasks and objects. The manual's page
on partial-order reduction says what an exhausted search proves, and under which assumptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast, final

from sim._run import arguments
from sim._run.step import CLOCK, Step, TaskId
from sim._run.strategy import ABANDON, ChoiceKind, Execution, Strategy, UntrackedDependence, Verdict
from sim.strategies._optimal_dpor import OptimalDpor


@final
class Dpor(Strategy):
    """Optimal dynamic partial-order reduction.

    Args:
        seed: not used; the order of exploration is fixed.
    """

    wants_identities: ClassVar[bool] = True
    wants_footprints: ClassVar[bool] = True

    def __init__(self, seed: int = 0) -> None:
        arguments.whole_number("seed", seed)
        del seed
        self._search = OptimalDpor()
        self._failed = 0
        self._without_end = 0
        self._enabled: Sequence[TaskId] = ()

    def begin_execution(self) -> bool:
        search = self._search
        begun = search.begin()
        # It names processes as they were named to it.
        self.script = cast("Sequence[TaskId]", search.script)
        return begun

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        del kind
        return self._search.draw(alternatives)

    def choose_seed(self, seeds: int) -> int:
        del seeds
        return 0

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        del previous
        index = self._search.choose(enabled)
        if index is None:
            self._enabled = tuple(enabled)
            return ABANDON
        return index

    def step_done(self, step: Step) -> None:
        search = self._search
        clock = step.task == CLOCK
        if clock:
            # The clock asks nobody: it moves when nothing else can.
            search.choose((CLOCK,))
        search.ran(search.footprint(step.accesses), step.wakes, after_all=clock)

    def end_execution(self, execution: Execution) -> None:
        if execution.outdated:
            self._search = OptimalDpor()
            self._failed = self._without_end = 0
            return
        self._without_end += execution.without_end
        if execution.verdict is Verdict.FAILED:
            self._failed += 1
        search = self._search
        search.end(self._scripted(execution.steps), execution.left)
        # A failing run is not gone through to its end, so not all that follows its beginning was seen.
        if execution.verdict is Verdict.ABANDONED and not (search.drawn or self._failed):
            raise UntrackedDependence(execution.steps, self._enabled)

    def _scripted(self, steps: int) -> int:
        """How many steps of the script were made, if it was followed for so many without the clock's."""
        made = len(self.script)
        extra = made - self.script.count(CLOCK) - steps
        while extra > 0:
            made -= 1
            extra -= self.script[made] != CLOCK
        return made

    @property
    def redundant(self) -> int:
        """Executions given up half-way because all that they led to was explored already.

        Zero unless a step makes choices of its own, or runs fail before all their tasks have ended."""
        return self._search.redundant

    @property
    def exhaustive(self) -> bool:
        # A run that was given up has steps that were never made, and the races of those were not seen.
        return not self._without_end

    @property
    def coverage(self) -> str:
        search = self._search
        quantity = "all" if self.exhaustive and search.exhausted else "the first"
        failed = f", {self._failed:,} of them failing" if self._failed else ""
        if search.drawn:
            return f"{quantity} traces, in {search.executions:,} executions{failed}"
        traces = f"{search.executions:,} trace{'s' if search.executions != 1 else ''}"
        return f"{quantity} {traces}{failed}"
