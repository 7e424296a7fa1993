"""Sweep: one execution for each point at which a fault may strike, under one and the same schedule.

First none strikes, then one at the first point, then one at the second, and so on; with a plan of
two faults, then all pairs. Sampling leaves out points, and among them the one that matters.
"""

from __future__ import annotations

from random import Random

from sim.strategies._base import ChoiceKind
from sim.strategies._dfs import DepthFirst


class Sweep(DepthFirst):
    """Enumerate the faults of a program.

    Args:
        seed: the schedule: 0 the plain one, any other number a random one.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._seed = seed
        self._random = Random(seed)

    def begin_execution(self) -> bool:
        # Up to the fault, every execution has the same schedule.
        self._random.seed(self._seed)
        return super().begin_execution()

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is ChoiceKind.FAULT:
            return super().choose(kind, alternatives)
        return self._random.randrange(alternatives) if self._seed else 0

    @property
    def exhaustive(self) -> bool:
        return False

    @property
    def coverage(self) -> str:
        points = max(0, self._executions - 1)
        return f"{'all' if self._exhausted else 'the first'} {points:,} faults of one schedule"
