"""Methods that do nothing, so that nobody needs to call them where they are not overridden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["is_left_empty", "left_empty"]

F = TypeVar("F", bound=Callable[..., Any])


def left_empty(method: F) -> F:
    """Mark a method that does nothing."""
    # Itself, and no mere flag: `functools.wraps` copies what a function has, and the copy may do something.
    vars(method)["_left_empty"] = method
    return method


def is_left_empty(method: object) -> bool:
    """Whether calling `method`, as a class has it, would do nothing; None is no method."""
    return method is None or getattr(method, "_left_empty", None) is method
