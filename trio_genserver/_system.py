"""Requests that go past the mailbox: how `trio_genserver.sys` reaches the task of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from ._cycle import waiting_for
from ._errors import ServerNotRunning
from ._process import Process
from ._ref import ServerRef
from ._system_request import SystemRequest

__all__ = ["ask"]

R = TypeVar("R")


async def ask(ref: ServerRef[Any], name: str, function: Callable[[Process], R]) -> R:
    """Have the server's task call `function`, and wait for what it returns or raises."""
    await trio.lowlevel.checkpoint_if_cancelled()
    process = ref._process
    request: SystemRequest[R] = SystemRequest(process, name, lambda: function(process))
    with waiting_for(request):
        if not process.alive:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise ServerNotRunning(process.name, request.message)
        process.run_system(request)
        return await request.park()
