"""Looks at tasks, and at all of them together.

What only a task's own steps change is no object of its own: its nurseries, its coroutine, where that stands,
what it breaks when it ends. Whoever looks at it from another task does what a cancellation does in this
respect: he does not commute with any step of that task. (With `TaskStatus.started` a task changes its
nursery; that counts as a write of the task as well, whoever calls it.)

The statistics of a run count the tasks and how many can go on, which every step changes. So they commute with
no step of any task.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper
from sim._trio import PARKING_LOTS, Runner

_TASK: Any = trio.lowlevel.Task


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    for name in ("child_nurseries", "parent_nursery", "eventual_parent_nursery"):
        yield _looked_at(recorder, name)
    yield _walked(recorder)
    yield _counted(recorder)
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
    def walked(self: Any) -> Any:
        recorder.looked_at(self)
        return walk(self)

    return _TASK, "iter_await_frames", walked


def _counted(recorder: Recorder) -> Wrapper:
    count: Callable[[Any], Any] = Runner.current_statistics

    @functools.wraps(count)
    def counted(self: Any) -> Any:
        recorder.cancelled_all(recorder.tasks)
        return count(self)

    return Runner, "current_statistics", counted


def _breakers(recorder: Recorder) -> Iterable[Wrapper]:
    # Not the functions that register them, which programs import by their names.
    yield PARKING_LOTS, "inspect", _Inspecting(recorder)
    yield PARKING_LOTS, "GLOBAL_PARKING_LOT_BREAKER", _Breakers(recorder)


class _Inspecting:
    """Stands for `inspect` where Trio asks whether a task has ended, before that is to break a lot."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    CORO_CLOSED = inspect.CORO_CLOSED

    def getcoroutinestate(self, coroutine: Any) -> str:
        recorder = self._recorder
        if recorder.noting:
            for task in recorder.tasks:
                if task.coro is coroutine:
                    recorder.looked_at(task)
        return inspect.getcoroutinestate(coroutine)


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
