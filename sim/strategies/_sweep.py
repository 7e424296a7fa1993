"""Sweep: one execution for each point at which a fault may strike, under a few schedules.

First each schedule without a fault, which tells how many points it has; then one execution for each of
them, and with a plan of two faults, for all pairs. Sampling leaves out points, and among them the one that
matters. If there are more points than executions, those struck are spread evenly over all schedules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, TypeAlias, final

from sim._run import arguments
from sim._run.strategy import ChoiceKind, Execution, Strategy

SCHEDULES: Final = 5

# Of each fault that strikes: the number of its choice among those of faults, and the alternative.
Strikes: TypeAlias = tuple[tuple[int, int], ...]


@final
class Sweep(Strategy):
    """Enumerate the faults of a program.

    Args:
        seed: the first schedule: 0 the plain one, any other number a random one. The next has the next seed.
        schedules: how many, at least 1.
        at_most: how many faults may strike in one execution.
        budget: how many executions there will be, at most; 0 if that is not known.
    """

    def __init__(self, seed: int = 0, schedules: int = SCHEDULES, at_most: int = 1, budget: int = 0) -> None:
        arguments.whole_number("seed", seed)
        for name, number in (("schedules", schedules), ("at_most", at_most), ("budget", budget)):
            arguments.whole_number(name, number)
        if schedules < 1:
            raise ValueError(f"a sweep needs at least 1 schedule, not {schedules}")
        self._seeds = range(seed, seed + schedules)
        self._at_most = at_most
        self._budget = budget
        self._random = Random()
        self._runs = self._plan()
        # The execution under way: its schedule; the strikes it is to have, and how many of them it has had;
        # the alternatives of each choice of a fault so far.
        self._seed = seed
        self._strikes: Strikes = ()
        self._struck = 0
        self._alternatives: list[int] = []
        self._has_chosen = False
        # Schedules made without a fault, points known, and points struck; whether there are no others.
        self._schedules = 0
        self._knows_schedules = False
        self._points = 0
        self._covered = 0
        self._knows_all = False

    def begin_execution(self) -> bool:
        run = next(self._runs, None)
        if run is None:
            return False
        self._seed, self._strikes = run
        self._struck = 0
        self._alternatives = []
        self._has_chosen = False
        # Up to the fault, every execution of a schedule is the same.
        # A string is hashed; of small numbers that are used as they are, many begin alike.
        self._random.seed(f"schedule {self._seed}")
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        if kind is not ChoiceKind.FAULT:
            self._has_chosen = True
            return self._random.randrange(alternatives) if self._seed else 0
        number = len(self._alternatives)
        self._alternatives.append(alternatives)
        if self._struck < len(self._strikes):
            at, index = self._strikes[self._struck]
            if at == number and index < alternatives:
                self._struck += 1
                return index
        return 0

    def end_execution(self, execution: Execution) -> None:
        del execution
        strikes = self._strikes
        if not strikes:
            self._schedules += 1
            self._knows_schedules = self._schedules == len(self._seeds) or not self._has_chosen
        elif self._struck == len(strikes):
            self._covered += 1
        if len(strikes) < self._at_most:
            self._points += sum(alternatives - 1 for alternatives in self._alternatives[_next(strikes) :])

    def _plan(self) -> Iterator[tuple[int, Strikes]]:
        """The executions to be made; each is over when the next is asked for."""
        found: list[list[int]] = []
        for seed in self._seeds:
            yield seed, ()
            found.append(self._alternatives)
            if not self._has_chosen:
                break  # There is but one schedule.
        # Every so manieth of all, then the one after each of these, and so on.
        left = self._budget - len(found)
        stride = max(1, -(-self._points // left)) if left > 0 else 1
        for offset in range(stride):
            number = -offset
            for seed, alternatives in zip(self._seeds, found, strict=False):
                for strikes in _after((), alternatives):
                    if number % stride == 0:
                        yield from self._from(seed, strikes)
                    number += 1
        self._knows_all = True

    def _from(self, seed: int, strikes: Strikes) -> Iterator[tuple[int, Strikes]]:
        """An execution, and all that begin as it does and have more faults."""
        yield seed, strikes
        if len(strikes) < self._at_most:
            alternatives = self._alternatives
            for more in _after(strikes, alternatives):
                yield from self._from(seed, more)

    @property
    def coverage(self) -> str:
        knows_all = self._knows_all or (self._knows_schedules and self._at_most == 1)
        return (
            f"{self._covered:,} of {'' if knows_all else 'at least '}{_counted(self._points, 'point')}"
            f" of {_counted(self._schedules, 'schedule')}"
        )


def _after(strikes: Strikes, alternatives: Sequence[int]) -> Iterator[Strikes]:
    """Each way to have one fault more, later than the others."""
    for number in range(_next(strikes), len(alternatives)):
        for index in range(1, alternatives[number]):
            yield (*strikes, (number, index))


def _next(strikes: Strikes) -> int:
    """The first choice of a fault after those that are made."""
    return strikes[-1][0] + 1 if strikes else 0


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
