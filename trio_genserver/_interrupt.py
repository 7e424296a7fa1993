"""Ctrl-C (SIGINT): it may interrupt the users' code, and never the library's own.

An interrupt may come between any two steps. Were it raised in the middle of a message's way, the message
would be lost, or the server left in a state in which nobody wakes it. So what senders call, and the tasks of
servers, are protected, as Trio's own channels are: Trio raises the interrupt at the next checkpoint of the
main task. But handlers and callbacks, whoever runs them, can be interrupted where they are: they may be what
the interrupt is meant for.

Trio knows what is protected by the code object of the innermost frame that says so. A handler says it itself,
so no frame is needed around it.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio.lowlevel

__all__ = ["awaited", "interruptible", "protected", "struck_where_it_is"]

T = TypeVar("T")

protected = trio.lowlevel.enable_ki_protection
struck_where_it_is = trio.lowlevel.disable_ki_protection


def interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, for callers that are protected from interrupts and call code that need not be.

    It is a copy with a code object of its own: that of the original may be another function's as well (a
    decorator's wrapper around each of what it decorates). Users who mark a function themselves
    (`trio.lowlevel.enable_ki_protection`) leave a weak reference to its code, and their mark stays.
    """
    if isinstance(function, types.FunctionType) and not weakref.getweakrefcount(function.__code__):
        copy = types.FunctionType(
            function.__code__.replace(),
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__qualname__ = function.__qualname__
        copy.__module__ = function.__module__
        return struck_where_it_is(copy)

    @struck_where_it_is
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@struck_where_it_is
async def awaited(awaitable: Awaitable[T]) -> T:
    """Await what a callback has returned, where its caller is protected."""
    return await awaitable
