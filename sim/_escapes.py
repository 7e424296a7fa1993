"""The way out of the simulation, closed: what would reach the real world raises at its line.

A real socket, process, thread or sleep would bring in something that no choice decides, and the
run could not be made again. Python announces each of these through its audit events, before they
happen and however the function was imported, so one hook sees them all. (An audit hook cannot be
taken out again; outside a run it looks at a flag and returns.)

The wall clock, `random` and `os.urandom` are not refused but pinned (`pinned_sources`): programs
use them for names and jitter, and mean no harm.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from sim._clock import WALL_CLOCK_START, VirtualClock
from sim._errors import Escape
from sim._threads import ThreadSimulation

_MEMORY_STREAM: Final = "use trio.testing.memory_stream_pair, or replace the peer by a task"
_NO_PROCESS: Final = "replace what it does by a task of the scenario"
_REFUSED: Final = {
    "socket.__new__": _MEMORY_STREAM,
    "socket.bind": _MEMORY_STREAM,
    "socket.connect": _MEMORY_STREAM,
    "socket.getaddrinfo": "give the scenario addresses that need no lookup",
    "socket.gethostbyname": "give the scenario addresses that need no lookup",
    "subprocess.Popen": _NO_PROCESS,
    "os.system": _NO_PROCESS,
    "os.exec": _NO_PROCESS,
    "os.fork": _NO_PROCESS,
    "os.forkpty": _NO_PROCESS,
    "os.posix_spawn": _NO_PROCESS,
    "os.spawn": _NO_PROCESS,
    "pty.spawn": _NO_PROCESS,
    "_thread.start_new_thread": "use trio.to_thread.run_sync, whose threads are simulated",
    "_thread.start_joinable_thread": "use trio.to_thread.run_sync, whose threads are simulated",
    "time.sleep": "it would stop every task; use trio.sleep, whose time is virtual",
}


class _Guard:
    """Who is told of an escape; None while no run is under way."""

    def __init__(self) -> None:
        self.refuse: Callable[[Escape], None] | None = None
        self.thread = 0
        self.installed = False


_guard = _Guard()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    del args
    if _guard.refuse is None or event not in _REFUSED:
        return
    # Other threads of the process (a test runner's watchdog) are none of our business.
    if threading.get_ident() != _guard.thread:
        return
    escape = Escape(event, _REFUSED[event])
    _guard.refuse(escape)
    raise escape


@contextlib.contextmanager
def guarded(refuse: Callable[[Escape], None]) -> Generator[None]:
    """Refuse every escape in this thread; ``refuse`` is told of each before it raises there, for a
    program may catch what it raises."""
    if not _guard.installed:
        sys.addaudithook(_hook)
        _guard.installed = True
    before = _guard.refuse
    _guard.refuse, _guard.thread = refuse, threading.get_ident()
    try:
        yield
    finally:
        _guard.refuse = before


class PinnedSources:
    """The wall clock, `random` and `os.urandom`, made a function of the run.

    What was imported by value before (``from time import monotonic``) escapes; the check that runs
    a failing execution twice is what finds that.
    """

    def __init__(self, clock: VirtualClock, threads: ThreadSimulation) -> None:
        self._clock = clock
        self._threads = threads
        self._bytes: random.Random | None = None

    def reset(self) -> None:
        """Begin an execution."""
        random.seed(0)
        self._bytes = None

    def _urandom(self, size: int, /) -> bytes:
        if self._bytes is None:
            self._bytes = random.Random(0)
        return self._bytes.randbytes(size)

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        clock = self._clock

        def seconds() -> float:
            return clock.now

        def nanoseconds() -> int:
            return round(clock.now * 1e9)

        def wall_seconds() -> float:
            return WALL_CLOCK_START + clock.now

        def wall_nanoseconds() -> int:
            return round((WALL_CLOCK_START + clock.now) * 1e9)

        def sleep(duration: float, /) -> None:
            if self._threads.in_thread:
                self._threads.sleep(duration)
            else:
                # As the real one announces itself to the hook, which refuses it.
                sys.audit("time.sleep", duration)

        def start_thread(*args: Any, **kwargs: Any) -> None:
            del args, kwargs
            sys.audit("_thread.start_new_thread")

        replacements: list[tuple[Any, str, Callable[..., object]]] = [
            (time, "monotonic", seconds),
            (time, "monotonic_ns", nanoseconds),
            (time, "perf_counter", seconds),
            (time, "perf_counter_ns", nanoseconds),
            (time, "time", wall_seconds),
            (time, "time_ns", wall_nanoseconds),
            (time, "sleep", sleep),
            (os, "urandom", self._urandom),
            (random, "_urandom", self._urandom),
            # Python 3.11 does not announce a new thread to audit hooks.
            (_thread, "start_new_thread", start_thread),
            (threading, "_start_new_thread", start_thread),
            (threading, "_start_joinable_thread", start_thread),
        ]
        state = random.getstate()
        # Which of the private ones exist depends on the version of Python.
        replacements = [entry for entry in replacements if hasattr(entry[0], entry[1])]
        originals = [(module, name, getattr(module, name)) for module, name, _ in replacements]
        for module, name, replacement in replacements:
            setattr(module, name, replacement)
        try:
            yield
        finally:
            for module, name, original in originals:
                setattr(module, name, original)
            random.setstate(state)
