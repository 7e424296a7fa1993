"""Threads of `trio.to_thread.run_sync`, and the program's own, simulated: they make steps like any task.

A thread becomes a task of the simulation. Its function runs in the step in which a strategy picks that task,
up to where it ends or calls back into Trio; so other tasks get on before it and after it, in every order,
and yet nothing runs at the same time. The result goes back through the callback queue, as in Trio, which
makes the delivery a step of its own.

`trio.from_thread` is Trio's own code, cancellation and all; only the queue on which the thread waits for the
answer is ours. `time.sleep` in a thread takes virtual time.

Not shown: two threads interleaved *inside* their functions. A data race between threads is not what this
simulator is for; it is about tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Generator
from typing import Any, Final, TypeGuard

import outcome
import trio

from sim._dependence.footprint import Active
from sim._dependence.threads import THREAD, task_register
from sim._run.errors import ThreadBlocked
from sim._run.step import Operation
from sim._run.trace import short_name
from sim._world.locks import Call, LockWait, Point, RunIsOver
from sim._world.own_threads import OwnThread, executor_queue
from sim._world.worker import Outcome, Watch, Worker, current_worker
from sim.faults import FaultKind, InjectedFailure

#: The kind of which threads there are.
THREADS: Final = "started threads"

# How often a function may call out after its execution is over, before its thread is given up.
_LAST_CALLS: Final = 100


class ThreadSimulation:
    """Stands for Trio's thread cache.

    Args:
        spawn: starts a task that stands for a thread.
        strike: says what fault befalls a thread that the task of a name has started, and how many seconds a
            delay is.
        find: is told of what is wrong with a thread.
        watch: ends the wait for one that does not come back.

    Attributes:
        tasks: the tasks of the execution that stand for threads, those that have ended too.
        used: whether any execution had one.
        over: the exploration has ended.
    """

    def __init__(
        self,
        spawn: Callable[[Callable[[], Awaitable[object]], str], object],
        strike: Callable[[str], tuple[FaultKind | None, float]],
        find: Callable[[BaseException], None],
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._spawn = spawn
        self._strike = strike
        self._find = find
        self.used = self.over = False
        # As in Trio's cache, the one that was idle for the shortest time is taken first.
        self._idle: list[Worker] = []
        self.tasks: set[Any] = set()
        self._own: dict[Any, OwnThread] = {}

    def begin_execution(self) -> None:
        """No thread was started yet."""
        self.tasks = set()
        self._own = {}

    def start(
        self,
        fn: Callable[[], Any],
        deliver: Callable[[Outcome], object],
        name: str | None = None,
    ) -> None:
        """Stands for ``trio.lowlevel.start_thread_soon``."""
        name = name or "None"

        caller = short_name(trio.lowlevel.current_task().name)

        async def thread() -> None:
            fault, seconds = self._strike(caller)
            if fault is FaultKind.FAIL:
                result: Outcome = outcome.Error(InjectedFailure())
            else:
                result = await self._run(fn, name)
            if fault is FaultKind.LOSE:
                result = outcome.Error(InjectedFailure())
            elif fault is FaultKind.DELAY:
                await trio.sleep(seconds)
            deliver(result)

        task = self._start(thread, name)
        recorder, register = Active.recorder, task_register(fn)
        if recorder is not None and register is not None:
            recorder.made(register, THREAD)
            recorder.threads[task] = register

    def start_own(self, thread: OwnThread) -> None:
        """Start a thread of the program's own."""
        worker = thread.worker = Worker(self._watch)
        # A task that waits for its end must know whose end it is.
        thread.end.owner = worker

        async def live() -> None:
            try:
                await self._run(thread.run, thread.name, worker)
            finally:
                thread.is_over()

        self._own[self._start(live, thread.name)] = thread

    def find(self, finding: BaseException) -> None:
        """The finding about a thread, if there is one."""
        self._find(finding)

    def own(self) -> list[OwnThread]:
        """The program's own, in the order in which they were started."""
        return list(self._own.values())

    def idle(self) -> list[Worker]:
        """Real threads that have nothing to do."""
        return self._idle

    def held_open_by(self, tasks: Collection[Any]) -> list[Any]:
        """Those of the tasks that a program which has come to its end goes on for: all but daemon threads."""
        own = self._own
        return [task for task in tasks if task not in own or not own[task].daemon]

    def executors_only(self, tasks: Collection[Any]) -> bool:
        """Whether all of the tasks are threads of executors, which a program's end lets end."""
        own = self._own
        return all(task in own and executor_queue(own[task]) is not None for task in tasks)

    def _start(self, async_fn: Callable[[], Awaitable[object]], name: str) -> Any:
        self.used = True
        task = self._spawn(async_fn, f"<thread: {name}>")
        self.tasks.add(task)
        if Active.recorder is not None:
            Active.recorder.touched(self, THREADS, Operation.UPDATE)
        return task

    def stop(self) -> None:
        """End the real threads, at the end of an exploration."""
        self.over = True
        for worker in self._idle:
            worker.stop()
        self._idle.clear()

    async def _run(self, fn: Callable[[], Any], name: str, own: Worker | None = None) -> Outcome:
        """Run a function in a thread.

        Args:
            own: that thread, which ends with the function; else it is one that others have had.
        """
        worker = own or (self._idle.pop() if self._idle else Worker(self._watch))
        said: object = None
        try:
            said = worker.begin(fn, name)
            while not _is_the_end(said):
                if isinstance(said, Call):
                    answer: Outcome = outcome.capture(said.fn)
                else:
                    assert isinstance(said, _Sleep | Reply | LockWait | Point)
                    answer = await outcome.acapture(said.happen)
                said = worker.go_on(answer)
        except GeneratorExit:
            # The execution is over, and this task thrown away.
            if _see_out(worker, said):
                self._leave(worker, own)
            raise
        except ThreadBlocked as blocked:
            # Its thread is left where it is; whatever it does later is nobody's.
            self._find(blocked)
            return outcome.Error(blocked)
        self._leave(worker, own)
        return said

    def _leave(self, worker: Worker, own: Worker | None) -> None:
        """A function has come to its end."""
        if own is None:
            self._idle.append(worker)
        else:
            worker.stop()


class Reply:
    """Where a thread waits for the answer of `trio.from_thread`: stands for the queue in its messages."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._answer: Outcome | None = None
        self._waiting: trio.lowlevel.Task | None = None

    def put_nowait(self, answer: Outcome) -> None:
        """Called in a step, by who has run what the thread wanted."""
        self._answer = answer
        if self._waiting is not None:
            trio.lowlevel.reschedule(self._waiting)
            self._waiting = None

    def get(self) -> Outcome:
        """Called in the thread."""
        answer: Outcome = self._worker.ask(self)
        return answer

    async def happen(self) -> Outcome:
        """Wait, in the thread's task, for the answer."""
        if self._answer is None:
            self._waiting = trio.lowlevel.current_task()
            # As a thread: cancelling does not reach it, and what it waits for will end and say so.
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        assert self._answer is not None
        return self._answer


class ThreadCount:
    """Trio's counter of active threads, for `trio.testing.wait_all_threads_completed`.

    Threads that begin and end commute. With Trio's own, the one that is the last to end always sets an event
    and makes another, so that for partial-order reduction every two threads would have to do with each other.
    """

    def __init__(self) -> None:
        self._count = 0
        self._event: trio.Event | None = None
        if Active.recorder is not None:
            Active.recorder.made_once(self, "threads")

    @property
    def count(self) -> int:
        """How many there are, as Trio's functions read it."""
        self._touched(Operation.READ)
        return self._count

    @property
    def event(self) -> trio.Event:
        """Set when there are none left; made for who waits for that."""
        self._touched(Operation.WRITE)
        if self._event is None:
            self._event = trio.Event()
        return self._event

    @contextlib.contextmanager
    def one_more(self) -> Generator[None]:
        """Count a thread until the block ends."""
        self._touched(Operation.UPDATE)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            event = self._event
            self._touched(Operation.UPDATE if event is None else Operation.WRITE)
            if event is not None and self._count == 0:
                self._event = None
                event.set()

    def _touched(self, operation: Operation) -> None:
        if Active.recorder is not None:
            Active.recorder.touched(self, "threads", operation)


class _Sleep:
    """A thread's `time.sleep`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def happen(self) -> None:
        await trio.sleep(self._seconds)


def in_thread() -> bool:
    """Whether this is called by the function of a simulated thread."""
    return current_worker() is not None


def sleep_in_thread(seconds: float) -> None:
    """`time.sleep` in a simulated thread."""
    worker = current_worker()
    assert worker is not None
    worker.ask(_Sleep(seconds))


def _is_the_end(said: object) -> TypeGuard[Outcome]:
    """Whether what a worker has said is how its function ended."""
    return isinstance(said, outcome.Outcome)


def _see_out(worker: Worker, said: object) -> bool:
    """Let a function end that will get no more answers.

    Args:
        said: what it has asked for last.

    Returns:
        False if it does not.
    """
    if worker.lost:
        return False
    try:
        for _ in range(_LAST_CALLS):
            over = trio.RunFinishedError() if isinstance(said, Reply) else RunIsOver()
            said = worker.go_on(outcome.Error(over))
            if _is_the_end(said):
                return True
    except ThreadBlocked:
        pass
    return False
