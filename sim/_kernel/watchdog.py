"""Sees to it that no step of a task takes for ever: a thread that looks at the simulator's now and then.

A task whose call really blocks holds up everything: the simulator no longer runs. So another thread checks
whether the step makes progress, and if not, sends the signal of Ctrl-C to the simulator's own thread, whose
handler raises in the task. That ends every wait of Python's own and every system call.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from time import clock_gettime as _clock_gettime
from time import monotonic as _real_seconds
from types import FrameType
from typing import Any, Final

from sim._kernel.cleanup import close_by_force
from sim._kernel.findings import Findings
from sim._kernel.interrupts import Interrupts
from sim._kernel.invariants import Invariants
from sim._kernel.scheduler import Scheduler
from sim._kernel.step_ender import MACHINERY, StepEnder, insisting, module_of_frame, raise_in_thread
from sim._run.errors import TaskBlocked
from sim._run.trace import place, short_name
from sim._trio import RUN_CONTEXT
from sim._world.locks import RunIsOver
from sim._world.worker import GRACE, IDLE, LOOK, PATIENCE, Watch, Worker, waits_for_disk

_new_lock: Final = _thread.allocate_lock
_start_thread: Final = _thread.start_new_thread
_exit_process: Final = os._exit

# The functions that call code of the program: its steps, exceptions thrown into them at the end, and
# conditions.
CALLERS: Final = frozenset(
    function.__code__
    for function in (
        Scheduler.step_until_idle,
        close_by_force,
        Invariants.after_step,
        Invariants.after_time,
    )
)
# A thread in one of these waits for a person.
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "cmd", "code", "IPython", "pydevd", "_pydevd_bundle", "debugpy"})
# Looks after the signal without an effect, until the stack is written where it can be seen, and until the
# process is ended.
_IN_VAIN: Final = 10
_LAST: Final = 60
# How many exceptions that are to end it a step may catch.
_CAUGHT: Final = 2
_EXIT_BLOCKED: Final = 2
_EXIT_INTERRUPTED: Final = 130


class Console:
    """Where the watchdog says what can be said in no result.

    Attributes:
        descriptor: of the file; that of standard error unless who captures it gives another.
    """

    descriptor: int = 2


class Watchdog:
    """Ends steps that would not end by themselves.

    Args:
        scheduler: makes the steps, in the thread that makes this.
        findings: are told of a step that was ended.
        interrupts: whether Ctrl-C was pressed, and can be heard.
        watch: knows when the time is up; is told of a step that was ended.
        ender: is told of what is raised to end a step.

    Attributes:
        called_off: the number of the step that is to end as soon as it uses a lock; -1 if none is.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        findings: Findings,
        interrupts: Interrupts,
        watch: Watch,
        ender: StepEnder,
    ) -> None:
        self._scheduler = scheduler
        self._findings = findings
        self._interrupts = interrupts
        interrupts.taken = self.took
        self._watch = watch
        self._ender = ender
        self.called_off = -1
        # That of the simulator's thread.
        self._context: dict[str, Any] = vars(RUN_CONTEXT)
        self._identity, self._native = threading.get_ident(), threading.get_native_id()
        # Why the signal was sent that is under way: to a step that is blocked, or to one that is overdue.
        self._sent: bool | None = None
        self._in_vain = 0
        self._console: int | None = None

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Look on until the block ends."""
        stop, stopped = _new_lock(), _new_lock()
        stop.acquire()
        stopped.acquire()
        clock = time.pthread_getcpuclockid(self._identity)
        # The scenario may close its own.
        with contextlib.suppress(OSError):
            self._console = os.dup(Console.descriptor)

        def look_on() -> None:
            try:
                self._look_on(clock, lambda: stop.acquire(timeout=LOOK))
            finally:
                stopped.release()

        _start_thread(look_on, ())
        try:
            yield
        finally:
            stop.release()
            stopped.acquire()
            if self._console is not None:
                os.close(self._console)
                self._console = None

    def _look_on(self, clock: int, over: Callable[[], bool]) -> None:
        step: tuple[int, int] | None = None
        began = used = 0.0
        idle = 0
        while not over():
            now, now_used = _real_seconds(), _clock_gettime(clock)
            if self._step() != step or step is None:
                step, began, idle = self._step(), now, 0
                self._in_vain = 0
            else:
                idle = idle + 1 if now_used - used < IDLE else 0
                self._judge(idle, now, began)
            used = now_used

    def _step(self) -> tuple[int, int] | None:
        """Which step is under way, if the program is in one, or in a condition that is looked at."""
        scheduler = self._scheduler
        if scheduler.others < 0 and not scheduler.invariants.looking:
            return None
        return scheduler.steps, scheduler.inner_steps

    def _judge(self, idle: int, now: float, began: float) -> None:
        """Deals with a step that was already running at the last look."""
        found = self._watch.found
        blocked = idle >= (1 if found else PATIENCE)
        overdue = now > self._watch.until and now - began > (LOOK if found else GRACE)
        if not (blocked or overdue or self._interrupts.pending()):
            return
        frame = sys._current_frames().get(self._identity)
        if frame is None or _is_in_worker(frame):
            return
        if not _is_of_program(frame):
            # Nothing may be raised here. Code that calls this again and again will be told.
            if overdue or self._interrupts.pending():
                self.called_off = self._scheduler.steps
            return
        if (blocked and waits_for_disk(self._native)) or any(
            module_of_frame(one) in _DEBUGGERS for one in _up(frame)
        ):
            return
        self._in_vain += 1
        if self._in_vain == _IN_VAIN:
            self._say(f"a step of a task is in a call that cannot be interrupted; its stack:{_listed(frame)}")
        elif self._in_vain == _LAST:
            self._end_process(frame)
        if self._interrupts.heard:
            self._sent = blocked
            signal.pthread_kill(self._identity, signal.SIGINT)
        else:
            self._raise_from_outside(frame, blocked)

    def _say(self, text: str) -> None:
        if self._console is not None:
            with contextlib.suppress(OSError):
                os.write(self._console, f"sim: {text}\n".encode(errors="backslashreplace"))

    def _end_process(self, frame: FrameType) -> None:
        """Nothing else ends the step, and so the exploration."""
        interrupted = self._interrupts.pending()
        why = "Ctrl-C was pressed" if interrupted else "it would hang"
        self._say(
            "this process ends here, without a result: a step of a task is still in a call that cannot be "
            f"interrupted, and {why}; replace that call in the scenario. Its stack:{_listed(frame)}"
        )
        _exit_process(_EXIT_INTERRUPTED if interrupted else _EXIT_BLOCKED)

    def _raise_from_outside(self, frame: FrameType, blocked: bool) -> None:
        """Raise in the simulator's thread, in which no handler of a signal is called."""
        self._find(frame, blocked)
        polite = self._in_vain <= _CAUGHT
        kind = RunIsOver if polite else insisting(self._ender, self._scheduler.steps)
        raise_in_thread(self._identity, kind)

    def took(self, frame: FrameType | None) -> bool:
        """Called by the handler of the signal, in the simulator's thread.

        Args:
            frame: where that is.

        Returns:
            False if the signal was none of this object's.

        Raises:
            TaskBlocked: it was, and this is where the task hangs.
            RunIsOver: the same, to one that has handled the first.
            KeyboardInterrupt: Ctrl-C was pressed before, and the task has gone on nevertheless.
        """
        blocked, self._sent = self._sent, None
        if blocked is None or frame is None:
            return False
        if self._step() is None or not _is_of_program(frame):
            # It has come on meanwhile.
            return True
        self._raise(frame, blocked)
        return True

    def call_off(self) -> None:
        """Called where a task uses a lock in a step that is `called_off`.

        Raises:
            TaskBlocked, RunIsOver, KeyboardInterrupt: as by `took`.
        """
        self.called_off = -1
        self._raise(sys._getframe(1), blocked=False)

    def _raise(self, frame: FrameType, blocked: bool) -> None:
        self._ender.raises(self._scheduler.steps, _CAUGHT)
        if self._interrupts.pending():
            raise KeyboardInterrupt
        error = self._find(frame, blocked)
        if error is None:
            raise RunIsOver
        raise error

    def _find(self, frame: FrameType, blocked: bool) -> TaskBlocked | None:
        """The finding; None if there was one before."""
        self._watch.found = True
        if self._findings.first is not None:
            return None
        error = TaskBlocked(short_name(self._context["task"].name), blocked, _stack(frame))
        self._findings.find(error)
        return error


def _is_of_program(frame: FrameType) -> bool:
    """Whether it is the program that is at work."""
    return module_of_frame(frame) not in MACHINERY and not _is_in_worker(frame)


def _is_in_worker(frame: FrameType) -> bool:
    """Whether a thread of the run has its turn, which is watched apart, or is being started or ended."""
    return any(one.f_globals.get("__name__") == Worker.__module__ for one in _up(frame))


def _up(frame: FrameType | None) -> Generator[FrameType]:
    """The frames of a task's step, innermost first."""
    while frame is not None and frame.f_code not in CALLERS:
        yield frame
        frame = frame.f_back


def _stack(frame: FrameType) -> list[str]:
    return [place(one, one.f_lineno) for one in _up(frame) if module_of_frame(one) not in MACHINERY][::-1]


def _listed(frame: FrameType) -> str:
    return "".join(f"\n    {line}" for line in _stack(frame))
