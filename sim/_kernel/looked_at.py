"""The variables that the loops of tasks look at, and whether they change: a livelock waits for them in vain.

A loop looks at the variables that are named between its beginning and its end, and in the functions of the
program that it calls. Their values are noted after each of the last steps of a run. It is a help and no
proof: of containers the size is seen, of objects the plain values in their attributes, and not what lies
deeper.

No code of the program is called.
"""

# A program may hold anything, so values are untyped here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import dis
import enum
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType, MemberDescriptorType, MethodType
from typing import Any, Final, NamedTuple, TypeAlias

import trio

from sim._dependence.shared import Shared
from sim._run.looking import attributes_of, class_module, class_name, is_a, members_of, module_name_of, mro_of
from sim._run.step import TaskId
from sim._run.trace import is_library, is_machinery, short_name, task_label

WATCHED: Final = 500
"""How many of the last steps are watched of a run that is given up, and no more than the last half."""

_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))
_SIZED: Final = (list, dict, set, frozenset, tuple, deque, bytearray)
_LONGEST: Final = 60
_FEW: Final = 8
_DEPTH: Final = 3
_MOST_TASKS: Final = 16
_MOST_NAMES: Final = 40
_MOST_LINES: Final = 12

_Path: TypeAlias = tuple[str, ...]
_Lookup: TypeAlias = Callable[[str], Any]
_MISSING: Final = object()


class Looks(NamedTuple):
    """The values that loops have looked at, over some steps.

    Attributes:
        steps: how many.
        unchanged: what was always the same, as ``name: value``.
        changed: what was not, as ``name: once -> now``.
    """

    steps: int
    unchanged: tuple[str, ...]
    changed: tuple[str, ...]


class LoopWatch:
    """Notes what the loops of tasks look at, step after step."""

    def __init__(self) -> None:
        self._tasks: dict[TaskId, Any] = {}
        self._steps = 0
        # By task and name: its first and its last value, and whether there was another.
        self._seen: dict[tuple[TaskId, str], list[Any]] = {}
        self._named: dict[tuple[CodeType, int], list[_Path]] = {}

    def note(self, task: Any, identity: TaskId) -> None:
        """A task has made a step."""
        if len(self._tasks) < _MOST_TASKS:
            self._tasks[identity] = task
        self._steps += 1
        for other, watched in list(self._tasks.items()):
            if watched.coro.cr_frame is None:
                # A task that ends does not keep the run going, whatever it looks at.
                del self._tasks[other]
                for key in [key for key in self._seen if key[0] == other]:
                    del self._seen[key]
                continue
            for name, value in self._looks(watched):
                seen = self._seen.setdefault((other, name), [value, value, False])
                seen[2] = seen[2] or seen[1] != value
                seen[1] = value

    def looks(self) -> Looks:
        """The notes."""
        by_name: dict[str, dict[tuple[str, str, bool], list[TaskId]]] = {}
        for (task, name), (once, now, changed) in self._seen.items():
            by_name.setdefault(name, {}).setdefault((once, now, changed), []).append(task)
        unchanged: list[str] = []
        changes: list[str] = []
        for name, values in by_name.items():
            for (once, now, changed), tasks in values.items():
                of = (
                    f" of {task_label(short_name(self._tasks[tasks[0]].name), tasks[0])}"
                    if len(values) > 1
                    else ""
                )
                if changed:
                    changes.append(f"{name}{of}: {once} -> {now}")
                else:
                    unchanged.append(f"{name}{of}: {now}")
        return Looks(self._steps, tuple(unchanged[:_MOST_LINES]), tuple(changes[:_MOST_LINES]))

    def _looks(self, task: Any) -> Iterator[tuple[str, str]]:
        in_loop = False
        names: dict[str, str] = {}
        for frame, _ in task.iter_await_frames():
            if (
                not isinstance(frame, FrameType)
                or is_machinery(frame)
                or is_library(frame.f_code.co_filename)
            ):
                continue
            # A function called in a loop counts as a whole.
            paths = self._paths(frame.f_code, -1 if in_loop else frame.f_lasti)
            in_loop = in_loop or bool(paths)
            held = frame.f_locals
            variables = frame.f_globals

            def lookup(name: str, held: Any = held, variables: Any = variables) -> Any:
                return held.get(name, variables.get(name, _MISSING))

            self._describe(paths, lookup, names, _DEPTH)
        yield from names.items()

    def _describe(self, paths: list[_Path], lookup: _Lookup, names: dict[str, str], depth: int) -> None:
        """Add to the names what is at the ends of paths, and what the functions look at that are there."""
        for name, *attributes in paths:
            if len(names) >= _MOST_NAMES:
                return
            value, owner, path = lookup(name), None, name
            for attribute in attributes:
                following = _attribute(value, attribute)
                if following is _MISSING:
                    break
                owner, value, path = value, following, f"{path}.{attribute}"
            if is_a(value, property):
                value = value.fget
            if is_a(value, MethodType):
                owner, value = value.__self__, value.__func__
            if is_a(value, FunctionType):
                if depth and not _is_of_libraries(value):
                    inside = self._paths(value.__code__, -1)
                    self._describe(inside, _lookup_in(value, owner), names, depth - 1)
                continue
            described = _described(value)
            if described is not None:
                names.setdefault(path, described)

    def _paths(self, code: CodeType, at: int) -> list[_Path]:
        """The variables, with their attributes, that are named in the outermost loop around an instruction.

        Args:
            at: the offset of the instruction; -1: in all of the code.
        """
        known = self._named.get((code, at))
        if known is None:
            known = self._named[code, at] = list(dict.fromkeys(_paths(code, at)))
        return known


# Between the name of a variable and that of its attribute.
_IN_BETWEEN: Final = frozenset({"CACHE", "COPY", "EXTENDED_ARG", "NOP", "PUSH_NULL"})


def _paths(code: CodeType, at: int) -> Iterator[_Path]:
    instructions = list(dis.get_instructions(code))
    if at >= 0:
        loops = [
            (instruction.argval, instruction.offset)
            for instruction in instructions
            if "JUMP_BACKWARD" in instruction.opname
            # That is how an await goes on.
            and "NO_INTERRUPT" not in instruction.opname
            and instruction.argval <= at <= instruction.offset
        ]
        if not loops:
            return
        begin, end = min(loop[0] for loop in loops), max(loop[1] for loop in loops)
        instructions = [one for one in instructions if begin <= one.offset <= end]
    path: _Path = ()
    counts = False
    for instruction in instructions:
        name = instruction.argval
        if counts and instruction.opname.startswith("STORE_") and isinstance(name, str):
            # The iterator of a ``for`` tells whether the loop makes progress.
            yield (name,)
        counts = instruction.opname == "FOR_ITER"
        if instruction.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME")):
            if path:
                yield path
            *others, name = name if isinstance(name, tuple) else (name,)
            yield from ((other,) for other in others)
            path = (name,)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and path:
            path = (*path, name)
        elif instruction.opname not in _IN_BETWEEN and path:
            yield path
            path = ()
    if path:
        yield path


def _lookup_in(function: FunctionType, owner: object) -> _Lookup:
    """How names are looked up in a function that is called, as far as is known before it is."""
    code = function.__code__
    held: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            held[name] = cell.cell_contents
        except ValueError:
            continue
    own = set(code.co_varnames)
    if owner is not None and code.co_argcount:
        held[code.co_varnames[0]] = owner

    def lookup(name: str) -> Any:
        if name in held or name in own:
            return held.get(name, _MISSING)
        return function.__globals__.get(name, _MISSING)

    return lookup


def _attribute(value: object, name: str) -> Any:
    """An attribute, without calling what the program has to say about it."""
    if _is_not_looked_into(type(value)):
        return _MISSING
    own = attributes_of(value)
    if name in own:
        return own[name]
    for cls in mro_of(type(value)):
        found = members_of(cls).get(name, _MISSING)
        if is_a(found, MemberDescriptorType):
            try:
                return found.__get__(value)
            except AttributeError:
                return _MISSING
        if found is not _MISSING:
            return found if is_a(found, (FunctionType, property)) or _is_plain(found) else _MISSING
    return _MISSING


def _described(value: Any) -> str | None:
    """A value in a few words; None if it cannot change."""
    kind: Any = type(value)
    if _is_plain(value):
        return _cut(repr(value))
    if issubclass(kind, enum.Enum):
        return f"{class_name(kind)}.{attributes_of(value).get('_name_')}"
    if type(kind) is type and kind in _SIZED:
        if len(value) <= _FEW and kind is not dict and all(map(_is_plain, value)):
            # A set has no order that is the same in all processes.
            return f"a {kind.__name__} of {len(value):,}" if kind in (set, frozenset) else _cut(repr(value))
        return f"a {kind.__name__} of {len(value):,}"
    if kind is Shared:
        held: Any = value
        inside = _described(held._value)
        return f"Shared({inside})" if inside is not None else "a Shared"
    of_trio = _of_trio(value)
    if of_trio is not None:
        return of_trio
    if issubclass(kind, type) or _is_not_looked_into(kind):
        return None
    attributes = attributes_of(value)
    plain = [f"{name}={inner!r}" for name, inner in list(attributes.items()) if _is_plain(inner)]
    return _cut(f"a {class_name(kind)} with {', '.join(plain)}") if plain else None


_NOTHING_TO_SEE: Final = frozenset({"builtins", "trio", "outcome", "sim", "contextlib", "types", "typing"})


def _of_trio(value: Any) -> str | None:
    if is_a(value, trio.Event):
        return "an event that is set" if value._flag else "an event that is not set"
    if is_a(value, trio.CancelScope):
        return f"a cancel scope that is {'' if value._cancel_called else 'not '}cancelled"
    if is_a(value, (trio.Lock, trio.StrictFIFOLock)):
        return "a lock that is free" if value._owner is None else "a lock that is held"
    if is_a(value, trio.Semaphore):
        return f"a semaphore at {value._value}"
    if is_a(value, (trio.MemorySendChannel, trio.MemoryReceiveChannel)):
        channel: Any = value
        closed = ", closed" if channel._closed else ""
        return f"a memory channel with {len(channel._state.data)} messages{closed}"
    return None


def _is_not_looked_into(kind: Any) -> bool:
    return class_module(kind).partition(".")[0] in _NOTHING_TO_SEE


def _is_plain(value: object) -> bool:
    # Exactly: of another class, its text may be the program's.
    return any(type(value) is kind for kind in _PLAIN)


def _is_of_libraries(function: FunctionType) -> bool:
    module = module_name_of(function)
    return module.partition(".")[0] in _NOTHING_TO_SEE or is_library(function.__code__.co_filename)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
