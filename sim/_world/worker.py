"""A thread that runs only while the simulator waits for it.

The function of a simulated thread may have to stop in its middle, with the stack it has by then: for
`trio.from_thread.run`, or for `time.sleep`. Only a real thread can do that. So it gets one, and the two
take turns: whoever gives the turn away waits until it comes back. Nothing ever runs at the same time, and
nothing is left to the operating system's scheduler.
"""

from __future__ import annotations

import _thread
import math
import sys
import threading
import time
from collections.abc import Callable
from time import clock_gettime as _clock_gettime
from time import monotonic as _real_seconds
from types import FrameType
from typing import Any, Final, TypeAlias, final

import outcome

from sim._run.errors import ThreadBlocked
from sim._run.trace import place
from sim._world.escapes import this_thread_belongs_to_the_run, unguarded

Outcome: TypeAlias = outcome.Outcome[Any]

# Where `threading.enumerate` finds its threads.
_active: Final[dict[int, Any]] = vars(threading)["_active"]

_JOIN: Final = object()
_new_lock: Final = _thread.allocate_lock

# Real seconds between two looks at a thread that does not come back; without progress in so many looks, it
# waits for something that is outside the simulation.
LOOK: Final = 0.2
PATIENCE: Final = 10
# How long a thread may compute when an exploration's time is up.
GRACE: Final = 5.0
# The processor time that a waiting thread may use between two looks, in seconds.
IDLE: Final = 0.001


class Watch:
    """What else may end the wait for a thread or a task that does not come back.

    Args:
        interrupted: says whether Ctrl-C was pressed.

    Attributes:
        until: when the time of the exploration is up, in real seconds: what computes is not waited for much
            longer.
        found: one of this exploration has blocked before: less patience is needed with the next.
        end_thread: called with the identity of a thread that was given up.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self.interrupted = interrupted
        self.until = math.inf
        self.found = False
        self.end_thread: Callable[[int], None] = lambda _: None


@final
class _Mine(threading.local):
    """The worker that this thread is, if it is one."""

    worker: Worker | None = None


_mine: Final = _Mine()


def current_worker() -> Worker | None:
    """The worker in whose thread this is called; None in the simulator's own."""
    return _mine.worker


@final
class Worker:
    """One thread, for one function after the other.

    Methods are called in the simulator's thread, `ask` in the worker's.

    Args:
        watch: ends the wait for it.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._turn = _new_lock()
        self._turn.acquire()
        self._others_turn = _new_lock()
        self._others_turn.acquire()
        self._given: Any = None
        self._said: Any = None
        self._lost = False
        # A daemon, so that a function that never ends does not keep the process from its end.
        with unguarded():
            self._thread = threading.Thread(target=self.live, name="sim worker", daemon=True)
            self._thread.start()

    def begin(self, fn: Callable[[], Any], name: str) -> object:
        """Let the worker run a function until it has ended, or asks for something.

        Returns:
            the outcome of the function, or what was given to `ask`.
        """
        self._thread.name = name
        return self._exchange(fn)

    @property
    def lost(self) -> bool:
        """Whether its thread did not come back, and was given up."""
        return self._lost

    def go_on(self, answer: Outcome) -> object:
        """Answer what it has asked for, and let it go on; returns as `begin` does."""
        return self._exchange(answer)

    @property
    def identity(self) -> int:
        """The result of `threading.get_ident` in it."""
        identity = self._thread.ident
        assert identity is not None
        return identity

    def frames(self) -> list[tuple[FrameType, int]]:
        """The lines that its thread is in, outermost first."""
        frames: list[tuple[FrameType, int]] = []
        frame = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None and frame.f_code is not Worker.live.__code__:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        return frames[::-1]

    def stop(self) -> None:
        """End the thread, which must be between two functions."""
        self._given = _JOIN
        self._turn.release()
        with unguarded():
            self._thread.join()

    def ask(self, request: object) -> Any:
        """Give the turn to the simulator until it answers; returns or raises what it answers."""
        if self._lost:
            # Given up while it was blocked, and now it goes on, in nobody's turn.
            raise SystemExit
        self._said = request
        self._others_turn.release()
        self._turn.acquire()
        answer: Outcome = self._given
        self._given = None
        return answer.unwrap()

    def _exchange(self, given: object) -> object:
        self._given = given
        self._turn.release()
        try:
            if not self._others_turn.acquire(timeout=LOOK):
                self._wait_on()
        except BaseException:
            self._give_up()
            raise
        said, self._said = self._said, None
        return said

    def _give_up(self) -> None:
        """Let the thread be: it is nobody's from here on, and ends as soon as it runs code in Python."""
        self._lost = True
        _active.pop(self.identity, None)
        self._watch.end_thread(self.identity)

    def _wait_on(self) -> None:
        """Wait on, for as long as the thread gets on.

        Raises:
            ThreadBlocked: it does not.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        clock = time.pthread_getcpuclockid(self.identity)
        began, used, idle = _real_seconds(), _clock_gettime(clock), 0
        watch = self._watch
        while not self._others_turn.acquire(timeout=LOOK):
            now_used = _clock_gettime(clock)
            idle = idle + 1 if now_used - used < IDLE else 0
            used, now = now_used, _real_seconds()
            blocked = idle >= (1 if watch.found else PATIENCE) and not waits_for_disk(self._thread.native_id)
            overdue = now > watch.until and now - began > (LOOK if watch.found else GRACE)
            interrupted = watch.interrupted()
            if blocked or overdue or interrupted:
                if interrupted:
                    raise KeyboardInterrupt
                watch.found = True
                raise ThreadBlocked(
                    self._thread.name,
                    blocked,
                    [place(frame, line) for frame, line in self.frames() if not _is_of_this_package(frame)],
                )

    def live(self) -> None:
        """The body of the thread."""
        _mine.worker = self
        with this_thread_belongs_to_the_run():
            while True:
                self._turn.acquire()
                fn, self._given = self._given, None
                if fn is _JOIN:
                    return
                self._said = outcome.capture(fn)
                # So that nothing of the function lives on in this frame while the thread is idle.
                del fn
                if self._lost:
                    # Where it takes itself out.
                    _active[self.identity] = self._thread
                    return
                self._others_turn.release()


def waits_for_disk(thread: int | None) -> bool:
    """Whether a thread is in a system call that waits for a disk, where the system tells.

    Args:
        thread: as `threading.get_native_id` gives it.
    """
    try:
        with open(f"/proc/self/task/{thread}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "D"
    except OSError:
        return False


def _is_of_this_package(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("sim", "outcome")
