"""A server class that says one thing and means another is refused when it is made, with what to write.

A handler is found by its name, so what hides it breaks the server for all who send its message, far from
where the mistake is. OTP's compiler names a clause that no callback has; this names it as early.
"""

from __future__ import annotations

import functools
from typing import Any, Final, cast

from ._awaiting import DEPTH
from ._behaviour import Behaviour
from ._message import Call, CallOrCast, Cast, Handler
from ._portable import PortableError

__all__ = ["InvalidServerClass", "check_declarations", "resolve"]

_DECORATORS: Final = {Call: "@handle_call", Cast: "@handle_cast", CallOrCast: "@handle_call(cast=True)"}
_MISSING: Final = object()


class InvalidServerClass(PortableError, TypeError):
    """A subclass of `GenServer` declares something that cannot work.

    Attributes:
      server_class: the name of the class.
      attribute: what of it is wrong.
    """

    def __init__(self, server_class: str, attribute: str, text: str) -> None:
        super().__init__(text)
        self.server_class = server_class
        self.attribute = attribute


def check_declarations(server_class: type[Behaviour]) -> None:
    """Refuse what hides a handler, here or in a mixin, and what a decorator has made of one.

    Raises:
      InvalidServerClass: something does.
    """
    for base in server_class.__mro__:
        for name, declared in vars(base).items():
            if isinstance(declared, Handler):
                if declared.owner is not base:
                    raise InvalidServerClass(
                        server_class.__qualname__,
                        name,
                        f"{base.__qualname__}.{name} is the handler {declared!r} of another class: "
                        f"inherit it, from that class or from a mixin, or declare a new one",
                    )
                _check_override(server_class, base, name, declared)
            elif _wraps_handler(declared) and _first(server_class, name)[1] is declared:
                raise InvalidServerClass(
                    server_class.__qualname__,
                    name,
                    f"{base.__qualname__}.{name} is {_kind(declared)} around a handler, so it is no "
                    f"longer a handler: put @handle_call or @handle_cast above all other decorators",
                )


def resolve(server_class: type[Behaviour], handler: Handler) -> Handler | None:
    """The handler that `server_class` has for messages of `handler`: its own, if it overrides it."""
    if not issubclass(server_class, handler.owner):
        return None
    for base in server_class.__mro__:
        found = base.__dict__.get(handler.name)
        if found is not None:
            # A handler for calls and casts can take the place of one for calls.
            if isinstance(found, Handler) and issubclass(found.message_type, handler.message_type):
                server_class._handlers[handler] = found
                return found
            return None
    return None


def _check_override(server_class: type[Behaviour], base: type, name: str, handler: Handler) -> None:
    owner, found = _first(server_class, name)
    if isinstance(found, Handler):
        if not issubclass(found.message_type, handler.message_type):
            wanted = _DECORATORS[handler.message_type]
            raise InvalidServerClass(
                server_class.__qualname__,
                name,
                f"{owner.__qualname__}.{name} is declared with {_DECORATORS[found.message_type]} and "
                f"overrides {base.__qualname__}.{name}, which is declared with {wanted}: that message "
                f"would find no handler; use {wanted}, or give it another name",
            )
        return
    verb = "overrides" if issubclass(owner, base) else f"in {server_class.__qualname__} hides"
    raise InvalidServerClass(
        server_class.__qualname__,
        name,
        f"{owner.__qualname__}.{name} ({_kind(found)}) {verb} the handler {base.__qualname__}.{name} and is "
        f"none itself: write {_DECORATORS[handler.message_type]} above it, or give it another name",
    )


def _first(server_class: type, name: str) -> tuple[type, Any]:
    """The attribute `name` of `server_class`, and the class that declares it."""
    for base in server_class.__mro__:
        found = vars(base).get(name, _MISSING)
        if found is not _MISSING:
            return base, found
    raise AssertionError(f"{name} was found in a base of {server_class!r}")


def _wraps_handler(declared: Any) -> bool:
    """Whether a decorator above `handle_call` or `handle_cast` has got a handler instead of a function."""
    for _ in range(DEPTH):
        if isinstance(declared, Handler):
            return True
        if isinstance(declared, staticmethod | classmethod):
            declared = cast("Any", declared).__func__
        elif isinstance(declared, property):
            declared = declared.fget
        elif isinstance(declared, functools.partial | functools.partialmethod | functools.cached_property):
            declared = declared.func
        elif "__wrapped__" in getattr(declared, "__dict__", ()):
            declared = declared.__wrapped__
        else:
            return False
    return False


def _kind(declared: Any) -> str:
    return f"a {type(declared).__name__}"
