"""Random walk: at each choice, every alternative is equally likely.

The baseline. It needs nothing, costs nothing, and finds most shallow bugs; what it misses is the
bug behind one particular long prefix, for which there is PCT.
"""

from __future__ import annotations

from random import Random

from sim._run import arguments
from sim._run.strategy import ChoiceKind, Strategy
from sim.strategies._fault_sampler import FaultSampler


class RandomWalk(Strategy):
    """Choose uniformly, from a generator of its own that is seeded once an exploration."""

    def __init__(self, seed: int = 0) -> None:
        arguments.whole_number("seed", seed)
        self._random = Random(seed).random
        self._faults = FaultSampler(self._random)

    def begin_execution(self) -> bool:
        self._faults.begin_execution()
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is ChoiceKind.FAULT:
            return self._faults.choose(alternatives)
        # Not randrange: it is ten times slower, and its bias-free draw buys nothing at a handful
        # of alternatives against 53 random bits.
        return int(self._random() * alternatives)
