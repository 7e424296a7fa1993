"""Errors of a run, of a token, or of the use of the simulator: one class each.

`ScenarioFailure` and what derives from it are *findings*: they end up as the error of a failure in
the result. The rest is raised to whoever called `explore` or `replay`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import trio

from sim._run.looking import text_of
from sim._run.portable import PortableError
from sim._run.wait_graph import WaitingTask, draw

if TYPE_CHECKING:
    from sim._run.cycle import Cycle


class SimError(PortableError, Exception):
    """Base of every error of this package's own."""


class WrongUse(SimError):
    """The simulator was asked for something that cannot be: the command line exits with 2."""


class WrongType(WrongUse, TypeError):
    """An argument has a type that it cannot have."""


class ExplorationUnderWay(WrongUse):
    """An exploration was begun while another thread of the process is in the middle of one.

    Attributes:
        other: the name of the thread that explores.
        thread: the name of the thread that was refused.
    """

    def __init__(self, other: str, thread: str) -> None:
        super().__init__(
            f"the thread {other} is already exploring, so the thread {thread} cannot: an exploration "
            "replaces the clock and more for the whole process; explore one after the other, or in "
            "separate processes"
        )
        self.other = other
        self.thread = thread


class UnsupportedTrio(SimError):
    """The installed Trio does not look inside the way the simulator relies on."""


class InvalidToken(WrongUse):
    """A replay token cannot be read, or is of another format version.

    Attributes:
        token: the token as given.
    """

    def __init__(self, token: str, reason: str) -> None:
        super().__init__(f"the token {token!r} cannot be replayed: {reason}")
        self.token = token


class ReplayDiverged(WrongUse):
    """A replay met other choices than the token was recorded with: the program has changed since.

    Attributes:
        choice: which choice, counted from 0, did not fit; None if only the sum at the end differs.
    """

    def __init__(self, message: str, choice: int | None) -> None:
        super().__init__(message)
        self.choice = choice


class ScenarioFailure(SimError):
    """Base of the findings that are about the run as a whole, and not raised by the program."""


class Deadlock(ScenarioFailure):
    """Every task is blocked, no deadline is due, and nothing can wake any of them.

    Attributes:
        waiting: the blocked tasks, in the order of their creation.
    """

    def __init__(self, waiting: Sequence[WaitingTask]) -> None:
        self.waiting = tuple(waiting)
        lines = "".join(f"\n{line}" for line in draw(self.waiting))
        super().__init__(f"deadlock: {len(self.waiting)} tasks are blocked and no deadline is due{lines}")


class StepBudgetExceeded(ScenarioFailure):
    """The run made more steps than it was allowed: a livelock, or a budget that is too small.

    Attributes:
        steps: the budget.
        busiest: the task that made most of the last steps.
        cycle: the steps that the run repeats, if it does.
        repeated: the same as text: of each of these steps its task, and where that stops.
        unchanged: what the loops of the tasks look at and was always the same in the last steps of the run,
            as ``name: value``, as far as that can be seen.
        changed: what was not, as ``name: once -> now``.
        finding: the text without the steps.
    """

    def __init__(
        self,
        steps: int,
        busiest: str,
        *,
        cycle: Cycle | None = None,
        repeated: Sequence[str] = (),
        unchanged: Sequence[str] = (),
        changed: Sequence[str] = (),
        watched: int = 0,
    ) -> None:
        self.steps = steps
        self.busiest = busiest
        self.cycle = cycle
        self.repeated = tuple(repeated)
        self.unchanged = tuple(unchanged)
        self.changed = tuple(changed)
        seen = "".join(_seen(self, watched))
        if cycle is None:
            what = f"no end after {steps:,} steps (the task {busiest} made most of the last ones)"
            self.finding = f"{what}: a livelock, or raise max_steps{seen}"
            super().__init__(self.finding)
            return
        instead = "" if unchanged and not changed else ", or raise max_steps"
        head = f"no end after {steps:,} steps: a livelock{instead}\n  {repetition(cycle)}"
        shown = [f"\n    {step}" for step in self.repeated[:_MOST_REPEATED]]
        if cycle.length > len(shown):
            shown.append(f"\n    and {cycle.length - len(shown):,} more")
        self.finding = f"{head}{seen}"
        super().__init__(f"{head}:{''.join(shown)}{seen}")


_MOST_REPEATED: Final = 12


def repetition(cycle: Cycle) -> str:
    """How often which steps are repeated, in a few words."""
    what = "one step is" if cycle.length == 1 else f"{cycle.length:,} steps are"
    order = "" if cycle.in_order else ", in this or another order"
    return f"{what} made {cycle.times:,} times{order}, from step {cycle.first:,} on"


def _seen(error: StepBudgetExceeded, watched: int) -> Iterator[str]:
    """The observed values of the variables that loops look at."""
    if not watched:
        return
    if error.unchanged:
        yield f"\n  what the loops look at and no task changed in the last {watched:,} steps:"
        yield from (f"\n    {line}" for line in error.unchanged)
    if error.changed:
        yield (
            "\n  what has changed in these:"
            if error.unchanged
            else (f"\n  what the loops look at; all of it changed in the last {watched:,} steps:")
        )
        yield from (f"\n    {line}" for line in error.changed)
    if not error.unchanged and not error.changed and error.cycle is not None:
        yield "\n  none of the variables that the loops look at is visible"


class LeakedTasks(ScenarioFailure):
    """The scenario has returned, but system tasks it started do not end when cancelled.

    Attributes:
        tasks: what is left of them, and where.
    """

    def __init__(self, tasks: Sequence[WaitingTask]) -> None:
        self.tasks = tuple(tasks)
        lines = "".join(f"\n  {task}" for task in self.tasks)
        super().__init__(f"{len(self.tasks)} tasks outlived the scenario{lines}")


class SystemTaskCrashed(ScenarioFailure):
    """A system task, or a callback given to `run_sync_soon`, raised; the error is the cause.

    Trio ends the whole run with a `trio.TrioInternalError` in this case.
    """


class Escape(ScenarioFailure):
    """The program reached for something that the simulator does not control.

    Attributes:
        what: the operation, for instance ``"socket.connect"``.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} is outside the simulation; {instead}")
        self.what = what


class _Blocked(ScenarioFailure):
    """Base of `ThreadBlocked` and `TaskBlocked`."""

    _who: ClassVar = ""

    def __init__(self, name: str, blocked: bool, stack: Sequence[str]) -> None:
        lines = "".join(f"\n    {line}" for line in stack)
        what = (
            "waits for something outside the simulation, which cannot continue meanwhile"
            if blocked
            else "is still running, and the time of the exploration is up"
        )
        super().__init__(
            f"the {self._who} {name} {what}; make what it waits for in the scenario, or replace it there\n"
            f"  the stack of the {self._who}:{lines}"
        )
        self.name = name
        self.stack = tuple(stack)


class ThreadBlocked(_Blocked):
    """A thread waits for something that is outside the simulation, so that nothing will wake it.

    Waits with `threading`, `queue` and `concurrent.futures` are simulated. A file lock, a call into C, or a
    lock made before the run that the scenario does not lead to is not.

    Attributes:
        name: of the thread.
        stack: where it waits, as ``file:line in function``, outermost first.
    """

    _who = "thread"


class TaskBlocked(_Blocked):
    """A step of a task does not end: it waits for something that is outside the simulation.

    Attributes:
        name: of the task.
        stack: where it waits, as ``file:line in function``, outermost first.
    """

    _who = "task"


class ThreadCrashed(ScenarioFailure):
    """A thread that the program has started itself raised, and nobody handles that; the error is the cause.

    Python prints such an error and goes on. A scenario that wants that sets `threading.excepthook`.

    Attributes:
        name: of the thread.
    """

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__(f"the thread {name} raised {text_of(error)}")
        self.name = name
        self.__cause__ = error


class Nondeterminism(ScenarioFailure):
    """The same choices led to two different runs, so this failure cannot be replayed.

    The exception of the program itself in the first of them is the cause, and comes first in the text.

    Attributes:
        step: the first step that differs, counted from 0.
        first, second: what happened at that step in either run.
        stack: where its task stopped, as ``file:line in function``, outermost first; of yet another run.
        finding: the text without the program's own error.
        changed: what outlived the runs between, as ``name: once -> now``, where that was found.
        which: of a run that was made again after others, which one it was.
    """

    _what: ClassVar = "the same choices made a different run"
    _why: ClassVar = (
        "something the simulator does not control decides here: the order of a set of strings, or of objects "
        "hashed by their address, a module-level cache that survives an execution, a clock kept as an "
        "argument's default, id()"
    )
    # Said first where something was found that has changed, and added where nothing was.
    _if_changed: ClassVar = (
        "the state that has changed may decide here: a scenario must build all of its state itself, afresh "
        "for each run; or "
    )
    _unless: ClassVar = ""

    def __init__(
        self,
        step: int,
        first: str,
        second: str,
        stack: Sequence[str] = (),
        *,
        cause: BaseException | None = None,
        changed: Sequence[str] = (),
        which: str = "the first run",
    ) -> None:
        where = _listed("the stack of its task", stack)
        differs = _listed("what has changed between the two", changed[:_MOST_CHANGES])
        runs = f"  once:  {first}\n  again: {second}\n"
        what = self._what.format(which=which)
        why = f"{self._if_changed}{self._why}" if changed else f"{self._why}{self._unless}"
        self.finding = f"{what}, from step {step} on:\n{runs}{where}{differs}{why}"
        own = "" if cause is None else f"{_one_line(cause)}\nbut "
        super().__init__(f"{own}{self.finding}")
        self.__cause__ = cause
        self.step = step
        self.stack = tuple(stack)
        self.first = first
        self.second = second
        self.changed = tuple(changed)
        self.which = which


class StateOutlivesRun(Nondeterminism):
    """A run, made again after others, was another: they have left something behind."""

    _what = "state outlives a run: {which} was repeated after the others, and differs"
    _why = "a scenario must build all of its state itself, afresh for each run"
    _if_changed = ""
    _unless = (
        "; if this one does, something decides here that the simulator does not control, such as the order "
        "of a set of objects hashed by their address"
    )


_MOST_CHANGES: Final = 12


def _listed(what: str, lines: Sequence[str]) -> str:
    return f"  {what}:{''.join(f'{chr(10)}    {line}' for line in lines)}\n" if lines else ""


def _one_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def members(error: BaseException | None) -> tuple[BaseException, ...]:
    """The exceptions directly inside a group; none for any other error."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    inside: tuple[BaseException, ...] = cast("Any", error).exceptions
    return inside


def only_cancelled(error: BaseException) -> bool:
    """Whether an error is a cancellation, or a group of nothing else."""
    inside = members(error)
    return all(map(only_cancelled, inside)) if inside else isinstance(error, trio.Cancelled)
