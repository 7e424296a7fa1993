"""Partial-order sampling (Yuan, Yang, Gu, CAV 2018), in its basic form.

Every *step* gets a random priority when it becomes the next one of its task, and the enabled step of the
highest runs. A random walk draws again at each point, so it holds a task back over k steps of the others with
a probability of 2 ** -k; here a low priority, once drawn, holds it back until it is the last, and every order
of the tasks' next steps is equally likely.

The full algorithm also redraws for steps that race with the one just made. That requires knowing the
footprint of a step before it is made, which is not possible here.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sim._run import arguments
from sim._run.step import TaskId
from sim._run.strategy import ChoiceKind, Strategy
from sim.strategies._fault_sampler import FaultSampler


class PartialOrderSampling(Strategy):
    """Random priorities of steps.

    Args:
        seed: seeds the draws.
    """

    wants_identities = True

    def __init__(self, seed: int = 0) -> None:
        arguments.whole_number("seed", seed)
        self._random = Random(seed).random
        self._faults = FaultSampler(self._random)
        # Of each task, the priority of its next step.
        self._priorities: dict[TaskId, float] = {}

    def begin_execution(self) -> bool:
        self._faults.begin_execution()
        self._priorities.clear()
        return True

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        del previous
        priorities = self._priorities
        best, highest = 0, -1.0
        for index, task in enumerate(enabled):
            priority = priorities.get(task)
            if priority is None:
                priority = priorities[task] = self._random()
            if priority > highest:
                best, highest = index, priority
        del priorities[enabled[best]]
        return best

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is ChoiceKind.FAULT:
            return self._faults.choose(alternatives)
        return int(self._random() * alternatives)
