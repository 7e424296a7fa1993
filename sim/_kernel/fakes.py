"""Stand-ins for the surroundings of a task in a Trio run.

Trio's runner has a nursery above the main task, one for system tasks, a queue for callbacks from
other threads, an I/O manager. Each is replaced here by the smallest thing that answers the same
calls, so that a new execution costs a few attribute stores and nothing reaches the real ones.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import trio
from outcome import Outcome

from sim._dependence.footprint import Active
from sim._dependence.threads import THREAD
from sim._run.errors import Escape
from sim._run.step import Operation
from sim._world.locks import outside_threads


class OuterNursery:
    """The parent of tasks that have no nursery of the program above them.

    Holds for the main task, the system tasks, and the background tasks that stand for threads.
    Answers what `trio.Nursery` is asked by the runner and by a program that looks at
    ``task.parent_nursery``; it lives as long as the execution, so nobody waits for it. Whoever goes up the
    tree of tasks comes to the run's own first task, as under Trio.
    """

    def __init__(
        self,
        spawn: Callable[..., Any],
        cancel_status: Any,
        finished: Callable[[Any, Outcome[object]], None],
        parent_task: Any = None,
        in_order: Callable[[frozenset[Any]], frozenset[Any]] = frozenset,
        instead: frozenset[Any] = frozenset(),
    ) -> None:
        self._spawn = spawn
        self._in_order = in_order
        # Shown in place of an empty list of tasks.
        self._instead = instead
        self._cancel_status = cancel_status
        self._finished = finished
        self._children: set[Any] = set()
        self._closed = False
        self.parent_task = parent_task

    @property
    def cancel_scope(self) -> trio.CancelScope:
        scope: trio.CancelScope = self._cancel_status._scope
        return scope

    @property
    def child_tasks(self) -> frozenset[Any]:
        recorder = Active.recorder
        if recorder is not None:
            # Which there are, steps of any task may change.
            recorder.cancelled_all(recorder.tasks)
        return self._in_order(frozenset(self._children)) or self._instead

    def start_soon(
        self, async_fn: Callable[..., Awaitable[object]], *args: object, name: object = None
    ) -> None:
        self._spawn(async_fn, args, self, name)

    def _child_finished(self, task: Any, outcome: Outcome[object]) -> None:
        self._children.discard(task)
        self._finished(task, outcome)


class CallbackQueue:
    """Stands for the queue behind `TrioToken.run_sync_soon`.

    Trio runs what is queued in a task of its own. So does this one, one callback a step, in a task
    that exists only once there was something to run: most programs never use it.

    Args:
        spawn_task: starts that task.
        is_over: whether nothing but that task is left of the run.
    """

    def __init__(
        self, spawn_task: Callable[[Callable[[], Awaitable[None]]], Any], is_over: Callable[[], bool]
    ) -> None:
        self._spawn_task = spawn_task
        self._is_over = is_over
        # With each job, whether it is in _once as well, and of which thread it comes. Only those in _once
        # need be hashable.
        self._jobs: deque[tuple[Callable[..., object], tuple[Any, ...], bool, object]] = deque()
        self._once: set[tuple[Callable[..., object], tuple[Any, ...]]] = set()
        self._parked = False
        self.task: Any = None
        self.used = False
        self.done = False

    def run_sync_soon(self, sync_fn: Callable[..., object], *args: object, idempotent: bool = False) -> None:
        if self.done:
            # The execution is over; what still calls is a finalizer, which has nobody to tell.
            return
        # A callback that queues itself again would do so for ever.
        if self._is_called_back() and self._is_over():
            raise trio.RunFinishedError("the scenario and all of its tasks have ended")
        outside_threads(lambda: self._add(sync_fn, args, idempotent))

    def _add(self, sync_fn: Callable[..., object], args: tuple[Any, ...], idempotent: bool) -> None:
        self.used = True
        self._touched()
        if idempotent:
            if (sync_fn, args) in self._once:
                return
            self._once.add((sync_fn, args))
        recorder = Active.recorder
        thread = None if recorder is None else recorder.threads.get(recorder.task)
        self._jobs.append((sync_fn, args, idempotent, thread))
        if self.task is None:
            self.task = self._spawn_task(self._run)
        elif self._parked:
            self._parked = False
            trio.lowlevel.reschedule(self.task)

    def _is_called_back(self) -> bool:
        if self.task is None or not trio.lowlevel.in_trio_task():
            return False
        return trio.lowlevel.current_task() is self.task

    def size(self) -> int:
        return len(self._jobs)

    async def _run(self) -> None:
        try:
            await self._run_jobs()
        finally:
            # Cancelled at the end of an execution; what is queued after that makes another one.
            self.task = None

    async def _run_jobs(self) -> None:
        while True:
            # Also to find nothing is to have looked: a job that is added now wakes this task.
            self._touched()
            while self._jobs:
                sync_fn, args, idempotent, thread = self._jobs.popleft()
                if idempotent:
                    self._once.discard((sync_fn, args))
                if thread is not None and Active.recorder is not None:
                    # It sees whether the task that waits for the thread was cancelled.
                    Active.recorder.touched(thread, THREAD, Operation.READ)
                sync_fn(*args)
                await trio.lowlevel.cancel_shielded_checkpoint()
                self._touched()
            self._parked = True
            await trio.lowlevel.wait_task_rescheduled(self._never_mind)

    def _touched(self) -> None:
        if Active.recorder is not None:
            Active.recorder.touched(self, "callbacks", Operation.WRITE)

    def _never_mind(self, raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
        del raise_cancel
        self._parked = False
        return trio.lowlevel.Abort.SUCCEEDED


@dataclass(frozen=True)
class NoInputStatistics:
    """The I/O part of `trio.lowlevel.current_statistics`; under Trio's loop it depends on the system."""

    tasks_waiting_read: int = 0
    tasks_waiting_write: int = 0
    backend: str = "sim"


class NoInput:
    """Stands for the I/O manager: whatever waits for a real file descriptor is refused there."""

    def __init__(self, refuse: Callable[[Escape], None]) -> None:
        self._refuse = refuse

    def notify_closing(self, descriptor: object) -> None:
        """Nobody waits for it here, so there is nobody to tell."""

    def statistics(self) -> NoInputStatistics:
        """Nobody waits."""
        return NoInputStatistics()

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def refuse(*args: object) -> NoReturn:
            del args
            escape = Escape(
                f"trio.lowlevel.{name}",
                "use trio.testing.memory_stream_pair or a memory channel instead",
            )
            self._refuse(escape)
            raise escape

        return refuse


class AsyncGeneratorSet:
    """The async generators that were begun and not yet finished.

    Trio keeps a weak set, whose order is that of addresses; these are closed at the end of an
    execution, and the order of that must be the same each time: that of the tasks that began them, and of
    those of one task the order in which it did.

    Args:
        beginner: the place of the current task in an order of all.
    """

    def __init__(self, beginner: Callable[[], tuple[float, ...]]) -> None:
        self._beginner = beginner
        self._by_start: dict[tuple[tuple[float, ...], int], Any] = {}
        self._started = 0

    def add(self, generator: Any) -> None:
        key = self._beginner(), self._started
        self._started += 1
        by_start = self._by_start
        by_start[key] = weakref.ref(generator, lambda _: by_start.pop(key, None))

    @property
    def used(self) -> bool:
        """Whether there ever was one."""
        return self._started > 0

    def take(self) -> list[Any]:
        """All of them that still exist, and forget them."""
        references, self._by_start = [entry[1] for entry in sorted(self._by_start.items())], {}
        return [generator for reference in references if (generator := reference()) is not None]
