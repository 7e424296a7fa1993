"""Which faults may strike, whom, and how often in one run.

A fault strikes a task where it gives up control: at each such place, for each task that the plan
names and as long as a fault is left, whether one strikes is a choice like any other. So faults are
sampled, swept, replayed and shrunk as schedules are.

``cancel``
    Cancels the innermost cancel scope around the task: one that it has entered itself, as around
    a call with a timeout, or else that of its nursery. What a deadline could have done just here.
``crash``
    Raises `InjectedCrash` in the task, out of what it awaits. What a bug in the task, or in what it
    talks to, could have done just here. A server of `trio_genserver` that is in none of its callbacks
    crashes as it would if a task of its own did. Unless the plan names others, this strikes servers (and
    the tasks that they start, but no supervisors); in a program that has none, it strikes any task.
"""

from __future__ import annotations

import enum
import fnmatch
from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = "."

EVERYONE: Final = "*"


class InjectedCrash(Exception):
    """The error that a crashed task gets. A run that ends with nothing but this has not failed:
    the crash has gone where it should."""


class FaultKind(enum.Enum):
    CANCEL = "cancel"
    CRASH = "crash"


@dataclass(frozen=True)
class FaultPlan:
    """The faults of an exploration.

    Attributes:
        kinds: what may strike; at least one.
        tasks: whom: a pattern, as of the shell, for the names of tasks (those of reports). ``"*"`` is
            everybody whom such a fault would strike; ``"?*"`` is any task whatever.
        at_most: how many may strike in one run.
    """

    kinds: tuple[FaultKind, ...]
    tasks: str = EVERYONE
    at_most: int = 1

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a fault plan needs at least one kind of fault")
        if self.at_most < 1:
            raise ValueError(f"at most {self.at_most} faults is none: leave out the plan")

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
        code = f"{kinds}{SEPARATOR}{self.at_most}"
        return code if self.tasks == EVERYONE else f"{code}{SEPARATOR}{self.tasks}"

    @classmethod
    def from_code(cls, code: str) -> FaultPlan:
        """The plan of a `code`.

        Raises:
            ValueError: it is none.
        """
        kinds, _, rest = code.partition(SEPARATOR)
        at_most, _, tasks = rest.partition(SEPARATOR)
        if not at_most.isdecimal():
            raise ValueError(f"{at_most!r} is no number of faults")
        return cls(tuple(_kind(kind) for kind in kinds.split("+")), tasks or EVERYONE, int(at_most))


def _kind(name: str) -> FaultKind:
    try:
        return FaultKind(name)
    except ValueError:
        known = ", ".join(kind.value for kind in FaultKind)
        raise ValueError(f"there is no fault {name!r}; there are {known}") from None
