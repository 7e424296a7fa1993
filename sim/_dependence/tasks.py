"""Looks at tasks, and at all of them together.

State that only a task's own steps change is not a separate object: its nurseries, its coroutine, where that
stands, the lots it breaks when it ends. A look at it from another task counts like a cancellation in this
respect: he does not commute with any step of that task. (With `TaskStatus.started` a task changes its
nursery; that counts as a write of the task as well, whoever calls it.)

The same holds of its coroutine, its context and what it has left for whoever wakes it, which are plain
attributes that Trio uses all the time: only what the program's own code does to them counts. Accesses of
Trio, the simulator and libraries that declare what tasks share are noted by other means. The name of a task
hardly ever changes, so it is an object of its own. A coroutine can be looked at also by who has kept it, with
the means of `inspect`.

The statistics of a run count the tasks and how many can go on, which every step changes. So they commute with
no step of any task.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, Final

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper
from sim._run.libraries import is_of_library
from sim._run.step import Operation
from sim._trio import PARKING_LOTS, Runner

_TASK: Any = trio.lowlevel.Task


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    for name in ("child_nurseries", "parent_nursery", "eventual_parent_nursery"):
        yield _looked_at(recorder, name)
    for name in ("coro", "context", "custom_sleep_data"):
        yield _kept(recorder, name)
    yield _named(recorder)
    yield _walked(recorder)
    yield _counted(recorder)
    for name in ("getcoroutinestate", "getcoroutinelocals"):
        yield _inspected(recorder, name)
    yield from _breakers(recorder)


def _looked_at(recorder: Recorder, name: str) -> Wrapper:
    original: property = getattr(_TASK, name)
    get = original.fget
    assert get is not None

    def read(self: Any) -> Any:
        recorder.looked_at(self)
        return get(self)

    return _TASK, name, property(read)


def _walked(recorder: Recorder) -> Wrapper:
    walk: Callable[[Any], Any] = _TASK.iter_await_frames

    @functools.wraps(walk)
    def walked(self: Any) -> Iterator[tuple[FrameType, int]]:
        recorder.looked_at(self)
        for frame, line in walk(self):
            # Other strategies do not wrap Trio's functions.
            if not frame.f_globals.get("__name__", "").startswith("sim._dependence."):
                yield frame, line
                recorder.looked_at(self)

    return _TASK, "iter_await_frames", walked


# Whose looks at plain attributes of tasks are none.
_INSIDE: Final = "trio.", "sim._"


def _is_of_program(frame: FrameType) -> bool:
    return not frame.f_globals.get("__name__", "").startswith(_INSIDE) and not is_of_library(frame)


def _kept(recorder: Recorder, name: str) -> Wrapper:
    slot = getattr(_TASK, name)
    get, put = slot.__get__, slot.__set__

    def read(self: Any) -> Any:
        if recorder.noting and self is not recorder.task and _is_of_program(sys._getframe(1)):
            recorder.looked_at(self)
        return get(self)

    def written(self: Any, value: Any) -> None:
        if recorder.noting and self is not recorder.task and _is_of_program(sys._getframe(1)):
            recorder.looked_at(self)
        put(self, value)

    return _TASK, name, property(read, written)


def _named(recorder: Recorder) -> Wrapper:
    slot = _TASK.name
    get, put = slot.__get__, slot.__set__

    def read(self: Any) -> Any:
        # Also where it is part of what Trio shows of a task.
        if recorder.noting and self in recorder.tasks:
            recorder.touched_of_task(self, "name", Operation.READ)
        return get(self)

    def written(self: Any, value: Any) -> None:
        if recorder.noting and self in recorder.tasks:
            recorder.touched_of_task(self, "name", Operation.WRITE)
        put(self, value)

    return _TASK, "name", property(read, written)


def _inspected(recorder: Recorder, name: str) -> Wrapper:
    look: Callable[[Any], Any] = getattr(inspect, name)

    @functools.wraps(look)
    def inspected(coroutine: Any) -> Any:
        _look_at_coroutine(recorder, coroutine)
        return look(coroutine)

    return inspect, name, inspected


def _look_at_coroutine(recorder: Recorder, coroutine: Any) -> None:
    if recorder.noting:
        for task in recorder.tasks:
            if task.coro is coroutine:
                recorder.looked_at(task)


def _counted(recorder: Recorder) -> Wrapper:
    count: Callable[[Any], Any] = Runner.current_statistics

    @functools.wraps(count)
    def counted(self: Any) -> Any:
        recorder.cancelled_all(recorder.tasks)
        return count(self)

    return Runner, "current_statistics", counted


def _breakers(recorder: Recorder) -> Iterable[Wrapper]:
    # Not the functions that register them, which programs import by their names.
    yield PARKING_LOTS, "GLOBAL_PARKING_LOT_BREAKER", _Breakers(recorder)


class _Breakers:
    """Stands for the dictionary of the lots that a task breaks when it ends."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._breakers: dict[Any, list[Any]] = PARKING_LOTS.GLOBAL_PARKING_LOT_BREAKER

    def __contains__(self, task: object) -> bool:
        self._recorder.looked_at(task)
        return task in self._breakers

    def __getitem__(self, task: Any) -> list[Any]:
        self._recorder.looked_at(task)
        return self._breakers[task]

    def __setitem__(self, task: Any, lots: list[Any]) -> None:
        self._breakers[task] = lots

    def __delitem__(self, task: Any) -> None:
        del self._breakers[task]
