"""The interface of a strategy, which decides the choices of a run.

The kernel runs the program and asks at every point where more than one thing could happen; a
strategy answers with the index of an alternative. It never touches a task or an object of Trio: it
sees steps, and names that are the same in every execution (`sim._run.step`).

The shape is that of the `Scheduler` trait of shuttle (begin, choose, end), with what partial-order
reduction needs beside it: the footprint of each step (`Step`), told after the step was made, for
only then is it known. Footprints cost; a strategy that can do without says so.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, Final, NamedTuple

from sim._run.errors import SimError
from sim._run.step import Step, TaskId

ABANDON: Final = -1
"""`Strategy.choose_task` returns this to abandon the execution here, for instance when every enabled task
sleeps. The kernel cleans up, and counts the execution as abandoned, not as executed."""


CUT: Final = -2
"""It returns this to end the execution here, as one that held so far, because it has reached a bound."""


class ChoiceKind(enum.Enum):
    """The subject of a choice. Alternative 0 is always the quiet one: continue with the same task, no fault,
    no delay, the first value; so the all-zero sequence is the plainest run there is."""

    SCHEDULE = "schedule"
    FAULT = "fault"
    RANDOM = "random"

    # Members are compared by identity, and looked up once a choice: Enum's own hash is a Python
    # function.
    __hash__ = object.__hash__


class Verdict(enum.Enum):
    HELD = "held"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Execution(NamedTuple):
    """A finished execution, as a strategy is told of it."""

    verdict: Verdict
    steps: int
    choices: int
    """Choices with at least two alternatives that were made."""
    left: Sequence[TaskId] = ()
    """Tasks that could have made the last step in place of who did, if it ended the run at once: what they do
    comes in no run that begins like this one."""
    outdated: bool = False
    """Whether the footprints told so far, in this execution and before, are incomplete: a promise has read
    something for the first time. From the next execution on they are."""
    without_end: bool = False
    """Whether it was given up because it had used up the steps that an execution may take."""


class RepetitionDiverged(SimError):
    """The repetition of an earlier execution's beginning came to a point that this did not have.

    The program depends on something that the choices do not determine, or what a step used was
    reported incompletely.

    `sim.explore` ends with what it has found so far, and with this in the result.

    Attributes:
        step: how many steps were repeated faithfully.
        task: who was to run next; None if it was a choice inside the step that differed.
        runnable: who could.
        where: for the reader, where those who could and who was to stand in the program, if that is known.
    """

    where: str = ""

    def __init__(self, step: int, task: Hashable | None, runnable: Sequence[Hashable]) -> None:
        self.step = step
        self.task = task
        self.runnable = tuple(runnable)
        if task is None:
            what = "other choices were made inside it in an earlier execution with the same beginning."
        else:
            what = (
                f"{task!r} ran here, or was free to run here, in an earlier execution with the same"
                f" beginning, and cannot run now; {list(runnable)!r} can."
            )
        super().__init__(
            f"step {step}: {what} The program depends on something other than its choices, or shares an"
            " object that is not tracked; put what its tasks share into sim.Shared"
        )

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.where}" if self.where else super().__str__()


class ChoiceDiverged(RepetitionDiverged):
    """The repetition of an earlier execution's choices came to one that had another number of alternatives.

    Attributes:
        choice: how many choices were repeated faithfully.
    """

    def __init__(self, choice: int, before: int, alternatives: int) -> None:
        self.choice = choice
        self.step = -1
        self.task = None
        self.runnable = ()
        SimError.__init__(
            self,
            f"choice {choice}: it had {before} alternatives in an earlier run that began with the same"
            f" choices, and has {alternatives} now. The program depends on something other than its"
            " choices: build all that it changes inside the scenario, afresh for each run",
        )


class UntrackedDependence(RepetitionDiverged):
    """An execution came to where all that could run has been explored, though none was to be met twice.

    So something depended on an order of steps that were taken to commute: what a step used was reported
    incompletely.
    """

    def __init__(self, step: int, runnable: Sequence[Hashable]) -> None:
        self.step = step
        self.task = None
        self.runnable = tuple(runnable)
        SimError.__init__(
            self,
            f"step {step}: a run came to where everything that can go on, {list(runnable)!r}, was gone"
            " through in another order before. The program shares an object that is not tracked; put what its"
            " tasks share into sim.Shared",
        )


class Strategy(ABC):
    """One way to go through the executions of a program.

    A life: ``begin_execution``, then any number of choices (and ``step_done``, when asked for),
    then ``end_execution``; and again, until ``begin_execution`` says no. A strategy object serves
    one exploration.

    The contract that makes replay possible: what a strategy returns may depend only on its own
    state and on what it was told.
    """

    wants_identities: ClassVar[bool] = False
    """Be asked through `choose_task`, before *every* step, with the identities of the enabled
    tasks. Otherwise a schedule choice comes through `choose` like any other, and only when there
    are two enabled tasks or more."""

    wants_footprints: ClassVar[bool] = False
    """Be told each step through `step_done`. Implies `wants_identities`."""

    script: Sequence[TaskId] = ()
    """The tasks that make the first steps of the execution, the clock included. For these, neither
    `choose_task` nor `step_done` is called, which saves gathering what a strategy knows already; for choices
    inside them `choose` is. Only a strategy that wants identities has a script."""

    @abstractmethod
    def begin_execution(self) -> bool:
        """Make ready for another execution.

        Returns:
            False when there is none left: everything that this strategy can reach was explored.
            The result is then `complete`, if `exhaustive` is true as well.
        """

    @abstractmethod
    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        """Pick one of ``alternatives`` (at least 2), by its index."""

    def choose_seed(self, seeds: int) -> int:
        """Pick what the random sources of the program give in this execution: asked at most once in each.

        A strategy that goes through all choices takes seed 0 and leaves the others out: it is about
        schedules, and thousands of seeds at each would be no end. To have it enumerate values, draw them with
        `sim.choose`.
        """
        return self.choose(ChoiceKind.RANDOM, seeds)

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        """Pick the task that makes the next step, by its index in ``enabled``.

        Args:
            enabled: the tasks that can make a step, at least one; the task that made the previous
                step comes first if it is among them, then those that became runnable earlier
                before those that did later. Read it, do not keep it.
            previous: the task that made the previous step.

        Returns:
            an index of ``enabled``, or `ABANDON`, or `CUT`.
        """
        del previous
        return 0 if len(enabled) == 1 else self.choose(ChoiceKind.SCHEDULE, len(enabled))

    def step_done(self, step: Step) -> None:  # noqa: B027 - most strategies have no use for it
        """See the step that the last chosen task (or the clock) has made."""

    def end_execution(self, execution: Execution) -> None:  # noqa: B027 - likewise
        """See how the execution ended. Not called for the replays of a failing execution."""

    @property
    def exhaustive(self) -> bool:
        """Whether `begin_execution` returning False means that no interleaving was left out."""
        return False

    @property
    def coverage(self) -> str:
        """The coverage so far, for the reader: "all 3,328 traces", "sampled"."""
        return "sampled"
