"""Where a database worker runs SQLite: in a thread, so that a disk that takes its time holds up nobody else.

Two ways, with one interface. `DedicatedThread` is one thread for the worker's whole life: handing a job
over and being woken again costs about 30 us. `TrioThreads` borrows one from Trio's cache for each job,
about 75 us: what a simulator of Trio programs, which runs Trio's threads as steps of its own, can follow.
Either way a worker has one job in a thread at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import outcome
import trio
import trio.lowlevel

__all__ = ["DedicatedThread", "TrioThreads", "WorkerThread"]

R = TypeVar("R")


class WorkerThread(Protocol):
    """Runs one function at a time outside of Trio's thread."""

    async def run(self, function: Callable[[], R]) -> R:
        """Run ``function()`` there and return or raise what it does. Cannot be cancelled while it runs."""
        ...

    def stop(self) -> None:
        """Let go of the thread. No job is under way then."""
        ...


class DedicatedThread:
    """One thread that lives from here to `stop`.

    Args:
      name: what the thread is called in debuggers and `top`.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon, so that not even a program that dies in the middle of its cleanup hangs at its exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()

    async def run(self, function: Callable[[], R]) -> R:
        """See `WorkerThread.run`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        token = trio.lowlevel.current_trio_token()

        def job() -> None:
            token.run_sync_soon(trio.lowlevel.reschedule, task, outcome.capture(function))

        self._jobs.put(job)
        result: Any = await trio.lowlevel.wait_task_rescheduled(_refuse_to_abort)
        return result  # type: ignore[no-any-return]  # what `function` returned

    def stop(self) -> None:
        """See `WorkerThread.stop`. Stopping twice does nothing."""
        self._jobs.put(None)


def _refuse_to_abort(_: object) -> trio.lowlevel.Abort:
    # What runs in a thread cannot be called back; whoever is cancelled meanwhile learns it at the next
    # checkpoint.
    return trio.lowlevel.Abort.FAILED


class TrioThreads:
    """Threads of Trio's own cache, one at a time.

    Args:
      name: unused; the interface's.
    """

    def __init__(self, name: str = "") -> None:
        del name
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, function: Callable[[], R]) -> R:
        """See `WorkerThread.run`."""
        return await trio.to_thread.run_sync(function, limiter=self._limiter)

    def stop(self) -> None:
        """See `WorkerThread.stop`."""
