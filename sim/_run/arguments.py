"""Checks the arguments of public functions where they are passed.

A value of the wrong type that is found only deep inside an exploration reads as a fault of the program
under test; one that happens to work (True for 1, "5" beside 5) explores something else than was asked for.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Set
from typing import Any, NoReturn, TypeVar

from sim._run.errors import WrongType, WrongUse

T = TypeVar("T")


def whole_number(name: str, value: object, *, at_least: int | None = None) -> None:
    """Refuse what is no int, or too small.

    Raises:
        WrongType, WrongUse: with the name of the argument, and what it was given.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(name, "a whole number", value)
    if at_least is not None and value < at_least:
        raise WrongUse(f"{name} must be at least {at_least}, not {value}")


def number(name: str, value: object, *, at_least: float | None = None) -> None:
    """Refuse what is neither int nor float, and what is not a number, or too small."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        _refuse(name, "a number", value)
    if math.isnan(value):
        raise WrongUse(f"{name} must be a number, not {value}")
    if at_least is not None and value < at_least:
        raise WrongUse(f"{name} must be at least {at_least:g}, not {value:g}")


def flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        _refuse(name, "True or False", value)


def text(name: str, value: object) -> None:
    """Refuse what is no str."""
    if not isinstance(value, str):
        _refuse(name, "a string", value)


def file_path(name: str, value: object) -> None:
    """Refuse what cannot name a file."""
    if not isinstance(value, str | os.PathLike):
        _refuse(name, "the path of a file", value)


def function(name: str, value: object) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        _refuse(name, "a function", value)


def condition(name: str, value: object) -> None:
    """Refuse what is no function, or one whose answer would have to be awaited: a coroutine is always true.

    Raises:
        WrongType: with the name of the argument, and what it was given.
    """
    if not callable(value) or inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        _refuse(name, "a plain function without arguments", value)


def answer(name: str, value: T) -> T:
    """Refuse a coroutine as what a condition has answered; gives anything else back."""
    if inspect.iscoroutine(value):
        value.close()
        _refuse(f"what {name} returns", "a value, which is true or false", value)
    return value


def options(name: str, value: object) -> None:
    """Refuse what has no first, second and so on."""
    given: Any = value
    if isinstance(value, Mapping | Set) or not (hasattr(value, "__len__") and hasattr(value, "__getitem__")):
        _refuse(name, "a sequence", given)


def instance(name: str, value: object, *classes: type[Any]) -> None:
    """Refuse what is of none of the classes."""
    if not isinstance(value, classes):
        _refuse(name, " or ".join(_named(cls) for cls in classes), value)


def exceptions(name: str, value: object) -> None:
    """Refuse what is neither an exception class nor a tuple of them."""
    given: Any = value
    classes: tuple[Any, ...] = given if isinstance(value, tuple) else (given,)
    for cls in classes:
        if not (inspect.isclass(cls) and issubclass(cls, BaseException)):
            _refuse(name, "an exception class or several", given)


def scenario(value: object) -> None:
    """Refuse what cannot be called without arguments.

    Raises:
        WrongType: it cannot be called at all.
        WrongUse: it needs arguments, or is sure to return no coroutine.
    """
    if not callable(value):
        raise WrongType(f"a scenario must be an async function, which is called for each run, not {value!r}")
    name = getattr(value, "__name__", None) or repr(value)
    if inspect.isasyncgenfunction(value) or inspect.isgeneratorfunction(value):
        raise WrongUse(f"{name} is a generator function; a scenario is an async function without yield")
    try:
        signature = inspect.signature(value)
    except ValueError:
        return
    try:
        signature.bind()
    except TypeError:
        needed = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        ]
        raise WrongUse(
            f"{name} needs arguments ({', '.join(needed)}), but a scenario is called without any: "
            "give them defaults, or wrap it in functools.partial"
        ) from None


def optional(check: Callable[..., None], name: str, value: object, *classes: Any, **bounds: Any) -> None:
    """Make a check of whatever is not None."""
    if value is not None:
        check(name, value, *classes, **bounds)


def _named(cls: type[Any]) -> str:
    article = "an" if cls.__name__[0] in "AEIOUaeiou" else "a"
    return f"{article} {cls.__name__}"


def _refuse(name: str, wanted: str, value: object) -> NoReturn:
    raise WrongType(f"{name} must be {wanted}, not {type(value).__name__}: {value!r}")
