"""The steps of a run as strategies see them: who makes them, and what they touch.

Neither tasks nor objects of Trio, but *identities*, which are the same in every execution of the same
program, so that a strategy may compare steps of different executions (sleep sets and wakeup trees do nothing
else).

* A task is named by its path: the root is ``()``, the n-th task that ``t`` created is ``(*t, n)``.
  The creator counts, not the nursery, for the nursery a task is put into may depend on the
  schedule while the order in which one task creates its children does not.
* An object is named by the task that created it and by how many that task had made before.
* The clock is not a task of the program, but it makes steps: `CLOCK`. It moves only when nothing
  is runnable, so a step of the clock comes after every step before it and before every one after.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

TaskId: TypeAlias = tuple[int, ...]

ROOT: Final[TaskId] = ()
CLOCK: Final[TaskId] = (-1,)


class ObjectId(NamedTuple):
    """An object that steps can share."""

    creator: TaskId
    kind: str
    """For the reader: "shared", "event", "channel", "scope" ..."""
    number: int
    """How many objects of any kind the creator had made before."""


class Operation(enum.IntEnum):
    """The effect of an access on its object, as far as its order with other accesses matters."""

    READ = 0
    """Looks, and changes nothing. Two reads commute."""
    UPDATE = 1
    """Changes the object in a way that commutes with every other update of it, and sees nothing
    of it: a task starts in an open nursery, or leaves it. An access that wakes a particular task is not such
    an update, because it matters which one did."""
    WRITE = 2
    """Anything else. Commutes with no access of the object."""
    JOIN = 3
    """Comes after every change of the object so far and could not have come earlier: a parent goes on because
    all of its nursery's tasks have ended. It is ordered after them and races with none, and nothing can
    change the object after it. A look sees the same before and after it, so it commutes with reads."""

    # Enum's own hash is a Python function.
    __hash__ = int.__hash__


class Access(NamedTuple):
    object: ObjectId
    operation: Operation


CONFLICTING: Final = {
    Operation.READ: frozenset({Operation.UPDATE, Operation.WRITE}),
    Operation.UPDATE: frozenset({Operation.READ, Operation.WRITE, Operation.JOIN}),
    Operation.WRITE: frozenset(Operation),
    Operation.JOIN: frozenset({Operation.UPDATE, Operation.WRITE}),
}
"""For each operation, those with which it does not commute."""


def conflict(one: Access, other: Access) -> bool:
    """Whether the order of the two accesses can matter."""
    return one.object == other.object and other.operation in CONFLICTING[one.operation]


class Ending(enum.Enum):
    """In what state a step left its task."""

    RUNNABLE = "runnable"
    BLOCKED = "blocked"
    FINISHED = "finished"


class Step(NamedTuple):
    """One step: what a task did between being resumed and giving up control again."""

    task: TaskId
    accesses: tuple[Access, ...]
    """Each object at most once, sorted. What the runnable state of tasks itself needs is not in
    it: see `spawned` and `woken`."""
    spawned: tuple[TaskId, ...]
    """Tasks that came into being in this step, in order: each is enabled from here on."""
    woken: tuple[TaskId, ...]
    """Tasks that were blocked and that this step made runnable, sorted. Like `spawned`, an edge of
    happens-before: their next step cannot come before this one. (Of tasks that end in a nursery,
    the last wakes the parent; but the parent's step reads what all of them have updated, so the
    order that they end in does not matter: see `joining`.)"""
    ending: Ending
    joining: tuple[TaskId, ...] = ()
    """Those of `woken` that go on because their nursery has closed. That this step was the last is no part of
    what the step is, and no edge: another step closes the nursery in runs that count as the same. Their own
    step comes after all that is in the nursery since it is a join of that."""

    @property
    def wakes(self) -> Sequence[TaskId]:
        """The tasks whose next step comes after this one because of what this one did."""
        if not self.joining:
            return self.spawned + self.woken
        return [*self.spawned, *(task for task in self.woken if task not in self.joining)]
