"""The work of a server's task before the next message, other than ending; made when there is some.

A part of a `Process`. After adding something, wake the task (`Turn.wake`); its loop then looks here.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

from ._awaiting import close_awaitable
from ._children import OwnTask
from ._host import Execution
from ._message import Handler
from ._request import Item, Request
from ._system_request import SystemRequest

__all__ = ["Agenda", "Unfinished"]


class Unfinished:
    """A handler has returned an awaitable, where nothing could be awaited.

    Attributes:
      handler: whose it is.
      request: who waits for the reply; None: nobody.
      item, message: what came into the mailbox, and the message that it brought.
    """

    __slots__ = ("awaitable", "handler", "item", "message", "request")

    def __init__(
        self, handler: Handler, request: Request[Any] | None, item: Item, message: Any, awaitable: Any
    ) -> None:
        self.handler = handler
        self.request = request
        self.item = item
        self.message = message
        self.awaitable = awaitable

    def close(self) -> None:
        """It will not be awaited: the server has ended before."""
        close_awaitable(self.awaitable)


class Agenda:
    """The work to do before the next message.

    Attributes:
      unfinished: the rest of a handler, before all else.
      tasks: what `GenServer.start_task` was given before there was a nursery.
      continues: the pending arguments of `handle_continue`, each after the execution that asked for it.
      system: the requests of `sys`.
    """

    __slots__ = ("continues", "system", "tasks", "unfinished")

    def __init__(self) -> None:
        self.unfinished: Unfinished | None = None
        # Each of these is rare by itself, and a deque is large.
        self.tasks: list[OwnTask] | None = None
        self.continues: deque[tuple[Execution | None, object]] | None = None
        self.system: deque[SystemRequest[Any]] | None = None

    @property
    def needs_nursery(self) -> bool:
        return bool(self.tasks or self.continues)

    def finish(self, unfinished: Unfinished) -> None:
        self.unfinished = unfinished

    def take_unfinished(self) -> Unfinished | None:
        unfinished, self.unfinished = self.unfinished, None
        return unfinished

    def start(self, task: OwnTask) -> None:
        if self.tasks is None:
            self.tasks = []
        self.tasks.append(task)

    def take_tasks(self) -> list[OwnTask]:
        tasks, self.tasks = self.tasks or [], None
        return tasks

    def continue_with(self, execution: Execution | None, argument: object) -> None:
        if self.continues is None:
            self.continues = deque()
        self.continues.append((execution, argument))

    def forget_continues(self, execution: Execution | None) -> None:
        """The callback that asked for them has raised. Those of child tasks are not its own."""
        if self.continues is not None:
            self.continues = deque(each for each in self.continues if each[0] is not execution)

    def serve(self, request: SystemRequest[Any]) -> None:
        if self.system is None:
            self.system = deque()
        self.system.append(request)

    def withdraw(self, request: SystemRequest[Any]) -> None:
        """Do not serve `request`, if that has not begun."""
        if self.system is not None:
            with suppress(ValueError):
                self.system.remove(request)
