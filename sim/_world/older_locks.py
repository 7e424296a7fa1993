"""Locks that a program has made before the run, and kept ways to make locks: found where it holds them.

A lock of before the run, in an attribute of some object, would be a real one: taking it would be no schedule
point, and an exploration would say "complete" of what it has not seen. The same holds for the default factory
of a dataclass, or another reference to `threading.Lock` that was kept. So all that a program can reach from
its scenario is looked through before the first run, and each place is given the stand-in.
"""

# A program may hold anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final, TypeAlias

from sim._run.looking import attributes_of, class_module, members_of, module_name_of, mro_of

Put: TypeAlias = Callable[[Any], object] | None
"""Replaces a value where it is held; None if that cannot be."""

# Of these modules of the standard library, objects are looked into: they hold what the program has put there.
_LOOKED_INTO: Final = frozenset(
    {"builtins", "collections", "threading", "queue", "_queue", "concurrent", "functools", "contextlib"}
    | {"types", "dataclasses", "weakref", "_weakref", "_thread"}
)
CANNOT: Final = object()
_NO_LOCKS: Final = frozenset({"time", "random", "posix", "nt"})
_MOST: Final = 300_000


class OlderLocks:
    """Looks through what a program holds.

    Args:
        left_alone: whether a module, of which the name is given, is none of the program's.
        stand_in: what to put in the place of a value; None if the value may stay, `CANNOT` if it may not.
        not_into: classes whose objects are not looked into.

    Attributes:
        unseen: in what there is something that cannot be replaced.
    """

    def __init__(
        self, left_alone: Callable[[str], bool], stand_in: Callable[[Any], Any], not_into: tuple[type, ...]
    ) -> None:
        self._left_alone = left_alone
        self._stand_in = stand_in
        self._not_into = not_into
        self._undo: list[Callable[[], object]] = []
        self.unseen: set[str] = set()

    def replace(self, root: Any) -> None:
        """Put stand-ins everywhere that can be reached from an object."""
        stack = [root]
        seen = {id(root)}
        while stack:
            holder = stack.pop()
            for value, put in self._places(holder):
                stand_in = self._stand_in(value)
                if stand_in is not None:
                    self._put(value, stand_in, put, holder)
                elif id(value) not in seen and self._is_looked_into(value):
                    seen.add(id(value))
                    stack.append(value)
                    if len(seen) > _MOST:
                        self.unseen.add(f"more than {_MOST:,} objects of the program")
                        return

    def restore(self) -> None:
        """Put everything back."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def _put(self, value: Any, stand_in: Any, put: Put, holder: Any) -> None:
        if put is not None and stand_in is not CANNOT:
            try:
                put(stand_in)
            except Exception:  # noqa: BLE001 - its class does not let it be set, for whatever reason
                pass
            else:
                self._undo.append(partial(put, value))
                return
        if module_name_of(value) in _NO_LOCKS or type(getattr(value, "__self__", None)) is type:
            # A kept clock is found by making runs twice.
            return
        self.unseen.add(f"a {type(value if stand_in is CANNOT else holder).__name__}")

    def _is_looked_into(self, value: Any) -> bool:
        kind = type(value)
        if not gc.is_tracked(value) or issubclass(kind, self._not_into):
            return False
        if issubclass(kind, ModuleType):
            return not self._left_alone(str(attributes_of(value).get("__name__")))
        if issubclass(kind, type) or kind is FunctionType:
            return not self._left_alone(module_name_of(value))
        if kind is partial and module_name_of(value.func).startswith("sim."):
            # It is a stand-in itself.
            return False
        module = class_module(kind)
        return module.partition(".")[0] in _LOOKED_INTO or not self._left_alone(module)

    def _places(self, holder: Any) -> Iterator[tuple[Any, Put]]:
        kind = type(holder)
        if issubclass(kind, ModuleType):
            yield from _of_dict(attributes_of(holder))
        elif issubclass(kind, dict):
            yield from _of_dict(holder)
        elif issubclass(kind, list):
            for number, value in enumerate(list.__iter__(holder)):
                yield value, partial(list.__setitem__, holder, number)
        elif kind is CellType:
            try:
                yield holder.cell_contents, partial(setattr, holder, "cell_contents")
            except ValueError:  # it is empty
                return
        elif kind is partial:
            yield holder.func, partial(_set_called, holder)
            yield from self._of_object(holder)
        elif kind is FunctionType:
            yield from self._of_function(holder)
        elif issubclass(kind, type):
            for name, value in list(members_of(holder).items()):
                yield value, partial(type.__setattr__, holder, name)
                if type(value) is staticmethod:
                    yield value.__func__, partial(_set_static, holder, name)
            for base in mro_of(holder)[1:]:
                yield base, None
        else:
            yield from self._of_object(holder)

    def _of_function(self, function: FunctionType) -> Iterator[tuple[Any, Put]]:
        for cell in function.__closure__ or ():
            yield cell, None
        for number, value in enumerate(function.__defaults__ or ()):
            yield value, partial(_set_default, function, number)
        if function.__kwdefaults__:
            yield from _of_dict(function.__kwdefaults__)
        if function.__dict__:
            yield from _of_dict(function.__dict__)
        if not self._left_alone(module_name_of(function)):
            module = function.__globals__
            for name in _names(function.__code__):
                if name in module:
                    yield module[name], partial(dict.__setitem__, module, name)

    def _of_object(self, holder: Any) -> Iterator[tuple[Any, Put]]:
        named: set[int] = set()
        attributes = attributes_of(holder)
        if attributes:
            named.add(id(attributes))
            for value, put in _of_dict(attributes):
                named.add(id(value))
                yield value, put
        for kind in mro_of(type(holder)):
            for slot in list(members_of(kind).values()):
                if type(slot) is MemberDescriptorType:
                    try:
                        value = slot.__get__(holder, kind)
                    except AttributeError:
                        continue
                    named.add(id(value))
                    yield value, partial(slot.__set__, holder)
        # Tuples, sets, partials, methods, and whatever is written in C.
        for value in gc.get_referents(holder):
            if id(value) not in named and value is not type(holder):
                yield value, None


def _names(code: CodeType) -> set[str]:
    """The names of globals and attributes that a function uses, and those that are made in it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _of_dict(holder: dict[Any, Any]) -> Iterator[tuple[Any, Put]]:
    for key, value in list(dict.items(holder)):
        yield value, partial(dict.__setitem__, holder, key)


def _set_static(cls: type, name: str, function: Any) -> None:
    type.__setattr__(cls, name, staticmethod(function))


def _set_called(called: partial[Any], function: Any) -> None:
    """Let a partial call another function."""
    state: Any = called.__reduce__()[2]
    called.__setstate__((function, *state[1:]))  # type: ignore[attr-defined]  # as pickle does


def _set_default(function: FunctionType, number: int, value: Any) -> None:
    defaults = list(function.__defaults__ or ())
    defaults[number] = value
    function.__defaults__ = tuple(defaults)
