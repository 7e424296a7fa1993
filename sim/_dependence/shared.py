"""A cell that several tasks may share, and that the simulator sees.

Everything else is taken to be private to its task. Reading and writing a cell is synchronous and
no step of its own: it belongs to the step that the task is making, like any access of an object. A race needs
an ``await`` between a read and a write.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from sim._dependence.footprint import Active
from sim._run import arguments
from sim._run.step import Operation

T = TypeVar("T")

_READ, _WRITE = Operation.READ, Operation.WRITE


class Shared(Generic[T]):
    """A value shared by tasks.

    Outside a run it is a plain cell, so that a scenario may also be run under `trio.run`. Only
    `get` and `set` count as accesses: put immutable values in, or what is changed in place escapes
    the simulator's eye.

    Args:
        value: what it holds at first.
        name: how reports call it.

    Raises:
        WrongType: the name is no string.
    """

    __slots__ = ("__weakref__", "_value", "name")

    def __init__(self, value: T, *, name: str | None = None) -> None:
        if name is not None:
            arguments.text("name", name)
        self._value = value
        self.name = name
        if Active.recorder is not None:
            Active.recorder.made(self, "shared")

    def get(self) -> T:
        """The value last set."""
        if Active.recorder is not None and Active.recorder.noting:
            Active.recorder.touched(self, "shared", _READ)
        return self._value

    def set(self, value: T) -> None:
        """Replace the value."""
        if Active.recorder is not None and Active.recorder.noting:
            Active.recorder.touched(self, "shared", _WRITE)
        self._value = value

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<sim.Shared{name} {self._value!r}>"
