"""The text of a value for errors and logs: its `repr`, cut where it gets long.

Two things hold for every text that is made here. It has a bound, in characters, whatever the value is: ten
megabytes in a message do not get into a log. And it is made in any case: the value is the user's, and so is
its `repr`; an error in it must not hide the one being reported.

A value whose `repr` is short is shown by that, to the letter. Containers, texts, numbers and exceptions are
gone through here and left when there is no room, so that nobody makes the whole of them. `reprlib` cuts each
level for itself, which bounds nothing where they are nested, and calls `repr` of what it does not know.

Arguments of messages are shown unless the server's class has something to hide (`GenServer.format_message`).
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

__all__ = [
    "LOGGED",
    "LONGEST",
    "TRACEBACK",
    "CallbackName",
    "brief",
    "cut",
    "hidden",
    "logged",
    "name_of",
    "said",
    "show",
    "traceback_of",
]

# Characters: of a value in an error's text, of one in the log, and of a traceback there.
LONGEST: Final = 200
LOGGED: Final = 2_000
TRACEBACK: Final = 20_000

# Levels of containers. Not bounded by the characters: an opening bracket is only one.
DEEPEST = 50


class CallbackName(str):
    """In place of a message, which callback of the server it was: nothing of it is secret."""

    __slots__ = ()


class _Hidden:
    """In place of the arguments of a message."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        return "HIDDEN"


HIDDEN: Final = _Hidden()


def hidden(message: object) -> object:
    """`message`, without what its sender has put into it."""
    if isinstance(message, CallbackName):
        return message
    if _is_message(message):
        arguments: Any = message
        if not arguments.args and not arguments.kwargs:
            return message
        return arguments._replace(args=(HIDDEN,), kwargs=())
    return CallbackName(f"<{type(message).__name__}>")


def _is_message(value: object) -> bool:
    return getattr(type(value), "_is_message", False) is True


def show(value: object, longest: int = LONGEST, *, secrets: bool = False) -> str:
    """Its `repr`, whole if it has at most `longest` characters; else that many of it, and three dots.

    Args:
      secrets: show also what a message carries to a server that has something to hide.
    """
    writer = _Writer(longest, secrets)
    try:
        writer.write(value)
    except _Full:
        pass
    except Exception as error:  # noqa: BLE001 - a container of the user's own that cannot be gone through
        writer.pieces.append(_no_repr(value, error))
    text = "".join(writer.pieces)
    return text if len(text) <= longest else f"{text[:longest]}..."


def brief(value: object) -> str:
    """`show`, as an error's text has it: an exception is its class and what it says. A text that quotes a
    text that quotes a text must not grow, as it would along a chain of calls.
    """
    if not isinstance(value, BaseException):
        return show(value)
    return cut(f"{type(value).__name__}: {said(value)}", LONGEST)


def said(error: BaseException) -> str:
    """``str(error)``, in any case. Not cut."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - the user's; it must not hide what is being reported
        return f"<its __str__ raised {type(another).__name__}>"


def logged(value: object) -> Any:
    """`value` as a record carries it, for formatters to print: itself while that is short, else its text.

    So what a small record has can be looked into, and no formatter meets what it cannot print, or not at a
    size that anybody wants.
    """
    writer = _Writer(LOGGED)
    try:
        writer.write(value)
    except Exception:  # noqa: BLE001 - as `show`
        return show(value, LOGGED)
    return value if writer.left >= 0 and not writer.stumbled else show(value, LOGGED)


def traceback_of(error: BaseException) -> str:
    """The traceback with its causes, as `logging` prints it; of a long one, the begin and the end."""
    try:
        text = "".join(traceback.TracebackException.from_exception(error).format()).rstrip("\n")
    except Exception as another:  # noqa: BLE001 - a `__str__` or a `__notes__` of the user's
        text = f"{brief(error)} (no traceback: {type(another).__name__})"
    if len(text) <= TRACEBACK:
        return text
    half = TRACEBACK // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out)\n{text[-half:]}"


def cut(text: str, longest: int) -> str:
    """A text that is no value, as it is, in at most about that many characters."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def _no_repr(value: object, error: Exception) -> str:
    return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def name_of(function: object) -> str:
    """The name of a function in texts."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else show(function)


class _Full(Exception):
    """There is no room for more."""


class _Writer:
    """Writes a `repr` piece by piece, into a bounded number of characters."""

    __slots__ = ("above", "left", "pieces", "secrets", "stumbled")

    def __init__(self, longest: int, secrets: bool = False) -> None:
        self.left = longest
        self.secrets = secrets
        self.pieces: list[str] = []
        # The containers that this one is in.
        self.above: list[object] = []
        # Whether something could not be shown.
        self.stumbled = False

    def put(self, text: str) -> None:
        self.pieces.append(text)
        self.left -= len(text)
        if self.left < 0:
            raise _Full

    def write(self, value: object) -> None:
        # By the method and not by the class: a subclass that leaves it alone is shown like its base.
        way = _WAYS.get(type(value).__repr__)
        if way is None and _is_message(value):
            way = _message
        if way is None and callable(getattr(type(value), "_shown", None)):
            way = _own
        if way is None:
            try:
                text = repr(value)
            except Exception as error:  # noqa: BLE001 - the user's; it must not hide what is being reported
                self.stumbled = True
                text = _no_repr(value, error)
            self.put(text)
            return
        if len(self.above) >= DEEPEST or any(each is value for each in self.above):
            self.put("...")
            return
        self.above.append(value)
        way(self, value)
        self.above.pop()

    def all_of(self, opening: str, values: Iterable[object], closing: str) -> None:
        self.put(opening)
        for number, value in enumerate(values):
            if number:
                self.put(", ")
            self.write(value)
        self.put(closing)


def _any(cls: type) -> Any:
    """For the type checkers, to which the method of a generic class is a riddle."""
    return cls


def _text(writer: _Writer, value: str) -> None:
    # A character is one at least, when it is shown. One more than there is room for, so that it is cut.
    writer.put(repr(str.__getitem__(value, slice(writer.left + 1))))


def _bytes(writer: _Writer, value: bytes) -> None:
    writer.put(repr(bytes.__getitem__(value, slice(writer.left + 1))))


def _bytearray(writer: _Writer, value: bytearray) -> None:
    writer.put(f"{type(value).__name__}({bytes(memoryview(value)[: writer.left + 1])!r})")


def _number(writer: _Writer, value: int) -> None:
    # Python refuses to write more than some thousands of digits, and takes long for as many.
    bits = int.bit_length(value)
    writer.put(int.__repr__(value) if bits < 4_096 else f"<an int of {bits} bits>")


def _list(writer: _Writer, value: list[object]) -> None:
    writer.all_of("[", _any(list).__iter__(value), "]")


def _tuple(writer: _Writer, value: tuple[object, ...]) -> None:
    writer.all_of("(", _any(tuple).__iter__(value), ",)" if len(value) == 1 else ")")


def _set(writer: _Writer, value: set[object]) -> None:
    name = type(value).__name__
    if not value:
        writer.put(f"{name}()")
    elif type(value) is set:
        writer.all_of("{", _any(set).__iter__(value), "}")
    else:
        writer.all_of(f"{name}({{", _any(set).__iter__(value), "})")


def _frozenset(writer: _Writer, value: frozenset[object]) -> None:
    name = type(value).__name__
    if not value:
        writer.put(f"{name}()")
    else:
        writer.all_of(f"{name}({{", _any(frozenset).__iter__(value), "})")


def _deque(writer: _Writer, value: deque[object]) -> None:
    end = "])" if value.maxlen is None else f"], maxlen={value.maxlen})"
    writer.all_of(f"{type(value).__name__}([", _any(deque).__iter__(value), end)


def _dict(writer: _Writer, value: dict[object, object]) -> None:
    writer.put("{")
    for number, (key, each) in enumerate(_any(dict).items(value)):
        if number:
            writer.put(", ")
        writer.write(key)
        writer.put(": ")
        writer.write(each)
    writer.put("}")


def _exception(writer: _Writer, value: BaseException) -> None:
    writer.all_of(f"{type(value).__name__}(", value.args, ")")


def _own(writer: _Writer, value: Any) -> None:
    """Classes of this package with a `_shown` show less than their `repr` does."""
    writer.put(value._shown())


def _message(writer: _Writer, value: Any) -> None:
    handler = value.handler
    name = f"{handler!r}("
    if not writer.secrets and getattr(handler.owner, "_hides_arguments", False):
        value = hidden(value)
    writer.all_of(name, value.args, "")
    for number, (keyword, argument) in enumerate(value.kwargs):
        writer.put(f"{', ' if number or value.args else ''}{keyword}=")
        writer.write(argument)
    writer.put(")")


_WAYS: Final[dict[Any, Callable[[_Writer, Any], None]]] = {
    str.__repr__: _text,
    bytes.__repr__: _bytes,
    bytearray.__repr__: _bytearray,
    int.__repr__: _number,
    _any(list).__repr__: _list,
    _any(tuple).__repr__: _tuple,
    _any(set).__repr__: _set,
    _any(frozenset).__repr__: _frozenset,
    _any(deque).__repr__: _deque,
    _any(dict).__repr__: _dict,
    BaseException.__repr__: _exception,
}
