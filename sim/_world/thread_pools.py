"""`multiprocessing.pool.ThreadPool` in runs: its threads wake each other without the pipe of the system.

All of such a pool is threads and queues, which are simulated, but for one thing: with what it tells its
handler of a change, it uses a queue between processes. A queue between threads does the same.
"""

from __future__ import annotations

import contextlib
import multiprocessing.pool
import queue
from collections.abc import Callable, Generator, Iterator
from multiprocessing import util
from typing import Any

# The requests of the pool, and the store of finalizers, have no public name.
_ThreadPool: Any = multiprocessing.pool.ThreadPool
_Pool: Any = multiprocessing.pool.Pool
_util: Any = util


class _Context:
    """The context of a pool of threads.

    Args:
        context: what it would be; all but the queue is left to it.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def SimpleQueue(self) -> Any:  # noqa: N802 - the name is that of the context's method
        """The event with which the pool reports changes."""
        return _Notifier(queue.SimpleQueue())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class _Notifier:
    """Tells a thread of changes to the pool.

    Args:
        changes: a queue between threads.
    """

    _reader = None

    def __init__(self, changes: Any) -> None:
        self._changes = changes
        self.put = changes.put
        self.get = changes.get
        self.empty = changes.empty


def thread_pools(simulated: Callable[[], object]) -> Iterator[tuple[Any, str, Any]]:
    """The replacements: the object, its place, and the stand-in.

    Args:
        simulated: says whether it is the run that calls, by what is not None.
    """
    set_up, wait = _ThreadPool._setup_queues, _Pool._wait_for_updates

    def set_up_queues(self: Any) -> None:
        set_up(self)
        if simulated() is not None:
            self._ctx = _Context(self._ctx)

    def wait_for_updates(sentinels: Any, change_notifier: Any, timeout: float | None = None) -> None:
        if not isinstance(change_notifier, _Notifier):
            wait(sentinels, change_notifier, timeout)
            return
        with contextlib.suppress(queue.Empty):
            change_notifier.get(timeout=timeout)
            while True:
                change_notifier.get(False)

    yield _ThreadPool, "_setup_queues", set_up_queues
    yield _Pool, "_wait_for_updates", staticmethod(wait_for_updates)


@contextlib.contextmanager
def finalizers_kept() -> Generator[None]:
    """Forget after the block the pools that were left open in it, for the end of the process closes those."""
    known = set(_util._finalizer_registry)
    try:
        yield
    finally:
        for key in set(_util._finalizer_registry) - known:
            _util._finalizer_registry.pop(key, None)
