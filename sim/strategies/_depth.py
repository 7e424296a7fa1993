"""A bound on depth, around any strategy: how far each task gets in a run.

A program that goes on for ever, as a server does that is polled, has no end to be explored to. Within a bound
on depth it has: no task makes more than so many steps, after which it stops where it is. A run is over, and
has not failed, when only such tasks could go on. This is what model checkers of programs do with loops, which
they unroll so many times (CBMC: Clarke, Kroening, Lerda, TACAS 2004; for stateless search with partial-order
reduction: Kokologiannakis, Vafeiadis, "GenMC", CAV 2021).

Why a bound for each task and not one on the length of a run: whether a task has come to its bound, its own
past says. So the program of tasks that stop there is a program like any other, and whatever a strategy can
say of programs holds for it: partial-order reduction explores each of its traces once. Of runs that are cut
at one length for all, two that differ only in the order of independent steps would be cut at different
places.

A task that another has started counts that one's place in the tree of tasks as steps made, one for each
generation: else a chain of tasks that start each other would have no end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import final

from sim._run import arguments
from sim._run.step import Step, TaskId
from sim._run.strategy import CUT, ChoiceKind, Execution, Strategy


@final
class DepthBounded(Strategy):
    """A strategy for a program whose tasks stop at a depth.

    Args:
        inner: the strategy.
        depth: how many steps a task may make, at least 1.
    """

    wants_identities = True

    def __init__(self, inner: Strategy, depth: int) -> None:
        arguments.instance("inner", inner, Strategy)
        arguments.whole_number("depth", depth)
        if depth < 1:
            raise ValueError(f"a depth must be at least 1, not {depth}")
        self._inner = inner
        self._bound = depth
        self._made: Counter[TaskId] = Counter()
        self._has_cut = False
        self.wants_footprints = inner.wants_footprints  # type: ignore[misc]  # a constant of other strategies

    def begin_execution(self) -> bool:
        begun = self._inner.begin_execution()
        self.script = self._inner.script
        # The steps of a script are made without a word.
        self._made = Counter(self.script)
        return begun

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        made, bound = self._made, self._bound
        within = [task for task in enabled if len(task) + made[task] < bound]
        if len(within) < len(enabled):
            self._has_cut = True
            if not within:
                return CUT
        index = self._inner.choose_task(within, previous)
        if index < 0:
            return index
        task = within[index]
        made[task] += 1
        return enabled.index(task)

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        return self._inner.choose(kind, alternatives)

    def choose_seed(self, seeds: int) -> int:
        return self._inner.choose_seed(seeds)

    def step_done(self, step: Step) -> None:
        self._inner.step_done(step)

    def end_execution(self, execution: Execution) -> None:
        # Tasks that have come to the bound could not have made the last step.
        within = tuple(task for task in execution.left if len(task) + self._made[task] < self._bound)
        self._inner.end_execution(execution._replace(left=within))

    @property
    def exhaustive(self) -> bool:
        return self._inner.exhaustive and not self._has_cut

    @property
    def coverage(self) -> str:
        return (
            f"{self._inner.coverage} to a depth of {self._bound:,}" if self._has_cut else self._inner.coverage
        )
