"""Child tasks of a server: heavy work, so that the mailbox goes on.

Two kinds. A handler with ``child=True`` runs its request in a child task and answers when it is done, with
a bound on how many do so at a time; and `GenServer.start_task` runs anything. Both live in the server's own
nursery, both are gone before `terminate` runs, and an exception in either is the server's crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, cast

import trio
import trio.lowlevel

from ._awaiting import await_callback, is_awaitable
from ._cancellation import is_cancellation
from ._cycle import cycle_of_pending, execution_var
from ._errors import CallCycle
from ._host import Execution, Host
from ._interrupt import awaited, protected
from ._message import Handler
from ._request import From, Item, Request
from ._text import name_of

__all__ = ["Child", "ChildTasks", "OwnTask"]


class Child(Execution):
    """One message that is handled, or will be, in a child task."""

    __slots__ = ("context", "handler", "item", "message", "process", "request", "tasks")

    def __init__(
        self,
        tasks: ChildTasks,
        handler: Handler,
        message: Any,
        request: Request[Any] | None,
        item: Item,
    ) -> None:
        self.task = None
        self.waiting = None
        self.tasks = tasks
        self.process = tasks.process
        self.handler = handler
        self.item = item
        self.request = request
        self.message = message
        # The server's own, now. It may be another child whose end lets this one begin.
        self.context = copy_context()
        if request is not None:
            request.executor = self

    @property
    def server(self) -> Host:
        return self.process

    def blockers(self) -> list[Execution] | None:
        if self.task is not None:
            return None
        return list(self.tasks.running.get(self.handler, ()))

    def given_up(self) -> None:
        if self.task is None:
            self.tasks.withdraw(self)

    @protected
    async def run(self) -> None:
        self.task = trio.lowlevel.current_task()
        execution_var.set(self)
        request = self.request
        try:
            reply = self.handler.run(self.process.instance, *self.message.args, **dict(self.message.kwargs))
            if is_awaitable(reply):
                # Always, but for what a decorator returns instead: a reply that it remembers, say.
                reply = await (reply if self.handler.runs_coroutine else awaited(reply))
        except BaseException as error:
            if is_cancellation(error):
                # The server ends; its `_end` answers, when it knows why. Nobody else's turn comes.
                if request is not None:
                    self.process.defer(request)
                self._let_go()
                raise
            self.process.settle(self.handler, self.item, self.message, request, None, error)
        else:
            self.process.settle(self.handler, self.item, self.message, request, reply)
        self.tasks.ended(self)
        self._let_go()

    def _let_go(self) -> None:
        """Its request knows it, its context does: nothing is to live on by that."""
        request, self.request = self.request, None
        self.item = cast("Item", None)
        if request is not None and not request.unanswered:
            request.executor = None
        execution_var.set(None)


class ChildTasks:
    """The child tasks of one server, and those that wait for their turn."""

    __slots__ = ("pending", "process", "running")

    def __init__(self, process: Host) -> None:
        self.process = process
        # Only of handlers that have a bound.
        self.running: dict[Handler, set[Child]] = {}
        self.pending: dict[Handler, deque[Child]] = {}

    def start(self, handler: Handler, message: Any, request: Request[Any] | None, item: Item) -> None:
        child = Child(self, handler, message, request, item)
        bound = handler.max_children
        if bound is not None:
            running = self.running.setdefault(handler, set())
            if len(running) >= bound:
                cycle = None if request is None else cycle_of_pending(child)
                if cycle is not None and request is not None:
                    request.fail(CallCycle(self.process.name, message, cycle))
                    return
                self.pending.setdefault(handler, deque()).append(child)
                return
            running.add(child)
        self._spawn(child)

    def _spawn(self, child: Child) -> None:
        nursery = self.process.nursery
        assert nursery is not None
        hooks = self.process.hooks
        if hooks.message_received:
            # In the child's context: what an instrument puts there is there while this message is handled.
            child.context.run(hooks.tell, "message_received", self.process.ref, child.item)
        name = f"{self.process.name}.{child.handler.name}"
        child.context.run(partial(nursery.start_soon, child.run, name=name))

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(map(len, self.pending.values()))

    def ended(self, child: Child) -> None:
        running = self.running.get(child.handler)
        if running is None:
            return
        running.discard(child)
        pending = self.pending.get(child.handler)
        while pending:
            following = pending.popleft()
            if following.request is not None and not following.request.unanswered:
                self.process.drop(following.item, "withdrawn")
                continue
            if self.process.lifecycle.ending:
                pending.appendleft(following)
                return
            running.add(following)
            self._spawn(following)
            break
        self.process.turn.child_ended()

    def withdraw(self, child: Child) -> None:
        """The caller has given up. If it waits for its turn, it makes room for another."""
        pending = self.pending.get(child.handler)
        if pending and child in pending:
            pending.remove(child)
            self.process.drop(child.item, "withdrawn")
            self.process.turn.child_ended()

    def close(self) -> list[Child]:
        """Those that never had their turn."""
        left = [child for children in self.pending.values() for child in children]
        self.pending.clear()
        return left


class OwnTask(Execution):
    """A task that the server started with `GenServer.start_task`.

    Nobody waits for it, so it may call its server: it is not part of the handler that started it. A `From`
    among its arguments is taken for its duty to answer.
    """

    __slots__ = ("args", "async_fn", "process")

    def __init__(
        self, process: Host, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]
    ) -> None:
        self.task = None
        self.waiting = None
        self.process = process
        self.async_fn = async_fn
        self.args = args
        for duty in self._duties():
            duty.executor = self

    def _duties(self) -> list[Request[Any]]:
        return [each._request for each in self.args if isinstance(each, From)]

    @property
    def server(self) -> Host:
        return self.process

    @protected
    async def run(self) -> None:
        self.task = trio.lowlevel.current_task()
        execution_var.set(self)
        try:
            await await_callback(self.process.name, self.async_fn, name_of(self.async_fn), *self.args)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self.process.crashed(error, None)
        finally:
            execution_var.set(None)
            for duty in self._duties():
                if duty.executor is self:
                    # It may have passed it on.
                    duty.executor = None
            # Its context refers to it, and it to its task: a `From` would be kept until that is collected.
            self.args = ()
