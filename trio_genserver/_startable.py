"""What type checkers learn about a server class's references. Nothing here runs.

A supervisor's reference has `child`, a pool's has `checkout`: each kind of server has a class of its own for
its references. So that ``open_server(Storage)``, a supervisor's `child` and its `start_child` have the type
that they give at run time, a kind declares it once, as the type of `GenServer.ref`, and they look there.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from ._ref import ServerRef

__all__ = ["ChildRef", "Ref", "Startable"]

# The bound keeps mypy from taking an optional for it, where the result goes into an optional variable.
Ref = TypeVar("Ref", bound=ServerRef[Any])
R_co = TypeVar("R_co", covariant=True)


class Startable(Protocol[R_co]):
    """A `GenServer` whose references are of the type `R_co`."""

    @property
    def ref(self) -> R_co: ...


class ChildRef(ServerRef[Any]):
    """A child of which only the id is known. It may be a supervisor, a pool, or any other kind of server, so
    what a plain reference does not have is let through; at run time it is there or it is not.
    """

    def __getattr__(self, name: str) -> Any: ...
