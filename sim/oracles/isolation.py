"""Finds what tasks share behind the simulator's back.

A simulation knows which steps of a program depend on each other only as far as it sees what they
share: Trio's own objects, servers and `sim.Shared`. Everything else is taken to be private to its
task, and a proof by partial-order reduction holds under that assumption. This module checks it, on
sampled executions: it looks at the mutable objects within reach of the tasks after every step, and
reports an object that two tasks have changed, or that one has changed and another was sent, in steps
that nothing orders. Steps are ordered by happens-before, so what is handed over properly, through a
channel, an event or the end of a nursery, is no interference.

How far it sees: lists, dictionaries, sets, deques, bytearrays and instances of the program's own
classes that can be reached from the local variables of a suspended task. Reading leaves no mark: an
object that one task changes and another only reads is reported if it was sent to the reader in a
message, and not if the two merely share a variable. State of modules, and what hides in C, closures
that are not running, or generators, is not looked at.
"""

# The tasks may reach anything, so objects are untyped here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias, final

import trio

from sim._dependence.footprint import Active
from sim._dependence.shared import Shared
from sim._exploration.explore import explore
from sim._run import arguments
from sim._run.libraries import carried_by, declares
from sim._run.step import CLOCK, Step, TaskId
from sim._run.strategy import ChoiceKind, Strategy
from sim._run.trace import location, short_name
from sim.strategies import RandomWalk
from sim.strategies._happens_before import Event, HappensBefore

Scenario: TypeAlias = Callable[[], Awaitable[object]]

_CONTAINERS: Final = (list, dict, set, deque, bytearray)
_NOT_THE_PROGRAMS: Final = sys.stdlib_module_names | {"trio", "sim", "outcome"}
# Objects that one look at a task follows; a program whose tasks reach more is looked at in part.
_LIMIT: Final = 10_000


@dataclass(frozen=True)
class Place:
    """Where a task did something: somewhere in one step.

    Attributes:
        task: its identity.
        name: its name.
        start: where the step began, as ``file:line in function``; "" if it was the task's first.
        end: where it ended; "" if it was its last.
    """

    task: TaskId
    name: str
    start: str
    end: str

    def __str__(self) -> str:
        start = f"from {self.start}" if self.start else "from its start"
        end = f"to {self.end}" if self.end else "to its end"
        return f"{self.name} {list(self.task)}, {start} {end}"


@dataclass(frozen=True)
class Interference:
    """Two steps that nothing orders, and an object that one of them has changed.

    Attributes:
        what: the type of the object.
        changed: the step that has changed it.
        other: the other step: it has changed it as well, or its task was holding it.
        sent: whether the object was part of a message.
        both_changed: whether the other step has changed it too.
    """

    what: str
    changed: Place
    other: Place
    sent: bool
    both_changed: bool

    def __str__(self) -> str:
        thing = f"a {self.what} that was sent in a message" if self.sent else f"a {self.what}"
        did = "and also" if self.both_changed else "while it was held"
        return (
            f"{thing} was changed by {self.changed}, {did} by {self.other}; the two are unordered:"
            " send a copy, or put it into sim.Shared"
        )


@dataclass
class _Use:
    event: Event
    place: Place
    changed: bool


@dataclass
class _Watched:
    """An object within reach of a task, and what has happened to it."""

    target: Any
    content: Sequence[Any]
    sender: TaskId | None = None
    uses: list[_Use] = field(default_factory=list[_Use])


def find_interference(scenario: Scenario, executions: int = 20, seed: int = 0) -> tuple[Interference, ...]:
    """Looks for objects that tasks share unseen.

    Args:
        scenario: as for `sim.explore`.
        executions: how many random executions to watch; each takes many times as long as usual.
        seed: of the random schedules.

    Returns:
        one interference for each pair of places; empty if none was seen, which is no proof.

    Raises:
        WrongType, WrongUse: as from `sim.explore`.
    """
    arguments.scenario(scenario)
    arguments.whole_number("executions", executions, at_least=1)
    arguments.whole_number("seed", seed)
    watch = _Watch(seed)
    with watch.sends():
        explore(scenario, watch, executions, max_failures=executions)
    return tuple(watch.found.values())


@final
class _Watch(Strategy):
    """Random executions, looked at after each step."""

    wants_footprints: ClassVar[bool] = True

    def __init__(self, seed: int) -> None:
        self._inner = RandomWalk(seed)
        self.found: dict[tuple[str, Place, Place], Interference] = {}
        self._forget()

    def _forget(self) -> None:
        self._order = HappensBefore()
        self._watched: dict[int, _Watched] = {}
        self._places: dict[TaskId, str] = {}
        self._sent: list[Any] = []

    def begin_execution(self) -> bool:
        self._forget()
        return self._inner.begin_execution()

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        return self._inner.choose(kind, alternatives)

    def choose_seed(self, seeds: int) -> int:
        return self._inner.choose_seed(seeds)

    @contextmanager
    def sends(self) -> Generator[None]:
        """Note what is sent through memory channels, until the block ends."""
        channel: Any = trio.MemorySendChannel
        before = {name: getattr(channel, name) for name in ("send_nowait", "send")}

        def noting(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            def called(channel: Any, value: Any) -> Any:
                self._sent.append(value)
                return original(channel, value)

            return called

        for name, original in before.items():
            setattr(channel, name, noting(original))
        try:
            yield
        finally:
            for name, original in before.items():
                setattr(channel, name, original)

    def step_done(self, step: Step) -> None:
        order = self._order
        woken = (*step.spawned, *step.woken)
        footprint = order.footprints.of(step.accesses)
        event = order.append(step.task, footprint, woken, after_all=step.task == CLOCK)
        recorder = Active.recorder
        if step.task == CLOCK or recorder is None:
            return
        tasks = {identity: task for task, identity in recorder.tasks.items()}
        task = tasks[step.task]
        end = location(task)
        place = Place(step.task, short_name(task.name), self._places.get(step.task, ""), end)
        self._places[step.task] = end
        for watched in self._watched.values():
            content = _content(watched.target)
            if not _same(content, watched.content):
                watched.content = content
                self._used(watched, _Use(event, place, changed=True))
        for target in _reach(self._sent):
            watched = self._watch(target)
            if watched.sender is None:
                watched.sender = step.task
        self._sent.clear()
        for target in _reach(_variables(task)):
            watched = self._watch(target)
            if watched.sender is not None and watched.sender != step.task:
                self._used(watched, _Use(event, place, changed=False))

    def _watch(self, target: Any) -> _Watched:
        watched = self._watched.get(id(target))
        if watched is None:
            watched = self._watched[id(target)] = _Watched(target, _content(target))
        return watched

    def _used(self, watched: _Watched, use: _Use) -> None:
        for other in watched.uses:
            if other.place.task == use.place.task or use.event.history & other.event.bit:
                continue
            if use.changed or other.changed:
                changed, second = (use, other) if use.changed else (other, use)
                what = type(watched.target).__name__
                self.found.setdefault(
                    (what, changed.place, second.place),
                    Interference(
                        what,
                        changed.place,
                        second.place,
                        sent=watched.sender is not None,
                        both_changed=second.changed,
                    ),
                )
        # Only the last of a task's uses of a kind can be unordered with what comes.
        watched.uses = [
            other
            for other in watched.uses
            if other.place.task != use.place.task or other.changed != use.changed
        ]
        watched.uses.append(use)


def _variables(task: Any) -> Iterable[Any]:
    """The values in the program's own frames of a task."""
    for frame, _ in task.iter_await_frames():
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("trio", "outcome"):
            yield from frame.f_locals.values()


def _reach(roots: Iterable[Any]) -> list[Any]:
    """The mutable objects that can be reached from some others."""
    seen: set[int] = set()
    found: list[Any] = []
    pending: list[Any] = list(roots)
    while pending and len(seen) < _LIMIT:
        target = pending.pop()
        if id(target) in seen or isinstance(target, str | bytes | int | float | type):
            continue
        seen.add(id(target))
        if isinstance(target, _CONTAINERS) or _is_of_the_program(target):
            found.append(target)
            pending.extend(_content(target))
        elif isinstance(target, tuple | frozenset):
            pending.extend(target)
        elif isinstance(target, Shared):
            pending.append(target._value)
        else:
            # Of a message on its way, what it says is the program's.
            pending.extend(carried_by(target) or ())
    return found


def _is_of_the_program(target: Any) -> bool:
    package = type(target).__module__.partition(".")[0]
    return hasattr(target, "__dict__") and package not in _NOT_THE_PROGRAMS and not declares(package)


def _content(target: Any) -> Sequence[Any]:
    """The contents of an object: the objects themselves, so that two looks can be compared by identity."""
    if isinstance(target, bytearray):
        return (bytes(target),)
    if isinstance(target, dict):
        return [part for pair in target.items() for part in pair]
    if isinstance(target, list | set | deque):
        return list(target)
    return [part for pair in vars(target).items() for part in pair]


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(
        a is b or (type(a) is bytes and a == b) for a, b in zip(one, other, strict=True)
    )
