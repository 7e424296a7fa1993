"""Messages are data, and declaring a handler is declaring its message.

In OTP a client function builds a tuple, a callback takes it apart, and nothing checks that the two
agree. Here one method is both ends: read on the class, ``Counter.increment(5)`` builds a message, a small
immutable value that names the handler and carries the arguments; read on an instance, it is the plain
method. So both ends are checked by the type checker, and a message can be printed, compared, hashed,
pickled and kept.

The builder is a function generated with the handler's own signature. A wrong argument therefore fails
where the message is built, in the caller, with the `TypeError` that Python itself would give, and
``increment(5)`` and ``increment(by=5)`` are the same message. Generating it costs some microseconds once a
class; binding a signature at each call would cost more than the call itself.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from ._awaiting import is_seen_to_be_async
from ._interrupt import interruptible
from ._text import show

__all__ = ["Call", "CallOrCast", "Cast", "Handler"]

S_contra = TypeVar("S_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


_NO_METHODS: tuple[type, ...] = (staticmethod, classmethod)


class Handler:
    """The object that the decorators leave in the class: one handler, and the builder of its message.

    Attributes:
      function: the method as written.
      run: the same, for the library to call: an interrupt may strike it, and nothing around it.
      runs_coroutine: whether what `run` returns is a coroutine that an interrupt may strike as well.
      name, owner: where it was declared; set when the class is made.
      message_type: `Call`, `Cast` or `CallOrCast`.
      is_async: whether it can be seen to be an async function, perhaps below decorators. An awaitable
        returned by any other function is awaited too.
      in_child: whether it runs in a child task of the server.
      max_children: how many of it run at a time, None for no bound.
      noreply: whether it takes ``from_`` and someone answers later.
      inline: whether a caller may run it in its own step while the server is idle, and has the reply then.
      inline_noreply: whether a caller may do so, and waits for the reply after it.
      is_callback: never; see `_handling.Callback`.
      special: whether its return is not the reply, or not yet: `in_child` or `noreply`.
    """

    is_callback: Final = False

    def __init__(
        self,
        function: Callable[..., Any],
        message_type: type[Call[Any, Any] | Cast[Any]],
        *,
        in_child: bool = False,
        max_children: int | None = None,
        noreply: bool = False,
    ) -> None:
        if isinstance(function, _NO_METHODS):
            name = getattr(function, "__name__", function)
            raise TypeError(
                f"the handler {name} is a {type(function).__name__}, but it must be a method, "
                f"because it works on the state of one server"
            )
        if not callable(function):
            raise TypeError(f"a handler must be a method of a GenServer, not {show(function)}")
        self.function = function
        self.run = interruptible(function)
        self.runs_coroutine = inspect.iscoroutinefunction(self.run)
        self.name = getattr(function, "__name__", "handler")
        self.owner: type = object
        self.message_type = message_type
        # As `abc` asks what a decorator returns; it sets this if @abstractmethod is above the decorator.
        self.__isabstractmethod__: bool = getattr(function, "__isabstractmethod__", False)
        self.is_async = is_seen_to_be_async(function)
        self.in_child = in_child
        self.max_children = max_children
        self.noreply = noreply
        callers_may = message_type is not Cast and not (self.is_async or in_child)
        self.inline = callers_may and not noreply
        self.inline_noreply = callers_may and noreply
        self.special = in_child or noreply
        self.plain = not (self.is_async or self.special)
        self.__doc__ = function.__doc__
        if in_child and not self.is_async:
            raise TypeError(f"{self.name} has child=True, so it must be an async function")
        if max_children is not None and max_children < 1:
            raise ValueError(f"max_children of {self.name} must be at least 1, not {max_children}")
        self._build = _builder(self)

    def __set_name__(self, owner: type, name: str) -> None:
        before = self.owner
        if before is object:
            self.owner = owner
            self.name = name
        elif before.__qualname__ == owner.__qualname__ and before.__module__ == owner.__module__:
            # The class is made again, as dataclasses do for slots; or this is another name in the same one.
            self.owner = owner

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., Any]:
        if instance is None:
            return self._build
        return types.MethodType(self.function, instance)

    def __reduce__(self) -> tuple[Callable[[type, str], Handler], tuple[type, str]]:
        return _declared_handler, (self.owner, self.name)

    def __repr__(self) -> str:
        return f"{self.owner.__qualname__}.{self.name}"


def _declared_handler(owner: type, name: str) -> Handler:
    """The handler that is declared under `name`, for messages that come back from a pickle."""
    handler = inspect.getattr_static(owner, name)
    if not isinstance(handler, Handler):
        raise TypeError(f"{owner.__qualname__}.{name} is no longer a handler")
    return handler


class _Message(NamedTuple):
    handler: Any  # a Handler; spelt so, its descriptor methods would mislead the type checkers
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


class _Value(_Message):
    """A message compares equal only to the same kind of message, and prints as it was written."""

    __slots__ = ()
    # For texts that show no more of it than there is room for, or than its server wants to be seen.
    _is_message = True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        arguments = [repr(argument) for argument in self.args]
        arguments += [f"{name}={value!r}" for name, value in self.kwargs]
        return f"{self.handler!r}({', '.join(arguments)})"


class Call(_Value, Generic[S_contra, R_co]):
    """A message for `ServerRef.call`: to a server of class `S_contra`, with a reply of type `R_co`."""

    __slots__ = ()


class Cast(_Value, Generic[S_contra]):
    """A message for `ServerRef.cast`: to a server of class `S_contra`, without a reply."""

    __slots__ = ()


class CallOrCast(Call[S_contra, R_co], Cast[S_contra]):  # type: ignore[misc]  # two bases, one tuple
    """A message for `ServerRef.call` or `ServerRef.cast`, as its sender likes: its reply may go unread."""

    __slots__ = ()


def _builder(handler: Handler) -> Callable[..., Any]:
    """A function with the handler's own parameters that returns the message."""
    parameters = list(inspect.signature(handler.function).parameters.values())
    own = 2 if handler.noreply else 1
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for _ in range(own):
        if parameters and parameters[0].kind in named:
            del parameters[0]
        elif not parameters or parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            # A decorator's ``*args`` takes self as well as all that follows.
            wanted = "self and from_" if handler.noreply else "self"
            raise TypeError(f"the handler {handler.name} must take {wanted} first")

    # The defaults travel in the message, so that it says all that the handler will get.
    defaults = [p.default for p in parameters]
    written: list[str] = []
    positional: list[str] = []
    keywords: list[str] = []
    starred = "()"
    double_starred = "{}"
    bare_star = False
    for index, parameter in enumerate(parameters):
        text = parameter.name
        if parameter.default is not parameter.empty:
            text += f"=_defaults[{index}]"
        if parameter.kind is parameter.VAR_POSITIONAL:
            text = f"*{parameter.name}"
            starred = parameter.name
            bare_star = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            text = f"**{parameter.name}"
            double_starred = parameter.name
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if not bare_star:
                written.append("*")
                bare_star = True
            keywords.append(parameter.name)
        else:
            positional.append(parameter.name)
        written.append(text)
        if parameter.kind is parameter.POSITIONAL_ONLY and not (
            index + 1 < len(parameters) and parameters[index + 1].kind is parameter.POSITIONAL_ONLY
        ):
            written.append("/")
    arguments = f"({''.join(name + ', ' for name in positional)})"
    if starred != "()":
        arguments += f" + {starred}"
    pairs = f"({''.join(f'({name!r}, {name}), ' for name in keywords)})"
    if double_starred != "{}":
        pairs += f" + tuple(sorted({double_starred}.items()))"
    name = handler.name if handler.name.isidentifier() else "message"
    source = f"def {name}({', '.join(written)}):\n    return _new(_type, (_handler, {arguments}, {pairs}))\n"
    namespace: dict[str, Any] = {
        "_new": cast("Any", tuple).__new__,
        "_type": handler.message_type,
        "_handler": handler,
        "_defaults": defaults,
        "tuple": tuple,
        "sorted": sorted,
    }
    exec(source, namespace)  # as collections.namedtuple and dataclasses make their methods
    build = cast("Callable[..., Any]", namespace[name])
    build.__doc__ = handler.function.__doc__
    build.__module__ = handler.function.__module__
    build.__qualname__ = getattr(handler.function, "__qualname__", name)
    return build
