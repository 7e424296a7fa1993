"""The parts of the standard library's thread primitives that one can look at without taking their locks.

A look at a lock is seen, and whoever changes what it guards has taken it. So a look past the lock counts
as one at the lock, and comes after a schedule point, as everything that threads see of each other.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import GenericAlias
from typing import Any

from sim._dependence.footprint import Active
from sim._run.step import Operation
from sim._world.locks import ThreadLock, point

Replacement = tuple[Any, str, Any]


class SimpleQueue:
    """Stands for `queue.SimpleQueue`, which is written in C, and waits there.

    An item is there at once for everybody, as with that one: it is put with the lock taken.
    """

    def __class_getitem__(cls, item: object) -> GenericAlias:
        return GenericAlias(cls, item)

    def __init__(self) -> None:
        self._queue: deque[object] = deque()
        self._count: Any = threading.Semaphore(0)

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        """As that of the library."""
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if not self._count.acquire(block, timeout):
            raise queue.Empty
        return self._queue.popleft()

    def get_nowait(self) -> object:
        """As that of the library."""
        return self.get(block=False)

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
        """As that of the library, which never blocks."""
        del block, timeout
        count = self._count
        with count._cond:
            self._queue.append(item)
            count._value += 1
            count._cond.notify()

    def put_nowait(self, item: object) -> None:
        """As that of the library."""
        self.put(item)

    def empty(self) -> bool:
        """As that of the library."""
        return not self.qsize()

    def qsize(self) -> int:
        """As that of the library."""
        _look_at(self._count._cond._lock)
        return len(self._queue)


def unlocked_looks() -> Iterator[Replacement]:
    """The stand-ins and their places, for the time of an exploration."""
    for owner in (threading.Event, threading.Semaphore, threading.Barrier):
        yield owner, "__repr__", _looking(owner.__repr__, _lock_of_condition)
    yield threading.Event, "is_set", _looking(threading.Event.is_set, _lock_of_condition)
    yield threading.Condition, "__repr__", _looking(threading.Condition.__repr__, lambda one: one._lock)
    for name in ("n_waiting", "broken"):
        look: Any = vars(threading.Barrier)[name].fget
        yield threading.Barrier, name, property(_looking(look, _lock_of_condition))


@contextmanager
def unlocked_attributes_seen() -> Generator[None]:
    """Likewise, what queues have as plain attributes, of which their class knows nothing."""
    names = "unfinished_tasks", "queue"
    for name in names:
        setattr(queue.Queue, name, _plain(name))
    try:
        yield
    finally:
        for name in names:
            delattr(queue.Queue, name)


def _lock_of_condition(owner: Any) -> Any:
    return owner._cond._lock


def _looking(look: Callable[[Any], Any], lock_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def looked(owner: Any) -> Any:
        _look_at(lock_of(owner))
        return look(owner)

    return looked


def _plain(name: str) -> property:
    def read(owner: Any) -> Any:
        # The library itself has taken the lock.
        if sys._getframe(1).f_globals.get("__name__") != queue.__name__:
            _look_at(owner.mutex)
        attributes: dict[str, Any] = owner.__dict__
        try:
            return attributes[name]
        except KeyError:
            raise AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}") from None

    def written(owner: Any, value: Any) -> None:
        vars(owner)[name] = value

    return property(read, written)


def _look_at(lock: Any) -> None:
    point()
    recorder = Active.recorder
    if recorder is not None and recorder.noting and isinstance(lock, ThreadLock):
        recorder.touched(lock, "thread lock", Operation.READ)
