"""Requests that go past the mailbox: how `trio_genserver.sys` reaches the task of a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import outcome
import trio

from ._cycle import waiting_for
from ._errors import ServerNotRunning
from ._request import BEGUN, FAILED, GIVEN_UP, REPLIED, Request

if TYPE_CHECKING:
    from ._process import Process
    from ._ref import ServerRef

__all__ = ["SystemRequest", "ask"]

R = TypeVar("R")


class SystemRequest(Request[R]):
    """A request that goes past the mailbox, and past all instruments.

    It is never `QUEUED`: giving it up withdraws no message.
    """

    __slots__ = ("_function",)

    def __init__(self, process: Process, name: str, function: Callable[[], R]) -> None:
        super().__init__(process, f"sys.{name}")
        self.state = BEGUN
        self._function = function

    def serve(self) -> None:
        """What the server's task does about it."""
        if not self.unanswered:
            return
        try:
            value = self._function()
        except Exception as error:  # noqa: BLE001 - it is the caller's: its function or argument, no crash
            self.fail(error)
        else:
            self.reply(value)

    def reply(self, value: R) -> None:
        self._settle(REPLIED, value)

    def fail(self, error: BaseException) -> None:
        self._settle(FAILED, error)

    def abandon(self) -> None:
        if self.unanswered:
            self.state = GIVEN_UP
            if self.process.system is not None:
                with suppress(ValueError):  # it is being served
                    self.process.system.remove(self)

    def _settle(self, state: int, answer: object) -> None:
        self.state = state
        self._answer = answer
        waiter, self.waiter = self.waiter, None
        if isinstance(waiter, trio.lowlevel.Task):
            result = outcome.Error(self.take_error()) if state == FAILED else outcome.Value(answer)
            trio.lowlevel.reschedule(waiter, result)


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
