"""Making the specification of a server, from its class and the arguments of its ``__init__``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, get_origin

from ._declarations import InvalidServerClass
from ._server import GenServer, prepare
from ._spec import ChildSpec
from ._text import show

__all__ = ["as_spec", "checked_spec", "child_spec", "identified", "unsubscripted"]

P = ParamSpec("P")
S = TypeVar("S", bound=GenServer)


def child_spec(server_class: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> ChildSpec[S]:
    """How to start a `server_class` with these arguments; with the options that the class declares.

    Args:
      server_class: a subclass of `GenServer`.
      args, kwargs: for its ``__init__``, at each start and restart.

    Raises:
      TypeError: `server_class` is not one.
      InvalidSpec: an option that the class declares is invalid.
    """
    return _spec(server_class, args, kwargs)


def checked_spec(server_class: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> ChildSpec[S]:
    """`child_spec`, with the arguments checked where they are written, and not only when the server starts.

    Raises:
      InvalidSpec: an argument is invalid.
    """
    server_class(*args, **kwargs)
    return child_spec(server_class, *args, **kwargs)


def identified(spec: ChildSpec[S], id: object, name: str | None) -> ChildSpec[S]:
    """`spec` with an id, and with a name if that is not to be the id."""
    return spec.replace(id=id) if name is None else spec.replace(id=id, name=name)


def _spec(server_class: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChildSpec[Any]:
    # Which types a generic class is used with, only the type checker needs to know.
    server_class = unsubscripted(server_class)
    if not (isinstance(server_class, type) and issubclass(server_class, GenServer)):
        given = cast("Any", server_class)
        raise TypeError(f"expected a subclass of GenServer, not {show(given)}")
    if "_handlers" not in vars(server_class):
        # Some base has an `__init_subclass__` that does not call that of its own base.
        prepare(server_class)
    plain = not args and not kwargs
    if plain:
        spec = server_class._plain_spec
        # Most servers of a kind are alike; but the options of a class may be changed, in a test for one.
        if (
            spec is not None
            and spec.shutdown == server_class.shutdown
            and spec.mailbox_size == server_class.mailbox_size
            and spec.restart == server_class.restart
            and spec.overflow == server_class.overflow
        ):
            return spec
    _check_not_frozen(server_class)
    name = server_class.__name__
    spec = ChildSpec(
        server_class,
        args,
        kwargs,
        name,
        name,
        server_class.restart,
        server_class.shutdown,
        False,
        server_class.mailbox_size,
        server_class.overflow,
    )
    if plain:
        server_class._plain_spec = spec
    return spec


def unsubscripted(server_class: Any) -> Any:
    """``Cache`` of ``Cache[str, int]``; anything else is returned as it is."""
    if isinstance(server_class, type):
        return server_class
    origin = get_origin(server_class)
    return origin if isinstance(origin, type) else server_class


def as_spec(
    server: ChildSpec[S] | Callable[..., S], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ChildSpec[Any]:
    """The child spec for the argument of `open_server` and its like."""
    if isinstance(server, ChildSpec):
        if args or kwargs:
            raise TypeError("a ChildSpec already contains its arguments; pass none with it")
        return cast("ChildSpec[Any]", server)
    return _spec(server, args, kwargs)


def _check_not_frozen(server_class: type[GenServer]) -> None:
    """Refuse a frozen dataclass that is one of the kinds of servers of this package, which change themselves.

    Not when it is made: the decorator of dataclasses comes later.

    Raises:
      InvalidServerClass: it is frozen.
    """
    parameters: Any = getattr(server_class, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen and server_class._ref_class is not None:
        kind = next(base for base in server_class.__mro__ if base.__module__.startswith("trio_genserver."))
        raise InvalidServerClass(
            server_class.__qualname__,
            "frozen",
            f"{server_class.__qualname__} is a frozen dataclass, but a {kind.__name__} must change its "
            f"attributes: remove frozen=True",
        )
