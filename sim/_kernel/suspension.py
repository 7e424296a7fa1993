"""The state of a suspended task, as far as it is cheap to see: it tells which tasks repeat themselves.

Two suspensions are taken for the same if the task is at the same instruction in each of its calls, and if
what these hold is the same: plain values by their value, containers by their size, iterators by how much is
left of them, objects by what they are and by the plain values and sizes in their attributes. Deeper values
are not looked at.

Nothing is kept alive by it, and no code of the program is called.
"""

# A program may hold anything, so values are untyped here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Hashable, Sequence
from operator import length_hint
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import Any, Final, TypeAlias

import trio

from sim._run.looking import attributes_of, class_module, derives, members_of, module_name_of, mro_of

Call: TypeAlias = tuple[Any, FrameType]

_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
_SIZED: Final = frozenset({list, dict, set, frozenset, deque, bytearray})
_NEVER_DIFFERENT: Final = (FrameType, CodeType, ModuleType, BuiltinFunctionType, type)
_BUILT_IN: Final = frozenset({"builtins", "itertools", "collections"})
# Objects whose changes the simulator sees in another way, or that others change: they are told apart, not
# looked into.
_NOT_LOOKED_INTO: Final = ("trio.", "sim.")
_CHECKPOINTS: Final = frozenset(
    function.__code__
    for function in (trio.sleep, trio.lowlevel.checkpoint, trio.lowlevel.cancel_shielded_checkpoint)
)
_MOST: Final = 16
_NO_STATE: Final = (
    *_NEVER_DIFFERENT,
    trio.lowlevel.Task,
)
_CALLS: Final = (CoroutineType, GeneratorType, AsyncGeneratorType, FrameType)
_DEPTH: Final = 5
_OBJECTS: Final = 200


class Suspensions:
    """Looks at suspended tasks, and remembers which object is which without holding any."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._count = 0

    def forget(self) -> None:
        """Forget all objects."""
        self._known.clear()

    def state(self, calls: Sequence[Call]) -> Hashable:
        """The values held by the calls that a suspended task is in."""
        essence = self._essence
        return tuple([essence(held) for call, _ in calls for held in _held(call)])

    def reach(self, calls: Sequence[Call]) -> Hashable:
        """The values reachable from those calls; they differ after a step that has changed any of them.

        Only as far as `_DEPTH` steps and `_OBJECTS` objects, and not through what is no state of the program:
        other tasks, modules, classes, the simulator.
        """
        seen: set[int] = set()
        found: list[Hashable] = []
        layer = [held for call, _ in calls for held in _held(call)]
        for _ in range(_DEPTH):
            following: list[Any] = []
            for value in layer:
                kind: Any = type(value)
                if _is_one_of(kind, _PLAIN):
                    found.append((kind, value))
                elif kind is CodeType:
                    continue
                elif issubclass(kind, _CALLS):
                    # Each call is another.
                    found.append(kind)
                elif id(value) not in seen and len(seen) < _OBJECTS:
                    seen.add(id(value))
                    found.append(self._number(value))
                    following += self._parts(value, found)
            layer = following
        return tuple(found)

    @staticmethod
    def _parts(value: Any, found: list[Hashable]) -> Sequence[Any]:
        kind: Any = type(value)
        if issubclass(kind, set | frozenset):
            # Their order is that of addresses.
            found.append(set.__len__(value) if issubclass(kind, set) else frozenset.__len__(value))
            return ()
        if _is_one_of(kind, _SIZED):
            found.append(len(value))
            return gc.get_referents(value)
        if kind is FunctionType:
            return () if module_name_of(value).startswith("sim.") else value.__closure__ or ()
        module = class_module(kind)
        if derives(kind, _NO_STATE) or (module.startswith("sim.") and module != "sim._dependence.shared"):
            return ()
        if module in _BUILT_IN and hasattr(kind, "__length_hint__"):
            found.append(length_hint(value, -1))
        return gc.get_referents(value)

    def _essence(self, value: Any) -> Any:
        kind: Any = type(value)
        if _is_one_of(kind, _PLAIN):
            return kind, value
        if _is_one_of(kind, _SIZED):
            return kind, len(value)
        if kind is CellType:
            try:
                held = value.cell_contents
            except ValueError:
                return kind
            return self._essence(held) if type(held) is not CellType else kind
        if kind is tuple:
            return kind, len(value), tuple(map(self._shallow, value[:_MOST]))
        if kind is FunctionType:
            return id(value.__code__)
        if issubclass(kind, _NEVER_DIFFERENT):
            return kind
        module = class_module(kind)
        if module in _BUILT_IN:
            # A coroutine has no length, an iterator has.
            return (kind, length_hint(value, -1)) if hasattr(kind, "__length_hint__") else kind
        if module.startswith(_NOT_LOOKED_INTO):
            return self._number(value)
        return self._number(value), self._attributes(value)

    def _shallow(self, value: Any) -> Hashable:
        kind: Any = type(value)
        if _is_one_of(kind, _PLAIN):
            return kind, value
        if _is_one_of(kind, _SIZED):
            return kind, len(value)
        return kind if class_module(kind) in _BUILT_IN else self._number(value)

    def _attributes(self, value: object) -> Hashable:
        return tuple(
            (name, type(inner), inner if _is_one_of(type(inner), _PLAIN) else len(inner))
            for name, inner in list(attributes_of(value).items())[:_MOST]
            if _is_one_of(type(inner), _PLAIN) or _is_one_of(type(inner), _SIZED)
        )

    def _number(self, value: Any) -> Hashable:
        """A number for an object: another one for each, also at the address of one that is gone."""
        known = self._known.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        try:
            reference = weakref.ref(value)
        except TypeError:
            return id(type(value))
        self._count += 1
        self._known[id(value)] = reference, self._count
        return self._count


def _is_one_of(kind: type, kinds: frozenset[type]) -> bool:
    # All of these are of the class `type`; of others, their metaclass may have a hash of its own, or none.
    return type(kind) is type and kind in kinds


def calls_of(task: Any) -> list[Call]:
    """The coroutines and generators that a task is in which has stopped at a checkpoint, outermost first,
    each with its frame; but for Trio's own below the checkpoint."""
    calls: list[Call] = []
    awaited = task.coro
    while awaited is not None:
        kind: Any = type(awaited)
        if kind is CoroutineType or _has(kind, "cr_frame"):
            frame, following = awaited.cr_frame, awaited.cr_await
        elif kind is GeneratorType or _has(kind, "gi_frame"):
            frame, following = awaited.gi_frame, awaited.gi_yieldfrom
        else:
            # A step of an async generator, which does not say of which.
            if not _has(kind, "ag_frame"):
                held = gc.get_referents(awaited)
                awaited = next((one for one in held if _has(type(one), "ag_frame")), None)
                if awaited is None:
                    break
            frame, following = awaited.ag_frame, awaited.ag_await
        if frame is None:
            break
        calls.append((awaited, frame))
        if frame.f_code in _CHECKPOINTS:
            break
        awaited = following
    return calls


def _held(call: Any) -> list[Any]:
    """The objects that a call refers to, above all its variables."""
    held = gc.get_referents(call)
    for place, value in enumerate(held):
        if type(value) is FrameType:
            # After its frame comes the dict in which the variables are once somebody has asked for them by
            # ``f_locals``, as a debugger does: that is a copy, and nothing that the task has done.
            if place + 1 < len(held) and type(held[place + 1]) is dict:
                del held[place + 1]
            break
    return held


def _has(kind: type, name: str) -> bool:
    """Whether objects of a class have an attribute of Python's own calls, that are written in C."""
    return any(name in members_of(cls) for cls in mro_of(kind))


def place_of(calls: Sequence[Call]) -> Hashable:
    """At which instruction of each of its calls a task is."""
    return tuple([(id(frame.f_code), frame.f_lasti) for _, frame in calls])
