"""Where a database worker runs SQLite: in a thread, so that a disk that takes its time holds up nobody else.

One thread for the worker's whole life, and not one of Trio's for each job, which costs twice as much to hand
over and to be woken by. Thread and queue are the standard library's, which the simulator follows: what it
explores is what ships.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import outcome
import trio
import trio.lowlevel

__all__ = ["DedicatedThread"]

R = TypeVar("R")


class DedicatedThread:
    """One thread that lives from here to `stop`, and runs one function at a time.

    Args:
      name: what the thread is called in debuggers and `top`.
    """

    def __init__(self, name: str) -> None:
        # Each with the task that waits for it.
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], trio.lowlevel.Task] | None] = (
            queue.SimpleQueue()
        )
        self._wake_soon = trio.lowlevel.current_trio_token().run_sync_soon
        # A daemon, so that not even a program that dies in the middle of its cleanup hangs at its exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while job := self._jobs.get():
            function, task = job
            result = outcome.capture(function)
            try:
                self._wake_soon(trio.lowlevel.reschedule, task, result)
            except trio.RunFinishedError:
                return  # Trio died, and who waited with it
            # What waits here keeps neither the job nor what it returned alive.
            del job, function, task, result

    # An interrupt after the job was handed over would leave its end to whatever the task waits for next.
    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[[], R]) -> R:
        """Run ``function()`` in the thread and return or raise what it does.

        Once begun it cannot be called back: whoever is cancelled meanwhile learns it at the next checkpoint.

        Raises:
          trio.Cancelled: the caller had been cancelled before; the function is not run.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._jobs.put((function, trio.lowlevel.current_task()))
        return cast("R", await trio.lowlevel.wait_task_rescheduled(_cannot_be_called_back))

    def stop(self) -> None:
        """Let the thread end. No job is under way then. Stopping twice does nothing."""
        self._jobs.put(None)


def _cannot_be_called_back(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
