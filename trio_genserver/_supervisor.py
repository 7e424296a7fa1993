"""`Supervisor`: servers that are started in order, ended in reverse, and started again when they fail.

Let it crash: if the state of a server is in doubt, the supervisor discards the server and starts a new one
from its child spec, so the code inside needs no defence against its own errors. The strategy decides what
else depends on that state:

- ``"one_for_one"``: nothing does. Only the child that ended is started again.
- ``"one_for_all"``: everything does. All others are ended, in reverse, and all are started, in order; also
  those that had ended before or were ended by `SupervisorRef.terminate_child`. Temporary ones are forgotten.
- ``"rest_for_one"``: what was started after it does. Those are ended and started again with it.

If restarting does not help (more than `max_restarts` within `max_seconds`, of all children together), the
supervisor gives up: it ends its children and itself, and leaves the decision to the supervisor above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Self, TypeAlias, TypeVar, cast, overload
from weakref import WeakValueDictionary

from ._child_spec import as_spec, checked_spec, child_spec, identified, unsubscripted
from ._decorators import handle_call
from ._errors import InitIgnored
from ._ref import ServerRef
from ._restart import RestartWindow
from ._server import GenServer
from ._signals import Refuse
from ._spec import ChildSpec, InvalidSpec
from ._start import open_server, takes_arguments_of
from ._supervision import BaseSupervisor, BaseSupervisorRef, Child
from ._supervisor_errors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
)
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ._startable import ChildRef, Ref, Startable

__all__ = [
    "AutoShutdown",
    "ChildrenByIdRef",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "open_supervisor",
    "supervisor_spec",
]

P = ParamSpec("P")
S = TypeVar("S", bound="GenServer")
S_co = TypeVar("S_co", bound="GenServer", covariant=True)

if TYPE_CHECKING:
    # The meaning of a bare `SupervisorRef`. At run time, where Python 3.11 has no defaults, it does not
    # matter.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_co = TypeVarWithDefault("T_co", bound="Supervisor", covariant=True, default="Supervisor")
else:
    T_co = TypeVar("T_co", bound="Supervisor", covariant=True)

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Which children restart when one fails; see `Supervisor`."""

AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
"""When a supervisor ends because its significant children have: never, with the first, with the last."""

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
AUTO_SHUTDOWNS: tuple[AutoShutdown, ...] = ("never", "any_significant", "all_significant")

OF = "a supervisor"


class ChildrenByIdRef(BaseSupervisorRef[S_co]):
    """A reference to a supervisor whose children have ids."""

    __slots__ = ("_child_refs",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Those that somebody holds. They stay valid when the supervisor itself is restarted: a child of
        # the same id is then behind the same reference.
        self._child_refs: WeakValueDictionary[object, ServerRef[Any]] = WeakValueDictionary()

    def _child_ref(self, spec: ChildSpec[Any]) -> ServerRef[Any]:
        ref_class: type[ServerRef[Any]] = spec.server_class._ref_class or ServerRef
        ref = self._child_refs.get(spec.id)
        if ref is None or type(ref) is not ref_class:
            ref = self._child_refs[spec.id] = ref_class(spec.name)
        ref.name = spec.name
        return ref

    @overload
    def child(self, child_id: object, /) -> ChildRef: ...
    @overload
    def child(self, child_id: object, server_class: Callable[..., Startable[Ref]], /) -> Ref: ...
    def child(self, child_id: object, server_class: Any = None, /) -> Any:
        """The reference of one child. It stays valid over restarts, of the child and of this supervisor.

        Args:
          server_class: what the child is; checked, and then the type checker knows it as well. Without it,
            the type checker lets everything through that a reference to some kind of server may have.

        Raises:
          ChildNotFound: there is no such child.
          ServerNotRunning: the supervisor is not running.
          TypeError: the child is of another class.
        """
        table = self._table("child", child_id)
        child = table.get(child_id)
        if child is None:
            raise ChildNotFound(self.name, child_id)
        server_class = unsubscripted(server_class)
        if server_class is not None and not issubclass(child.spec.server_class, server_class):
            raise TypeError(
                f"the child {show(child_id)} of {self.name} is a {child.spec.server_class.__name__}, "
                f"not a {server_class.__name__}"
            )
        return child.ref


class SupervisorRef(ChildrenByIdRef[T_co]):
    """A reference to a `Supervisor`, with what can be asked of it.

    Methods that only look (`child`, `which_children`, `count_children`) answer at once, even while the
    supervisor is busy; methods that change something send a message, which is handled in turn.
    """

    __slots__ = ()

    @overload
    async def start_child(self, child: ChildSpec[Startable[Ref]], /) -> Ref: ...
    @overload
    async def start_child(
        self, child: Callable[P, Startable[Ref]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Ref: ...
    async def start_child(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Add a child, as the last, and start it; return when its `init` has finished.

        Args:
          child: its specification, or a server class with the arguments of its ``__init__``.

        Raises:
          ChildAlreadyStarted, ChildAlreadyPresent: there is a child of that id, running or not.
          ChildStartFailed: its start failed (the ``__cause__`` says why), and it was not added.
          InitIgnored: its `init` raised `Ignore`. It was added, not running, unless it is temporary.
          InvalidSpec: it is significant, and this supervisor never shuts down by itself.
          ServerError: as `ServerRef.call`.
        """
        spec = as_spec(child, args, kwargs)
        return await self.call(Supervisor.start_child(spec))

    async def terminate_child(self, child_id: object) -> None:
        """End a child; it is not restarted. Its specification is kept, unless it is temporary.

        Does nothing if the child is not running; cancels the restart if it is being restarted.

        Raises:
          ChildNotFound: there is no such child.
          ServerError: as `ServerRef.call`.
        """
        await self.call(Supervisor.terminate_child(child_id))

    async def restart_child(self, child_id: object) -> ChildRef:
        """Start a child again that does not run. It is not counted as a restart.

        Raises:
          ChildNotFound: there is no such child.
          ChildRunning: it runs.
          ChildRestarting: it is being restarted already.
          ChildStartFailed: its start failed; its specification is kept.
          InitIgnored: its `init` raised `Ignore`; its specification is kept.
          ServerError: as `ServerRef.call`.
        """
        return cast("ChildRef", await self.call(Supervisor.restart_child(child_id)))

    async def delete_child(self, child_id: object) -> None:
        """Forget the specification of a child that does not run.

        Raises:
          ChildNotFound: there is no such child.
          ChildRunning: it runs.
          ChildRestarting: it is being restarted.
          ServerError: as `ServerRef.call`.
        """
        await self.call(Supervisor.delete_child(child_id))


class Supervisor(BaseSupervisor):
    """A server whose children are servers. Start one with `open_supervisor`, or under another supervisor.

    A subclass may take arguments of its own, and so is a part of a tree with a name::

        class Storage(Supervisor):
            def __init__(self, folder: Path) -> None:
                super().__init__([child_spec(Writer, folder), child_spec(Index, folder)])

    Args:
      children: what to start, in order: specifications, or server classes that need no arguments.
      strategy: who else is started again when one child fails; see `Strategy` and the top of this module.
      max_restarts, max_seconds: how many restarts within how many seconds are not too many. Exact: with 3
        and 5.0, the fourth restart within 5 seconds is not made, the supervisor gives up.
      auto_shutdown: whether to end, with reason ``"shutdown"``, when significant children have ended by
        themselves.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """

    _ref_class: ClassVar[type[ServerRef[Any]] | None] = SupervisorRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> SupervisorRef[Self]: ...

    def __init__(
        self,
        children: Iterable[ChildSpec[Any] | type[GenServer]] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
    ) -> None:
        if strategy not in STRATEGIES:
            raise InvalidSpec("strategy", strategy, f"one of {', '.join(STRATEGIES)}", of=OF)
        if auto_shutdown not in AUTO_SHUTDOWNS:
            raise InvalidSpec("auto_shutdown", auto_shutdown, f"one of {', '.join(AUTO_SHUTDOWNS)}", of=OF)
        self._strategy: Strategy = strategy
        self._auto_shutdown: AutoShutdown = auto_shutdown
        self._window = RestartWindow(max_restarts, max_seconds)
        self._first_children = [self._checked(child) for child in children]
        ids: set[object] = set()
        for spec in self._first_children:
            if spec.id in ids:
                raise InvalidSpec(
                    "children", spec.id, "given different ids (child_spec(...).replace(id=...))", of=OF
                )
            ids.add(spec.id)

    def _checked(self, child: ChildSpec[Any] | type[GenServer]) -> ChildSpec[Any]:
        if isinstance(child, ChildSpec):
            spec = child
        elif isinstance(unsubscripted(child), type):
            spec = child_spec(child)
        else:
            raise InvalidSpec("children", child, "child specifications, or server classes", of=OF)
        if spec.significant and self._auto_shutdown == "never":
            raise InvalidSpec("significant", True, "False under a supervisor with auto_shutdown='never'")
        return spec

    def _new_child(self, spec: ChildSpec[Any]) -> Child:
        return Child(self._tree, spec, cast("ChildrenByIdRef[Any]", self._tree.ref)._child_ref(spec))

    async def init(self) -> None:
        """Start the children, in order. If one fails, those before it are ended, in reverse."""
        process = self._tree
        for spec in self._first_children:
            child = self._new_child(spec)
            process.table[spec.id] = child
            try:
                await process.start_child(child)
            except InitIgnored:
                self._ignored(child)

    # Messages; `SupervisorRef` sends them. An error goes to the caller and does not crash this server.

    @handle_call
    async def start_child(self, spec: ChildSpec[Any]) -> ServerRef[Any]:
        """See `SupervisorRef.start_child`."""
        process = self._tree
        there = process.table.get(spec.id)
        if there is not None:
            if there.status == "stopped":
                raise Refuse(ChildAlreadyPresent(process.name, spec.id))
            raise Refuse(ChildAlreadyStarted(process.name, spec.id, there.ref))
        try:
            child = self._new_child(self._checked(spec))
        except InvalidSpec as error:
            raise Refuse(error) from error
        process.table[spec.id] = child
        try:
            return await self._start(child)
        except Refuse as refusal:
            if isinstance(refusal.error, ChildStartFailed):
                self._forget(child)
            raise

    @handle_call
    async def terminate_child(self, child_id: object) -> None:
        """See `SupervisorRef.terminate_child`."""
        process = self._tree
        child = process.table.get(child_id)
        if child is None:
            raise Refuse(ChildNotFound(process.name, child_id))
        await process.stop_child(child)
        if child.spec.restart == "temporary":
            self._forget(child)

    @handle_call
    async def restart_child(self, child_id: object) -> ServerRef[Any]:
        """See `SupervisorRef.restart_child`."""
        return await self._start(self._stopped(child_id))

    @handle_call
    async def delete_child(self, child_id: object) -> None:
        """See `SupervisorRef.delete_child`."""
        self._forget(self._stopped(child_id))

    def _stopped(self, child_id: object) -> Child:
        """That child, if it is stopped; else the caller is refused."""
        process = self._tree
        child = process.table.get(child_id)
        if child is None:
            raise Refuse(ChildNotFound(process.name, child_id))
        if child.status == "restarting":
            raise Refuse(ChildRestarting(process.name, child_id))
        if child.status != "stopped":
            raise Refuse(ChildRunning(process.name, child_id))
        return child

    async def _start(self, child: Child) -> ServerRef[Any]:
        """Start a child that somebody asked for, who is refused if that fails."""
        try:
            await self._tree.start_child(child)
        except ChildStartFailed as error:
            raise Refuse(error) from error
        except InitIgnored as error:
            self._ignored(child)
            raise Refuse(error) from error
        return child.ref

    # Decides what to do when a child has ended.

    def _forget(self, child: Child) -> None:
        self._tree.table.pop(child.spec.id, None)

    def _ignored(self, child: Child) -> None:
        if child.spec.restart == "temporary":
            self._forget(child)

    def _child_finished(self, child: Child) -> None:
        process = self._tree
        if child.spec.restart == "temporary":
            self._forget(child)
        if child.spec.significant and (
            self._auto_shutdown == "any_significant"
            or (
                self._auto_shutdown == "all_significant"
                and not any(c.spec.significant and c.status != "stopped" for c in process.table.values())
            )
        ):
            process.stop_now("shutdown")

    async def _restart(self, child: Child, reason: object) -> None:
        if self._strategy == "one_for_one":
            await self._start_again(child, reason)
            return
        process = self._tree
        children = list(process.table.values())
        if self._strategy == "rest_for_one":
            children = children[children.index(child) :]
        await process.stop_in_reverse(children, then="restarting")
        # All of them, also one that somebody had ended before: the strategy says that they belong together.
        again: list[Child] = []
        for each in children:
            if each.spec.restart == "temporary":
                self._forget(each)
            else:
                again.append(each)
        for number, each in enumerate(again):
            if not await self._start_again(each, reason):
                # It will be tried again, from this one on or with all, and counted as one more restart.
                for left in again[number + 1 :]:
                    left.status = "stopped"
                break


def supervisor_spec(
    children: Iterable[ChildSpec[Any] | type[GenServer]] = (),
    *,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    auto_shutdown: AutoShutdown = "never",
    id: object = "Supervisor",
    name: str | None = None,
) -> ChildSpec[Supervisor]:
    """A supervisor as the child of another, or for a block (`open_supervisor`).

    See `Supervisor` for the other arguments.

    Args:
      id: what the supervisor above knows it by.
      name: what the supervisor is called in errors and logs; by default its id.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """
    spec = checked_spec(
        Supervisor,
        list(children),
        strategy=strategy,
        max_restarts=max_restarts,
        max_seconds=max_seconds,
        auto_shutdown=auto_shutdown,
    )
    return identified(spec, id, name)


@takes_arguments_of(supervisor_spec)
def open_supervisor(spec: ChildSpec[Supervisor]) -> AbstractAsyncContextManager[SupervisorRef]:
    """Run a supervisor for as long as the block: ``async with open_supervisor([Writer, Index]) as root:``.

    It takes the arguments of `supervisor_spec`. The block begins when all children have finished their
    `init`. However it ends, the children are ended in reverse order, and all of them are gone when this is
    over.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
      ChildStartFailed: a child could not be started; the ``__cause__`` says why.
      RestartIntensityExceeded: the supervisor gave up; the block is cancelled.
    """
    return open_server(spec)
