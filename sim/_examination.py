"""Examining a failed run: whether it can be repeated, and whether a plainer one fails in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sim._choices import ChoiceLog
from sim._errors import Nondeterminism, members
from sim._kernel import Kernel
from sim._shrink import MAX_ATTEMPTS, shrink
from sim._trace import Trace, first_difference
from sim.strategies import PreemptionBounded
from sim.strategies._replay import Prefix

# Steps that runs may take to make a failure plainer: about a second.
_SHRINKING_STEPS: Final = 200_000


class Examination:
    """Makes runs of a scenario again."""

    def __init__(self, kernel: Kernel, scenario: Callable[[], Awaitable[object]]) -> None:
        self._kernel = kernel
        self._scenario = scenario

    def repeat(self, log: ChoiceLog, raised: BaseException | None) -> tuple[Trace, Nondeterminism | None]:
        """Make a run twice more; says what differs, if anything does."""
        (first, again), (second, once_more) = self._traced(log), self._traced(log)
        difference = first_difference(first, second)
        if difference is None:
            for other in (again, once_more):
                if not _same_error(raised, other):
                    difference = len(first.steps), repr(raised), repr(other)
                    break
        if difference is None:
            return first, None
        witness = Trace(stack_at=difference[0])
        self._kernel.execute(self._scenario, Prefix(log.indices), witness)
        nondeterminism = Nondeterminism(*difference, witness.stack)
        nondeterminism.__cause__ = raised
        return first, nondeterminism

    def _traced(self, log: ChoiceLog) -> tuple[Trace, BaseException | None]:
        trace = Trace()
        ended = self._kernel.execute(self._scenario, Prefix(log.indices), trace)
        return trace, ended.error

    def shrink(self, log: ChoiceLog, raised: BaseException) -> tuple[ChoiceLog, BaseException]:
        """Look for the plainest run that fails in the same way: its choices, and its error."""
        errors: dict[int, BaseException] = {}

        def attempt(indices: Sequence[int]) -> tuple[ChoiceLog, int] | None:
            strategy = Prefix(indices)
            error = self._kernel.execute(self._scenario, strategy).error
            if error is None or not _same_error(raised, error):
                return None
            made = self._kernel.log.copy()
            errors[id(made)] = error
            return made, strategy.preemptions

        original = Prefix(log.indices)
        steps = self._kernel.execute(self._scenario, original).steps
        attempts = min(MAX_ATTEMPTS, _SHRINKING_STEPS // max(1, steps))
        plainest = shrink(log, original.preemptions, attempt, attempts)
        error = errors.get(id(plainest), raised)
        return self._search_fewer(plainest, error, attempts) or (plainest, error)

    def _search_fewer(
        self, log: ChoiceLog, raised: BaseException, left: int
    ) -> tuple[ChoiceLog, BaseException] | None:
        """Look for a run with fewer preemptions than this one that fails in the same way."""
        shrunk = Prefix(log.indices)
        self._kernel.execute(self._scenario, shrunk)
        for bound in range(shrunk.preemptions):
            strategy = PreemptionBounded(bound=bound)
            while left and strategy.begin_execution():
                left -= 1
                error = self._kernel.execute(self._scenario, strategy).error
                if error is not None and _same_error(raised, error):
                    return self._kernel.log.copy(), error
        return None


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
