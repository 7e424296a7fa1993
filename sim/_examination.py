"""Examining a failed run: whether it can be repeated, and whether a plainer one fails in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sim._choices import ChoiceLog
from sim._errors import Nondeterminism, members
from sim._kernel import Ended, Kernel
from sim._shrink import MAX_ATTEMPTS, shrink
from sim._trace import Trace, first_difference
from sim.strategies import PreemptionBounded
from sim.strategies._replay import Prefix

# Steps that runs may take to make a failure plainer: about a second.
_SHRINKING_STEPS: Final = 200_000

# How much longer than the failing run one may get that is tried in its place.
_LONGER: Final = 4
_LONGER_STILL: Final = 1_000


class Examination:
    """Makes runs of a scenario again."""

    def __init__(self, kernel: Kernel, scenario: Callable[[], Awaitable[object]]) -> None:
        self._kernel = kernel
        self._scenario = scenario

    def repeat(self, log: ChoiceLog, ended: Ended) -> tuple[Trace, Nondeterminism | None]:
        """Make a run twice more; says what differs, if anything does.

        Args:
            log: the choices of the run.
            ended: how it ended.
        """
        steps = ended.steps if ended.cut else None
        (first, again, made), (second, once_more, _) = self._traced(log, steps), self._traced(log, steps)
        difference = first_difference(first, second)
        if difference is None:
            for other in (again, once_more):
                if not _same_error(ended.error, other.error):
                    difference = len(first.steps), repr(ended.error), repr(other.error)
                    break
        if difference is None and made != log:
            # Both repetitions are another run than the first: it has left something behind.
            difference = _first_other_choice(log, made, first)
        if difference is None and ended.steps != again.steps:
            difference = min(ended.steps, again.steps), f"{ended.steps} steps", f"{again.steps} steps"
        if difference is None:
            return first, None
        witness = Trace(stack_at=difference[0])
        self._kernel.execute(self._scenario, Prefix(log.indices, steps), witness)
        nondeterminism = Nondeterminism(*difference, witness.stack)
        nondeterminism.__cause__ = ended.error
        return first, nondeterminism

    def _traced(self, log: ChoiceLog, steps: int | None) -> tuple[Trace, Ended, ChoiceLog]:
        trace = Trace()
        ended = self._kernel.execute(self._scenario, Prefix(log.indices, steps), trace)
        return trace, ended, self._kernel.log.copy()

    def shrink(self, log: ChoiceLog, ended: Ended) -> tuple[ChoiceLog, Ended]:
        """Look for the plainest run that fails in the same way: its choices, and how it ended."""
        ends: dict[int, Ended] = {}

        def attempt(indices: Sequence[int]) -> tuple[ChoiceLog, int] | None:
            strategy = Prefix(indices)
            end = self._kernel.execute(self._scenario, strategy)
            if not _fails_like(end, ended):
                return None
            made = self._kernel.log.copy()
            ends[id(made)] = end
            return made, strategy.preemptions

        # What is plainer need not be shorter; but it may also be a run without an end.
        with self._kernel.limited(_LONGER * ended.steps + _LONGER_STILL):
            original = Prefix(log.indices)
            steps = self._kernel.execute(self._scenario, original).steps
            attempts = min(MAX_ATTEMPTS, _SHRINKING_STEPS // max(1, steps))
            plainest = shrink(log, original.preemptions, attempt, attempts)
            end = ends.get(id(plainest), ended)
            return self._search_fewer(plainest, end, attempts) or (plainest, end)

    def _search_fewer(self, log: ChoiceLog, ended: Ended, left: int) -> tuple[ChoiceLog, Ended] | None:
        """Look for a run with fewer preemptions than this one that fails in the same way."""
        shrunk = Prefix(log.indices)
        self._kernel.execute(self._scenario, shrunk)
        for bound in range(shrunk.preemptions):
            strategy = PreemptionBounded(bound=bound)
            while left and strategy.begin_execution():
                left -= 1
                end = self._kernel.execute(self._scenario, strategy)
                if _fails_like(end, ended):
                    return self._kernel.log.copy(), end
        return None


def _first_other_choice(once: ChoiceLog, again: ChoiceLog, repetition: Trace) -> tuple[int, str, str]:
    """Where two runs parted of which only the second was traced; as `first_difference` says it."""
    pairs = [list(zip(log.indices, log.alternatives, strict=True)) for log in (once, again)]
    choice = 0
    while all(choice < len(made) for made in pairs) and pairs[0][choice] == pairs[1][choice]:
        choice += 1
    step = repetition.step_of(choice)
    one, other = (
        f"a choice among {made[choice][1]}" if choice < len(made) else "no choice any more" for made in pairs
    )
    return step, f"after it, {one}", f"after it, {other}: {repetition.steps[step]}"


def _fails_like(one: Ended, other: Ended) -> bool:
    """Whether a run fails as another does, and needs no fault to do so if the other needs none."""
    return one.error is not None and one.struck <= other.struck and _same_error(other.error, one.error)


def _same_error(one: BaseException | None, other: BaseException | None) -> bool:
    """Whether two runs failed in the same way, or not at all: with the same kind of error, raised by the
    same function. Not by its text, which tells values that another schedule makes others."""
    if one is None or other is None:
        return one is other
    one, other = innermost(one), innermost(other)
    return type(one) is type(other) and _raised_in(one) == _raised_in(other)


def _raised_in(error: BaseException) -> object:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback and traceback.tb_frame.f_code


def innermost(error: BaseException) -> BaseException:
    """The one exception inside nested groups; the group itself if it holds several."""
    while len(inside := members(error)) == 1:
        error = inside[0]
    return error
