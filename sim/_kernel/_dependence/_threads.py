"""Threads: what one sees of the task that waits for it.

Its function is a step of a task of the simulation, as any other. What the thread and its waiting task
share, a cancellation of the wait writes (`sim._kernel._dependence._cancellation`); the callback that brings
the result reads it (`sim._stand_ins`), and so does `trio.from_thread.check_cancelled`, which is seen here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import trio._threads as _trio_threads

from sim._footprint import Recorder
from sim._kernel._dependence._wrap import Wrapper
from sim._threads import THREAD
from sim.strategies import Operation

_DATA: Any = _trio_threads._ParentTaskData


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    original = _DATA.__getattribute__

    def looked_at(self: Any, name: str) -> Any:
        if name == "cancel_register" and recorder.noting:
            thread = recorder.threads.get(recorder.task)
            if thread is not None:
                recorder.touched(thread, THREAD, Operation.READ)
        return original(self, name)

    yield _DATA, "__getattribute__", looked_at
