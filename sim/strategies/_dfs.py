"""Depth-first search: every sequence of choices, each once.

Exhaustive, and without any reduction: the number of interleavings grows as a factorial. It is what
the others are measured against, and enough for a handful of tasks.
"""

from __future__ import annotations

from sim._run import arguments
from sim._run.strategy import ChoiceDiverged, ChoiceKind, Execution, Strategy


class DepthFirst(Strategy):
    """Enumerate all choice sequences in lexicographic order, the quiet run first."""

    def __init__(self, seed: int = 0) -> None:
        arguments.whole_number("seed", seed)
        del seed
        # The path of the current execution: for each choice, the index taken and the number of
        # alternatives. Between executions: the prefix to be taken by the next one.
        self._indices: list[int] = []
        self._alternatives: list[int] = []
        self._depth = 0
        self._begun = False
        self._executions = 0
        self._exhausted = False

    def begin_execution(self) -> bool:
        self._depth = 0
        if not self._begun:
            self._begun = True
            return True
        while self._indices and self._indices[-1] + 1 >= self._alternatives[-1]:
            self._indices.pop()
            self._alternatives.pop()
        if not self._indices:
            self._exhausted = True
            return False
        self._indices[-1] += 1
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        del kind
        depth = self._depth
        self._depth += 1
        if depth < len(self._indices):
            if alternatives != self._alternatives[depth]:
                raise ChoiceDiverged(depth, self._alternatives[depth], alternatives)
            return self._indices[depth]
        self._indices.append(0)
        self._alternatives.append(alternatives)
        return 0

    def choose_seed(self, seeds: int) -> int:
        del seeds
        return 0

    @property
    def _is_past_repetition(self) -> bool:
        """Whether all choices of which an earlier execution has taken the same were made."""
        return self._depth >= len(self._indices)

    def end_execution(self, execution: Execution) -> None:
        del execution
        self._executions += 1

    def begin_anew(self) -> None:
        """Make all executions again."""
        self._indices.clear()
        self._alternatives.clear()
        self._begun = False

    @property
    def exhaustive(self) -> bool:
        return True

    @property
    def coverage(self) -> str:
        quantity = "all" if self._exhausted else "the first"
        return f"{quantity} {self._executions:,} interleavings"
