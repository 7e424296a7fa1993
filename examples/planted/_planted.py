"""What a planted race is: a small program with one known bug, and the same program without it.

A harness that claims to find races should be tried on races that are known to be there, and on
their corrected twins, in which anything it reports is a false alarm. Each program is a few lines of
ordinary Trio; what its tasks share is in `sim.Shared` cells, so that every strategy sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

Program: TypeAlias = Callable[[], Awaitable[None]]


class PromiseBroken(AssertionError):
    """A planted program found that what it promises does not hold."""


def require(condition: bool, promise: str) -> None:
    """Raise `PromiseBroken` unless `condition`; unlike `assert`, also under ``python -O``.

    Args:
        condition: whether the promise holds.
        promise: what is promised.

    Raises:
        PromiseBroken: `condition` is false.
    """
    if not condition:
        raise PromiseBroken(f"broken: {promise}")


@dataclass(frozen=True, slots=True)
class PlantedRace:
    """A program with a bug, and its twin without.

    Attributes:
        broken: fails under some schedules, holds under others.
        corrected: holds under all.
    """

    broken: Program
    corrected: Program

    @property
    def name(self) -> str:
        """The name of the broken program."""
        return getattr(self.broken, "__name__", repr(self.broken))

    @property
    def summary(self) -> str:
        """The first line of what the broken program says of itself."""
        return (self.broken.__doc__ or "").strip().partition("\n")[0]
