"""Where a database worker runs SQLite: in a thread, so that a disk that takes its time holds up nobody else.

Two ways, with one interface. `DedicatedThread` is one thread for the worker's whole life: handing a job
over and being woken again costs about 30 us on a machine with nothing else to do. `TrioThreads` borrows one
from Trio's cache for each job, about 75 us: what a simulator of Trio programs, which runs Trio's threads as
steps of its own, can follow. Either way a worker has one job in a thread at a time.
"""

from __future__ import annotations

import queue
import socket
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

    It says that a job is done over a socket on which the task waits: Trio's loop then goes on with that very
    task, and not first with one that calls what threads have left for it.

    Args:
      name: what the thread is called in debuggers and `top`.
    """

    def __init__(self, name: str) -> None:
        # Each with where its outcome goes.
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], list[outcome.Outcome[Any]]] | None] = (
            queue.SimpleQueue()
        )
        self._done, self._tell_done = socket.socketpair()
        # A daemon, so that not even a program that dies in the middle of its cleanup hangs at its exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._tell_done:
            while job := self._jobs.get():
                function, outcomes = job
                outcomes.append(outcome.capture(function))
                # What waits here keeps neither the job nor what it returned alive.
                del job, function, outcomes
                self._tell_done.send(b".")

    async def run(self, function: Callable[[], R]) -> R:
        """See `WorkerThread.run`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        outcomes: list[outcome.Outcome[R]] = []
        self._jobs.put((function, outcomes))
        # What runs in a thread cannot be called back; whoever is cancelled meanwhile learns it at the next
        # checkpoint.
        with trio.CancelScope(shield=True):
            # An interrupt may have left the end of another job behind.
            while not outcomes:
                await trio.lowlevel.wait_readable(self._done)
                self._done.recv(1)
        return outcomes.pop().unwrap()

    def stop(self) -> None:
        """See `WorkerThread.stop`. Stopping twice does nothing."""
        self._jobs.put(None)
        self._done.close()


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
