"""Threads that the program starts itself, with `threading.Thread` and what is built on it: timers, executors.

Each is simulated like a thread of Trio's: a real thread that runs in its turn. So of `threading.Thread` only
starting and joining are replaced; it stays the program's own object, which `threading.current_thread` gives
in its function. Unlike Trio's, each has a real thread to itself, for `threading.local` must be empty in it.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent import futures
from concurrent.futures import thread as executors
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias

from sim._run.errors import Escape, ThreadCrashed
from sim._run.step import Operation
from sim._world.escapes import announced, belongs_to_the_run, guarding, refused
from sim._world.locks import RunIsOver, ThreadLock, outside_threads, point
from sim._world.thread_pools import thread_pools
from sim._world.worker import Worker

Replacement = tuple[Any, str, Any]

# The state that is reset with each execution, and that holds threads, has no public name.
_threading: Any = threading
_executors: Any = executors
_Thread: Any = threading.Thread


class Starter(Protocol):
    """The simulation of threads, during an exploration."""

    @property
    def over(self) -> bool:
        """Whether the exploration has ended: what a program has kept of it, the next one calls too."""
        ...

    def start_own(self, thread: OwnThread) -> None:
        """Start a thread: from here on it may run."""
        ...

    def find(self, finding: BaseException) -> None:
        """The finding about a thread, if there is one."""
        ...

    def own(self) -> list[OwnThread]:
        """Those of the execution, in the order in which they were started."""
        ...

    def idle(self) -> list[Worker]:
        """Real threads that have nothing to do."""
        ...


class End(ThreadLock):
    """The end of a thread, to be waited for like a lock that is free from then on."""

    waited_for_as = "the end of a thread"
    relation = "namely"

    def __init__(self) -> None:
        super().__init__()
        self._real.acquire()

    def _take(self) -> bool:
        self._touched(Operation.READ)
        return self.free

    @property
    def free(self) -> bool:
        """Whether it has come."""
        return not self._real.locked()

    def come(self) -> None:
        """Be it."""
        if not self.free:
            self.release()

    def come_outside(self) -> None:
        """Make it real after the run, when no task waits."""
        if not self.free:
            self._real.release()


class OwnThread:
    """One thread of the program's own.

    Args:
        starter: what simulates it.
        function: what it does.
        name: of the thread.
        daemon: a program's end does not wait for it.
        thread: the program's object, if it has one.

    Attributes:
        worker: the real thread; None before it is started.
    """

    def __init__(
        self,
        starter: Starter,
        function: Callable[[], object],
        name: str,
        daemon: bool,
        thread: Any = None,
    ) -> None:
        self._starter = starter
        self._function = function
        self.name = name
        self.daemon = daemon
        self.thread = thread
        self.end = End()
        self.worker: Worker | None = None

    def run(self) -> None:
        """The body of its real thread."""
        identity = threading.get_ident()
        before = _threading._active.get(identity)
        if self.thread is not None:
            _threading._active[identity] = self.thread
        try:
            self._function()
        except (SystemExit, RunIsOver):
            pass
        except BaseException as error:
            self._crashed(error)
            raise
        finally:
            if self.thread is not None:
                _threading._active[identity] = before
            self.end.come()
            self.is_over()

    def is_over(self) -> None:
        """Let the program's object know, which outlives the run, that its thread is no more."""
        self.end.come_outside()
        if self.thread is not None:
            self.thread._is_stopped = True
            if hasattr(self.thread, "_handle"):
                self.thread._handle._set_done()

    def _crashed(self, error: BaseException) -> None:
        hook = threading.excepthook
        if hook is not _hooks[-1]:
            # The scenario has set it, and so knows what to do.
            hook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self.thread)))
        else:
            crash = ThreadCrashed(self.name, error)
            self._starter.find(crash.with_traceback(error.__traceback__))


# The hooks for unhandled exceptions of threads, as they were before each current exploration.
_hooks: Final[list[Any]] = [threading.excepthook]


#: Gives what simulates threads, if it is the run that calls.
Simulated: TypeAlias = Callable[[], Starter | None]


def own_threads(starter: Starter) -> Iterator[Replacement]:
    """The stand-ins and their places, for the time of an exploration.

    Args:
        starter: simulates what the program starts.
    """

    def simulated() -> Starter | None:
        """The starter, if it is the run that calls; else it is for the real thing."""
        return starter if guarding() and belongs_to_the_run() and not starter.over else None

    yield _thread, "start_new_thread", _starting(simulated, _thread.start_new_thread)
    yield threading, "_start_new_thread", _starting(simulated, _threading._start_new_thread)
    start_joinable = getattr(_thread, "start_joinable_thread", None)
    if start_joinable is not None:
        yield _thread, "start_joinable_thread", announced(start_joinable, "_thread.start_joinable_thread")
    yield threading.Thread, "start", _start(simulated, threading.Thread.start)
    yield threading.Thread, "join", _join(simulated, threading.Thread.join)
    yield threading.Thread, "is_alive", _is_alive(simulated, threading.Thread.is_alive)
    yield threading, "enumerate", _enumerate(simulated, threading.enumerate)
    yield threading, "active_count", _active_count(simulated, threading.active_count)
    yield from thread_pools(simulated)
    yield futures.ThreadPoolExecutor, "submit", _submit(simulated, futures.ThreadPoolExecutor.submit)


@contextmanager
def hook_of_threads_kept() -> Generator[None]:
    """Give `threading.excepthook` back, which scenarios may set."""
    _hooks.append(threading.excepthook)
    try:
        yield
    finally:
        threading.excepthook = _hooks.pop()


def let_executors_end(threads: Iterable[OwnThread]) -> None:
    """Ends idle threads of executors, as the end of a program does.

    Args:
        threads: all that there are.
    """
    _executors._shutdown = True
    for own in threads:
        jobs = executor_queue(own)
        if jobs is not None:
            jobs.put(None)


def executors_go_on() -> None:
    """The next execution is a program that has not ended."""
    _executors._shutdown = False


def executor_queue(own: OwnThread) -> Any:
    """Where a thread of an executor gets its jobs from; None for any other."""
    return None if own.thread is None else _executors._threads_queues.get(own.thread)


def _launch(starter: Starter, own: OwnThread) -> int:
    outside_threads(lambda: starter.start_own(own))
    assert own.worker is not None
    return own.worker.identity


def _starting(simulated: Simulated, start: Callable[..., int]) -> Callable[..., int]:
    def start_new_thread(function: Any, args: Any, kwargs: Any = None, /) -> int:
        starter = simulated()
        if starter is None:
            return start(function, args, {} if kwargs is None else kwargs)
        name = getattr(function, "__name__", repr(function))
        return _launch(
            starter, OwnThread(starter, lambda: function(*args, **(kwargs or {})), name, daemon=True)
        )

    return start_new_thread


def _start(simulated: Simulated, start: Callable[[Any], None]) -> Callable[[Any], None]:
    def start_thread(self: Any) -> None:
        starter = simulated()
        if starter is None or not getattr(self, "_initialized", False) or self._started._flag:
            start(self)
            return
        own = self._sim = OwnThread(starter, self.run, self.name, self.daemon, self)
        self._ident = _launch(starter, own)
        # Without its lock: whoever waits for that waits in `start`.
        self._started._flag = True

    return start_thread


def _join(simulated: Simulated, join: Callable[..., None]) -> Callable[..., None]:
    def join_thread(self: Any, timeout: float | None = None) -> None:
        own: OwnThread | None = getattr(self, "_sim", None)
        if simulated() is None or not getattr(self, "_initialized", False) or not self._started._flag:
            join(self, timeout)
        elif self is threading.current_thread():
            raise RuntimeError("cannot join current thread")
        elif own is not None:
            own.end.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        elif self.is_alive():
            raise refused(
                Escape(
                    f"the end of the thread {self.name}, which was started before the run,",
                    "start it in the scenario",
                )
            )

    return join_thread


def _is_alive(simulated: Simulated, is_alive: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def alive(self: Any) -> bool:
        own: OwnThread | None = getattr(self, "_sim", None)
        if own is None or simulated() is None:
            return is_alive(self)
        point()
        return not own.end._take()

    return alive


def _enumerate(
    simulated: Simulated, enumerate_all: Callable[[], list[threading.Thread]]
) -> Callable[[], list[Any]]:
    def those_that_run() -> list[Any]:
        starter = simulated()
        everybody = enumerate_all()
        if starter is None:
            return everybody
        point()
        idle = {worker.identity for worker in starter.idle()}
        own = [own for own in starter.own() if own.thread is not None]
        theirs = {own.worker.identity for own in own if own.worker is not None}
        others = [thread for thread in everybody if thread.ident not in idle | theirs]
        return others + [one.thread for one in own if not one.end._take()]

    return those_that_run


def _active_count(simulated: Simulated, count: Callable[[], int]) -> Callable[[], int]:
    def active_count() -> int:
        return len(threading.enumerate()) if simulated() is not None else count()

    return active_count


def _is_of_run(lock: Any) -> bool:
    return isinstance(lock, ThreadLock) and not lock.older


def _submit(simulated: Simulated, submit: Callable[..., Any]) -> Callable[..., Any]:
    def submit_job(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if simulated() is not None and not _is_of_run(self._shutdown_lock):
            raise refused(
                Escape(
                    "an executor that was made before the run",
                    "make it in the scenario: its threads are real",
                )
            )
        return submit(self, fn, *args, **kwargs)

    return submit_job
