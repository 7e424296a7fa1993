"""Program state that outlives a run: globals, class attributes and closures, for comparison.

A run is a function of its choices only if it builds all of its own state. When two runs of the same choices
differ, a reader first asks which state has changed between them. It is a help
and no proof: only plain values and the sizes of containers are looked at, a few levels deep.

No code of the program is called, and what cannot be looked at is left out.
"""

# A program may hold anything, so values are untyped here.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import _random
import itertools
import os
import random
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from sim._run.libraries import declares
from sim._run.looking import (
    attributes_of,
    basic_text,
    class_module,
    class_name,
    is_a,
    members_of,
    module_name_of,
    module_names,
    slots_of,
    text_of,
)
from sim._run.trace import is_library
from sim._world.kept_random import KeptRandom

State: TypeAlias = dict[str, str]
"""By name, what a value looks like in a few characters."""

_CONTAINERS: Final[tuple[Any, ...]] = (list, dict, set, frozenset, tuple, deque, bytearray)
_CACHES: Final = type(lru_cache(len))
_NAMESPACES: Final = (types.SimpleNamespace, threading.local)
_OF_THE_HARNESS: Final = ("sim", "trio", "_pytest")
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
    """The differences between two states, as ``name: once -> now``."""
    return tuple(
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _roots(scenario: Callable[..., object]) -> Iterator[tuple[str, object]]:
    yield from ((f"os.environ[{name!r}]", value) for name, value in os.environ.items())
    function: Any = scenario
    while isinstance(function, partial):
        yield from (
            (f"argument {number} of the scenario", value) for number, value in enumerate(function.args)
        )
        yield from ((f"{name} of the scenario", value) for name, value in function.keywords.items())
        function = function.func
    yield from _closure(function, set())
    if is_a(function, types.MethodType):
        yield "self", function.__self__
    for module_name in sorted(_modules(function)):
        names = module_names(sys.modules.get(module_name))
        if names is not None and _of_program(module_name, names, function):
            for name, value in list(names.items()):
                if not name.startswith("__"):
                    yield f"{module_name}.{name}", value


def _modules(scenario: Any) -> set[str]:
    """The modules that a scenario's own refers to: all of a large program would take too long to look at."""
    own = module_name_of(scenario)
    names = {own}
    for value in list((module_names(sys.modules.get(own)) or {}).values()):
        if is_a(value, types.ModuleType):
            name = attributes_of(value).get("__name__")
            if type(name) is str:
                names.add(name)
        else:
            names.add(module_name_of(value))
    return names


def _closure(function: Any, seen: set[int]) -> Iterator[tuple[str, object]]:
    """The closures of a function and of the functions that it refers to."""
    function = attributes_of(function).get("__wrapped__", function)
    if is_a(function, types.MethodType):
        function = function.__func__
    if not is_a(function, types.FunctionType) or id(function) in seen:
        return
    code = function.__code__
    seen.add(id(function))
    yield from _defaults(function)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if is_a(value, types.FunctionType):
            yield from _closure(value, seen)
        else:
            yield name, value


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The default arguments of a function."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = zip(reversed(names), reversed(function.__defaults__ or ()), strict=False)
    for name, default in [*defaults, *(function.__kwdefaults__ or {}).items()]:
        yield f"{name} (a default of {function.__name__})", default


def _of_program(name: str, names: dict[str, Any], scenario: Any) -> bool:
    if name == module_name_of(scenario):
        return True
    path = names.get("__file__")
    top = name.partition(".")[0]
    own = top not in _OF_THE_HARNESS and not declares(top)
    return type(path) is str and own and not is_library(path)


def _shown(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    kind: Any = type(value)
    plain = basic_text(value)
    if plain is not None:
        yield name, _cut(plain)
        return
    container = next((one for one in _CONTAINERS if issubclass(kind, one)), None)
    if container is not None:
        size = container.__len__(value)
        for part, item in _parts(name, container, value) if depth and size <= _FEW else []:
            yield from _shown(part, item, depth - 1)
        yield name, f"a {class_name(kind)} of {size:,}"
    elif kind is itertools.count:
        # Its text has the next count, and takes none.
        yield name, _cut(text_of(value))
    elif issubclass(kind, random.Random):
        # One that begins afresh with each run leaves nothing to the next.
        if kind is not KeptRandom:
            state = _random.Random.getstate(value)
            yield name, f"a generator in state {hash(state) & 0xFFFF:04x}"
    elif issubclass(kind, type):
        if depth == _DEPTH:
            for attribute, item in list(members_of(value).items()):
                if not attribute.startswith("__"):
                    yield from _shown(f"{name}.{attribute}", item, 1)
    elif kind is _CACHES:
        yield name, f"a cache of {value.cache_info().currsize:,}"
    elif kind is types.FunctionType:
        if depth == _DEPTH:
            for argument, default in _defaults(value):
                if is_a(default, _CONTAINERS) and not is_a(default, tuple):
                    yield from _shown(argument, default, 1)
            for attribute, item in list(attributes_of(value).items()):
                if attribute != "__wrapped__":
                    yield from _shown(f"{name}.{attribute}", item, 1)
    elif depth and (issubclass(kind, _NAMESPACES) or class_module(kind) not in sys.stdlib_module_names):
        attributes = attributes_of(value) | slots_of(value)
        if attributes:
            yield name, f"a {class_name(kind)}"
        for attribute, item in list(attributes.items()):
            yield from _shown(f"{name}.{attribute}", item, depth - 1)


def _parts(name: str, kind: type, container: Any) -> list[tuple[str, Any]]:
    """The members of a container by name; of a set, none, for they have no names.

    Args:
        kind: the built-in class that it is of, or that its class is derived from.
    """
    if kind is dict:
        items: list[tuple[Any, Any]] = list(dict[Any, Any].items(container))
        keyed = [(basic_text(key), item) for key, item in items]
        return [(f"{name}[{_cut(key)}]", item) for key, item in keyed if key is not None]
    if kind in (list, tuple, deque):
        members: Any = kind
        return [(f"{name}[{number}]", item) for number, item in enumerate(members.__iter__(container))]
    return []


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
