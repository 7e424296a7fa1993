"""Replay: the choices of a token, or of a run of this very process, once again."""

from __future__ import annotations

from collections.abc import Sequence

from sim._run.choices import ChoiceLog, TokenReader
from sim._run.errors import InvalidToken
from sim._run.step import TaskId
from sim._run.strategy import CUT, ChoiceKind, Strategy
from sim.faults import FaultPlan


class Replay(Strategy):
    """Take the choices of a token, in one execution.

    Attributes:
        faults: the fault plan that the token was made under, if any.

    Raises:
        InvalidToken: it cannot be read.

    Raises (from the choices):
        ReplayDiverged: the program no longer has the choices of the token.
    """

    def __init__(self, token: str) -> None:
        self._reader = TokenReader(token)
        try:
            code = self._reader.faults
            self.faults = FaultPlan.from_code(code) if code else None
        except ValueError as error:
            raise InvalidToken(token, str(error)) from None
        self._begun = False

    def begin_execution(self) -> bool:
        again, self._begun = self._begun, True
        return not again

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        del kind
        return self._reader.next(alternatives)

    @property
    def coverage(self) -> str:
        return "one run"

    def check_finished(self) -> None:
        """Raises `ReplayDiverged` if the run was not the one of the token."""
        self._reader.finish()


class Prefix(Strategy):
    """Take the given choices, then alternative 0; one that does not exist counts as 0.

    Forgiving on purpose: it is for running a sequence that was made up, while shrinking, or that
    belongs to a program which turns out not to be deterministic.

    Args:
        indices: the choices.
        steps: end the execution after so many steps; None to let it come to its end.

    Attributes:
        preemptions: how often, so far, a task was made to wait that could have gone on.
    """

    wants_identities = True

    def __init__(self, indices: Sequence[int], steps: int | None = None) -> None:
        self._indices = indices
        self._steps = steps
        self._made = 0
        self._next = 0
        self.preemptions = 0

    def begin_execution(self) -> bool:
        self._next = self._made = self.preemptions = 0
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        del kind
        if self._next >= len(self._indices):
            return 0
        index = self._indices[self._next]
        self._next += 1
        return index if index < alternatives else 0

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        if self._made == self._steps:
            return CUT
        self._made += 1
        if len(enabled) == 1:
            return 0
        index = self.choose(ChoiceKind.SCHEDULE, len(enabled))
        self.preemptions += index > 0 and enabled[0] == previous
        return index


class Repetition(Prefix):
    """Take the choices of a run of this process once more.

    The seed of what is random is given to whoever first draws, whether or not that is where it was drawn
    before: a cache that was filled in an earlier run draws no more, and yet the schedule is the same.

    Args:
        log: the choices of the run.
        steps: as for `Prefix`.
    """

    def __init__(self, log: ChoiceLog, steps: int | None = None) -> None:
        super().__init__([index for index, _ in log.without_seed()], steps)
        self._seed = 0 if log.seed_at is None else log.indices[log.seed_at]

    def choose_seed(self, seeds: int) -> int:
        return min(self._seed, seeds - 1)
