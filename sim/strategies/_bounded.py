"""Depth-first search within a bound: few deviations from a plain schedule first find most bugs.

Both count what a schedule does beyond letting each task run until it blocks, the next being the
one that became runnable first; and both enumerate all schedules that stay within the bound.

`PreemptionBounded` (Musuvathi, Qadeer, PLDI 2007) counts how often a task is made to wait that
could have gone on. Which task goes on when one blocks is free, so there are still exponentially
many schedules in the number of tasks.

`DelayBounded` (Emmi, Qadeer, Rakamaric, POPL 2011) counts how many tasks are passed over, wherever
it may be: polynomially many schedules, for a given bound.

A fault or a draw other than the quiet one costs 1 with either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sim._run import arguments
from sim._run.step import TaskId
from sim._run.strategy import ChoiceKind
from sim.strategies._dfs import DepthFirst

DEFAULT_BOUND: Final = 2


class _Bounded(DepthFirst):
    """Depth-first search in which alternatives that cost too much are left out.

    Args:
        seed: ignored, there is nothing random.
        bound: how much an execution may cost, 0 or more.
    """

    def __init__(self, seed: int = 0, bound: int = DEFAULT_BOUND) -> None:
        super().__init__(seed)
        arguments.whole_number("bound", bound)
        if bound < 0:
            raise ValueError(f"a bound must be at least 0, not {bound}")
        self._bound = bound
        self._left = bound
        self._left_out = False

    def begin_execution(self) -> bool:
        self._left = self._bound
        return super().begin_execution()

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        index = self._choose_within(kind, alternatives, alternatives if self._left else 1)
        self._left -= index > 0
        return index

    def _choose_within(self, kind: ChoiceKind, alternatives: int, affordable: int) -> int:
        if affordable < alternatives:
            self._left_out = True
        return super().choose(kind, affordable) if affordable > 1 else 0

    @property
    def exhaustive(self) -> bool:
        return not self._left_out


class PreemptionBounded(_Bounded):
    """Every schedule with at most ``bound`` preemptions."""

    wants_identities = True

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        if len(enabled) == 1:
            return 0
        if enabled[0] == previous:
            return self.choose(ChoiceKind.SCHEDULE, len(enabled))
        return self._choose_within(ChoiceKind.SCHEDULE, len(enabled), len(enabled))

    @property
    def coverage(self) -> str:
        if not self._left_out:
            return super().coverage
        return f"{super().coverage} with at most {self._bound} preemptions"


class DelayBounded(_Bounded):
    """Every schedule with at most ``bound`` delays."""

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is not ChoiceKind.SCHEDULE:
            return super().choose(kind, alternatives)
        index = self._choose_within(kind, alternatives, min(alternatives, self._left + 1))
        self._left -= index
        return index

    @property
    def coverage(self) -> str:
        if not self._left_out:
            return super().coverage
        return f"{super().coverage} with at most {self._bound} delays"
