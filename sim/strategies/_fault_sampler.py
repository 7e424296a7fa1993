"""When a sampled fault strikes: anywhere in a run with about the same probability.

At each point with the same fixed probability, faults would all strike at the very beginning of a
run, or hardly ever. So a sampler counts the points of the runs it has seen, and lets one strike with
a probability of one in as many.
"""

from __future__ import annotations

from collections.abc import Callable


class FaultSampler:
    """Picks the alternatives of fault choices.

    Args:
        random: draws a number in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._points = 0
        self._most_points = 1

    def begin_execution(self) -> None:
        self._most_points = max(self._most_points, self._points)
        self._points = 0

    def choose(self, alternatives: int) -> int:
        """0 for no fault, or the number of the one that strikes."""
        self._points += 1
        if self._random() * (self._most_points + 1) >= 1:
            return 0
        return 1 + int(self._random() * (alternatives - 1))
