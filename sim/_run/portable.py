"""Errors that pickle and copy, whatever they carry.

Python makes an exception again by calling its class with `args`, which is the text alone here. An error
whose ``__init__`` takes more would be lost on its way to another process, and with it what it was about. So
an error is made again from its fields, and its cause with it. What cannot be pickled itself (a lock, a
lambda, a local class) arrives as an `Unpicklable`, a cause as an `UnpicklableError`, and prints as it did:
who reports an error must not fail over it.

Other packages do the same for their own errors; none of them needs this one for it.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Self, SupportsIndex, cast

__all__ = ["PortableError", "Unpicklable", "UnpicklableError"]

# `args`, the attributes, and the cause.
Fields = tuple[tuple[Any, ...], dict[str, Any], BaseException | None]


class Unpicklable:
    """Stands for a value that could not be pickled.

    Attributes:
        text: the value's `repr`.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class UnpicklableError(Exception):
    """Stands for an exception that could not be pickled.

    Attributes:
        text: the exception's text.
        shown: its `repr`, which names its class.
    """

    def __init__(self, text: str, shown: str) -> None:
        super().__init__(text, shown)
        self.text = text
        self.shown = shown

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.shown


class PortableError:
    """The first base of an exception class that is pickled and copied field by field."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        fields = _fields(self)
        data = _pickled(fields, protocol)
        if data is None:
            args, attributes, cause = fields
            portable = (
                tuple(_portable(arg, protocol) for arg in args),
                {name: _portable(value, protocol) for name, value in attributes.items()},
                _portable(cause, protocol),
            )
            data = pickle.dumps(portable, int(protocol))
        # As bytes, so that in a chain of causes each is pickled once, and not again by each that checks.
        return _unpickled, (type(self), data)

    def __copy__(self) -> Self:
        return cast("Self", _restored(cast("Any", type(self)), _fields(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        args, attributes, cause = _fields(self)
        fields = (
            tuple(_deep(arg, memo) for arg in args),
            {name: _deep(value, memo) for name, value in attributes.items()},
            _deep(cause, memo),
        )
        return cast("Self", _restored(cast("Any", type(self)), fields))


def _fields(error: Any) -> Fields:
    return error.args, error.__dict__, error.__cause__


def _restored(error_class: type[BaseException], fields: Fields) -> BaseException:
    args, attributes, cause = fields
    error = error_class.__new__(error_class, *args)
    error.args = args
    error.__dict__.update(attributes)
    if cause is not None:
        error.__cause__ = cause
    return error


def _unpickled(error_class: type[BaseException], data: bytes) -> BaseException:
    return _restored(error_class, pickle.loads(data))


def _pickled(value: object, protocol: SupportsIndex) -> bytes | None:
    """`value` as a pickle that can be read again, or None. Many exceptions pickle and cannot be read."""
    try:
        data = pickle.dumps(value, int(protocol))
        pickle.loads(data)
    except Exception:  # noqa: BLE001 - it is the value's own code that runs, and raises what it likes
        return None
    return data


def _portable(value: Any, protocol: SupportsIndex) -> Any:
    if _pickled(value, protocol) is not None:
        return value
    shown = _text(repr, value)
    return (
        UnpicklableError(_text(str, value), shown) if isinstance(value, BaseException) else Unpicklable(shown)
    )


def _text(how: Callable[[object], str], value: object) -> str:
    try:
        return how(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"


def _deep(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of `value`; `value` itself if there is none, as of a lock."""
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - as above
        return value
