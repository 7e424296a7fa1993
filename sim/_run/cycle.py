"""The cycle in which a run without an end repeats itself, found in its trace."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from sim._run.step import TaskId
from sim._run.trace import TracedStep

_LOOKED_AT: Final = 20_000
"""How many of the last steps are looked at."""
_LEAST: Final = 3
"""How often steps must have been made to count as repeated."""
_SHARE: Final = 10
"""They must be this part of what is looked at: a task that has its turn three times in a row is no cycle."""


@dataclass(frozen=True)
class Cycle:
    """The steps that a run repeats until it is given up.

    Attributes:
        first: the number of the first of them, counted from 0.
        length: how many they are.
        times: how often they are made, the first time included.
        in_order: whether each time in this order; else it is each task that repeats its own.
    """

    first: int
    length: int
    times: int
    in_order: bool = True


def find_cycle(steps: Sequence[TracedStep]) -> Cycle | None:
    """The cycle that a run is in at its end; None if there is none to be seen."""
    before = max(0, len(steps) - _LOOKED_AT)
    last = steps[before:]
    found = (
        _in_order([(step.task, step.start, step.end) for step in last])
        or _each_its_own(last)
        # The tasks of a cycle may be others each time.
        or _in_order([(step.name, len(step.task), step.start, step.end) for step in last])
    )
    if found is None:
        return None
    return Cycle(before + found.first, found.length, found.times, found.in_order)


def described(cycle: Cycle, steps: Sequence[TracedStep]) -> tuple[str, ...]:
    """Of each step of a cycle: whose it is, and where that task stops."""
    return tuple(
        f"{step.label} stops at {step.end}" if step.end else f"{step.label} ends"
        for step in steps[cycle.first : cycle.first + cycle.length]
    )


def _in_order(keys: Sequence[Hashable]) -> Cycle | None:
    period, since = _period(keys, len(keys) // _SHARE)
    return Cycle(since, period, (len(keys) - since) // period) if period else None


def _each_its_own(steps: Sequence[TracedStep]) -> Cycle | None:
    """The cycles of the tasks that make the last steps, if each of these has one, whoever comes first."""
    recent = len(steps) - len(steps) // _SHARE
    numbers: dict[TaskId, list[int]] = {}
    for number, step in enumerate(steps):
        numbers.setdefault(step.task, []).append(number)
    lanes = [made for made in numbers.values() if made[-1] >= recent]
    since, times = 0, len(steps)
    periods: list[tuple[list[int], int]] = []
    for made in lanes:
        # Where it goes on is left out: that may be before it is in its cycle.
        period, first = _period([steps[number].end for number in made], len(made) // _SHARE)
        if not period:
            return None
        periods.append((made, period))
        since = max(since, made[first])
    end = since
    for made, period in periods:
        own = [number for number in made if number >= since]
        if len(own) < _LEAST * period:
            return None
        times = min(times, len(own) // period)
        end = max(end, own[period - 1] + 1)
    return Cycle(since, end - since, times, in_order=False) if periods else None


def _period(keys: Sequence[Hashable], least: int) -> tuple[int, int]:
    """The shortest period of the end of a sequence, and from where on it has it; 0 and 0 if it has none."""
    backwards = keys[::-1]
    for period, common in enumerate(_common_beginnings(backwards)):
        if period and common + period >= max(_LEAST * period, least):
            return period, len(keys) - common - period
    return 0, 0


def _common_beginnings(keys: Sequence[Hashable]) -> list[int]:
    """For each place, how far what begins there agrees with the beginning (Gusfield's Z values)."""
    count = len(keys)
    common = [0] * count
    left = right = 0
    for place in range(1, count):
        length = min(right - place, common[place - left]) if place < right else 0
        while place + length < count and keys[length] == keys[place + length]:
            length += 1
        if place + length > right:
            left, right = place, place + length
        common[place] = length
    return common
