"""Threads: what one sees of the task that waits for it.

Its function is a step of a task of the simulation, as any other. A cancellation of the wait writes the object
that the thread and its waiting task share (`sim._dependence.cancellation`); the callback that brings the
result reads it, and so does `trio.from_thread.check_cancelled`, which is seen here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper
from sim._run.step import Operation
from sim._trio import THREAD_REGISTER, ParentTaskData

#: The kind, in footprints, of the object that `task_register` finds.
THREAD: Final = "thread"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    original = ParentTaskData.__getattribute__

    def looked_at(self: Any, name: str) -> Any:
        if name == "cancel_register" and recorder.noting:
            thread = recorder.threads.get(recorder.task)
            if thread is not None:
                recorder.touched(thread, THREAD, Operation.READ)
        return original(self, name)

    yield ParentTaskData, "__getattribute__", looked_at


def task_register(fn: Any) -> object | None:
    """The object that a thread of `trio.to_thread` shares with the task that waits for it: Trio keeps there
    which task gets the result, unless that has been cancelled.

    Args:
        fn: what the thread calls, or what aborts the wait; None comes back if it is anything else.
    """
    code = getattr(fn, "__code__", None)
    if code is None or not code.co_qualname.startswith("to_thread_run_sync.<locals>."):
        return None
    names: tuple[str, ...] = code.co_freevars
    return fn.__closure__[names.index(THREAD_REGISTER)].cell_contents if THREAD_REGISTER in names else None
