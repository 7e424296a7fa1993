"""An order for what Trio keeps in sets of tasks, whose own order is that of addresses.

A set of tasks goes through its members in another order in each process, and in each execution. Where
that can be seen, a run would not be a function of its choices: in the order in which the tasks of a
cancelled scope, or of scopes with one and the same deadline, have their abort functions called; in
`Nursery.child_tasks`; and in the statistics of a limiter. Here it is the order of the tasks' identities.
(What an event wakes, and what else becomes runnable, the scheduler brings into that order.)

An order of identities is also the same in all schedules that partial-order reduction takes for one; the order
in which scopes were entered, say, is not.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

import trio

from sim._run.step import TaskId
from sim._trio import CancelStatus, Deadlines, running_task

Key: TypeAlias = tuple[float, ...]

_LAST: Key = (float("inf"),)


class Order:
    """The order of tasks, and of what belongs to tasks.

    Args:
        ids: the identity of each task that has one.
    """

    def __init__(self, ids: Callable[[], dict[Any, TaskId]]) -> None:
        self._ids = ids

    def of_task(self, task: Any) -> Key:
        """By the identity, or by that which a task of the current step will get."""
        ids = self._ids()
        identity: Key | None = ids.get(task)
        return identity if identity is not None else (*ids.get(running_task(), ()), *_LAST, task._counter)

    def of_current_task(self) -> Key:
        """By the identity of the task whose step this is."""
        return self.of_task(running_task())

    def ordered(self, tasks: frozenset[Any]) -> frozenset[Any]:
        """The same tasks, which are gone through in order."""
        return _OrderedFrozen(tasks, self.of_task)

    def of_status(self, status: Any) -> Key:
        """By the task that has entered the scope: the oldest of those that are in it."""
        first, pending = _LAST, [status]
        while pending:
            inner = pending.pop()
            first = min(first, *map(self.of_task, inner._tasks), _LAST)
            pending.extend(inner._children)
        return first

    def of_deadline(self, scope: Any) -> tuple[Key, int]:
        """By the task that has entered the scope; of two scopes of a task, the outer one first."""
        depth, status = 0, scope._cancel_status
        while status is not None:
            depth, status = depth + 1, status._parent
        return self.of_status(scope._cancel_status), depth

    def deadlines(self) -> Any:
        """Deadlines, none yet, of which those of one moment expire in order."""
        return _OrderedDeadlines(self)

    @contextlib.contextmanager
    def kept(self) -> Generator[None]:
        """Go through sets of tasks in order, until the block ends."""
        recalculate = CancelStatus.recalculate
        nursery: Any = trio.Nursery
        limiter: Any = trio.CapacityLimiter
        child_tasks: Any = nursery.child_tasks
        init = limiter.__init__

        @functools.wraps(recalculate)
        def recalculated(status: Any) -> None:
            # A scope that is just entered has neither.
            if status._children or len(status._tasks) > 1:
                self._arrange(status)
            recalculate(status)

        def children(nursery: Any) -> frozenset[Any]:
            return self.ordered(child_tasks.fget(nursery))

        @functools.wraps(init)
        def made(limiter: Any, *args: Any, **kwargs: Any) -> None:
            init(limiter, *args, **kwargs)
            # A borrower may be anything: these are in the order in which they came.
            limiter._borrowers = _ByArrival()

        CancelStatus.recalculate = recalculated
        nursery.child_tasks = property(children)
        limiter.__init__ = made
        try:
            yield
        finally:
            CancelStatus.recalculate = recalculate
            nursery.child_tasks = child_tasks
            limiter.__init__ = init

    def _arrange(self, status: Any) -> None:
        pending = [status]
        while pending:
            inner = pending.pop()
            if len(inner._tasks) > 1 and not isinstance(inner._tasks, _OrderedSet):
                inner._tasks = _OrderedSet(inner._tasks, self.of_task)
            if len(inner._children) > 1 and not isinstance(inner._children, _OrderedSet):
                # Trio goes from the last to the first.
                inner._children = _OrderedSet(inner._children, self.of_status, reverse=True)
            pending.extend(inner._children)


class _OrderedSet(set[Any]):
    """A set that is gone through in an order."""

    __slots__ = ("_key", "_reverse")

    def __init__(self, members: set[Any], key: Callable[[Any], Key], *, reverse: bool = False) -> None:
        super().__init__(members)
        self._key = key
        self._reverse = reverse

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=self._key, reverse=self._reverse))


class _OrderedFrozen(frozenset[Any]):
    """Likewise, for one that does not change: it is gone through in the order of when it was made."""

    __slots__ = ("_in_order",)

    _in_order: list[Any]

    def __new__(cls, members: frozenset[Any], key: Callable[[Any], Key]) -> _OrderedFrozen:
        made = super().__new__(cls, members)
        made._in_order = sorted(members, key=key)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._in_order)


class _ByArrival(dict[Any, None]):
    """The operations that a limiter uses on its set of borrowers."""

    __slots__ = ()

    def add(self, member: Any) -> None:
        self[member] = None

    def remove(self, member: Any) -> None:
        del self[member]


class _OrderedDeadlines(Deadlines):  # type: ignore[misc]  # Trio's own class, which is untyped here
    """Trio's deadlines, of which those of one moment expire in order."""

    __slots__ = ("_order",)

    def __init__(self, order: Order) -> None:
        Deadlines.__init__(self)
        self._order = order

    def expire(self, now: float) -> Any:
        due: list[Any] = []
        while self._heap and self._heap[0][0] <= now:
            deadline, _, scope = heapq.heappop(self._heap)
            if deadline == scope._registered_deadline:
                due.append((deadline, self._order.of_deadline(scope), scope))
        if len(due) > 1:
            due.sort(key=lambda entry: entry[:2])
        for number, (deadline, _, scope) in enumerate(due):
            heapq.heappush(self._heap, (deadline, number, scope))
        return Deadlines.expire(self, now)
