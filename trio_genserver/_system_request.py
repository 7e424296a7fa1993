"""A request that goes past the mailbox, as a server's task serves it between two messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import outcome
import trio

from ._host import Host
from ._request import BEGUN, FAILED, GIVEN_UP, REPLIED, Request

__all__ = ["SystemRequest"]

R = TypeVar("R")


class SystemRequest(Request[R]):
    """A request that goes past the mailbox, and past all instruments.

    It is never `QUEUED`: giving it up withdraws no message.
    """

    __slots__ = ("_function",)

    def __init__(self, process: Host, name: str, function: Callable[[], R]) -> None:
        super().__init__(process, f"sys.{name}")
        self.state = BEGUN
        self._function = function

    def serve(self) -> None:
        """How the server's task serves it."""
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
            self.process.withdraw_system(self)

    def _settle(self, state: int, answer: object) -> None:
        self.state = state
        self._answer = answer
        waiter, self.waiter = self.waiter, None
        if isinstance(waiter, trio.lowlevel.Task):
            result = outcome.Error(self.take_error()) if state == FAILED else outcome.Value(answer)
            trio.lowlevel.reschedule(waiter, result)
