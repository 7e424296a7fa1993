"""Puts our locks (`sim._world.locks`) where the standard library makes its own, until an exploration ends.

Threads that do not belong to the run go on as before: a lock that is made in one is a real one, and what
they wait for takes real time.
"""

# Modules may hold anything.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import _thread
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from types import BuiltinMethodType, FunctionType
from typing import Any, Final, TypeAlias, cast

from sim._run.looking import attributes_of, derives, is_a, kinds_of, members_of
from sim._world.escapes import belongs_to_the_run, guarding
from sim._world.locks import ThreadLock, ThreadRLock
from sim._world.older_locks import CANNOT, OlderLocks
from sim._world.survey import Locks
from sim._world.unlocked_looks import SimpleQueue, unlocked_looks

_real_lock: Final = _thread.allocate_lock
_real_rlock: Final[Callable[[], Any]] = threading.RLock
_real_seconds: Final = time.monotonic
_LOCK: Final = type(_real_lock())
_RLOCK: Final = type(_real_rlock())
# Taken before a run replaces it.
_real_simple_queue: Final[type] = queue.SimpleQueue

_BUILT_ON_LOCKS: Final = threading.Event, threading.Semaphore, threading.Barrier, queue.Queue
ADOPTED: Final = _LOCK, _RLOCK, threading.Condition, *_BUILT_ON_LOCKS

# Modules of the standard library that have taken over what makes locks, and make them when they are used.
_TAKEN_BY_NAME: Final = {
    "functools": ("RLock",),
    "multiprocessing.dummy": ("Lock", "RLock"),
    "unittest.mock": ("RLock",),
    "_pyio": ("Lock",),
}

Replacement = tuple[Any, str, Any]
Undo: TypeAlias = Callable[[], object]


def thread_primitives() -> Iterator[Replacement]:
    """The stand-ins and their places, for the time of an exploration."""
    # Objects that are no functions, so that one kept in a class is not taken for a method.
    lock = partial(_lock_of_run, ThreadLock, _real_lock)
    yield threading, "Lock", lock
    yield _thread, "allocate_lock", partial(_lock_of_run, ThreadLock, _real_lock)
    yield threading, "RLock", partial(_lock_of_run, ThreadRLock, _real_rlock)
    # With these, `Condition.wait` makes the lock that it waits for.
    yield threading, "_allocate_lock", partial(_lock_of_run, partial(ThreadLock, private=True), _real_lock)
    yield queue, "SimpleQueue", SimpleQueue
    # These have taken it over by name.
    yield threading, "_time", partial(_seconds)
    yield queue, "time", partial(_seconds)
    yield from unlocked_looks()
    for module, names in _TAKEN_BY_NAME.items():
        held = attributes_of(sys.modules.get(module))
        for name in names:
            if held.get(name) is _real_lock:
                yield sys.modules[module], name, partial(_lock_of_run, ThreadLock, _real_lock)
            elif held.get(name) in (_real_rlock, _RLOCK):
                yield sys.modules[module], name, partial(_lock_of_run, ThreadRLock, _real_rlock)
    scheduler = attributes_of(sys.modules.get("sched")).get("scheduler")
    if scheduler is not None:
        yield scheduler, "__init__", _by_time_of_run(scheduler.__init__)


def _by_time_of_run(init: Any) -> Any:
    """The initializer of `sched.scheduler`, whose defaults are kept references to clock and `sleep`."""

    def now() -> float:
        return time.monotonic()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)

    defaults = now, sleep
    return FunctionType(init.__code__, init.__globals__, init.__name__, defaults, init.__closure__)


def _lock_of_run(made: Callable[[], Any], really_made: Callable[[], Any]) -> Any:
    # Also not for what the simulator itself makes, with nothing guarded.
    return made() if guarding() and belongs_to_the_run() else really_made()


def _seconds() -> float:
    return time.monotonic() if belongs_to_the_run() else _real_seconds()


@contextmanager
def older_locks_adopted(
    left_alone: Callable[[str], bool], virtual: Mapping[int, Any], holders: list[Any], locks: Locks
) -> Generator[OlderLocks]:
    """Let locks of modules that were made before, and what is built on them there, be locks of the run too.

    Gives what does so for all that a scenario can reach.

    Args:
        left_alone: whether a module, of which the name is given, is none of the program's.
        virtual: what stands for other functions, as those of the clock, by the address of each.
        holders: modules, and what they have, that may have a lock in an attribute. Emptied.
        locks: which types are those of locks.
    """
    adopted: list[Undo] = []
    seen: dict[int, Any] = {}
    older = OlderLocks(left_alone, _standing_in(seen, virtual), (threading.Thread, ThreadLock))
    try:
        # None is kept: what the program drops in a run is to be gone.
        holders.reverse()
        while holders:
            _adopt(holders.pop(), adopted, seen, locks)
        yield older
    finally:
        older.restore()
        for undo in reversed(adopted):
            undo()


def _standing_in(seen: dict[int, Any], virtual: Mapping[int, Any]) -> Callable[[Any], Any]:
    """Finds the stand-in for a lock, for a method bound to one, and for a function that makes locks."""
    makers = {
        **virtual,
        id(_real_lock): partial(_lock_of_run, ThreadLock, _real_lock),
        id(_real_rlock): partial(_lock_of_run, ThreadRLock, _real_rlock),
        id(_RLOCK): partial(_lock_of_run, ThreadRLock, _real_rlock),
        id(_real_simple_queue): SimpleQueue,
    }

    def stand_in(value: Any) -> Any:
        kind = type(value)
        if kind is _LOCK or kind is _RLOCK:
            return _stand_in(value, seen)
        if kind is _real_simple_queue:
            return CANNOT
        if kind is BuiltinMethodType and type(value.__self__) in (_LOCK, _RLOCK):
            return getattr(_stand_in(value.__self__, seen), value.__name__, CANNOT)
        if kind is BuiltinMethodType and value.__name__ in ("now", "utcnow"):
            owner = value.__self__
            # Looked up again, it is the one of the run.
            return getattr(owner, value.__name__) if is_a(owner, type) and derives(owner, datetime) else None
        return makers.get(id(value))

    return stand_in


def _stand_in(lock: Any, seen: dict[int, Any]) -> ThreadLock:
    stand_in: ThreadLock | None = seen.get(id(lock))
    if stand_in is None:
        stand_in = seen[id(lock)] = (ThreadLock if type(lock) is _LOCK else ThreadRLock)(lock)
    return stand_in


def _adopt(owner: Any, adopted: list[Undo], seen: dict[int, Any], locks: Locks) -> None:
    of_class = is_a(owner, type)
    attributes = members_of(owner) if of_class else attributes_of(owner)
    if not attributes:
        return
    if not locks.any_of(kinds_of(list(attributes.values()))):
        return
    # Into the dictionary itself: the class may refuse that an attribute is set, as one that is frozen does.
    put = partial(type.__setattr__, owner) if of_class else cast("dict[str, Any]", attributes).__setitem__
    for name, value in list(attributes.items()):
        kind = type(value)
        if kind is _LOCK or kind is _RLOCK:
            adopted.append(partial(put, name, value))
            put(name, _stand_in(value, seen))
        elif issubclass(kind, threading.Condition):
            if type(attributes_of(value).get("_lock")) in (_LOCK, _RLOCK):
                _adopt_condition(value, adopted, seen)
        elif issubclass(kind, _BUILT_ON_LOCKS) and id(value) not in seen:
            seen[id(value)] = value
            _adopt(value, adopted, seen, locks)


def _adopt_condition(condition: Any, adopted: list[Undo], seen: dict[int, Any]) -> None:
    held = attributes_of(condition)
    stand_in = _stand_in(held["_lock"], seen)
    for name in ("_lock", "acquire", "release", "_release_save", "_acquire_restore", "_is_owned"):
        if name in held:
            adopted.append(partial(held.__setitem__, name, held[name]))
            held[name] = stand_in if name == "_lock" else getattr(stand_in, name)
