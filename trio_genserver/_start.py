"""Starting servers that no supervisor looks after: in a block, or in a nursery."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

import trio

from ._blocks import block, raise_alone
from ._child_spec import as_spec
from ._ends import start_awaited, wait_ended_awaited
from ._kept import is_same_failure
from ._lifecycle import ENDED
from ._process import Process
from ._ref import ServerRef, bind
from ._spec import ChildSpec
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ._server import GenServer
    from ._startable import Ref, Startable

__all__ = ["open_server", "run_server", "start_server", "takes_arguments_of"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="GenServer")
Spec = TypeVar("Spec")


def make(spec: ChildSpec[S]) -> ServerRef[S]:
    """A reference with a process behind it that has not begun."""
    server_class = spec.server_class
    ref: ServerRef[S] = (server_class._ref_class or ServerRef)(spec.name)
    bind(ref, (server_class._process_class or Process)(spec, ref))
    return ref


@overload
async def start_server(nursery: trio.Nursery, server: ChildSpec[Startable[Ref]], /) -> Ref: ...
@overload
async def start_server(
    nursery: trio.Nursery, server: Callable[P, Startable[Ref]], /, *args: P.args, **kwargs: P.kwargs
) -> Ref: ...
async def start_server(nursery: trio.Nursery, server: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Start a server in `nursery`; return when its `init` has finished.

    It runs until it stops or `nursery` is cancelled. If it crashes, its exception leaves through `nursery`.
    If the start is cancelled, the server is gone before this returns.

    Args:
      server: a subclass of `GenServer` with the arguments of its ``__init__``, or a `ChildSpec` alone.

    Raises:
      InitStopped, InitIgnored: its `init` chose not to run.
      Exception: what its ``__init__`` or `init` raised; `nursery` is not concerned by it.
    """
    ref = make(as_spec(server, args, kwargs))
    await start_awaited(ref._process, nursery)
    return ref


@overload
async def run_server(
    server: ChildSpec[Startable[Ref]], /, *, task_status: trio.TaskStatus[Ref] = ...
) -> None: ...
@overload
async def run_server(
    server: Callable[..., Startable[Ref]], /, *args: Any, task_status: trio.TaskStatus[Ref] = ...
) -> None: ...
async def run_server(
    server: Any, /, *args: Any, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a server in a task of its own nursery: ``ref = await nursery.start(run_server, Counter, 10)``.

    Returns when the server has stopped; raises what it crashed with.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            task_status.started(await start_server(nursery, server, *args))
    except BaseExceptionGroup as group:
        failure = sole_exception(group)
    if failure is not None:
        try:
            raise_alone(failure)
        finally:
            # This frame is in its traceback.
            del failure


@overload
def open_server(server: ChildSpec[Startable[Ref]], /) -> AbstractAsyncContextManager[Ref]: ...
@overload
def open_server(
    server: Callable[P, Startable[Ref]], /, *args: P.args, **kwargs: P.kwargs
) -> AbstractAsyncContextManager[Ref]: ...
def open_server(server: Any, /, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
    """Run a server for as long as the block: ``async with open_server(Counter, 10) as counter:``.

    At the end of the block the server stops (`ServerRef.stop`: what is in its mailbox is handled first). If
    the block raises or is cancelled, the server is cancelled; its `terminate` runs either way. If the server
    crashes, the block is cancelled and the server's exception comes out, as itself; only if the block raised
    as well, both come out in one `ExceptionGroup`.

    Args:
      server: a subclass of `GenServer` with the arguments of its ``__init__``, or a `ChildSpec` alone.

    Raises:
      InitStopped, InitIgnored: its `init` chose not to run.
      Exception: what its ``__init__`` or `init` raised.
    """
    return _open(as_spec(server, args, kwargs))


@block
async def _open(spec: ChildSpec[S]) -> AsyncGenerator[ServerRef[S]]:
    failure: BaseException | None = None
    raised: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            ref = make(spec)
            process = ref._process
            await start_awaited(process, nursery)
            try:
                yield ref
            except Exception as error:  # noqa: BLE001 - it is raised below
                # As the nursery would do with it; but a nursery puts what its block raised, while a task of
                # it waits, into a reference cycle.
                raised = error
                nursery.cancel_scope.cancel(reason=f"the block of {process.name} raised {show(error)}")
            else:
                process.stop_in_order("normal")
                if process.lifecycle.state != ENDED:
                    await wait_ended_awaited(process, "the end of its block")
    except BaseExceptionGroup as group:
        failure = sole_exception(group, raised)
    else:
        failure = raised
    raised = None
    if failure is not None:
        try:
            raise_alone(failure)
        finally:
            # This frame is in its traceback.
            del failure


def sole_exception(
    group: BaseExceptionGroup[BaseException], raised: Exception | None = None
) -> BaseException:
    """The one exception in `group`, if there is only one; the user need not know about the nursery.

    Args:
      raised: what the block raised, which was kept from the nursery.
    """
    if raised is not None:
        group = BaseExceptionGroup(group.message, [*group.exceptions, raised])
    # The exception of the server's crash may also come out of the block, if the block raised it again.
    first, *others = group.exceptions
    if not all(is_same_failure(first, error) for error in others):
        return group
    # A group in there is the user's own, and stays one.
    return first


def takes_arguments_of(make_spec: Callable[P, Spec]) -> Callable[[Callable[[Spec], R]], Callable[P, R]]:
    """Have a function that takes a specification called with the arguments that `make_spec` takes.

    So each kind of server has its arguments written once, for its ``..._spec`` and for its ``open_...``; type
    checkers, editors and ``help()`` show them for both. Over an ``open_...``, pyright shows the docstring of
    the ``..._spec`` too, so that one speaks of both.
    """

    def decorate(function: Callable[[Spec], R]) -> Callable[P, R]:
        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(make_spec(*args, **kwargs))

        returned = function.__annotations__["return"]
        called.__annotations__ = {**make_spec.__annotations__, "return": returned}
        signature = inspect.signature(make_spec).replace(return_annotation=returned)
        cast("Any", called).__signature__ = signature
        return called

    return decorate
