"""Promises about the states a run goes through: `always`, `eventually`, `sometimes`.

An assertion in a task sees the state when the task runs. These are looked at by the simulator after
every step, so that a state which is wrong for one step only, between any two tasks, is seen too.

A condition is an ordinary function of what the scenario shares. It runs outside of any task and must change
nothing. Its reads of `sim.Shared` cells and Trio's objects are noted: two steps that change something it
reads do not commute, for in between there is a state that only one of their orders has. Without that,
partial-order reduction would skip states that a promise is about. Three things belong to it:

* What a condition reads depends on what it finds (`a.is_set() and b.is_set()`), and in another order it finds
  something else. So all counts that it has read in any state of any execution. When it reads something for
  the first time, what was concluded without is no longer true, and the search starts again
  (`Execution.outdated`). Once it reads nothing new, this is right: in a state that was left out, everything
  that it reads first has the same values as in a state that was checked, so it reads the same there.
* A condition that has come to hold counts until the end of the run, though it is no longer checked: whether
  it does, the order of the steps that follow may decide.
* Time passes between steps, and what a deadline changes is looked at after the step that happens to be the
  first. So if it matters what is seen then, the first steps of all tasks do not commute.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

from sim._dependence.footprint import Active as Footprint
from sim._run import arguments
from sim._run.errors import ScenarioFailure
from sim._run.step import CONFLICTING, ROOT, Access, Operation, TaskId
from sim._trio import running_task
from sim._world.locks import RunIsOver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim._dependence.footprint import Recorder
    from sim._run.step import ObjectId

__all__ = ["Invariants", "NotAlways", "NotEventually", "always", "eventually", "sometimes"]

_WRITE: Final = Operation.WRITE


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
class _Reads:
    """The objects that a condition reads, in any state of any execution.

    Attributes:
        accesses: that, in the order in which it was noticed.
        breaking: the accesses that conflict with one of those: a step that has one may change what is seen.
        begun: whether the condition was looked at before.
    """

    __slots__ = ("accesses", "begun", "breaking")

    def __init__(self) -> None:
        self.accesses: dict[Access, None] = {}
        self.breaking: set[Access] = set()
        self.begun = False

    def add(self, accesses: Iterable[Access]) -> bool:
        """Add accesses.

        Returns:
            whether what was known is too little: it was looked at before, and has read less.
        """
        new = [access for access in accesses if access not in self.accesses]
        for access in new:
            self.accesses[access] = None
            self.breaking.update(Access(access.object, other) for other in CONFLICTING[access.operation])
        outdated = bool(new) and self.begun
        self.begun = True
        return outdated


@final
class _Watched:
    """A condition of a run.

    Attributes:
        promised: the number of the step that has promised it.
        reads: what it reads; None if nobody asks.
        settled: it has held; what follows matters only as it might have come before.
        unseen: the tasks whose next step may be the first that is looked at after time has passed.
        seen_first: whether the last step was of one of those.
    """

    __slots__ = (
        "condition",
        "deadline",
        "kind",
        "promised",
        "promiser",
        "reads",
        "seen_first",
        "settled",
        "unseen",
        "what",
    )

    def __init__(
        self, condition: Callable[[], object], what: str, kind: str, deadline: float = math.inf
    ) -> None:
        self.condition = condition
        self.what = what
        self.kind = kind
        self.deadline = deadline
        self.promiser: TaskId = ROOT
        self.promised = 0
        self.reads: _Reads | None = None
        self.settled = False
        self.unseen: set[Any] = set()
        self.seen_first = False


@final
class Invariants:
    """The conditions of the executions of one exploration; the kernel asks it after each step.

    Args:
        now: the virtual time, in seconds.
        ids: gives the identity of each task of the execution.

    Attributes:
        watched: the conditions of this execution; while it is empty there is nothing to ask.
        outdated: as `sim._run.strategy.Execution.outdated`, of this execution.
        looking: a condition, which is code of the program, is being looked at.
    """

    def __init__(self, now: Callable[[], float], ids: Callable[[], Mapping[Any, TaskId]]) -> None:
        self.now = now
        self.watched: list[_Watched] = []
        self.outdated = False
        self.looking = False
        self._ids = ids
        # The names given to `sometimes` in any execution -> whether it was ever true.
        self._named: dict[str, bool] = {}
        # By the name of a promise, which is the same in every execution.
        self._reads: dict[ObjectId, _Reads] = {}
        self._steps = 0

    @property
    def never(self) -> tuple[str, ...]:
        """The names given to `sometimes` that were true in no execution."""
        return tuple(what for what, held in self._named.items() if not held)

    def begin_execution(self) -> None:
        """From here on, `always` and its like are about this execution."""
        self.watched.clear()
        self.outdated = False
        _Active.invariants = self

    def end_execution(self) -> None:
        """Stop watching."""
        self.watched.clear()
        _Active.invariants = None

    def watch(self, watched: _Watched) -> None:
        """Look at a condition from here on."""
        watched.settled = watched.kind == _SOMETIMES and self._named[watched.what]
        recorder = _recording()
        if recorder is not None:
            recorder.made(watched, "invariant")
            watched.reads = self._reads.setdefault(recorder.name_of(watched), _Reads())
        elif watched.settled:
            return
        watched.promised = self._steps + 1
        watched.promiser = self._ids().get(running_task(), ROOT)
        # Of several that one step breaks, the first is told: not who has promised his first may matter.
        insort(self.watched, watched, key=lambda one: one.promiser)

    def name(self, what: str, *, held: bool) -> None:
        """Note that `sometimes` has named something."""
        self._named[what] = held or self._named.get(what, False)

    def after_step(self, task: Any) -> BaseException | None:
        """Look at all conditions.

        Args:
            task: who made the step.

        Returns:
            what is wrong: a broken promise, or what a condition raised.
        """
        self._steps += 1
        for watched in self.watched.copy():
            watched.seen_first = task in watched.unseen
            watched.unseen.discard(task)
            if watched.settled:
                continue
            try:
                holds = self._look(watched)
            except (Exception, RunIsOver) as error:  # noqa: BLE001 - the finding of the run
                error.add_note(f"raised by the condition of {watched.kind}: {watched.what}")
                return error
            if watched.kind == _ALWAYS:
                if not holds:
                    return NotAlways(watched.what, task.name)
            elif holds:
                if watched.kind == _SOMETIMES:
                    self.name(watched.what, held=True)
                watched.settled = True
                if watched.reads is None:
                    self.watched.remove(watched)
        return None

    def after_time(self) -> None:
        """Time has passed: find the conditions for which it matters who makes the next step."""
        if _recording() is None:
            return
        for watched in self.watched:
            watched.unseen.clear()
            if not watched.settled:
                try:
                    matters = bool(self._look(watched)) is not (watched.kind == _ALWAYS)
                except (Exception, RunIsOver):  # noqa: BLE001 - if it does so after the next step, that is the finding
                    matters = True
                if matters:
                    watched.unseen.update(self._ids())

    def add_to(self, recorder: Recorder) -> None:
        """Note what the step that was just made has done to promises."""
        for watched in self.watched:
            reads = watched.reads
            if reads is None:
                continue
            if watched.promised == self._steps:
                recorder.touched(watched, "invariant", _WRITE)
                recorder.touch_again(reads.accesses)
            elif watched.seen_first or recorder.has_any(reads.breaking):
                recorder.touched(watched, "invariant", _WRITE)

    def overdue(self, now: float) -> NotEventually | None:
        """The promises that should have held before `now`, or by the end if it is infinite, and have not."""
        for watched in self.watched:
            if (
                watched.kind == _EVENTUALLY
                and not watched.settled
                and (watched.deadline < now or now == math.inf)
            ):
                return NotEventually(watched.what, watched.deadline, self.now())
        return None

    def _look(self, watched: _Watched) -> object:
        recorder, reads = Footprint.recorder, watched.reads
        self.looking = True
        try:
            if recorder is None or reads is None:
                return watched.condition()
            with recorder.aside() as accesses:
                try:
                    return watched.condition()
                finally:
                    if reads.add(accesses()):
                        self.outdated = True
        finally:
            self.looking = False


def _recording() -> Recorder | None:
    recorder = Footprint.recorder
    return recorder if recorder is not None and recorder.recording else None


class _Active:
    """The conditions of the execution under way in this process, if there is one."""

    invariants: Invariants | None = None
