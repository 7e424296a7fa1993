"""The findings of an execution: exceptions, broken promises and deadlocks, and which of them counts."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import trio
from outcome import Error, Outcome

from sim._run.errors import Escape, SystemTaskCrashed, members, only_cancelled
from sim._run.looking import text_of
from sim._run.step import TaskId
from sim.faults import InjectedCrash, InjectedFailure


class Ended:
    """How an execution ended.

    Attributes:
        error: what failed; None if it held.
        abandoned: the strategy dropped it.
        cut: the strategy ended it at a bound, where it held so far.
        steps: how many steps were made.
        struck: whether a fault has struck.
        left: as `sim.strategies.Execution.left`.
        outdated: as `sim.strategies.Execution.outdated`.
    """

    __slots__ = ("abandoned", "cut", "error", "left", "outdated", "steps", "struck")

    def __init__(
        self,
        error: BaseException | None,
        abandoned: bool,
        cut: bool,
        steps: int,
        struck: bool = False,
        left: Sequence[TaskId] = (),
        outdated: bool = False,
    ) -> None:
        self.left = left
        self.outdated = outdated
        self.error = error
        self.abandoned = abandoned
        self.cut = cut
        self.steps = steps
        self.struck = struck


class Findings:
    """The findings of one execution so far.

    Attributes:
        first: what was found wrong from outside of the program; None if nothing was yet.
        root: how the scenario itself has ended; None before it has.
    """

    __slots__ = ("_escape", "first", "root")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nothing is wrong yet."""
        self.first: BaseException | None = None
        self.root: Outcome[object] | None = None
        self._escape: Escape | None = None

    def find(self, finding: BaseException) -> None:
        """Note what is wrong; only the first counts."""
        if self.first is None:
            self.first = finding

    def escaped(self, escape: Escape) -> None:
        """Note that the program has reached for what the simulator does not control."""
        # The run goes on: the error is on its way to the line of the program that is to blame.
        if self._escape is None:
            self._escape = escape

    def system_finished(self, task: Any, outcome: Outcome[object]) -> None:
        """Note how a system task has ended: it may be cancelled, but not crash."""
        if not isinstance(outcome, Error) or only_cancelled(outcome.error):
            return
        crash = SystemTaskCrashed(f"the system task {task.name} raised {text_of(outcome.error)}")
        crash.__cause__ = outcome.error
        self.find(crash)

    @contextlib.contextmanager
    def closed(self) -> Generator[None]:
        """Findings in the block come too late to matter, except for an escape."""
        first, root = self.first, self.root
        self.first = None
        yield
        self.first, self.root = first, root

    def verdict(self, struck: bool) -> BaseException | None:
        """The weightiest finding of the execution, if there is one.

        Args:
            struck: faults have, so that what they raise is no failure of the program.
        """
        raised = self.root.error if isinstance(self.root, Error) else None
        if self._escape is not None:
            return raised if _has_inside(raised, self._escape) else self._escape
        if self.first is None and struck and _only_injected(raised):
            return None
        return self.first or raised


def _only_injected(error: BaseException | None) -> bool:
    """Whether an error is nothing but what faults have raised."""
    if inside := members(error):
        return all(map(_only_injected, inside))
    if isinstance(error, InjectedCrash | InjectedFailure | trio.Cancelled):
        return True
    # The error of a server's caller has the crash as its cause. An assertion is a verdict.
    cause = None if error is None or isinstance(error, AssertionError) else error.__cause__
    return cause is not None and _only_injected(cause)


def _has_inside(error: BaseException | None, wanted: BaseException) -> bool:
    return error is wanted or any(_has_inside(inside, wanted) for inside in members(error))
