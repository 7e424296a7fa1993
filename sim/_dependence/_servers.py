"""Servers of `trio_genserver`: whatever touches one server does not commute, other things do.

A server's mailbox is no Trio object as long as it is empty: a message is handed to the waiting task,
or its handler is even run by the caller. So servers are told of here, and coarsely: a server is one
object, and written by each step of its task and of the tasks that it has created, by each step in
which somebody calls, casts, stops, monitors or asks it, and by each that answers, awaits or gives up
a request to it. Messages to different servers commute, two to one server do not.

This reaches behind the package's instruments, from where `sim` looks at it otherwise: with one
installed no handler is run by its caller, and the program explored would be another one. The package
is imported only when footprints are wanted.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from sim._dependence._wrap import Wrapper, making
from sim._footprint import Recorder
from sim.strategies import Operation

_KIND = "server"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    try:
        processes: Any = importlib.import_module("trio_genserver._process")
    except ImportError:  # sim is used without it
        return
    process: Any = processes.Process
    run = process.run

    @functools.wraps(run)
    async def ran(self: Any) -> Any:
        recorder.belongs(self, _KIND)
        return await run(self)

    yield making(recorder, process, _KIND)
    yield process, "run", ran
    # Called from outside, or in the server's own steps, which write it anyway.
    yield from _touching(recorder, process, lambda self: self, but=("run",))
    references: Any = importlib.import_module("trio_genserver._ref")
    yield from _touching(recorder, references.ServerRef, _behind)
    requests: Any = importlib.import_module("trio_genserver._request")
    yield from _touching(recorder, requests.Request, lambda self: self.process)
    registries: Any = importlib.import_module("trio_genserver._registry")
    yield making(recorder, registries.BaseRegistry, "registry")
    yield from _touching(recorder, registries.BaseRegistry, lambda self: self, kind="registry")


def _behind(reference: Any) -> object:
    """The process behind a reference; for a name that nobody has, the reference."""
    try:
        return reference._process
    except Exception:  # noqa: BLE001 - the call that is being noted will raise it again
        return reference


def _touching(
    recorder: Recorder,
    owner: Any,
    touched: Callable[[Any], object],
    *,
    kind: str = _KIND,
    but: tuple[str, ...] = (),
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
