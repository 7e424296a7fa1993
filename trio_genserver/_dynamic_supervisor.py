"""`DynamicSupervisor`: any number of children, started on demand, each on its own.

Where a `Supervisor` has a few children that are known beforehand and depend on each other, this one has
those that come and go: a server for each connection, list or job. So there are no ids (a child is known by
its reference), no order, and no memory: a child that has ended and is not restarted is forgotten. The
strategy is always one_for_one, and at the end all children are ended at the same time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeVar, overload

from ._child_spec import as_spec, checked_spec, identified
from ._decorators import handle_call
from ._errors import InitIgnored
from ._ref import ServerRef
from ._restart import RestartWindow
from ._server import GenServer
from ._signals import Refuse
from ._spec import ChildSpec, InvalidSpec
from ._start import open_server, takes_arguments_of
from ._supervision import BaseSupervisor, BaseSupervisorRef, Child
from ._supervisor_errors import ChildNotFound, ChildStartFailed, MaxChildrenReached
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ._startable import Ref, Startable

__all__ = [
    "DynamicSupervisor",
    "DynamicSupervisorRef",
    "dynamic_supervisor_spec",
    "open_dynamic_supervisor",
]

P = ParamSpec("P")
S = TypeVar("S", bound="GenServer")

if TYPE_CHECKING:
    # The meaning of a bare `DynamicSupervisorRef`. At run time, where Python 3.11 has no defaults, it does
    # not matter.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_co = TypeVarWithDefault("T_co", bound="DynamicSupervisor", covariant=True, default="DynamicSupervisor")
else:
    T_co = TypeVar("T_co", bound="DynamicSupervisor", covariant=True)

OF = "a dynamic supervisor"


class DynamicSupervisorRef(BaseSupervisorRef[T_co]):
    """A reference to a `DynamicSupervisor`, with what can be asked of it."""

    __slots__ = ()

    @overload
    async def start_child(self, child: ChildSpec[Startable[Ref]], /) -> Ref: ...
    @overload
    async def start_child(
        self, child: Callable[P, Startable[Ref]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Ref: ...
    async def start_child(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Start a child; return when its `init` has finished.

        Children are started one at a time, as in OTP: what takes long is better done after `init`
        (`GenServer.continue_with`).

        Args:
          child: its specification, or a server class with the arguments of its ``__init__``; the
            supervisor's `extra_arguments` come before them. The id need not be unique.

        Returns:
          its reference, which stays valid over restarts and is what it is known by here.

        Raises:
          MaxChildrenReached: there are `max_children` already.
          ChildStartFailed: its start failed; the ``__cause__`` says why.
          InitIgnored: its `init` raised `Ignore`.
          InvalidSpec: it is significant; this supervisor never shuts down by itself.
          ServerError: as `ServerRef.call`.
        """
        spec = as_spec(child, args, kwargs)
        return await self.call(DynamicSupervisor.start_child(spec))

    async def terminate_child(self, child: ServerRef[Any]) -> None:
        """End a child, and forget it; one that is being restarted as well.

        Raises:
          ChildNotFound: it is not a child of this supervisor.
          TypeError: it is not a reference. The children of a dynamic supervisor have no ids.
          ServerError: as `ServerRef.call`.
        """
        if not isinstance(child, ServerRef):
            raise TypeError(
                f"{self.name} is a dynamic supervisor: its children have no ids; "
                f"pass terminate_child the reference that start_child returned, not {show(child)}"
            )
        await self.call(DynamicSupervisor.terminate_child(child))


class DynamicSupervisor(BaseSupervisor):
    """A server whose children are servers that come and go. Start it with `open_dynamic_supervisor`.

    Args:
      max_children: how many there may be, those that are being restarted included; None for no bound.
      extra_arguments: what comes before each child's own arguments, at each start and restart.
      max_restarts, max_seconds: as for `Supervisor`; of all children together.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """

    _ref_class: ClassVar[type[ServerRef[Any]] | None] = DynamicSupervisorRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> DynamicSupervisorRef[Self]: ...

    _stops_in_parallel: ClassVar[bool] = True

    def __init__(
        self,
        *,
        max_children: int | None = None,
        extra_arguments: Iterable[Any] = (),
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> None:
        if max_children is not None and (
            isinstance(max_children, bool) or not isinstance(max_children, int) or max_children < 0
        ):
            raise InvalidSpec("max_children", max_children, "a whole number of at least 0, or None", of=OF)
        self._extra_arguments = _arguments(extra_arguments)
        self._max_children = max_children
        self._window = RestartWindow(max_restarts, max_seconds)

    # Messages; `DynamicSupervisorRef` sends them. An error goes to the caller and does not crash this server.

    @handle_call
    async def start_child(self, spec: ChildSpec[Any]) -> ServerRef[Any]:
        """See `DynamicSupervisorRef.start_child`."""
        process = self._tree
        if self._max_children is not None and len(process.table) >= self._max_children:
            raise Refuse(MaxChildrenReached(process.name, spec.id, self._max_children))
        if spec.significant:
            raise Refuse(InvalidSpec("significant", True, f"False under {OF}"))
        if self._extra_arguments:
            spec = dataclasses.replace(spec, args=(*self._extra_arguments, *spec.args))
        child = Child(process, spec)
        process.table[child.ref] = child
        try:
            await process.start_child(child)
        except (ChildStartFailed, InitIgnored) as error:
            self._child_finished(child)
            raise Refuse(error) from error
        return child.ref

    @handle_call
    async def terminate_child(self, child: ServerRef[Any]) -> None:
        """See `DynamicSupervisorRef.terminate_child`."""
        process = self._tree
        found = process.table.get(child)
        if found is None:
            raise Refuse(ChildNotFound(process.name, getattr(child, "name", child)))
        await process.stop_child(found)
        self._child_finished(found)

    # Decides what to do when a child has ended.

    def _child_finished(self, child: Child) -> None:
        self._tree.table.pop(child.ref, None)

    def _ignored(self, child: Child) -> None:
        self._child_finished(child)

    async def _restart(self, child: Child, reason: object) -> None:
        await self._start_again(child, reason)


def _arguments(extra_arguments: Iterable[Any]) -> tuple[Any, ...]:
    try:
        return tuple(extra_arguments)
    except TypeError:
        raise InvalidSpec("extra_arguments", extra_arguments, "a tuple", of=OF) from None


def dynamic_supervisor_spec(
    *,
    max_children: int | None = None,
    extra_arguments: Iterable[Any] = (),
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    id: object = "DynamicSupervisor",
    name: str | None = None,
) -> ChildSpec[DynamicSupervisor]:
    """A dynamic supervisor as the child of a supervisor, or for a block (`open_dynamic_supervisor`).

    See `DynamicSupervisor` for the other arguments.

    Args:
      id: what the supervisor above knows it by.
      name: what the supervisor is called in errors and logs; by default its id.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """
    spec = checked_spec(
        DynamicSupervisor,
        max_children=max_children,
        extra_arguments=_arguments(extra_arguments),
        max_restarts=max_restarts,
        max_seconds=max_seconds,
    )
    return identified(spec, id, name)


@takes_arguments_of(dynamic_supervisor_spec)
def open_dynamic_supervisor(
    spec: ChildSpec[DynamicSupervisor],
) -> AbstractAsyncContextManager[DynamicSupervisorRef]:
    """Run a dynamic supervisor for as long as the block: ``async with open_dynamic_supervisor() as rooms:``.

    It takes the arguments of `dynamic_supervisor_spec`. However the block ends, all children are ended at the
    same time, each with its own `shutdown`, and gone when this is over.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
      RestartIntensityExceeded: the supervisor gave up; the block is cancelled.
    """
    return open_server(spec)
