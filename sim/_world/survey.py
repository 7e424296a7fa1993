"""One look at each name that a module of the program has, for all that an exploration begins with.

A program has tens of thousands of names. Reaching the objects takes the time, because they lie anywhere in
memory. So each is reached once, and the cheapest test excludes objects that hold nothing of interest.
"""

# Modules may hold anything.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from gc import is_tracked
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any

from sim._run.looking import (
    attributes_of,
    class_module,
    kinds_of,
    members_of,
    module_name_of,
    module_names,
)


@dataclass
class Survey:
    """The contents of a program's modules.

    Attributes:
        named: where something that is replaced has a name: (module, name, what to put there).
        generators: (name of the module, module, name, generator), in the order of the modules' names.
        holders: modules, and what they have of their own, that may have a lock in an attribute.
    """

    named: list[tuple[Any, str, Any]] = field(default_factory=list[tuple[Any, str, Any]])
    generators: list[tuple[str, Any, str, random.Random]] = field(
        default_factory=list[tuple[str, Any, str, random.Random]]
    )
    holders: list[Any] = field(default_factory=list[Any])


class Locks:
    """Which types are those of locks, and of what is built on them.

    Args:
        adopted: these and their subclasses.
    """

    def __init__(self, adopted: tuple[type, ...]) -> None:
        self._adopted = adopted
        self._others: set[type] = set()

    def any_of(self, kinds: set[type]) -> bool:
        """Whether one of these types is one."""
        # Next to nothing that a program has by a name is a lock.
        if kinds <= self._others:
            return False
        locks = {kind for kind in kinds - self._others if issubclass(kind, self._adopted)}
        self._others |= kinds - locks
        return bool(locks)


def survey(left_alone: Callable[[str], bool], replaced: Mapping[int, Any], locks: Locks) -> Survey:
    """Look at all modules.

    Args:
        left_alone: whether a module, of which the name is given, is none of the program's.
        replaced: what to put in the place of something, by the address of that.
        locks: what is looked for in attributes.
    """
    found = Survey()
    for module_name, module in list(sys.modules.items()):
        is_left_alone = left_alone(module_name)
        if is_left_alone and not module_name.startswith("concurrent.futures"):
            continue
        names = module_names(module)
        if not names:
            continue
        values = list(names.values())
        kinds = kinds_of(values)
        if not is_left_alone:
            if not replaced.keys().isdisjoint(map(id, values)):
                found.named += [
                    (module, name, replaced[id(value)])
                    for name, value in list(names.items())
                    if id(value) in replaced
                ]
            if random.Random in kinds:
                # Not a subclass: `SystemRandom` asks the system, and others are the program's own.
                found.generators += [
                    (module_name, module, name, value)
                    for name, value in list(names.items())
                    if type(value) is random.Random
                ]
        if locks.any_of(kinds):
            found.holders.append(module)
        found.holders += _own(module_name, values, locks)
    found.generators.sort(key=lambda one: one[0])
    return found


def _own(module_name: str, values: Sequence[Any], locks: Locks) -> Iterator[Any]:
    """Which of the values that a module has are its own, and may have a lock in an attribute."""
    for value in values:
        kind = type(value)
        if kind is FunctionType:
            if value.__module__ == module_name and value.__dict__:
                yield value
        elif issubclass(kind, type):
            if class_module(value) == module_name and locks.any_of(
                kinds_of(list(members_of(value).values()))
            ):
                yield value
        elif kind is dict or kind is list or kind is ModuleSpec or kind is SourceFileLoader:
            # Most of what is left; a set of these kinds would ask the metaclass of a kind for its hash.
            continue
        elif is_tracked(value) and not issubclass(kind, ModuleType):
            attributes = attributes_of(value)
            if attributes and module_name_of(value) == module_name:
                yield value
