"""Fault plans: which faults may strike, which tasks they strike, and how often in one run.

After each step, while a fault is left, whether it strikes a task or a cancel scope is a choice like any
other. So faults are sampled, swept, replayed and shrunk like schedules. With ``FaultPlan(anytime=False)``,
a fault strikes only the task that has made the step, where it gives up control.

``cancel``
    Cancels a cancel scope or a nursery that the program has opened, as its holder could. Never one that
    Trio, the standard library or another package has opened for itself, a shield, a timeout without a
    name, a context manager's before it is entered, or the scenario as a whole. A plan that names tasks
    cancels those instead, as if their starters had put scopes around them, and nothing else.
``crash``
    Raises `InjectedCrash` in the task, out of the call that it awaits, as a bug in the task or in its
    peer could have done just here. A server outside its callbacks crashes as if one of its own tasks had
    crashed, if its library says how. Unless the plan names others, this strikes servers and the tasks that
    they start, but no supervisors; in a program without servers, it strikes any task.
``expire``
    Moves the clock to a deadline that covers a task, innermost or not: the machine was so slow that the time
    was up just here, for this task and for all whose deadlines are not later. Unless the plan names tasks,
    the end of a `trio.sleep` does not count as a deadline.
``delay``
    Has a thread of the task (`trio.to_thread`) take so many seconds longer: a slow disk, a slow lookup.
``fail``, ``lose``
    Raises `InjectedFailure`, an `OSError`, out of a thread of the task: instead of running its function, or
    after it has run: a disk that fails, and one whose answer is lost, so that data may be stored or not.
"""

from __future__ import annotations

import enum
import errno
import fnmatch
import os
from dataclasses import dataclass
from typing import Any, Final

from sim._run import arguments
from sim._run.errors import WrongType

SEPARATOR: Final = "."
# In a code, behind the number of faults.
ANYTIME: Final = "a"

EVERYONE: Final = "*"


class InjectedCrash(Exception):
    """The error that a crashed task gets. A run that ends with nothing but this error has not failed,
    because the crash went where it should."""


class InjectedFailure(OSError):
    """The error that comes out of a task's thread. Like an `InjectedCrash`, it is not a failure by itself."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, f"{os.strerror(errno.EIO)}, injected by sim")

    def __reduce__(self) -> tuple[Any, ...]:
        return InjectedFailure, (), self.__dict__


class FaultKind(enum.Enum):
    CANCEL = "cancel"
    CRASH = "crash"
    EXPIRE = "expire"
    DELAY = "delay"
    FAIL = "fail"
    LOSE = "lose"


OF_THREADS: Final = frozenset({FaultKind.DELAY, FaultKind.FAIL, FaultKind.LOSE})
"""The kinds that strike a thread of a task, and not the task itself."""


@dataclass(frozen=True)
class FaultPlan:
    """The faults of an exploration.

    Attributes:
        kinds: what may strike; at least one.
        tasks: whom: a pattern, as of the shell, for the names of tasks (those of reports). ``"*"`` is
            everybody whom such a fault would strike; ``"?*"`` is any task whatever. That there is none of
            such a name is wrong use.
        at_most: how many may strike in one run.
        seconds: by how long a ``delay`` delays; rounded to a millisecond.
        anytime: whether it may also strike after the steps of others, and not only where the victim itself
            gives up control: a call is given up when the server is in the middle of it, say.
    """

    kinds: tuple[FaultKind, ...]
    tasks: str = EVERYONE
    at_most: int = 1
    seconds: float = 1.0
    anytime: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.kinds, tuple) or not all(isinstance(kind, FaultKind) for kind in self.kinds):
            raise WrongType(f"kinds must be a tuple of FaultKind, not {self.kinds!r}")
        arguments.text("tasks", self.tasks)
        arguments.whole_number("at_most", self.at_most)
        arguments.number("seconds", self.seconds)
        arguments.flag("anytime", self.anytime)
        if not self.kinds:
            raise ValueError("a fault plan needs at least one kind of fault")
        if self.at_most < 1:
            raise ValueError(f"a plan with at most {self.at_most} faults has none: leave out the plan")
        if self.seconds < 0.001:
            raise ValueError(f"{self.seconds} seconds is too short for a delay; use at least a millisecond")

    @classmethod
    def of(cls, plan: str | FaultPlan) -> FaultPlan:
        """A plan as it is, or the one of a kind's name.

        Raises:
            ValueError: there is no such kind.
            WrongType: it is neither.
        """
        if isinstance(plan, FaultPlan):
            return plan
        if not isinstance(plan, str):
            raise WrongType(f"faults must be a FaultPlan or the name of a kind of fault, not {plan!r}")
        return cls((_kind(plan),))

    def names(self, task: str) -> bool:
        """Whether a task of this name may be struck."""
        return fnmatch.fnmatchcase(task, self.tasks)

    @property
    def code(self) -> str:
        """The plan in a token: the run of a token is only the same under the same plan."""
        kinds = "+".join(kind.value for kind in self.kinds)
        delay = "" if self.seconds == 1.0 else f"x{round(self.seconds * 1000)}"
        code = f"{kinds}{SEPARATOR}{self.at_most}{delay}{ANYTIME if self.anytime else ''}"
        return code if self.tasks == EVERYONE else f"{code}{SEPARATOR}{self.tasks}"

    @classmethod
    def from_code(cls, code: str) -> FaultPlan:
        """The plan of a `code`.

        Raises:
            ValueError: it is none.
        """
        kinds, _, rest = code.partition(SEPARATOR)
        count, _, tasks = rest.partition(SEPARATOR)
        at_most, _, delay = count.removesuffix(ANYTIME).partition("x")
        if not at_most.isdecimal() or not (delay or "1").isdecimal():
            raise ValueError(f"{count!r} is not a number of faults")
        seconds = int(delay or 1000) / 1000
        return cls(
            tuple(_kind(kind) for kind in kinds.split("+")),
            tasks or EVERYONE,
            int(at_most),
            seconds,
            count.endswith(ANYTIME),
        )


def _kind(name: str) -> FaultKind:
    try:
        return FaultKind(name)
    except ValueError:
        known = ", ".join(kind.value for kind in FaultKind)
        raise ValueError(f"there is no fault {name!r}; there are {known}") from None
