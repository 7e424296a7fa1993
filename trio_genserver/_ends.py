"""Waiting for the start and the end of a server; the waiting task may belong to a server too."""

from __future__ import annotations

import trio
import trio.lowlevel

from ._cycle import execution_var, waiting_for, waiting_for_end
from ._errors import CallCycle, ServerCrashed, ServerNotRunning, ServerStopped
from ._lifecycle import ENDED, End
from ._process import Process
from ._request import wait_of
from ._restart import is_orderly
from ._text import show

__all__ = ["check_end", "start_awaited", "stop_and_wait", "wait_ended_awaited"]


async def start_awaited(process: Process, nursery: trio.Nursery) -> None:
    """`Process.start`, for somebody who cannot go on meanwhile."""
    if execution_var.get() is None:
        await process.start(nursery)
    else:
        with waiting_for(wait_of(process, f"the start of {process.name}")):
            await process.start(nursery)


async def wait_ended_awaited(process: Process, what: str) -> End:
    """`Process.wait_ended`, the same.

    Raises:
      CallCycle: it waits for whoever waits for it, or is above.
    """
    if execution_var.get() is None:
        return await process.wait_ended()
    try:
        with waiting_for_end(wait_of(process, what)):
            return await process.wait_ended()
    except CallCycle:
        await trio.lowlevel.checkpoint()
        raise


async def stop_and_wait(process: Process, reason: object) -> None:
    """See `ServerRef.stop`."""
    if process.lifecycle.state == ENDED:
        await trio.lowlevel.checkpoint()
        raise ServerNotRunning(process.name, f"stop({show(reason)})")
    if execution_var.get() is None:
        process.stop_in_order(reason)
        check_end(process, await process.wait_ended(), None, reason)
        return
    try:
        with waiting_for_end(wait_of(process, f"stop({show(reason)})")):
            process.stop_in_order(reason)
            end = await process.wait_ended()
    except CallCycle:
        await trio.lowlevel.checkpoint()
        raise
    check_end(process, end, None, reason)


def check_end(process: Process, end: End, request: str | None, reason: object) -> None:
    """Raise, as OTP's ``stop`` does, if it did not end for `reason`, nor for another orderly one.

    Args:
      request: what is said to have been asked of it; None: ``stop(reason)``.
    """
    if end.crash is None and (end.reason == reason or is_orderly(end.reason)):
        return
    if request is None:
        request = f"stop({show(reason)})"
    if end.crash is not None:
        raise ServerCrashed(process.name, request, end.crash)
    raise ServerStopped(process.name, request, end.reason)
