"""Which calls touch which server, and which task is whose: for tools that must know what steps share.

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
from ._supervision import SupervisorProcess

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
      crash: from an instance that has a `task` and an error: make the server crash with it, as if a child
        task of its own had raised it.
      alive: from such an instance: false when it has begun to end, so that there is nothing left to crash.
      supervises: from such an instance: whether it is a supervisor, which runs none of its user's code.
    """

    owner: type
    kind: str
    of: Callable[[Any], object]
    task: str | None = None
    is_it: bool = False
    crash: Callable[[Any, BaseException], None] | None = None
    alive: Callable[[Any], bool] | None = None
    supervises: Callable[[Any], bool] | None = None


def shared_state() -> tuple[SharedState, ...]:
    """Every class of this package that touches what tasks share."""
    return (
        SharedState(
            Process,
            "server",
            _itself,
            task="run",
            is_it=True,
            crash=_crash,
            alive=_alive,
            supervises=_supervises,
        ),
        SharedState(ServerRef, "server", _behind),
        SharedState(Request, "server", _process_of),
        SharedState(BaseRegistry, "registry", _itself, is_it=True),
    )


def _itself(instance: Any) -> object:
    return instance


def _process_of(request: Request[Any]) -> object:
    return request.process


def _crash(process: Process, error: BaseException) -> None:
    process.crashed(error, None)


def _alive(process: Process) -> bool:
    return process.alive


def _supervises(process: Process) -> bool:
    return isinstance(process, SupervisorProcess)


def _behind(ref: ServerRef[Any]) -> object:
    try:
        return ref._process
    except Exception:  # noqa: BLE001 - a name that nobody has; the call that is noted will raise it again
        return ref
