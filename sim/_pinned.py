"""The wall clock and the sources of randomness, made a function of the run."""

from __future__ import annotations

import _thread
import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from sim._clock import WALL_CLOCK_START, VirtualClock
from sim._escapes import guarding
from sim._threads import in_thread, sleep_in_thread


class PinnedSources:
    """The wall clock, `random` and `os.urandom`, made a function of the run.

    What was imported by value before (``from time import monotonic``) escapes; the check that runs
    a failing execution twice is what finds that.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
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
            if in_thread():
                sleep_in_thread(duration)
            else:
                # As the real one announces itself to the hook, which refuses it.
                sys.audit("time.sleep", duration)

        really_start = _thread.start_new_thread, getattr(threading, "_start_joinable_thread", None)

        def start_thread(*args: Any, **kwargs: Any) -> Any:
            if guarding():
                sys.audit("_thread.start_new_thread")
            return really_start[0](*args, **kwargs)

        def start_joinable_thread(*args: Any, **kwargs: Any) -> Any:
            if guarding():
                sys.audit("_thread.start_joinable_thread")
            assert really_start[1] is not None
            return really_start[1](*args, **kwargs)

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
            (threading, "_start_joinable_thread", start_joinable_thread),
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
