"""PCT: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

Every task gets a random priority, the enabled one of the highest runs, and at ``depth - 1`` random
points the task that would run is put below all others. A bug that takes ``depth`` ordering
constraints is hit with a probability of at least 1 / (n * k ** (depth - 1)), for n tasks and k
scheduling points: small, but a guarantee, where a random walk has none for a bug far down.

Departures from the paper: k need not be told. It is the largest number of scheduling points seen so
far (only the first execution, which has seen none, is made without change points); and only
points with two enabled tasks or more count, for at others a change of priorities changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from sim._run import arguments
from sim._run.step import TaskId
from sim._run.strategy import ChoiceKind, Execution, Strategy
from sim.strategies._fault_sampler import FaultSampler

DEFAULT_DEPTH: Final = 3


class PCT(Strategy):
    """Random priorities with a few random changes.

    Args:
        seed: seeds the draws.
        depth: how many ordering constraints the bugs looked for may take, at least 1.
    """

    wants_identities = True

    def __init__(self, seed: int = 0, depth: int = DEFAULT_DEPTH) -> None:
        arguments.whole_number("seed", seed)
        arguments.whole_number("depth", depth)
        if depth < 1:
            raise ValueError(f"the depth of a bug must be at least 1, not {depth}")
        self._random = Random(seed)
        self._faults = FaultSampler(self._random.random)
        self._depth = depth
        self._horizon = 0
        # Of one execution. Initial priorities lie in [1, 2), those given at the n-th change
        # point are -n: below all others, and below those changed before.
        self._priorities: dict[TaskId, float] = {}
        self._change_points: frozenset[int] = frozenset()
        self._points = 0
        self._changes = 0

    def begin_execution(self) -> bool:
        self._faults.begin_execution()
        self._priorities.clear()
        self._points = self._changes = 0
        count = min(self._depth - 1, self._horizon)
        self._change_points = frozenset(self._random.sample(range(self._horizon), count))
        return True

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        del previous
        if len(enabled) == 1:
            return 0
        priorities = self._priorities
        for task in enabled:
            if task not in priorities:
                priorities[task] = 1 + self._random.random()
        if self._points in self._change_points:
            self._changes += 1
            priorities[max(enabled, key=priorities.__getitem__)] = -self._changes
        self._points += 1
        best = max(enabled, key=priorities.__getitem__)
        return enabled.index(best)

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is ChoiceKind.FAULT:
            return self._faults.choose(alternatives)
        return self._random.randrange(alternatives)

    def end_execution(self, execution: Execution) -> None:
        del execution
        self._horizon = max(self._horizon, self._points)
