"""`handle_call` and `handle_cast`: a method becomes the handler of a message, and the message's builder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from ._message import Call, CallOrCast, Cast, Handler
from ._request import From

__all__ = ["handle_call", "handle_cast"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)

# The decorators as type checkers see them: descriptors whose two readings differ. They are covariant in the
# server, so that a subclass may override a handler as it may override a method.


class _Declared:
    """The types that a decorator above the handler's may get; only `abc.abstractmethod` may stand there."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class CallHandler(_Declared, Generic[S_co, P, R_co]):
    """``@handle_call`` on a plain method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, Call[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, R_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class AsyncCallHandler(_Declared, Generic[S_co, P, R_co]):
    """``@handle_call`` on an async method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, Call[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, Coroutine[Any, Any, R_co]]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class CallOrCastHandler(_Declared, Generic[S_co, P, R_co]):
    """``@handle_call(cast=True)`` on a plain method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, CallOrCast[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, R_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class AsyncCallOrCastHandler(_Declared, Generic[S_co, P, R_co]):
    """``@handle_call(cast=True)`` on an async method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, CallOrCast[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, Coroutine[Any, Any, R_co]]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class NoReplyCallOrCastHandler(_Declared, Generic[S_co, P, R_co, T_co]):
    """``@handle_call(noreply=True, cast=True)``."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, CallOrCast[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[Concatenate[From[R_co], P], T_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class NoReplyHandler(_Declared, Generic[S_co, P, R_co, T_co]):
    """``@handle_call(noreply=True)``: the message has no ``from_``, the method has one."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, Call[S_co, R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[Concatenate[From[R_co], P], T_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class CastHandler(_Declared, Generic[S_co, P, T_co]):
    """``@handle_cast``; `T` is None, or an awaitable of None."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, Cast[S_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, T_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError  # only for type checkers; Handler is what runs


class _ChildCallDecorator:
    def __call__(
        self, function: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /
    ) -> AsyncCallHandler[S, P, R]:
        raise NotImplementedError  # only for type checkers


class _NoReplyDecorator:
    def __call__(self, function: Callable[Concatenate[S, From[R], P], T], /) -> NoReplyHandler[S, P, R, T]:
        raise NotImplementedError  # only for type checkers


class _CallOrCastDecorator:
    @overload
    def __call__(  # type: ignore[overload-overlap]  # an async method fits both, the first is meant
        self, function: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /
    ) -> AsyncCallOrCastHandler[S, P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, P], R], /) -> CallOrCastHandler[S, P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        raise NotImplementedError  # only for type checkers


class _NoReplyCallOrCastDecorator:
    def __call__(
        self, function: Callable[Concatenate[S, From[R], P], T], /
    ) -> NoReplyCallOrCastHandler[S, P, R, T]:
        raise NotImplementedError  # only for type checkers


class _ChildCastDecorator:
    def __call__(
        self, function: Callable[Concatenate[S, P], Coroutine[Any, Any, None]], /
    ) -> CastHandler[S, P, Coroutine[Any, Any, None]]:
        raise NotImplementedError  # only for type checkers


@overload
def handle_call(  # type: ignore[overload-overlap]  # an async method fits both, the first is meant
    function: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /
) -> AsyncCallHandler[S, P, R]: ...
@overload
def handle_call(function: Callable[Concatenate[S, P], R], /) -> CallHandler[S, P, R]: ...
@overload
def handle_call(*, child: Literal[True], max_children: int | None = None) -> _ChildCallDecorator: ...
@overload
def handle_call(*, noreply: Literal[True]) -> _NoReplyDecorator: ...
@overload
def handle_call(*, cast: Literal[True]) -> _CallOrCastDecorator: ...
@overload
def handle_call(*, noreply: Literal[True], cast: Literal[True]) -> _NoReplyCallOrCastDecorator: ...
def handle_call(
    function: Callable[..., Any] | None = None,
    /,
    *,
    child: bool = False,
    max_children: int | None = None,
    noreply: bool = False,
    cast: bool = False,
) -> Any:
    """Declare a method of a `GenServer` as the handler of a call.

    ``Counter.increment(5)``, read on the class, is then the message for `ServerRef.call`; what the method
    returns is the reply. A plain method is atomic: nothing else runs while it does. In an async
    method other tasks run at its checkpoints, but no other message of this server.

    Args:
      child: run the (async) method in a child task of the server, so that the mailbox goes on at once. Its
        return value is still the reply. It may overlap with other handlers, and must not rely on the state
        across its checkpoints.
      max_children: how many of this handler run at a time; more wait their turn, in order.
      noreply: the method takes ``from_`` (a `From`) after self, and its return is not the reply:
        someone calls ``from_.reply(value)`` later, from any task (OTP's ``noreply``).
      cast: the message may be given to `ServerRef.cast` as well; the reply then goes nowhere.

    Raises:
      TypeError: the method takes no self (or no ``from_``), or has child=True and is not async.
      ValueError: max_children is below 1.
    """
    return _decorate(
        function, CallOrCast if cast else Call, child=child, max_children=max_children, noreply=noreply
    )


@overload
def handle_cast(
    function: Callable[Concatenate[S, P], Coroutine[Any, Any, None]], /
) -> CastHandler[S, P, Coroutine[Any, Any, None]]: ...
@overload
def handle_cast(function: Callable[Concatenate[S, P], None], /) -> CastHandler[S, P, None]: ...
@overload
def handle_cast(*, child: Literal[True], max_children: int | None = None) -> _ChildCastDecorator: ...
def handle_cast(
    function: Callable[..., Awaitable[None] | None] | None = None,
    /,
    *,
    child: bool = False,
    max_children: int | None = None,
) -> Any:
    """Declare a method of a `GenServer` as the handler of a cast.

    The same as `handle_call`, without a reply: the message is for `ServerRef.cast`, and the method
    returns None.
    """
    return _decorate(function, Cast, child=child, max_children=max_children, noreply=False)


def _decorate(
    function: Callable[..., Any] | None,
    message_type: type[Call[Any, Any] | Cast[Any]],
    *,
    child: bool,
    max_children: int | None,
    noreply: bool,
) -> Any:
    if child and noreply:
        raise TypeError(
            "a handler has child=True (a child task) or noreply=True (a reply through from_), not both"
        )
    if max_children is not None and not child:
        raise TypeError("max_children limits child tasks, so it needs child=True")

    def decorate(function: Callable[..., Any]) -> Handler:
        return Handler(function, message_type, in_child=child, max_children=max_children, noreply=noreply)

    return decorate if function is None else decorate(function)
