"""Locks of threads: in a simulated thread, waiting for one is a wait of the simulation.

Everything with which the standard library lets threads wait (conditions, events, semaphores, barriers,
queues, futures) is built on two locks, the plain and the reentrant one. So these two are replaced, and the
rest is the library's own code.

A lock made in a run *is* a real one, with a schedule point before each attempt to take it, and a wait in
virtual time where the attempt fails. So it also works in real threads, and after the run.
"""

from __future__ import annotations

import _thread
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import trio

from sim._dependence.footprint import Active
from sim._run.errors import Escape
from sim._run.step import Operation
from sim._world.escapes import belongs_to_the_run, guarding, refused
from sim._world.worker import LOOK, PATIENCE, current_worker

_real_lock: Final = _thread.allocate_lock
_real_rlock: Final = _thread.RLock
# Real seconds; less than what makes a thread that does not get on a blocked one.
_FOR_HOST: Final = LOOK * PATIENCE / 2
_KIND: Final = "thread lock"


class RunIsOver(BaseException):
    """Takes a thread or a task out of where it is: the run is over. No `Exception`, as the program handles
    those."""


class TaskSide(Protocol):
    """The part of the kernel that acts where a task uses a thread lock in the middle of a step."""

    def point(self) -> None:
        """Before others can see what the task does: threads may get on first."""
        ...

    def wait(self, lock: ThreadLock, timeout: float) -> bool:
        """Let threads run, and nobody else, until the lock is free; False if it never is in time."""
        ...

    def task(self) -> Any:
        """The task whose step it is; None if it is nobody's."""
        ...


class Tasks:
    """The part behind the locks for tasks, during an exploration.

    One for the process, as the clock is: explorations come one after the other, and a lock is made by a
    program that knows none of them, and may outlive the one in which it was made.
    """

    side: TaskSide | None = None


class Numbers:
    """Those that the next locks of the execution get."""

    left: Iterator[int] = itertools.count()


class ThreadLock:
    """Stands for `threading.Lock`.

    Args:
        real: the lock that holds the state.
        private: nobody else knows it before its owner waits in it, so that taking it is no schedule point.

    Attributes:
        number: how many locks were made in the execution before.
        older: it was made before the run.
        waited_for_as: what a report calls it.
        relation: how a report puts who has it.
    """

    waited_for_as = "a lock of threads"
    relation = "held by"

    def __init__(self, real: Any = None, *, private: bool = False) -> None:
        self._real: Any = _real_lock() if real is None else real
        self.older = real is not None
        self.private = private
        self.number: int = next(Numbers.left)
        self._waiting: list[Any] = []
        # The simulated thread or the task that has it; None if it is free, or taken by who is not of the run.
        self.owner: Any = None
        if Active.recorder is not None and real is None:
            Active.recorder.made(self, _KIND)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, as `threading.Lock.acquire`.

        A task that has to wait stops every other task meanwhile, as under Trio; only threads go on.

        Raises:
            Escape: what has to wait is neither a thread nor a task, but for instance an invariant.
        """
        worker = current_worker()
        if worker is None and not belongs_to_the_run():
            return bool(self._real.acquire(blocking, timeout))
        _check(blocking, timeout)
        if not self.private:
            point()
        if self._take():
            return True
        if not blocking or timeout == 0:
            return False
        if self.owner is None and self._wait_for_host(timeout):
            return True
        if worker is None:
            side = Tasks.side
            if side is None or side.task() is None:
                raise refused(
                    Escape(
                        "waiting for a lock outside tasks and threads",
                        "only these take turns; look at a lock with acquire(blocking=False) in an invariant",
                    )
                )
            return side.wait(self, timeout) and self._take()
        wait = LockWait(self, timeout)
        while worker.ask(wait):
            if self._take():
                return True
        return False

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back, as `threading.Lock.release`."""
        self._real.release()
        self.owner = None
        self._given_back()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether somebody has it."""
        point()
        self._touched(Operation.READ)
        return self._is_owned()

    @property
    def free(self) -> bool:
        """Whether an attempt of the current thread to take it would succeed."""
        if not self._real.acquire(False):
            return False
        self._real.release()
        return True

    def _is_owned(self) -> bool:
        """A condition asks this of its own lock: whether it holds it."""
        return bool(self._real.locked())

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()
        self._waiting.clear()

    def _wait_for_host(self, timeout: float) -> bool:
        """Nobody in the run has it: a thread of the host process may, which does not stand still.

        Raises:
            Escape: it does not give it back either.
        """
        if self._real.acquire(True, _FOR_HOST):
            self._real.release()
            return self._take()
        if timeout >= 0:
            return False
        raise refused(
            Escape(
                "a lock that is held, but by no thread or task of the run,",
                "make it in the scenario, and take it in a thread or a task of the run",
            )
        )

    def _take(self) -> bool:
        taken = bool(self._real.acquire(False))
        if taken:
            worker, side = current_worker(), Tasks.side
            self.owner = worker if worker is not None or side is None else side.task()
        self._touched(Operation.WRITE if taken else Operation.READ)
        return taken

    def _given_back(self) -> None:
        if current_worker() is None and not belongs_to_the_run():
            if self._waiting:
                # Not raised here: it is the run that is none, and not the thread outside that does wrong.
                refused(
                    Escape(
                        "a lock of threads, or an event, that a thread outside of the run gives to one in it",
                        "start that thread in the scenario",
                    )
                )
            return
        self._touched(Operation.WRITE)
        waiting, self._waiting = self._waiting, []
        if waiting:
            outside_threads(lambda: _wake(waiting))

    def _touched(self, operation: Operation) -> None:
        if Active.recorder is not None and Active.recorder.noting:
            Active.recorder.touched(self, _KIND, operation)

    def __repr__(self) -> str:
        self._touched(Operation.READ)
        return f"<sim lock for {self._real!r}>"


class ThreadRLock(ThreadLock):
    """Stands for `threading.RLock`."""

    def __init__(self, real: Any = None) -> None:
        super().__init__(_real_rlock() if real is None else real)
        self.older = real is not None
        if Active.recorder is not None and real is None:
            Active.recorder.made(self, _KIND)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, as the method of a reentrant one."""
        if self._real._is_owned():
            return bool(self._real.acquire(False))
        return super().acquire(blocking, timeout)

    __enter__ = acquire

    def release(self) -> None:
        """Give it back once."""
        self._real.release()
        if not self._real._is_owned():
            self.owner = None
            self._given_back()

    def locked(self) -> bool:
        """Not a method of reentrant locks."""
        raise AttributeError("a reentrant lock has no method locked")

    def _is_owned(self) -> bool:
        return bool(self._real._is_owned())

    # A condition asks for this to release a lock that it has taken several times.

    def _release_save(self) -> Any:
        saved = self._real._release_save()
        self.owner = None
        self._given_back()
        return saved

    def _acquire_restore(self, saved: Any) -> None:
        self.acquire()
        for _ in range(saved[0] - 1):
            self._real.acquire(False)


class LockWait:
    """A thread that waits for a lock asks for this: to be woken when it is worth another try.

    Args:
        lock: what it waits for.
        timeout: virtual seconds, or -1.
    """

    def __init__(self, lock: ThreadLock, timeout: float) -> None:
        self.lock = lock
        self._deadline = math.inf if timeout < 0 else time.monotonic() + timeout

    async def happen(self) -> bool:
        """Wait in the thread's task.

        Returns:
            False if time is up.
        """
        task = trio.lowlevel.current_task()
        waiting = self.lock._waiting

        def leave(_: object) -> trio.lowlevel.Abort:
            if task in self.lock._waiting:
                self.lock._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        waiting.append(task)
        with trio.CancelScope(deadline=self._deadline) as scope:
            await trio.lowlevel.wait_task_rescheduled(leave)
        return not scope.cancelled_caught


class Point:
    """A thread asks for this before others can see its actions: they may run first."""

    async def happen(self) -> None:
        """Be a step of its own."""
        await trio.lowlevel.cancel_shielded_checkpoint()


class Call:
    """A request of a thread for something to be done at once in the simulator's thread."""

    def __init__(self, fn: Callable[[], object]) -> None:
        self.fn = fn


def outside_threads(fn: Callable[[], object]) -> None:
    """Call ``fn`` in the simulator's thread, where Trio is at home: from there or from a simulated one."""
    worker = current_worker()
    if worker is None:
        fn()
    else:
        worker.ask(Call(fn))


def point() -> None:
    """Let others get on first, if this is called in a simulated thread, or threads if it is in a task."""
    worker = current_worker()
    if worker is not None:
        worker.ask(Point())
    elif Tasks.side is not None and guarding() and belongs_to_the_run():
        Tasks.side.point()


def _wake(waiting: Sequence[Any]) -> None:
    # All of them, and the first to try has it: which one that is, is for the strategy to say.
    for task in waiting:
        trio.lowlevel.reschedule(task)


def _check(blocking: bool, timeout: float) -> None:
    """Refuse what a real lock refuses."""
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
