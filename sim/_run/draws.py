"""Choices that a scenario makes itself: which answer a peer gives, how long something takes.

Draws of a program from `random` follow from one choice, a seed; so they vary, but are not enumerated. A draw
with `choose` is a separate choice: `dpor` and `dfs` take every alternative, a failing run shows what was
drawn, and shrinking looks for the first alternative that still fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sim._run import arguments
from sim._run.looking import text_of

T = TypeVar("T")

MOST_ALTERNATIVES: Final = 1 << 20
"""More than any strategy could make sense of; a larger number is a mistake."""


# Sequences, of which nothing need be asked.
_KNOWN: Final = (list, tuple, range)


class Active:
    """The source of choices of the current run in this process, if there is one."""

    choose: Callable[[int, Callable[[int], str]], int] | None = None


def choose(options: Sequence[T]) -> T:
    """One of the options; which one is a choice of the run.

    Outside of a simulation it is the first, so that a scenario may also be run under `trio.run`.

    Args:
        options: at least one, the plainest first; the same number of them each time that a run comes here
            with the same choices behind it. A `range` will do.

    Raises:
        ValueError: there is none, or more than a million.
        WrongType: they are in no order, as those of a set, or there is no telling how many.
    """
    if type(options) not in _KNOWN:
        arguments.options("options", options)
    if not 0 < len(options) <= MOST_ALTERNATIVES:
        raise ValueError(f"choose takes 1 to {MOST_ALTERNATIVES:,} options, not {len(options):,}")
    if Active.choose is None:
        return options[0]
    return options[Active.choose(len(options), lambda index: text_of(options[index]))]
