"""Make a failing run plainer: fewer preemptions, fewer choices, and so a shorter token.

A run is a sequence of choices in which 0 is always the quiet alternative, so what is plain is easy
to say: the fewest preemptions first, then the fewest choices that are not 0, then the shortest run. The
search replaces blocks of choices by zeros, large ones first, down to single ones, and then tries to leave out
or lower each that is left (delta debugging: Zeller, Hildebrandt, TSE 2002). A candidate is judged as it ran,
not as it was made up: after a change, later choices may have other numbers of alternatives. A candidate is
kept if it is plainer and fails in the same way.

That ends in a local minimum. `explore` therefore also looks, for a while, through the schedules with
fewer preemptions than that, the fewest first, for one that fails in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from sim._run.choices import ChoiceLog

MAX_ATTEMPTS: Final = 500

# Alternatives of a choice that shrinking tries one by one.
_FEW: Final = 16

Size: TypeAlias = tuple[int, int, int, int]

Attempt: TypeAlias = Callable[[Sequence[int]], "tuple[ChoiceLog, int] | None"]
"""Runs a sequence of choices: the choices that were made, and how many preemptions; None if it did
not fail in the same way."""


def shrink(log: ChoiceLog, preemptions: int, attempt: Attempt, max_attempts: int = MAX_ATTEMPTS) -> ChoiceLog:
    """The plainest sequence of choices found that fails in the same way.

    Args:
        log: the choices of the failing run.
        preemptions: how many preemptions it has.
        attempt: runs other choices.
        max_attempts: how often that may be called.
    """
    return _Shrinker(log, preemptions, attempt, max_attempts).run()


class _Shrinker:
    def __init__(self, log: ChoiceLog, preemptions: int, attempt: Attempt, max_attempts: int) -> None:
        self._best = log
        self._size = _size(log, preemptions)
        self._attempt = attempt
        self._attempts_left = max_attempts
        self._tried: set[tuple[int, ...]] = {_significant(log.indices)}

    def run(self) -> ChoiceLog:
        while self._attempts_left > 0 and (self._zero_blocks() or self._delete_each() or self._lower_each()):
            pass
        return self._best

    def _zero_blocks(self) -> bool:
        improved = False
        block = max(1, len(self._best))
        while block:
            start = 0
            while start < len(self._best):
                indices = self._best.indices
                if any(indices[start : start + block]):
                    zeros = [0] * len(indices[start : start + block])
                    improved |= self._try([*indices[:start], *zeros, *indices[start + block :]])
                start += block
            block //= 2
        return improved

    def _delete_each(self) -> bool:
        # The following choices move up by one: a plainer run may lack a choice, and zeros would then leave
        # all later ones out of step.
        for place in range(len(_significant(self._best.indices))):
            indices = self._best.indices
            if self._try([*indices[:place], *indices[place + 1 :]]):
                return True
        return False

    def _lower_each(self) -> bool:
        for place, index in enumerate(self._best.indices):
            for smaller in _smaller(index):
                indices = self._best.indices
                if self._try([*indices[:place], smaller, *indices[place + 1 :]]):
                    return True
        return False

    def _try(self, indices: Sequence[int]) -> bool:
        key = _significant(indices)
        if self._attempts_left == 0 or key in self._tried:
            return False
        self._tried.add(key)
        self._attempts_left -= 1
        outcome = self._attempt(indices)
        if outcome is None:
            return False
        size = _size(*outcome)
        if size >= self._size:
            return False
        self._best, self._size = outcome[0], size
        return True


def _smaller(index: int) -> Sequence[int]:
    """Lower alternatives to try in place of one: all of a few, of many their halves and quarters."""
    if index <= _FEW:
        return range(1, index)
    return [
        *range(1, _FEW // 2),
        *(index >> shift for shift in range(index.bit_length() - 3, 0, -1)),
        index - 1,
    ]


def _size(log: ChoiceLog, preemptions: int) -> Size:
    return (
        preemptions,
        sum(index > 0 for index in log.indices),
        len(_significant(log.indices)),
        sum(log.indices),
    )


def _significant(indices: Sequence[int]) -> tuple[int, ...]:
    end = len(indices)
    while end and not indices[end - 1]:
        end -= 1
    return tuple(indices[:end])
