"""Ends a step whose code catches whatever is raised in it.

An exception ends a step: a refusal, `RunIsOver`, Ctrl-C. A task may catch it and try again for ever,
as in ``while True: try: lock.acquire() except: pass``. Such a task gets the exception a few times. After that
a trace function raises at each line that the task comes to. The handlers of exceptions have lines too, and
no handler covers its own, so the step ends however deep its loops are.

A trace function of Python's is taken out once it raises. A function in C stays. So the one that is set here
is `PyObject_DelItem` of Python's own API: it has the arguments of a trace function, object and frame first,
and calls the method ``__delitem__`` of the object, which may raise.
"""

from __future__ import annotations

import ctypes
import sys
from types import CodeType, FrameType
from typing import Final

from sim._world.locks import RunIsOver
from sim._world.worker import Worker

MACHINERY: Final = frozenset({"sim", "trio", "outcome", "attr"})
"""The packages that make a step, and are no part of the program; outcomes are made with attrs."""

_FUNCTION: Final = ctypes.cast(ctypes.pythonapi.PyObject_DelItem, ctypes.c_void_p)
_set_trace: Final = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.py_object)(
    ("PyEval_SetTrace", ctypes.pythonapi)
)
_unset_trace: Final = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(
    ("PyEval_SetTrace", ctypes.pythonapi)
)


class StepEnder:
    """Counts what was raised in a step to end it, and insists after so many.

    Args:
        ends: the functions that have code of the program called; the step is over when one goes on.
    """

    def __init__(self, ends: frozenset[CodeType]) -> None:
        self._ends = ends
        self._raised = 0
        self._step: object = None
        self._tracer_before: object = None
        self._insisting = False

    def begin(self) -> None:
        """Begin an execution: nothing was raised."""
        self._step = None

    def raises(self, step: object, most: int) -> None:
        """Note that an exception is about to be raised in the simulator's thread, to end a step.

        Args:
            step: which step, different for each of an execution.
            most: how many exceptions the step may catch before it is ended for certain.
        """
        if step != self._step:
            self._step, self._raised = step, 0
        self._raised += 1
        if self._raised > most and not self._insisting:
            self._insisting = True
            self._tracer_before = sys.gettrace()
            _set_trace(_FUNCTION, self)

    def __delitem__(self, frame: FrameType) -> None:
        """Called by Python at each line, call and return in this thread.

        Raises:
            RunIsOver: the line is one of the program.
        """
        if frame.f_code in self._ends:
            _unset_trace(None, None)
            self._insisting = False
            if self._tracer_before is not None:
                sys.settrace(self._tracer_before)  # type: ignore[arg-type]  # it is what gettrace gave
                self._tracer_before = None
        elif module_of_frame(frame) not in MACHINERY:
            raise RunIsOver


def raise_in_thread(identity: int, kind: type[RunIsOver]) -> None:
    """Raise in another thread as soon as it comes to run code in Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(kind))


def insisting(ender: StepEnder, step: object) -> type[RunIsOver]:
    """The exception to raise in another thread to end a step for certain."""

    class Insisting(RunIsOver):
        """Made in the thread in which it is raised."""

        def __init__(self) -> None:
            super().__init__()
            ender.raises(step, 0)

    return Insisting


def end_worker(identity: int) -> None:
    """Have the thread of a `Worker` come to its end that was given up."""
    raise_in_thread(identity, insisting(StepEnder(frozenset({Worker.live.__code__})), "its only one"))


def module_of_frame(frame: FrameType) -> str:
    """The top-level package of the code in a frame."""
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
