"""Sees to it that no step of a task takes for ever: a thread that looks at the simulator's now and then.

A task that calls what blocks for real holds up everything: no line of the simulator is reached any more. So
another thread looks whether the step gets on, and if not, sends the signal of Ctrl-C to the simulator's own
thread, whose handler raises in the task. That ends every wait of Python's own and every system call.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from time import clock_gettime as _clock_gettime
from time import monotonic as _real_seconds
from types import FrameType
from typing import Final

from sim._kernel.findings import Findings
from sim._kernel.interrupts import Interrupts
from sim._kernel.scheduler import Scheduler
from sim._run.errors import TaskBlocked
from sim._run.trace import place, short_name
from sim._trio import RUN_CONTEXT
from sim._world.locks import RunIsOver
from sim._world.worker import GRACE, IDLE, LOOK, PATIENCE, Watch, Worker, waits_for_disk

_new_lock: Final = _thread.allocate_lock
_start_thread: Final = _thread.start_new_thread
_stderr_write: Final = sys.__stderr__

_STEPPING: Final = Scheduler.step_until_idle.__code__
# Whoever is in one of these waits for a person.
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "cmd", "code", "IPython", "pydevd", "_pydevd_bundle", "debugpy"})
_MACHINERY: Final = frozenset({"sim", "trio", "outcome"})
# Looks after the signal without an effect, until the stack is written where it can be seen.
_IN_VAIN: Final = 10


class Watchdog:
    """Ends steps that do not come to an end.

    Args:
        scheduler: makes the steps, in the thread that makes this.
        findings: are told of a step that was ended.
        interrupts: whether Ctrl-C was pressed, and can be heard.
        watch: knows when the time is up; is told of a step that was ended.
    """

    def __init__(
        self, scheduler: Scheduler, findings: Findings, interrupts: Interrupts, watch: Watch
    ) -> None:
        self._scheduler = scheduler
        self._findings = findings
        self._interrupts = interrupts
        interrupts.taken = self.took
        self._watch = watch
        self._identity, self._native = threading.get_ident(), threading.get_native_id()
        # Why the signal was sent that is under way: to a step that is blocked, or to one that is overdue.
        self._sent: bool | None = None
        self._in_vain = 0

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Look on until the block ends."""
        stop, stopped = _new_lock(), _new_lock()
        stop.acquire()
        stopped.acquire()
        clock = time.pthread_getcpuclockid(self._identity)

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
        """Which step is under way, if one of a task is."""
        scheduler = self._scheduler
        return None if scheduler.others < 0 else (scheduler.steps, scheduler.inner_steps)

    def _judge(self, idle: int, now: float, began: float) -> None:
        """What to do about a step that was under way at the last look too."""
        found = self._watch.found
        blocked = idle >= (1 if found else PATIENCE)
        overdue = now > self._watch.until and now - began > (LOOK if found else GRACE)
        if not (blocked or overdue or self._interrupts.pending()):
            return
        frame = sys._current_frames().get(self._identity)
        if frame is None or not _is_of_program(frame):
            return
        if (blocked and waits_for_disk(self._native)) or any(
            _module(one) in _DEBUGGERS for one in _up(frame)
        ):
            return
        self._sent = blocked
        self._in_vain += 1
        if self._interrupts.heard:
            signal.pthread_kill(self._identity, signal.SIGINT)
        if self._in_vain == _IN_VAIN:
            lines = "".join(f"\n    {line}" for line in _stack(frame))
            print(
                f"sim: a step of a task is in a call that cannot be interrupted; its stack:{lines}",
                file=_stderr_write,
                flush=True,
            )

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
        if self._scheduler.others < 0 or not _is_of_program(frame):
            # It has come on meanwhile.
            return True
        if self._interrupts.pending():
            raise KeyboardInterrupt
        self._watch.found = True
        if self._findings.first is not None:
            raise RunIsOver
        error = TaskBlocked(short_name(RUN_CONTEXT.task.name), blocked, _stack(frame))
        self._findings.find(error)
        raise error


def _is_of_program(frame: FrameType) -> bool:
    """Whether it is the program that is at work, and not a thread of the run in its turn, which is watched
    apart, or what starts and ends those."""
    return _module(frame) not in _MACHINERY and all(
        one.f_globals.get("__name__") != Worker.__module__ for one in _up(frame)
    )


def _up(frame: FrameType | None) -> Generator[FrameType]:
    """The frames of a task's step, innermost first."""
    while frame is not None and frame.f_code is not _STEPPING:
        yield frame
        frame = frame.f_back


def _stack(frame: FrameType) -> list[str]:
    return [place(one, one.f_lineno) for one in _up(frame) if _module(one) not in _MACHINERY][::-1]


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
