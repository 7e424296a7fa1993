"""Promises about the states a run goes through: `always`, `eventually`, `sometimes`.

An assertion in a task sees the state when the task runs. These are looked at by the simulator after
every step, so that a state which is wrong for one step only, between any two tasks, is seen too.

A condition is an ordinary function of what the scenario shares. It runs outside of any task and must
change nothing. What it reads from `sim.Shared` cells and Trio's objects is noted: two steps that change
something it reads do not commute, for in between there is a state that only one of their orders has.
Without that, partial-order reduction would skip states that a promise is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from sim._dependence.footprint import Active as Footprint
from sim._run import arguments
from sim._run.errors import ScenarioFailure
from sim._run.step import Operation as Access

if TYPE_CHECKING:
    from sim._run.step import ObjectId

__all__ = ["Invariants", "NotAlways", "NotEventually", "always", "eventually", "sometimes"]

_WRITE: Final = Access.WRITE


@final
class NotAlways(ScenarioFailure, AssertionError):
    """A condition given to `sim.always` did not hold.

    Attributes:
        promise: what was promised.
        after: the task whose step broke it.
    """

    def __init__(self, promise: str, after: str) -> None:
        self.promise = promise
        self.after = after
        super().__init__(f"not always: {promise}; it ceased to hold in a step of the task {after}")


@final
class NotEventually(ScenarioFailure, AssertionError):
    """A condition given to `sim.eventually` did not come to hold in time.

    Attributes:
        promise: what was promised.
        deadline: the virtual time by which it should have held, in seconds; infinite for "before the end".
        now: the virtual time at which that was found, in seconds.
    """

    def __init__(self, promise: str, deadline: float, now: float) -> None:
        self.promise = promise
        self.deadline = deadline
        self.now = now
        by = "by the end of the run" if deadline == math.inf else f"by {deadline:g} s, and it is {now:g} s"
        super().__init__(f"not eventually: {promise}; it did not hold {by}")


def always(condition: Callable[[], object], promise: str) -> None:
    """Promise that `condition` is true now and after every step until the run ends.

    Outside of a simulation it is looked at once, now.

    Args:
        condition: a function without arguments, of what the tasks share.
        promise: what it says, for the reader: "the balance is not negative".

    Raises:
        NotAlways: it does not hold now. If it ceases to hold later, that is the finding of the run.
        WrongType: the condition is no plain function, or the promise no string.
    """
    arguments.condition("condition", condition)
    arguments.text("promise", promise)
    if not arguments.answer("condition", condition()):
        raise NotAlways(promise, "that promised it")
    if _Active.invariants is not None:
        _Active.invariants.watch(_Watched(condition, promise, _ALWAYS))


def eventually(condition: Callable[[], object], promise: str, *, within: float = math.inf) -> None:
    """Promise that `condition` will be true at some moment: now, or after a step to come.

    Outside of a simulation it does nothing.

    Args:
        condition: a function without arguments, of what the tasks share.
        promise: what it says, for the reader: "the cache is refreshed".
        within: in how many seconds of virtual time from now; before the end of the run unless given.

    Raises:
        WrongType, WrongUse: the condition is no plain function, the promise no string, or `within` no number
            of seconds.
    """
    arguments.condition("condition", condition)
    arguments.text("promise", promise)
    arguments.number("within", within, at_least=0)
    invariants = _Active.invariants
    if invariants is not None and not arguments.answer("condition", condition()):
        invariants.watch(_Watched(condition, promise, _EVENTUALLY, invariants.now() + within))


def sometimes(condition: Callable[[], object] | bool, what: str) -> None:
    """Say that `condition` should be true at some moment of some run, or the test tests too little.

    It fails no run. An exploration lists in `Result.never` what was named like this and was true in none
    of its runs: a branch that no schedule went through, a state that none of them reached. Outside of a
    simulation it does nothing.

    Args:
        condition: a function without arguments, looked at now and after every step; or a bool, which says
            whether it is true here.
        what: its name: "a reader found the cache empty". The same name in several places is one thing.

    Raises:
        WrongType: the condition is neither a plain function nor a bool, or the name no string.
    """
    if not isinstance(condition, bool):
        arguments.condition("condition", condition)
    arguments.text("what", what)
    invariants = _Active.invariants
    if invariants is not None:
        held = bool(arguments.answer("condition", condition()) if callable(condition) else condition)
        invariants.name(what, held=held)
        if not held and callable(condition):
            invariants.watch(_Watched(condition, what, _SOMETIMES))


_ALWAYS, _EVENTUALLY, _SOMETIMES = "always", "eventually", "sometimes"


@final
class _Watched:
    """A condition of a run."""

    __slots__ = ("condition", "deadline", "kind", "read", "what")

    def __init__(
        self, condition: Callable[[], object], what: str, kind: str, deadline: float = math.inf
    ) -> None:
        self.condition = condition
        self.what = what
        self.kind = kind
        self.deadline = deadline
        self.read: frozenset[ObjectId] | None = None


@final
class Invariants:
    """The conditions of the executions of one exploration; the kernel asks it after each step.

    Args:
        now: the virtual time, in seconds.

    Attributes:
        watched: the conditions of this execution; while it is empty there is nothing to ask.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.watched: list[_Watched] = []
        # What `sometimes` has named in any execution -> whether it was ever true.
        self._named: dict[str, bool] = {}

    @property
    def never(self) -> tuple[str, ...]:
        """What `sometimes` has named and was true in no execution."""
        return tuple(what for what, held in self._named.items() if not held)

    def begin_execution(self) -> None:
        """From here on, `always` and its like are about this execution."""
        self.watched.clear()
        _Active.invariants = self

    def end_execution(self) -> None:
        """Watch nothing any more."""
        self.watched.clear()
        _Active.invariants = None

    def watch(self, watched: _Watched) -> None:
        """Look at a condition from here on."""
        if watched.kind == _SOMETIMES and self._named[watched.what]:
            return
        if Footprint.recorder is not None:
            Footprint.recorder.made(watched, "invariant")
        self.watched.append(watched)

    def name(self, what: str, *, held: bool) -> None:
        """Note that `sometimes` has named something."""
        self._named[what] = held or self._named.get(what, False)

    def after_step(self, task: str) -> BaseException | None:
        """Look at all conditions.

        Args:
            task: the name of the task that made the step.

        Returns:
            what is wrong: a broken promise, or what a condition raised.
        """
        for watched in self.watched.copy():
            try:
                holds = _look(watched)
            except Exception as error:  # noqa: BLE001 - the finding of the run
                error.add_note(f"raised by the condition of {watched.kind}: {watched.what}")
                return error
            if watched.kind == _ALWAYS:
                if not holds:
                    return NotAlways(watched.what, task)
            elif holds:
                self.watched.remove(watched)
                if watched.kind == _SOMETIMES:
                    self.name(watched.what, held=True)
        return None

    def overdue(self, now: float) -> NotEventually | None:
        """What should have held before `now`, or by the end if that is infinite, and has not."""
        for watched in self.watched:
            if watched.kind == _EVENTUALLY and (watched.deadline < now or now == math.inf):
                return NotEventually(watched.what, watched.deadline, self.now())
        return None


def _look(watched: _Watched) -> object:
    recorder = Footprint.recorder
    if recorder is None:
        return watched.condition()
    # Before the first look it is not known what it reads: then any step is taken to matter.
    if watched.read is None or recorder.has_changed(watched.read):
        recorder.touched(watched, "invariant", _WRITE)
    holds, watched.read = recorder.aside(watched.condition)
    return holds


class _Active:
    """The conditions of the execution under way in this process, if there is one."""

    invariants: Invariants | None = None
