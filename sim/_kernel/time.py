"""The passing of time, as programs see it: no task runs meanwhile, and instruments are told of each wait."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

from sim._trio import RUN_CONTEXT

# Trio's own loop waits no longer at a time, in seconds, and then looks again.
_LONGEST_WAIT: Final = 24 * 60 * 60


@contextlib.contextmanager
def outside_tasks() -> Generator[None]:
    """Let no task be the current one in the block: what is called there is called by the loop."""
    task = RUN_CONTEXT.__dict__.pop("task", None)
    try:
        yield
    finally:
        if task is not None:
            RUN_CONTEXT.task = task


def expire(deadlines: Any, now: float) -> None:
    """Cancel the scopes whose deadline has passed, and so call the abort functions of what waits in them.

    Args:
        deadlines: those of the run.
        now: the time of its clock, in seconds.
    """
    # Asked after nearly every step.
    if deadlines._heap and deadlines._heap[0][0] <= now:
        with outside_tasks():
            deadlines.expire(now)


@contextlib.contextmanager
def io_wait(instruments: Any, seconds: float) -> Generator[None]:
    """Tell instruments that the run waits in the block, as Trio's loop does for input or a deadline.

    Args:
        instruments: those of the run.
        seconds: how long the wait is.
    """
    seconds = min(seconds, _LONGEST_WAIT)
    if "before_io_wait" in instruments:
        with outside_tasks():
            instruments.call("before_io_wait", seconds)
    yield
    if "after_io_wait" in instruments:
        with outside_tasks():
            instruments.call("after_io_wait", seconds)
