"""Servers of `trio_genserver`: whatever touches one server does not commute, other things do.

A server's mailbox is no Trio object as long as it is empty: a message is handed to the waiting task,
or its handler is even run by the caller. So servers are told of here, and coarsely: a server is one
object, and written by each step of its task and of the tasks that it has created, by each step in
which somebody calls, casts, stops, monitors or asks it, and by each that answers, awaits or gives up
a request to it. Messages to different servers commute, two to one server do not.

The package itself says which calls touch which server (`trio_genserver.shared_state`, part of its instrument
interface). An instrument alone would not do: it is told of messages and not of looks, and with one installed
no handler is run by its caller, so the program explored would be another one. The package is imported only
when footprints are wanted.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from types import FunctionType
from typing import Any

from sim._footprint import Recorder
from sim._kernel._dependence._wrap import Wrapper, making
from sim.strategies import Operation


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    try:
        package: Any = importlib.import_module("trio_genserver")
    except ImportError:  # sim is used without it
        return
    for shared in package.shared_state():
        if shared.is_it:
            yield making(recorder, shared.owner, shared.kind)
        if shared.task is not None:
            yield shared.owner, shared.task, _task(recorder, getattr(shared.owner, shared.task), shared.kind)
        # What is called from outside, or in the server's own steps, which write it anyway.
        yield from _touching(recorder, shared.owner, shared.of, kind=shared.kind, but=(shared.task,))


def _task(recorder: Recorder, run: Callable[[Any], Awaitable[Any]], kind: str) -> Callable[[Any], Any]:
    @functools.wraps(run)
    async def ran(self: Any) -> Any:
        recorder.belongs(self, kind)
        return await run(self)

    return ran


@contextlib.contextmanager
def noticed(notice: Callable[[Any, Any], None]) -> Generator[None]:
    """Tell of each server that begins, in its task and before anything of it has run, until the block ends.

    Args:
        notice: called with what stands for the server, and the `SharedState` that says what to do with it.
    """
    try:
        package: Any = importlib.import_module("trio_genserver")
    except ImportError:
        yield
        return
    with contextlib.ExitStack() as stack:
        for shared in package.shared_state():
            if shared.task is not None:
                run = getattr(shared.owner, shared.task)
                stack.callback(setattr, shared.owner, shared.task, run)
                setattr(shared.owner, shared.task, _telling(run, shared, notice))
        yield


def _telling(
    run: Callable[[Any], Awaitable[Any]], shared: Any, notice: Callable[[Any, Any], None]
) -> Callable[[Any], Any]:
    @functools.wraps(run)
    async def ran(self: Any) -> Any:
        notice(self, shared)
        return await run(self)

    return ran


def _touching(
    recorder: Recorder,
    owner: Any,
    touched: Callable[[Any], object],
    *,
    kind: str,
    but: tuple[str | None, ...],
) -> Iterable[Wrapper]:
    """Note a call of any method of a class as a write of something."""
    members: Mapping[str, Any] = owner.__dict__
    for name, value in members.items():
        if name in but or name.startswith("__"):
            continue
        if isinstance(value, FunctionType):
            yield owner, name, _noted(recorder, value, touched, kind)
        elif isinstance(value, property) and value.fget is not None:
            getter = _noted(recorder, value.fget, touched, kind)
            yield owner, name, property(getter, value.fset, value.fdel)


def _noted(
    recorder: Recorder, original: Callable[..., Any], touched: Callable[[Any], object], kind: str
) -> Callable[..., Any]:
    @functools.wraps(original)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorder.touched(touched(self), kind, Operation.WRITE)
        return original(self, *args, **kwargs)

    return called
