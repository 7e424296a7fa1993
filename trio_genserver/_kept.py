"""Copies of raised exceptions, for keeping.

An exception has its traceback, that its frames, and those their variables: what was sent, who sent it, and
whoever has a reference to the server. Were the server, or a request, to keep the exception that a caller
gets, it would be in a cycle with itself, and with it all that those frames hold, until a garbage collection
comes to it. So nobody keeps an exception that is raised: it is handed over, and what stays is a copy. The
copy, and whatever it was raised from, has a traceback of the same lines, whose frames have no variables and
are nobody's (as in tblib and Jinja2).

A copy has the class, `args` and attributes of its original, and none of the class's own code runs for it.
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, GeneratorType, TracebackType
from typing import Any, Final, cast

__all__ = ["hold_no_frames", "is_same_failure", "kept", "without_own_frames"]

# Among the attributes of a copy whose `args` do not tell: the identity of its original.
_COPY_OF: Final = "_copy_of"
# In the globals of a frame that is nobody's.
_NOBODYS: Final = "trio_genserver.nobody's frame"
_PACKAGE: Final = f"{__name__.partition('.')[0]}."
# Of a class that is not written in Python.
_HEAPTYPE: Final = 1 << 9


def kept(error: BaseException) -> BaseException:
    """A copy of `error` to keep, while `error` itself is raised; `error`, if its class has no copies."""
    copies: dict[int, BaseException] = {}
    copied = _copied(error, copies)
    return error if copied is None else copied


def hold_no_frames(error: BaseException) -> None:
    """Let `error` itself be as a copy of it would be. It may be raised later, and is the same then."""
    if _holds_nothing(error):
        return
    copies = {id(error): error}
    suppressed = error.__suppress_context__
    error.__traceback__ = _of_nobody(error.__traceback__)
    error.__cause__ = _chained(error.__cause__, copies)
    error.__context__ = _chained(error.__context__, copies)
    error.__suppress_context__ = suppressed


def is_same_failure(one: BaseException, other: BaseException) -> bool:
    """Whether they are the same exception, or one is a copy of the other."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if one.args and one.args is other.args:
        # Two exceptions have two tuples, if they are not empty.
        return True
    origins = [each.__dict__.get(_COPY_OF, id(each)) for each in (one, other)]
    return bool(origins[0] == origins[1])


def without_own_frames(error: BaseException) -> None:
    """Let the traceback of `error` begin where this package has called its user's code.

    Does nothing if it never has.
    """
    traceback = error.__traceback__
    while traceback is not None and _module(traceback).startswith(_PACKAGE):
        traceback = traceback.tb_next
    if traceback is not None:
        error.__traceback__ = traceback


def _module(traceback: TracebackType) -> str:
    return str(traceback.tb_frame.f_globals.get("__name__", ""))


def _copied(error: BaseException, copies: dict[int, BaseException]) -> BaseException | None:
    """A copy; with copies of what it was raised from, as far as those have frames."""
    copied = _without_traceback(error)
    if copied is None:
        return None
    copies[id(error)] = copied
    copied.__traceback__ = _of_nobody(error.__traceback__)
    copied.__cause__ = _chained(error.__cause__, copies)
    copied.__context__ = _chained(error.__context__, copies)
    copied.__suppress_context__ = error.__suppress_context__
    return copied


def _chained(error: BaseException | None, copies: dict[int, BaseException]) -> BaseException | None:
    if error is None or _holds_nothing(error):
        return error
    there = copies.get(id(error))
    if there is not None:
        return there
    copied = _copied(error, copies)
    return error if copied is None else copied


def _holds_nothing(error: BaseException) -> bool:
    """Whether nothing in the chain of `error` has a frame of somebody: it may be kept as it is."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback = each.__traceback__
        if traceback is not None and _NOBODYS not in traceback.tb_frame.f_globals:
            return False
        left += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", each).exceptions
    return True


def _args(error: BaseException) -> tuple[Any, ...]:
    """The parts for a copy of it."""
    if not isinstance(error, BaseExceptionGroup):
        return error.args
    # A group has its exceptions among them, which have been raised, and have frames.
    group = cast("BaseExceptionGroup[BaseException]", error)
    copies: dict[int, BaseException] = {}
    return group.message, [_chained(each, copies) or each for each in group.exceptions]


def _without_traceback(error: BaseException) -> BaseException | None:
    error_class: Any = type(error)
    args = _args(error)
    bases: tuple[Any, ...] = error_class.__mro__
    built_in: Any = next(base for base in bases if not base.__flags__ & _HEAPTYPE)
    try:
        copied: Any = built_in.__new__(error_class, *args)
        if args is error.args:
            # As its ``__init__`` may have left it.
            copied.args = args
        own: tuple[type, ...] = built_in.__mro__
        for base in own[: own.index(BaseException)]:
            _copy_members(base, error, copied)
        state: Any = object.__getstate__(error)
        if isinstance(state, tuple):
            # The values in the slots of the class, besides its attributes.
            for name, value in cast("dict[str, Any]", state[1]).items():
                setattr(copied, name, value)
    except (AttributeError, TypeError, ValueError):
        return None
    attributes = dict(error.__dict__)
    if isinstance(notes := attributes.get("__notes__"), list):
        # A note is added to one of them.
        attributes["__notes__"] = [*cast("list[object]", notes)]
    if not args or args is not error.args:
        attributes.setdefault(_COPY_OF, id(error))
    copied.__dict__.update(attributes)
    return cast("BaseException", copied)


def _copy_members(owner: type, error: BaseException, copied: BaseException) -> None:
    """The state that a C class keeps outside a dictionary, such as the `errno` of an `OSError`."""
    for name, member in vars(owner).items():
        if name.startswith("__") or callable(member):
            continue
        try:
            value = getattr(error, name)
            if value is not None:
                setattr(copied, name, value)
        except AttributeError:
            # It has none, or one that is made from its `args` alone.
            continue


def _nobody() -> Any:
    # A generator: its frame has no link to whoever runs it.
    yield frame()  # type: ignore[name-defined] # noqa: F821 - its globals are not those of this module


def _without_positions(code: CodeType) -> CodeType:
    """`code` whose instructions are nowhere: who shows a traceback of it then takes the line from there, and
    marks no part of that.
    """
    left = len(code.co_code) // 2
    entries: list[int] = []
    while left > 0:
        # Up to eight instructions that have no location, in the format of Objects/locations.md.
        entries.append(0x80 | 15 << 3 | min(left, 8) - 1)
        left -= 8
    return code.replace(co_linetable=bytes(entries))


_CODE: Final = _without_positions(_nobody.__code__)


def _of_nobody(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback of the same lines, in frames that hold nothing."""
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    if entries and _NOBODYS in entries[0].tb_frame.f_globals:
        return entries[0]
    copied: TracebackType | None = None
    for entry in reversed(entries):
        code = entry.tb_frame.f_code
        names = entry.tb_frame.f_globals
        function = FunctionType(
            _CODE.replace(
                co_filename=code.co_filename,
                co_name=code.co_name,
                co_qualname=code.co_qualname,
                co_firstlineno=code.co_firstlineno,
            ),
            {
                # The loader that finds the source of the lines.
                "__name__": names.get("__name__"),
                "__loader__": names.get("__loader__"),
                "frame": sys._getframe,
                _NOBODYS: True,
            },
        )
        generator: GeneratorType[Any, None, None] = function()
        frame = next(generator)
        generator.close()
        copied = TracebackType(copied, frame, 0, entry.tb_lineno)
    return copied
