"""Which calls touch which server: for tools that must know what two steps of a program share.

A part of the instrument interface. An `Instrument` is told of messages; but a simulator that leaves out the
interleavings that make no difference has to know of every look at a server, `ServerRef.is_running` included,
and must not change the way that a call takes. So it wraps methods, and this says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ._process import Process
from ._ref import ServerRef
from ._registry import BaseRegistry
from ._request import Request

__all__ = ["SharedState", "shared_state"]


class SharedState(NamedTuple):
    """A class, each of whose methods and properties looks at or changes something that tasks share.

    Attributes:
      owner: the class.
      kind: what that is: ``"server"`` or ``"registry"``.
      of: from an instance to the object that stands for it; the same for all that touch the same server.
      task: the name of the method that is a server's own task, every step of which touches it; None: there is
        none.
      is_it: whether an instance is that object, made with it.
    """

    owner: type
    kind: str
    of: Callable[[Any], object]
    task: str | None = None
    is_it: bool = False


def shared_state() -> tuple[SharedState, ...]:
    """Every class of this package that touches what tasks share."""
    return (
        SharedState(Process, "server", _itself, task="run", is_it=True),
        SharedState(ServerRef, "server", _behind),
        SharedState(Request, "server", _process_of),
        SharedState(BaseRegistry, "registry", _itself, is_it=True),
    )


def _itself(instance: Any) -> object:
    return instance


def _process_of(request: Request[Any]) -> object:
    return request.process


def _behind(ref: ServerRef[Any]) -> object:
    try:
        return ref._process
    except Exception:  # noqa: BLE001 - a name that nobody has; the call that is noted will raise it again
        return ref
