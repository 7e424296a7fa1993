"""What a program keeps beyond a run: its globals, class attributes and closures, to be compared.

A run is a function of its choices only if it builds all of its own state. When two runs of the same choices
differ, the names of what has changed between them are the first thing that a reader asks for. It is a help
and no proof: only plain values and the sizes of containers are looked at, a few levels deep.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias, TypeGuard

from sim._run.trace import is_library

State: TypeAlias = dict[str, str]
"""By name, what a value looks like in a few characters."""

_PLAIN: Final = (bool, int, float, str, bytes, type(None))
_CONTAINERS: Final = (list, dict, set, frozenset, tuple, deque, bytearray)
_CACHES: Final = type(lru_cache(len))
_NAMESPACES: Final = (types.SimpleNamespace, threading.local)
_OF_THE_HARNESS: Final = ("sim", "trio", "trio_genserver", "_pytest")
_DEPTH: Final = 3
_LONGEST: Final = 60
_MANY: Final = 2_000
_FEW: Final = 20


def state_of(scenario: Callable[..., object]) -> State:
    """The state that a scenario could leave to its next run: of the modules of the program, and its own."""
    state: State = {}
    for name, value in _roots(scenario):
        for key, shown in _shown(name, value, _DEPTH):
            state[key] = shown
            if len(state) >= _MANY:
                return state
    return state


def changes(before: State, after: State) -> tuple[str, ...]:
    """What differs between two states, as ``name: once -> now``."""
    return tuple(
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _roots(scenario: Callable[..., object]) -> Iterator[tuple[str, object]]:
    function: Any = scenario
    while isinstance(function, partial):
        yield from (
            (f"argument {number} of the scenario", value) for number, value in enumerate(function.args)
        )
        yield from ((f"{name} of the scenario", value) for name, value in function.keywords.items())
        function = function.func
    yield from _closure(function, set())
    yield "self", getattr(function, "__self__", None)
    for module_name in sorted(_modules(function)):
        module = sys.modules.get(module_name)
        if isinstance(module, types.ModuleType) and _of_program(module_name, module, function):
            for name, value in list(vars(module).items()):
                if not name.startswith("__"):
                    yield f"{module_name}.{name}", value


def _modules(scenario: Any) -> set[str]:
    """The modules that a scenario's own refers to: all of a large program would take too long to look at."""
    own: str = getattr(scenario, "__module__", None) or ""
    names = {own}
    for value in list(vars(sys.modules[own]).values()) if own in sys.modules else ():
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            names.add(name)
    return names


def _closure(function: Any, seen: set[int]) -> Iterator[tuple[str, object]]:
    """What a function, and functions that it refers to, have taken from around them."""
    function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None or id(function) in seen:
        return
    seen.add(id(function))
    yield from _defaults(function)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, types.FunctionType):
            yield from _closure(value, seen)
        else:
            yield name, value


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function keeps as the defaults of its arguments."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = zip(reversed(names), reversed(function.__defaults__ or ()), strict=False)
    for name, default in [*defaults, *(function.__kwdefaults__ or {}).items()]:
        yield f"{name} (a default of {function.__name__})", default


def _of_program(name: str, module: types.ModuleType, scenario: Any) -> bool:
    if name == getattr(scenario, "__module__", None):
        return True
    path = getattr(module, "__file__", None)
    own = name.partition(".")[0] not in _OF_THE_HARNESS
    return path is not None and own and not is_library(path)


def _shown(name: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    looked_at: Any = value
    if isinstance(value, _PLAIN):
        yield name, _cut(repr(value))
    elif _is_container(value):
        try:
            size = len(value)
            parts = _parts(name, value) if depth and size <= _FEW else []
        except Exception:  # noqa: BLE001 - a class of the program's, which may do anything
            return
        for part, item in parts:
            yield from _shown(part, item, depth - 1)
        yield name, f"a {type(value).__name__} of {size:,}"
    elif isinstance(value, itertools.count):
        # Its text has the next count, and takes none.
        yield name, _cut(repr(looked_at))
    elif isinstance(value, random.Random):
        yield name, f"a generator in state {hash(value.getstate()) & 0xFFFF:04x}"
    elif isinstance(value, type):
        if depth == _DEPTH:
            for attribute, item in list(vars(value).items()):
                if not attribute.startswith("__"):
                    yield from _shown(f"{name}.{attribute}", item, 1)
    elif isinstance(value, _CACHES):
        yield name, f"a cache of {looked_at.cache_info().currsize:,}"
    elif isinstance(value, types.FunctionType):
        if depth == _DEPTH:
            for argument, default in _defaults(value):
                if _is_container(default) and not isinstance(default, tuple):
                    yield from _shown(argument, default, 1)
            for attribute, item in list(vars(value).items()):
                if attribute != "__wrapped__":
                    yield from _shown(f"{name}.{attribute}", item, 1)
    elif depth and (isinstance(value, _NAMESPACES) or type(value).__module__ not in sys.stdlib_module_names):
        attributes = _attributes(value)
        if attributes:
            yield name, f"a {type(value).__name__}"
        for attribute, item in list(attributes.items()):
            yield from _shown(f"{name}.{attribute}", item, depth - 1)


def _is_container(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, _CONTAINERS)


def _attributes(value: object) -> dict[str, Any]:
    """What an object has in its dict, and in the slots of its classes."""
    attributes: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for slot, member in list(vars(cls).items()):
            if isinstance(member, types.MemberDescriptorType):
                try:
                    attributes[slot] = member.__get__(value)
                except AttributeError:
                    continue
    return attributes


def _parts(name: str, container: object) -> list[tuple[str, Any]]:
    """The members of a container by name; of a set, none, for they have no names."""
    inside: Any = container
    if isinstance(container, dict):
        items: list[tuple[Any, Any]] = list(inside.items())
        return [(f"{name}[{_cut(repr(key))}]", item) for key, item in items if isinstance(key, _PLAIN)]
    if isinstance(container, list | tuple | deque):
        return [(f"{name}[{number}]", item) for number, item in enumerate(inside)]
    return []


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
