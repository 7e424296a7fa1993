"""Which operations commute on Trio's own objects, a file for each kind of object.

Each module wraps the few methods of its classes that look at or change state which tasks share, so
that the step in which they are called has the access in its footprint. Wrapping lasts as long as
an exploration whose strategy wants footprints.

Some accesses need no wrapper, because the kernel reports them anyway: a step created a task, a step made one
runnable, and the clock moved, which happens only when nothing is runnable and so is ordered with everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import Any

from sim._dependence import (
    cancellation,
    channels,
    declared,
    events,
    nurseries,
    run_variables,
    tasks,
    testing,
    threads,
    waiting,
)
from sim._dependence.footprint import Active, Recorder
from sim._run.libraries import no_newcomers

servers_noticed = declared.noticed

_KINDS = (
    events,
    waiting,
    channels,
    nurseries,
    cancellation,
    tasks,
    run_variables,
    threads,
    declared,
    testing,
)


@contextlib.contextmanager
def recorded() -> Generator[Recorder]:
    """Record what steps touch, until the block ends."""
    recorder = Recorder()
    before = Active.recorder
    with no_newcomers(), contextlib.ExitStack() as stack:
        for kind in _KINDS:
            for owner, name, wrapper in _wrappers(kind.wrappers, recorder):
                if name in vars(owner):
                    stack.callback(setattr, owner, name, vars(owner)[name])
                else:
                    stack.callback(delattr, owner, name)
                setattr(owner, name, wrapper)
        Active.recorder = recorder
        try:
            yield recorder
        finally:
            Active.recorder = before


def _wrappers(
    wrappers: Callable[[Recorder], Iterable[tuple[Any, str, Any]]], recorder: Recorder
) -> list[tuple[Any, str, Any]]:
    # All of a kind before any is put in place: they take the methods they wrap from the class.
    return list(wrappers(recorder))
