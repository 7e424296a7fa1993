"""Numbers and addresses of threads, which would differ between two runs of the same choices.

Names of threads have numbers in them, which count on in a process. Sets of threads and of futures, as
executors and `concurrent.futures.wait` keep them, go by addresses, which are others each time. Threads and
futures that are made in a run go by the number of a lock in them instead.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import _base as futures
from concurrent.futures import thread as executors
from contextlib import contextmanager
from typing import Any, Final

from sim._world.locks import Numbers, ThreadLock

_threading: Any = threading
_futures: Any = futures
_executors: Any = executors

# A lock that each has from its beginning.
_LOCKS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (threading.Thread, lambda thread: thread._started._cond._lock),
    (futures.Future, lambda future: future._condition._lock),
)


class _AcquiredInOrder:
    """Takes the locks of futures in an order that is the same in all threads: not by address."""

    def __init__(self, all_futures: Iterable[Any]) -> None:
        self._futures = sorted(all_futures, key=hash)

    def __enter__(self) -> None:
        for future in self._futures:
            future._condition.acquire()

    def __exit__(self, *exc_info: object) -> None:
        for future in self._futures:
            future._condition.release()


@contextmanager
def numbered() -> Generator[Callable[[], None]]:
    """Number what is made, until the block ends; gives a function that starts again for each execution."""
    counters = _threading._counter, _executors.ThreadPoolExecutor._counter
    acquire_futures = _futures._AcquireFutures

    def anew() -> None:
        _threading._counter = itertools.count(1).__next__
        _executors.ThreadPoolExecutor._counter = itertools.count().__next__
        Numbers.left = itertools.count()

    for owner, lock in _LOCKS:
        setattr(owner, "__hash__", _by_number(lock))  # noqa: B010 - a method of classes that are not ours
    _futures._AcquireFutures = _AcquiredInOrder
    try:
        yield anew
    finally:
        _futures._AcquireFutures = acquire_futures
        for owner, _ in _LOCKS:
            delattr(owner, "__hash__")
        _threading._counter, _executors.ThreadPoolExecutor._counter = counters


def _by_number(lock: Callable[[Any], Any]) -> Callable[[Any], int]:
    def number(self: Any) -> int:
        made: object
        try:
            made = lock(self)
        except AttributeError:  # its class has not called the constructor
            made = None
        return made.number if isinstance(made, ThreadLock) else object.__hash__(self)

    return number
