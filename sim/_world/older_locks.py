"""Locks that a program has made before the run, and kept functions: found where the program holds them.

A lock of before the run, in an attribute of some object, would be a real one: taking it would be no schedule
point, and an exploration would say "complete" of what it has not seen. The same holds for the default factory
of a dataclass, for another reference to `threading.Lock` that was kept, and for a reference to a clock. So
all that a program can reach from its scenario is looked through before the first run, and each place is given
the stand-in. A tuple or a frozenset is replaced by a copy that holds the stand-in.
"""

# A program may hold anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final, TypeAlias

from sim._run.looking import attributes_of, class_module, members_of, module_name_of, mro_of

Put: TypeAlias = Callable[[Any], object] | None
"""Replaces a value where it is held; None if that cannot be."""

# Of these modules of the standard library, objects are looked into: they hold what the program has put there.
_LOOKED_INTO: Final = frozenset(
    {
        "builtins",
        "collections",
        "threading",
        "queue",
        "_queue",
        "concurrent",
        "functools",
        "contextlib",
        "itertools",
    }
    | {"types", "dataclasses", "weakref", "_weakref", "_thread", "operator"}
)
CANNOT: Final = object()
_COPIED: Final = (tuple, frozenset)
_MANAGED_DICT: Final = 1 << 4
"""The flag of types whose objects have attributes as Python makes them."""
_MOST: Final = 300_000


class OlderLocks:
    """Looks through what a program holds.

    Args:
        left_alone: whether a module, of which the name is given, is none of the program's.
        stand_in: what to put in the place of a value; None if the value may stay, `CANNOT` if it may not.
        not_into: classes whose objects are not looked into.

    Attributes:
        unseen: which objects hold a lock that cannot be replaced.
        clocks: which objects hold a clock, or a source of randomness of the system, that cannot be replaced.
    """

    def __init__(
        self, left_alone: Callable[[str], bool], stand_in: Callable[[Any], Any], not_into: tuple[type, ...]
    ) -> None:
        self._left_alone = left_alone
        self._stand_in = stand_in
        self._not_into = not_into
        self._undo: list[Callable[[], object]] = []
        self.unseen: set[str] = set()
        self.clocks: set[str] = set()

    def replace(self, root: Any) -> None:
        """Put stand-ins everywhere that can be reached from an object."""
        stack = [root]
        seen = {id(root)}
        copies: dict[int, Any] = {}
        while stack:
            holder = stack.pop()
            is_copied = _is_copied(holder)
            for value, put in self._places(holder):
                stand_in = self._stand_in(value)
                # The items of what is copied were replaced where the copy was put.
                if put is not None or not is_copied:
                    new = self._copy(value, copies) if stand_in is None else stand_in
                    if new is not None:
                        self._put(value, new, put, holder)
                if stand_in is None and id(value) not in seen and self._is_looked_into(value):
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

    def _copy(self, value: Any, copies: dict[int, Any]) -> Any:
        """A copy of a tuple or a frozenset with stand-ins, `CANNOT`, or None if nothing in it is replaced."""
        if not _is_copied(value):
            return None
        if id(value) in copies:
            return copies[id(value)]
        items: list[Any] = []
        replaced = False
        for item in _items(value):
            new = self._stand_in(item)
            if new is CANNOT:
                self._cannot(item, value)
                new = None
            elif new is None:
                new = self._copy(item, copies)
            replaced = replaced or new is not None
            items.append(item if new is None else new)
        copies[id(value)] = copy = _remade(value, items) if replaced else None
        return copy

    def _put(self, value: Any, stand_in: Any, put: Put, holder: Any) -> None:
        if put is not None and stand_in is not CANNOT:
            try:
                put(stand_in)
            except Exception:  # noqa: BLE001 - its class does not let it be set, for whatever reason
                pass
            else:
                self._undo.append(partial(put, value))
                return
        self._cannot(value, value if stand_in is CANNOT else holder)

    def _cannot(self, value: Any, holder: Any) -> None:
        """Note that a value stays, as what it is."""
        if _is_copied(value):
            for item in _items(value):
                if _is_copied(item) or self._stand_in(item) is not None:
                    self._cannot(item, holder)
        elif not _is_seeded(value):
            known = self.clocks if _is_clock(value) else self.unseen
            known.add(f"a {type(holder).__name__}")

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
                yield value, partial(_set_item, holder, number, [value])
        elif kind is set:
            for value in list(holder):
                yield value, partial(_set_member, holder, [value])
        elif kind is CellType:
            try:
                yield holder.cell_contents, partial(setattr, holder, "cell_contents")
            except ValueError:  # it is empty
                return
        elif kind is partial:
            yield holder.func, partial(_set_called, holder)
            yield holder.args, partial(_set_arguments, holder)
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
            # Code in C may hold the same object apart from its attributes, as a cache its function.
            has_values = type(holder).__flags__ & _MANAGED_DICT
            for value, put in _of_dict(attributes):
                if has_values:
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
        # Tuples, partials, methods, and whatever is written in C. Nothing is put into a deque: that of a
        # condition holds the locks that threads of the host wait for.
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
        if type(key) is not str:
            yield key, partial(_set_key, holder, [key])


def _is_copied(value: Any) -> bool:
    # Its class is not asked: a proxy would look at what it stands for.
    return issubclass(type(value), _COPIED)


def _items(value: Any) -> Iterator[Any]:
    kind: Any = tuple if issubclass(type(value), tuple) else frozenset
    return iter(kind.__iter__(value))


def _remade(value: Any, items: list[Any]) -> Any:
    """Another tuple or frozenset of the same class."""
    kind: Any = type(value)
    plain: Any = tuple if issubclass(kind, tuple) else frozenset
    try:
        made = plain.__new__(kind, items)
    except TypeError:  # a class written in C
        return CANNOT
    attributes = attributes_of(value)
    if attributes:
        attributes_of(made).update(attributes)
    return made


def _is_clock(value: Any) -> bool:
    return module_name_of(value) in ("time", "posix", "nt") or type(getattr(value, "__self__", None)) is type


def _is_seeded(value: Any) -> bool:
    """Whether it is a function of `random`: these give the same numbers in each run, wherever they are."""
    return module_name_of(value) == "random" or type(getattr(value, "__self__", None)) is random.Random


def _set_item(holder: Any, number: int, present: list[Any], value: Any) -> None:
    """Replace the item that is `present`, wherever the program has moved it, if it is still there."""
    items = list(list.__iter__(holder))
    if number >= len(items) or items[number] is not present[0]:
        number = next((place for place, item in enumerate(items) if item is present[0]), -1)
    if number >= 0:
        list.__setitem__(holder, number, value)
    present[0] = value


def _set_member(holder: set[Any], present: list[Any], value: Any) -> None:
    """Replace the member of a set that is `present`."""
    if present[0] in holder:
        holder.discard(present[0])
        holder.add(value)
    present[0] = value


def _set_key(holder: dict[Any, Any], present: list[Any], key: Any) -> None:
    """Replace the key of a dictionary that is `present`, in its place."""
    items = [(key if old is present[0] else old, value) for old, value in dict.items(holder)]
    dict.clear(holder)
    for item in items:
        dict.__setitem__(holder, *item)
    present[0] = key


def _set_static(cls: type, name: str, function: Any) -> None:
    type.__setattr__(cls, name, staticmethod(function))


def _set_called(called: partial[Any], function: Any) -> None:
    """Let a partial call another function."""
    state: Any = called.__reduce__()[2]
    called.__setstate__((function, *state[1:]))  # type: ignore[attr-defined]  # as pickle does


def _set_arguments(called: partial[Any], arguments: tuple[Any, ...]) -> None:
    """Give a partial other positional arguments."""
    state: Any = called.__reduce__()[2]
    called.__setstate__((state[0], arguments, *state[2:]))  # type: ignore[attr-defined]  # as pickle does


def _set_default(function: FunctionType, number: int, value: Any) -> None:
    defaults = list(function.__defaults__ or ())
    defaults[number] = value
    function.__defaults__ = tuple(defaults)
