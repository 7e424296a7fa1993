"""Which objects a step has touched, and how: what partial-order reduction works on.

A `Recorder` gathers the accesses of one step after another. It is told of them by `sim.Shared`,
and by the wrappers that `sim._kernel._dependence` puts around the methods of Trio's own objects for as long
as a strategy wants footprints. With any other strategy nothing is wrapped and nothing recorded.

An object gets its name when it is made: the task that makes it, and how many that task had made
before. Objects that are older than the execution (module-level ones) are named in the order of
their first use in the exploration; they are the same objects in all of its executions.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Final, TypeVar

from sim.strategies import ROOT, Access, ObjectId, Operation, TaskId

T = TypeVar("T")

_OLDER: Final[TaskId] = (-2,)

_READ, _WRITE = Operation.READ, Operation.WRITE


class Recorder:
    """Gathers what the steps of an execution touch.

    Outside of `begin_execution` and `end_execution` it ignores what it is told, so that the
    wrappers need not know whether an execution is of interest.
    """

    def __init__(self) -> None:
        self._recording = False
        # Whether the current step is one whose footprint is asked for.
        self._noting = False
        self._tasks: Mapping[Any, TaskId] = {}
        # By address, each with the object itself, which keeps the address from being used again;
        # not by the objects: some of Trio's define equality.
        self._objects: dict[int, _Named] = {}
        self._older: dict[int, _Named] = {}
        self._task_objects: dict[TaskId, _Named] = {}
        self._made: dict[TaskId, int] = {}
        # Of each task that may be waiting in an object: that object, and what leaving it does.
        self._waits: dict[TaskId, tuple[object, str, Operation]] = {}
        # Of each task that acts for an object: that object.
        self._owners: dict[TaskId, tuple[object, str]] = {}
        # Tasks of which the current step need not note that it wakes them.
        self._let_go: set[TaskId] = set()
        self._task = ROOT
        # Each access once, in the order of first use; by its address, for there is one object for
        # each, and its hash is that of a nested tuple.
        self._accesses: dict[int, Access] = {}

    @property
    def tasks(self) -> Mapping[Any, TaskId]:
        """The identity of each task of the execution."""
        return self._tasks

    def begin_execution(self, tasks: Mapping[Any, TaskId]) -> None:
        """From here on, note what is made and touched.

        Args:
            tasks: the identity of each task; the kernel adds to it.
        """
        self._recording = True
        # What is made before the first step is the root's, whoever made the last step of the execution
        # before: one that was abandoned does not end with the root.
        self._task = ROOT
        self._tasks = tasks
        self._objects = {}
        self._made = {}
        self._waits = {}
        self._owners = {}
        self._accesses = {}

    def end_execution(self) -> None:
        self._recording = self._noting = False
        self._objects = {}
        self._waits = {}
        self._owners = {}
        self._tasks = {}

    def begin_step(self, task: TaskId, noting: bool) -> None:
        """A task makes a step.

        Args:
            task: which one.
            noting: whether to note what the step touches; what it makes is noted anyway.
        """
        self._task = task
        self._noting = noting
        self._waits.pop(task, None)
        if noting:
            self._let_go.clear()
            # Any step may notice a cancellation of its task; so it reads what that writes.
            access = self._task_object(task).accesses[_READ]
            self._accesses = {id(access): access}
            if self._owners:
                self._touch_owner(task)

    def end_step(self) -> tuple[Access, ...]:
        """What the step has touched, each access once, in the order of first use."""
        self._noting = False
        return tuple(self._accesses.values())

    def belongs(self, owner: object, kind: str) -> None:
        """The current task acts for an object, it and the tasks that it creates: from the next one
        on, each of their steps writes it."""
        if self._recording:
            self._owners[self._task] = owner, kind
            self.touched(owner, kind, _WRITE)

    def _touch_owner(self, task: TaskId) -> None:
        for length in range(len(task), -1, -1):
            owner = self._owners.get(task[:length])
            if owner is not None:
                self.touched(*owner, _WRITE)
                return

    @property
    def count(self) -> int:
        """How many accesses the current step has made so far."""
        return len(self._accesses)

    def sort_from(self, start: int) -> None:
        """Sort the accesses of the current step from number `start` on: Trio goes through sets of
        tasks, in an order that another process does not repeat."""
        accesses = list(self._accesses.values())
        if len(accesses) - start > 1:
            accesses[start:] = sorted(accesses[start:])
            self._accesses = {id(access): access for access in accesses}

    def has_changed(self, objects: Container[ObjectId]) -> bool:
        """Whether the current step has done more than look at one of `objects`."""
        return any(
            access.operation is not _READ and access.object in objects for access in self._accesses.values()
        )

    def aside(self, look: Callable[[], T]) -> tuple[T, frozenset[ObjectId]]:
        """Call a function that is no part of the current step.

        Returns:
            what it returned, and the objects it has touched, also if the step itself is not noted.
        """
        accesses, self._accesses = self._accesses, {}
        noting, self._noting = self._noting, self._recording
        try:
            seen = look()
            return seen, frozenset(access.object for access in self._accesses.values())
        finally:
            self._accesses, self._noting = accesses, noting

    def made(self, made: object, kind: str) -> None:
        """The current task has made an object."""
        if self._recording:
            task = self._task
            number = self._made.get(task, 0)
            self._made[task] = number + 1
            self._objects[id(made)] = _Named(made, task, kind, number)

    def touched(self, touched: object, kind: str, operation: Operation) -> None:
        """The current step has touched an object.

        Args:
            touched: the object.
            kind: what it is, for the reader.
            operation: what was done. Twice the same counts once.
        """
        if self._noting:
            named = self._objects.get(id(touched)) or self._named(touched, kind)
            access = named.accesses[operation]
            self._accesses[id(access)] = access

    def cancelled(self, task: Any) -> None:
        """The current step has told a task that it is cancelled."""
        if self._noting and task in self._tasks:
            self._add(self._task_object(self._tasks[task]).accesses[_WRITE])

    def woken(self, task: TaskId) -> None:
        """The current step has made a blocked task runnable."""
        if self._noting and task not in self._let_go:
            self._add(self._task_object(task).accesses[_READ])

    def lets_go(self, task: Any) -> None:
        """The current step will wake a task that a cancellation could not have woken: it does not
        matter which of the two comes first."""
        if self._noting and task in self._tasks:
            self._let_go.add(self._tasks[task])

    def waits(self, waited_for: object, kind: str, leaving: Operation) -> None:
        """The current task is about to wait in an object.

        Args:
            waited_for: the object.
            kind: what it is, for the reader.
            leaving: the operation on it that a cancellation of the wait is.
        """
        if self._recording:
            self._waits[self._task] = waited_for, kind, leaving

    def stops_waiting(self, task: Any) -> None:
        """The current step takes a task out of what it waits in, because it is cancelled."""
        if task in self._tasks:
            entry = self._waits.pop(self._tasks[task], None)
            if entry is not None:
                self.touched(*entry)

    def _named(self, touched: object, kind: str) -> _Named:
        named = self._objects.get(id(touched)) or self._older.get(id(touched))
        if named is None:
            named = self._older[id(touched)] = _Named(touched, _OLDER, kind, len(self._older))
        return named

    def _task_object(self, task: TaskId) -> _Named:
        named = self._task_objects.get(task)
        if named is None:
            named = self._task_objects[task] = _Named(None, task, "task", -1)
        return named

    def _add(self, access: Access) -> None:
        self._accesses[id(access)] = access


class _Named:
    """An object with its name, and with the one `Access` that there is of it for each operation."""

    __slots__ = ("_accesses", "_name", "_object")

    def __init__(self, named: object, creator: TaskId, kind: str, number: int) -> None:
        self._object = named
        self._name = (creator, kind, number)
        self._accesses: tuple[Access, ...] | None = None

    @property
    def accesses(self) -> tuple[Access, ...]:
        if self._accesses is None:
            name = ObjectId(*self._name)
            self._accesses = tuple(Access(name, operation) for operation in Operation)
        return self._accesses


class Active:
    """The recorder of the exploration under way in this process, if it wants footprints."""

    recorder: Recorder | None = None
