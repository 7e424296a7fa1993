"""The thread in which a database worker runs SQLite, so that a slow disk does not block the event loop.

Each worker has one thread for its whole life. Borrowing one of Trio's for each job would cost twice as much
for the handover and the wake-up. Thread and queue are the standard library's, which the simulator follows, so
the program that is explored is the one that ships.
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
      name: the name of the thread, shown by debuggers and `top`.
    """

    def __init__(self, name: str) -> None:
        # Each job with the task that waits for it.
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], trio.lowlevel.Task] | None] = (
            queue.SimpleQueue()
        )
        self._wake_soon = trio.lowlevel.current_trio_token().run_sync_soon
        # A daemon, so that a program that dies during cleanup does not hang at exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while job := self._jobs.get():
            function, task = job
            result = outcome.capture(function)
            try:
                self._wake_soon(trio.lowlevel.reschedule, task, result)
            except trio.RunFinishedError:
                return  # Trio has ended, and the waiting task with it
            # An idle thread keeps neither the job nor its result alive.
            del job, function, task, result

    # An interrupt after the handover would deliver the result to the next thing that the task waits for.
    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[[], R]) -> R:
        """Run ``function()`` in the thread and return or raise what it does.

        Once begun it cannot be interrupted: a task that is cancelled meanwhile notices at its next
        checkpoint.

        Raises:
          trio.Cancelled: the caller had been cancelled before; the function is not run.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._jobs.put((function, trio.lowlevel.current_task()))
        return cast("R", await trio.lowlevel.wait_task_rescheduled(_cannot_be_called_back))

    def stop(self) -> None:
        """End the thread, which must be idle. Stopping twice does nothing."""
        self._jobs.put(None)


def _cannot_be_called_back(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
