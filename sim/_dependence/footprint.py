"""Which objects a step has touched, and how: what partial-order reduction works on.

A `Recorder` gathers the accesses of one step after another. It is told of them by `sim.Shared`,
and by the wrappers that `sim._dependence` puts around the methods of Trio's own objects for as long
as a strategy wants footprints. With any other strategy nothing is wrapped and nothing recorded.

An object gets its name when it is made: the task that makes it, and how many that task had made
before. Objects that are older than the execution (module-level ones) are named in the order of
their first use in the exploration; they are the same objects in all of its executions.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias, TypeVar

from sim._run.step import Access, ObjectId, Operation, TaskId

T = TypeVar("T")

# The creator of everything that exists before a program is imported or starts; no task has this name.
_OLDER: Final[TaskId] = (-2,)
_KERNEL: Final[TaskId] = (-3,)

_READ, _WRITE = Operation.READ, Operation.WRITE


class Recorder:
    """Gathers what the steps of an execution touch.

    Outside of `begin_execution` and `end_execution` it ignores what it is told, so that the
    wrappers need not know whether an execution is of interest.

    Attributes:
        noting: whether the current step is one whose footprint is asked for. If not, telling what it
            touches is allowed, but in vain.
        task: whose step it is: a task, not an identity. The kernel sets it before each step.
        waiting: for each task that may be waiting in an object, that object, its kind, and what is done to it
            and its parts when the task leaves it. Before each step the kernel removes the entry of the task
            that makes it.
        threads: for each task that stands for a thread of `trio.to_thread`, what that shares with the task
            that waits for it.
    """

    __slots__ = (
        "_accesses",
        "_let_go",
        "_makers",
        "_names",
        "_objects",
        "_older",
        "_older_count",
        "_owners",
        "_parts",
        "_recording",
        "_task_accesses",
        "_tasks",
        "noting",
        "task",
        "threads",
        "waiting",
    )

    def __init__(self) -> None:
        self.noting = False
        self.task: Any = None
        self._recording = False
        self._tasks: Mapping[Any, TaskId] = {}
        # By address, not by the objects: some of Trio's define equality. Each with what tells when the object
        # is gone and its address may be used again: an object lives no longer here than under Trio.
        self._objects: _Objects = {}
        self._older: _Objects = {}
        # How many older objects there were, those included that are gone.
        self._older_count = 0
        # A part of an object that is changed and looked at independently of the rest.
        self._parts: dict[tuple[ObjectId, str], _Accesses] = {}
        # For each task, the objects that it has made, and their names in any execution.
        self._makers: dict[Any, _Maker] = {}
        self._names: dict[TaskId, list[tuple[str, _Accesses]]] = {}
        self._task_accesses: dict[TaskId, _Accesses] = {}
        self.waiting: dict[Any, tuple[object, str, tuple[Leaving, ...]]] = {}
        self.threads: dict[Any, object] = {}
        # Of each task that acts for an object: that object.
        self._owners: dict[TaskId, tuple[object, str]] = {}
        # Tasks of which the current step need not note that it wakes them.
        self._let_go: set[TaskId] = set()
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
        # Objects made before the first step are the kernel's, whoever made the last step of the execution
        # before: one that was abandoned does not end with the root.
        self.task = None
        self._tasks = tasks
        self._objects.clear()
        self._makers = {}
        self.waiting = {}
        self.threads = {}
        self._owners = {}
        self._accesses = {}

    def end_execution(self) -> None:
        self._recording = self.noting = False
        self.task = None
        self._objects.clear()
        self.waiting = {}
        self.threads = {}
        self._owners = {}
        self._tasks = {}

    def begin_step(self) -> None:
        """The footprint of the step that `task` makes now is asked for."""
        self.noting = True
        if self._let_go:
            self._let_go.clear()
        # Any step may notice a cancellation of its task; so it reads what that writes.
        identity = self._tasks[self.task]
        access = self._of_task(identity)[_READ]
        self._accesses = {id(access): access}
        if self._owners:
            self._touch_owner(identity)

    def end_step(self) -> tuple[Access, ...]:
        """The accesses of the step, each once, in the order of first use."""
        self.noting = False
        return tuple(self._accesses.values())

    def belongs(self, owner: object, kind: str) -> None:
        """The current task acts for an object, it and the tasks that it creates: from the next one
        on, each of their steps writes it."""
        if self._recording:
            self._owners[self._tasks[self.task]] = owner, kind
            self.touched(owner, kind, _WRITE)

    def _touch_owner(self, task: TaskId) -> None:
        for length in range(len(task), -1, -1):
            owner = self._owners.get(task[:length])
            if owner is not None:
                self.touched(*owner, _WRITE)
                return

    @property
    def recording(self) -> bool:
        """Whether the footprints of this execution are of interest."""
        return self._recording

    def has_any(self, accesses: Set[Access]) -> bool:
        """Whether the current step has done any of that."""
        return not accesses.isdisjoint(self._accesses.values())

    def touch_again(self, accesses: Iterable[Access]) -> None:
        """The current step depends on the same as others that had these accesses."""
        for access in accesses:
            self._add(access)

    @contextlib.contextmanager
    def aside(self) -> Generator[Callable[[], Collection[Access]]]:
        """Accesses in the block belong to no step and to no task.

        Yields:
            a function that gives what the block has touched so far, also if the step itself is not noted.
        """
        accesses, self._accesses = self._accesses, {}
        noting, self.noting = self.noting, self._recording
        task, self.task = self.task, None
        try:
            yield self._accesses.values
        finally:
            self._accesses, self.noting, self.task = accesses, noting, task

    def name_of(self, made: object) -> ObjectId:
        """The name of an object that was made in this execution."""
        return self._objects[id(made)][1][0].object

    def made(self, made: object, kind: str) -> None:
        """The current task has made an object."""
        if self._recording:
            maker = self._makers.get(self.task)
            if maker is None:
                identity = self._tasks.get(self.task, _KERNEL)
                maker = self._makers[self.task] = _Maker(identity, self._names.setdefault(identity, []))
            self._name(self._objects, made, maker.name_next(kind))

    def made_once(self, made: object, kind: str) -> None:
        """An object is there of which an execution has only one, whoever needs it first and so makes it."""
        if self._recording:
            self._name(self._objects, made, self._part(ObjectId(_KERNEL, kind, -1), ""))

    def of_kernel(self, make: Callable[[], T]) -> T:
        """Call a function that makes what is nobody's, though somebody's step is the first to need it."""
        task, self.task = self.task, None
        try:
            return make()
        finally:
            self.task = task

    def touched(self, touched: object, kind: str, operation: Operation, part: str = "") -> None:
        """The current step has touched an object.

        Args:
            touched: the object.
            kind: what it is, for the reader.
            operation: what was done. Twice the same counts once.
            part: to which part of it; what is done to a part commutes with what is done to the rest.
        """
        if self.noting:
            found = self._objects.get(id(touched)) or self._older.get(id(touched))
            if found is None:
                accesses = _accesses(ObjectId(_OLDER, kind, self._older_count))
                self._older_count += 1
                self._name(self._older, touched, accesses)
            else:
                accesses = found[1]
            if part:
                accesses = self._part(accesses[0].object, part)
            access = accesses[operation]
            self._accesses[id(access)] = access

    def cancelled(self, task: Any) -> None:
        """The current step has told a task that it is cancelled."""
        if self.noting and task in self._tasks:
            self._add(self._of_task(self._tasks[task])[_WRITE])

    def cancelled_all(self, tasks: Iterable[Any]) -> None:
        """The current step has told tasks so, in an order that another process does not repeat."""
        if self.noting:
            known = self._tasks
            for identity in sorted(known[task] for task in tasks if task in known):
                self._add(self._of_task(identity)[_WRITE])

    def touched_of_task(self, task: Any, part: str, operation: Operation) -> None:
        """The current step has touched what of a task is apart from its steps."""
        if self.noting:
            whole = self._of_task(self._tasks[task])[_READ].object
            self._add(self._part(whole, part)[operation])

    def looked_at(self, task: Any) -> None:
        """The current step has seen of a task what any of its steps may change."""
        if task is not self.task:
            self.cancelled(task)

    def woken(self, task: TaskId) -> None:
        """The current step has made a blocked task runnable."""
        if self.noting and task not in self._let_go:
            self._add(self._of_task(task)[_READ])

    def lets_go(self, task: Any) -> None:
        """The current step will wake a task that a cancellation could not have woken: it does not
        matter which of the two comes first."""
        if self.noting and task in self._tasks:
            self._let_go.add(self._tasks[task])

    def joining(self, woken: Sequence[TaskId]) -> tuple[TaskId, ...]:
        """Those of the tasks woken that the current step lets go."""
        let_go = self._let_go
        return tuple(task for task in woken if task in let_go) if let_go else ()

    def waits(self, waited_for: object, kind: str, *leaving: Leaving) -> None:
        """The current task is about to wait in an object.

        Args:
            waited_for: the object.
            kind: what it is, for the reader.
            leaving: the operations on it, each with the part of it, that a cancellation of the wait is.
        """
        if self._recording:
            self.waiting[self.task] = waited_for, kind, leaving

    def stops_waiting(self, task: Any) -> None:
        """The current step removes a cancelled task from the object in which it waits."""
        entry = self.waiting.pop(task, None)
        if entry is not None:
            waited_for, kind, leaving = entry
            for operation, part in leaving:
                self.touched(waited_for, kind, operation, part)

    @staticmethod
    def _name(objects: _Objects, named: object, accesses: _Accesses) -> None:
        address = id(named)
        try:
            alive: object = _Alive(named, address, objects)
        except TypeError:  # it is of a class that knows no weak references
            alive = named
        objects[address] = alive, accesses

    def _part(self, whole: ObjectId, part: str) -> _Accesses:
        accesses = self._parts.get((whole, part))
        if accesses is None:
            kind = f"{whole.kind}: {part}" if part else whole.kind
            accesses = self._parts[whole, part] = _accesses(whole._replace(kind=kind))
        return accesses

    def _of_task(self, task: TaskId) -> _Accesses:
        accesses = self._task_accesses.get(task)
        if accesses is None:
            accesses = self._task_accesses[task] = _accesses(ObjectId(task, "task", -1))
        return accesses

    def _add(self, access: Access) -> None:
        self._accesses[id(access)] = access


class _Alive(weakref.ref[Any]):
    """Forgets the name of an object when that is gone.

    Args:
        named: the object.
        address: where it is.
        objects: the names by address.
    """

    __slots__ = ("_address", "_objects")

    def __new__(cls, named: Any, address: int, objects: _Objects) -> _Alive:
        return super().__new__(cls, named, _forget)

    def __init__(self, named: Any, address: int, objects: _Objects) -> None:
        # The target of a reference is set in __new__.
        del named
        self._address = address
        self._objects = objects

    def forget(self) -> None:
        """The object is gone."""
        self._objects.pop(self._address, None)


def _forget(alive: weakref.ref[Any]) -> None:
    assert isinstance(alive, _Alive)
    alive.forget()


class _Maker:
    """A task that makes objects in an execution.

    Args:
        task: its identity.
        names: kind and accesses of the objects that it has made in any execution; added to.
    """

    __slots__ = ("_count", "_names", "_task")

    def __init__(self, task: TaskId, names: list[tuple[str, _Accesses]]) -> None:
        self._task = task
        self._names = names
        self._count = 0

    def name_next(self, kind: str) -> _Accesses:
        """Name what the task makes now."""
        number = self._count
        self._count = number + 1
        names = self._names
        if number < len(names) and names[number][0] == kind:
            return names[number][1]
        # The same task may make something else in its place, if the schedule lets it.
        accesses = _accesses(ObjectId(self._task, kind, number))
        names[number : number + 1] = [(kind, accesses)]
        return accesses


_Accesses: TypeAlias = tuple[Access, ...]
"""The one `Access` that there is of an object for each operation."""

_Objects: TypeAlias = dict[int, tuple[object, _Accesses]]
"""By address, something that keeps the entry for as long as the object is there, and its accesses."""

Leaving: TypeAlias = tuple[Operation, str]
"""The access of a part of an object, or of the object if the part is empty, by a task that stops waiting in
it."""


def _accesses(name: ObjectId) -> _Accesses:
    return tuple(Access(name, operation) for operation in Operation)


class Active:
    """The recorder of the exploration under way in this process, if it wants footprints."""

    recorder: Recorder | None = None
