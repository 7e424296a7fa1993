"""Which faults may strike, whom, and how often in one run.

A fault strikes a task where it gives up control: at each such place, for each task that the plan
names and as long as a fault is left, whether one strikes is a choice like any other. So faults are
sampled, swept, replayed and shrunk as schedules are. With `FaultPlan.anytime`, it may also strike later,
while the task waits: after each step that another makes meanwhile.

``cancel``
    Cancels the innermost cancel scope around the task: one that it has entered itself, as around
    a call with a timeout, or else that of its nursery. What a deadline could have done just here.
``crash``
    Raises `InjectedCrash` in the task, out of what it awaits. What a bug in the task, or in what it
    talks to, could have done just here. A server of `trio_genserver` that is in none of its callbacks
    crashes as it would if a task of its own did. Unless the plan names others, this strikes servers (and
    the tasks that they start, but no supervisors); in a program that has none, it strikes any task.
``expire``
    Moves the clock to the innermost deadline around the task: the machine was so slow that the time was up
    just here, for this task and for whoever else waits for no later.
``delay``
    Has a thread of the task (`trio.to_thread`) take so many seconds longer: a slow disk, a slow lookup.
``fail``, ``lose``
    Raises `InjectedFailure`, an `OSError`, out of a thread of the task: instead of running its function, or
    after it has run. A disk that fails, and one whose answer is lost: what was to be stored may be.
"""

from __future__ import annotations

import enum
import errno
import fnmatch
import os
from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = "."
# In a code, behind the number of faults.
ANYTIME: Final = "a"

EVERYONE: Final = "*"


class InjectedCrash(Exception):
    """The error that a crashed task gets. A run that ends with nothing but this has not failed:
    the crash has gone where it should."""


class InjectedFailure(OSError):
    """The error that comes out of a task's thread. Like an `InjectedCrash`, it is no failure by itself."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, f"{os.strerror(errno.EIO)}, injected by sim")


class FaultKind(enum.Enum):
    CANCEL = "cancel"
    CRASH = "crash"
    EXPIRE = "expire"
    DELAY = "delay"
    FAIL = "fail"
    LOSE = "lose"


OF_THREADS: Final = frozenset({FaultKind.DELAY, FaultKind.FAIL, FaultKind.LOSE})
"""What strikes a thread of a task, and not the task itself."""


@dataclass(frozen=True)
class FaultPlan:
    """The faults of an exploration.

    Attributes:
        kinds: what may strike; at least one.
        tasks: whom: a pattern, as of the shell, for the names of tasks (those of reports). ``"*"`` is
            everybody whom such a fault would strike; ``"?*"`` is any task whatever.
        at_most: how many may strike in one run.
        seconds: by how long a ``delay`` delays; rounded to a millisecond.
        anytime: whether a task that waits may be struck after the steps of others, too, and not only where
            it begins to wait: a call given up when the server is in the middle of it, say. There are as many
            points for each step as there are tasks that wait, so a sweep makes many times the executions.
    """

    kinds: tuple[FaultKind, ...]
    tasks: str = EVERYONE
    at_most: int = 1
    seconds: float = 1.0
    anytime: bool = False

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a fault plan needs at least one kind of fault")
        if self.at_most < 1:
            raise ValueError(f"at most {self.at_most} faults is none: leave out the plan")
        if self.seconds < 0.001:
            raise ValueError(f"{self.seconds} seconds is no delay; it must be at least a millisecond")

    @classmethod
    def of(cls, plan: str | FaultPlan) -> FaultPlan:
        """A plan as it is, or the one of a kind's name.

        Raises:
            ValueError: there is no such kind.
        """
        if isinstance(plan, FaultPlan):
            return plan
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
            raise ValueError(f"{count!r} is no number of faults")
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
