"""Reproducing a failed run: whether it can be repeated, and whether a plainer one fails in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from sim._exploration.leftover import changes, state_of
from sim._exploration.shrink import MAX_ATTEMPTS, shrink
from sim._kernel import Ended, Kernel
from sim._run.choices import ChoiceLog
from sim._run.errors import Nondeterminism, StateOutlivesRun, StepBudgetExceeded, members
from sim._run.looking import text_of
from sim._run.trace import Trace, first_difference
from sim.strategies import PreemptionBounded
from sim.strategies._replay import Prefix, Repetition

# Steps that runs may take to make a failure plainer: about a second.
_SHRINKING_STEPS: Final = 200_000
# The same of a run without an end: each that fails in the same way has no end either, and repetition is
# checked in each step.
_SHRINKING_STEPS_WITHOUT_END: Final = 50_000

# How much longer than the failing run one may get that is tried in its place.
_LONGER: Final = 4
_LONGER_STILL: Final = 1_000


class Reproduction:
    """Makes runs of a scenario again."""

    def __init__(self, kernel: Kernel, scenario: Callable[[], Awaitable[object]]) -> None:
        self._kernel = kernel
        self._scenario = scenario
        self._state = state_of(scenario)
        self._kept: list[_Kept] = []

    def keep(self, log: ChoiceLog, ended: Ended, trace: Trace | None) -> None:
        """Keep a run of the exploration, to make it again when others were made; the first one first.

        Args:
            log: its choices.
            ended: how it ended.
            trace: its steps, if they were traced.
        """
        self._kept.append(_Kept(log.copy(), ended, trace))

    def repeat(
        self, log: ChoiceLog, ended: Ended, *, strictly: bool = False, compared: bool = True
    ) -> Repeated:
        """Make a run twice more; says what differs, if anything does.

        The first run of a process may differ from all that follow, because it fills a cache. If the
        repetitions agree, and fail in the same way as the run itself, they stand for it.

        Args:
            log: the choices of the run.
            ended: how it ended.
            strictly: a run that differs from both repetitions is reported even if it fails as they do.
            compared: False: make it only once more, to draw it.
        """
        first = self._traced(log, ended)
        if not compared:
            return Repeated(first.trace, log)
        second = self._traced(log, ended)
        difference = first_difference(first.trace, second.trace)
        if difference is None:
            for other in (first, second):
                if not same_error(ended.error, other.ended.error):
                    difference = len(first.trace.steps), _how(ended.error), _how(other.ended.error)
                    break
        if difference is None and (strictly or ended.error is None):
            # Both repetitions may be another run than the first: it has left something behind.
            difference = _other_choices(log, ended, first)
        if difference is None:
            error = first.ended.error
            told = error if isinstance(error, StepBudgetExceeded) else None
            return Repeated(first.trace, first.log, told=told, besides=self._besides(log, ended, first))
        changed = self._changed()
        witness = Trace(stack_at=difference[0])
        self._kernel.execute(self._scenario, Repetition(log, _end(ended)), witness)
        nondeterminism = Nondeterminism(*difference, witness.stack, cause=ended.error, changed=changed)
        return Repeated(first.trace, log, nondeterminism)

    def _besides(self, log: ChoiceLog, ended: Ended, again: _Run) -> str:
        """The note on a run that fails again in the same way, and is another one on the way there: if it has
        left something behind. "" if that is not so."""
        difference = _other_choices(log, ended, again)
        changed = self._changed() if difference is not None else ()
        if difference is None or not changed:
            return ""
        outlives = StateOutlivesRun(*difference, changed=changed, which="the failing run")
        return f"besides, {outlives.finding}"

    def different(self, *, others: bool) -> tuple[StateOutlivesRun, ChoiceLog, Trace] | None:
        """Make runs that were kept again: the first of them that is another now, its choices and its steps.

        Args:
            others: whether to make all of them again, and not only the first.
        """
        # The first twice: what only tells odd runs from even ones may have come round again.
        for kept in [*self._kept[:1] * 2, *(self._kept[1:] if others else ())]:
            again = self._traced(kept.log, kept.ended)
            difference = kept.difference(again)
            if difference is not None:
                which = "the first run" if kept is self._kept[0] else "a run"
                cause = again.ended.error or kept.ended.error
                outlives = StateOutlivesRun(*difference, cause=cause, changed=self._changed(), which=which)
                return outlives, kept.log, kept.trace or again.trace
        return None

    def left_behind(self, failed: BaseException) -> tuple[StateOutlivesRun | None, str]:
        """Make the first run again after a later one that failed.

        The failure is put down to what the runs have left only if the first run, which held, now fails with
        it too. If the first run is another one for a different reason, that is worth a note.

        Args:
            failed: what the later run has failed with.

        Returns:
            what the failure is put down to, if it is; else the note, "" if there is none.
        """
        if not self._kept:
            return None, ""
        first = self._kept[0]
        again = self._traced(first.log, first.ended)
        difference = first.difference(again)
        if difference is None:
            return None, ""
        to_blame = first.ended.error is None and same_error(failed, again.ended.error)
        cause = failed if to_blame else again.ended.error or first.ended.error
        outlives = StateOutlivesRun(*difference, cause=cause, changed=self._changed())
        return (outlives, "") if to_blame else (None, f"besides, {outlives.finding}")

    def _changed(self) -> tuple[str, ...]:
        return changes(self._state, state_of(self._scenario))

    def _traced(self, log: ChoiceLog, ended: Ended) -> _Run:
        trace = Trace()
        again = self._kernel.execute(self._scenario, Repetition(log, _end(ended)), trace)
        return _Run(self._kernel.log.copy(), again, trace)

    def shrink(
        self, log: ChoiceLog, ended: Ended, excluded: Callable[[ChoiceLog], bool], late: Callable[[], bool]
    ) -> tuple[ChoiceLog, Ended]:
        """Look for the plainest run that fails in the same way: its choices, and how it ended.

        Args:
            log: the choices of the run.
            ended: how it ended.
            excluded: whether a run is not wanted, because it is known.
            late: whether time is up: then what was found so far must do.
        """
        ends: dict[int, tuple[Ended, int]] = {}

        def attempt(indices: Sequence[int]) -> tuple[ChoiceLog, int] | None:
            if late():
                return None
            strategy = Prefix(indices)
            end = self._kernel.execute(self._scenario, strategy)
            if not _fails_like(end, ended):
                return None
            if excluded(self._kernel.log):
                return None
            made = self._kernel.log.copy()
            ends[id(made)] = end, strategy.preemptions
            return made, strategy.preemptions

        # A plainer run need not be shorter; but it may also have no end.
        with self._kernel.limited(_LONGER * ended.steps + _LONGER_STILL):
            original = Prefix(log.indices)
            steps = self._kernel.execute(self._scenario, original).steps
            without_end = isinstance(ended.error, StepBudgetExceeded)
            allowed = _SHRINKING_STEPS_WITHOUT_END if without_end else _SHRINKING_STEPS
            attempts = min(MAX_ATTEMPTS, allowed // max(1, steps))
            plainest = shrink(log, original.preemptions, attempt, attempts)
            end, preemptions = ends.get(id(plainest), (ended, original.preemptions))
            return self._search_fewer(preemptions, end, attempts, excluded, late) or (plainest, end)

    def _search_fewer(
        self,
        preemptions: int,
        ended: Ended,
        left: int,
        excluded: Callable[[ChoiceLog], bool],
        late: Callable[[], bool],
    ) -> tuple[ChoiceLog, Ended] | None:
        """Look for a run with fewer preemptions that fails in the same way."""
        for bound in range(preemptions):
            strategy = PreemptionBounded(bound=bound)
            while left and not late() and strategy.begin_execution():
                left -= 1
                end = self._kernel.execute(self._scenario, strategy)
                if _fails_like(end, ended) and not excluded(self._kernel.log):
                    return self._kernel.log.copy(), end
        return None


class _Kept(NamedTuple):
    """A run to be made again."""

    log: ChoiceLog
    ended: Ended
    trace: Trace | None

    def difference(self, again: _Run) -> tuple[int, str, str] | None:
        """Where a repetition is another run; as `first_difference` says it."""
        difference = None if self.trace is None else first_difference(self.trace, again.trace)
        if difference is None and not same_error(self.ended.error, again.ended.error):
            step = max(0, len(again.trace.steps) - 1)
            difference = step, _how(self.ended.error), _how(again.ended.error)
        return difference or _other_choices(self.log, self.ended, again)


class _Run(NamedTuple):
    """A run that was traced."""

    log: ChoiceLog
    ended: Ended
    trace: Trace


class Repeated(NamedTuple):
    """The result of repeating a run.

    Attributes:
        trace: the steps of a repetition.
        log: the choices that make it again from here on.
        nondeterminism: how it differed, if it did.
        told: the error of a repetition that tells more than that of the run itself, which was not traced.
        besides: a note on what the run has left behind, though it fails again in the same way; or "".
    """

    trace: Trace
    log: ChoiceLog
    nondeterminism: Nondeterminism | None = None
    told: StepBudgetExceeded | None = None
    besides: str = ""


def _how(error: BaseException | None) -> str:
    """How a run has ended."""
    return "it held" if error is None else f"it failed with {text_of(innermost(error))}"


def _end(ended: Ended) -> int | None:
    """After how many steps a repetition of a run is over, if it is not to come to its own end."""
    return ended.steps if ended.cut else None


def _other_choices(log: ChoiceLog, ended: Ended, again: _Run) -> tuple[int, str, str] | None:
    """Where two runs parted of which only the second need be traced; as `first_difference` says it."""
    pairs = [one.without_seed() for one in (log, again.log)]
    if pairs[0] == pairs[1]:
        if ended.steps == again.ended.steps:
            return None
        return min(ended.steps, again.ended.steps), f"{ended.steps} steps", f"{again.ended.steps} steps"
    choice = 0
    while all(choice < len(made) for made in pairs) and pairs[0][choice] == pairs[1][choice]:
        choice += 1
    step = again.trace.step_of(choice)
    one, other = (
        f"a choice among {made[choice][1]}" if choice < len(made) else "no further choice" for made in pairs
    )
    return step, f"after it, {one}", f"after it, {other}: {again.trace.steps[step]}"


def _fails_like(one: Ended, other: Ended) -> bool:
    """Whether a run fails as another does, and needs no fault to do so if the other needs none."""
    return one.error is not None and one.struck <= other.struck and same_error(other.error, one.error)


def same_error(one: BaseException | None, other: BaseException | None) -> bool:
    """Whether two runs failed in the same way, or not at all: with the same kind of error, raised by the
    same function. Not by its text, which tells values that another schedule makes others."""
    if one is None or other is None:
        return one is other
    one, other = innermost(one), innermost(other)
    return _kind(one) == _kind(other) and _raised_in(one) == _raised_in(other)


def _kind(error: BaseException) -> object:
    # By name: a class that the scenario makes is another one in each run.
    return type(error).__module__, type(error).__qualname__


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
