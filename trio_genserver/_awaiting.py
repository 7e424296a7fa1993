"""Finds out what to await: when a handler is declared, if that shows, and otherwise from what it returns.

A handler that looks like a plain function may be async anyway: a decorator's wrapper, a `functools.partial`,
an object that is called, a function that returns another's coroutine. Its return value tells. A handler that
is visibly async gets its nursery beforehand and never runs in its caller's step. The others run like plain
functions, and the server's task awaits what they return.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, cast, get_origin

from ._errors import CallbackNotAsync
from ._interrupt import struck_where_it_is

__all__ = ["PLAIN", "await_callback", "close_awaitable", "is_awaitable", "is_seen_to_be_async"]

# How many wrappers around a function are looked through: some objects invent one for each that is asked for.
DEPTH = 100

_AWAITABLE_TYPES = ("Awaitable", "Coroutine", "CoroutineType")


_BUILTIN = frozenset({bool, bytes, dict, float, frozenset, int, list, set, str, tuple, types.NoneType})

PLAIN: set[type] = set(_BUILTIN)
"""Classes whose instances cannot be awaited, for a look that costs a reply next to nothing: asking a class
that has no ``__await__`` costs an exception. Only `is_awaitable` adds to it. Bounded: it keeps them alive."""

_MOST_PLAIN = 1000


def is_awaitable(value: object) -> bool:
    """Whether ``await value`` works."""
    kind = value.__class__
    if kind in PLAIN:
        return False
    # The class, as `await` does: an instance may pretend to have any attribute.
    if hasattr(kind, "__await__"):
        return True
    if kind is types.GeneratorType:
        return inspect.isawaitable(value)
    if len(PLAIN) >= _MOST_PLAIN:
        PLAIN.clear()
        PLAIN.update(_BUILTIN)
    PLAIN.add(kind)
    return False


def is_seen_to_be_async(function: Any) -> bool:
    """Whether a call of `function` returns an awaitable, as far as that can be seen without calling it."""
    for _ in range(DEPTH):
        code = getattr(function, "__code__", None)
        if inspect.iscoroutinefunction(function) or (
            isinstance(code, types.CodeType) and code.co_flags & inspect.CO_ITERABLE_COROUTINE
        ):
            return True
        if _is_annotated_as_awaitable(getattr(function, "__annotations__", None)):
            return True
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif "__wrapped__" in getattr(function, "__dict__", ()):
            function = function.__wrapped__
        elif isinstance(function, types.FunctionType | types.BuiltinFunctionType | type):
            return False
        else:
            function = getattr(cast("Any", type(function)), "__call__", None)  # noqa: B004 - it is wanted
    return False


def _is_annotated_as_awaitable(annotations: Any) -> bool:
    returned: Any = (
        cast("dict[str, Any]", annotations).get("return") if isinstance(annotations, dict) else None
    )
    if isinstance(returned, str):
        # It may name what is only imported for type checkers, so it is not evaluated.
        return returned.strip("\"' ").partition("[")[0].rpartition(".")[2] in _AWAITABLE_TYPES
    origin: Any = get_origin(returned) or returned
    return isinstance(origin, type) and issubclass(origin, collections.abc.Awaitable)


def close_awaitable(awaitable: Any) -> None:
    """It will not be awaited."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


@struck_where_it_is
async def await_callback(server: str, callback: Callable[..., Any], name: str, *args: Any) -> Any:
    """Call one of the callbacks that are async functions.

    Raises:
      CallbackNotAsync: it is none.
    """
    returned = callback(*args)
    if not is_awaitable(returned):
        raise CallbackNotAsync(server, name, returned)
    return await returned
