"""The loop of a server: take a message, find its handler, run it, answer; one after the other.

`_serve` is the whole of it, and what most messages are takes a short way through it, `_drain`. One flag,
`attention`, says that something unusual is to be done before the next message (stop, continue, a request of
`sys`, a child task to start). The loop tests it once a message and `_attend` finds out what it is.

A server takes at most `BATCH` waiting messages before it lets other tasks run: a checkpoint a message would
cost more than the handlers do, none would starve everybody else (docs/decisions/0004-drain-eight.md).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
import trio.lowlevel

from ._awaiting import PLAIN, await_callback, is_awaitable
from ._cancellation import is_cancellation
from ._children import ChildTasks
from ._errors import BadReturnValue, UnhandledMessage
from ._interrupt import awaited
from ._mailbox import Mailbox
from ._message import Cast, Handler
from ._process_delivery import Delivery
from ._process_state import BATCH, STEP, UNSET, Unfinished
from ._request import BEGUN, QUEUED, REPLIED, Countdown, Envelope, From, Info, Item, Request
from ._signals import Refuse, Stop
from ._text import CallbackName

__all__ = ["BATCH", "STEP", "Loop"]

# What the loop is told, and tells, instead of a message.
STOP: Any = object()
NEEDS_NURSERY: Any = object()


class Loop(Delivery):
    """What the task of a server does from its first message to its last."""

    __slots__ = ()

    async def _serve(self, item: Any) -> Any:
        """Handle messages until the end (returns None), or until there must be a nursery.

        Then it returns the message that needs one, or `NEEDS_NURSERY` if it is not a message that does.
        """
        instance = self.instance
        handlers = self.handlers
        while True:
            if item is None:
                if self.attention:
                    verdict = await self._attend()
                    if verdict is not None:
                        return None if verdict is STOP else verdict
                if self.suspended or (
                    self.children is not None and self.children.waiting >= self.spec.mailbox_size
                ):
                    self.idle = True
                    await trio.lowlevel.wait_task_rescheduled(self._abort_park)
                    continue
                mailbox = self.mailbox
                if mailbox is not None and mailbox.ready:
                    if self.budget == 0:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                        if not self.continues:
                            # Else a child task has asked for that meanwhile, and it is not to be lost.
                            await trio.lowlevel.checkpoint_if_cancelled()
                        self.budget = BATCH
                        self.since = trio.current_time()
                        continue
                    item = self._drain(mailbox)
                    if item is None:
                        continue
                    if item is STOP:
                        return None
                else:
                    # The last message and its reply are not kept alive by a server that waits.
                    request = message = reply = None
                    self.budget = BATCH - 1  # what it is woken with counts
                    self.since = math.inf
                    if self.timeout is None:
                        self.parked = True
                        item = await trio.lowlevel.wait_task_rescheduled(self._abort_park)
                    else:
                        if self.nursery is None:
                            return NEEDS_NURSERY
                        item = await self._park_with_timeout()
                    if item is None:
                        continue

            # What is it, and who handles it?
            request = None
            kind = item.__class__
            if kind is Request:
                request = item
                message = item.message
                if item.state != QUEUED:
                    item = None
                    continue
            elif kind is Cast:
                message = item
            elif kind is Info:
                if item.withdrawn:
                    self.drop(item, "withdrawn")
                    item = None
                    continue
                if self.nursery is None:
                    return item
                await self._callback(instance.handle_info, item.message, "handle_info", item)
                item = None
                continue
            else:
                message = item.message
            handler = handlers.get(message.handler)
            if handler is None:
                try:
                    handler = self.resolve(message)
                except UnhandledMessage as error:
                    self.current = item
                    self.crashed(error, message)
                    return None
            if self.nursery is None and handler.is_async:
                return item

            # Handle it.
            if request is not None:
                request.state = BEGUN
            if self.hooks.messages:
                if kind is Cast:
                    # It was sent when nobody looked.
                    item = Envelope(message)
                if self.hooks.message_received and not handler.in_child:
                    self.hooks.tell("message_received", self.ref, item)
            self.timeout = None
            try:
                if handler.special:
                    if handler.in_child:
                        if self.children is None:
                            self.children = ChildTasks(self.server)
                        self.children.start(handler, message, request, item)
                    else:
                        await self._handle_noreply(handler, message, request, item)
                    item = None
                    continue
                reply = handler.run(instance, *message.args, **dict(message.kwargs))
                if handler.runs_coroutine:
                    reply = await reply
                elif is_awaitable(reply):
                    if self.nursery is None:
                        self.await_later(Unfinished(handler, request, item, message, reply))
                        item = None
                        continue
                    reply = await awaited(reply)
            except BaseException as error:
                if is_cancellation(error):
                    self.current = item
                    raise
                if self._raised(error, item, message):
                    return None
                item = None
                continue
            if request is not None:
                if request.state == BEGUN:
                    request.reply(reply)
                else:
                    self.drop(item, "late reply")
            elif reply is not None and handler.message_type is Cast:
                self.current = item
                self.crashed(BadReturnValue(self.name, handler.name, message, reply), message)
                return None
            if self.hooks.messages:
                self.handled(item)
            item = None

    def _drain(self, mailbox: Mailbox[Item]) -> Any:
        """Handle what waits, for as long as it is calls and casts to plain methods: the short way through.

        Returns:
          the first message that is anything else, taken out; None: look at `attention`, then at the mailbox;
          `STOP`: a handler has ended the server.
        """
        instance = self.instance
        handlers = self.handlers
        hooks = self.hooks
        budget = self.budget
        if self.since == math.inf and mailbox.ready > budget:
            self.since = trio.current_time()
        item: Any = None
        message: Any = None
        try:
            while True:
                if not budget:
                    if not 0 < trio.current_time() - self.since < STEP:
                        return None
                    budget = BATCH
                budget -= 1
                if mailbox.careful:
                    if not self.waiting_messages:
                        return None
                    item = mailbox.take()
                else:
                    mailbox.ready -= 1
                    item = mailbox.receive_nowait()
                if self.stop_left:
                    self.stop_left -= 1
                kind = item.__class__
                if kind is Request:
                    message = item.message
                    handler = item.handler or handlers.get(message.handler)
                elif kind is Cast:
                    message = item
                    handler = handlers.get(message.handler)
                else:
                    return item
                if handler is None or not handler.plain or message.kwargs or hooks.messages:
                    return item
                if kind is Cast or item.state == QUEUED:
                    self.timeout = None
                    args = message.args
                    if kind is Request:
                        item.state = BEGUN
                    # Unpacking costs as much again as calling; most messages have one argument, or none.
                    if len(args) == 1:
                        reply = handler.run(instance, args[0])
                    elif args:
                        reply = handler.run(instance, *args)
                    else:
                        reply = handler.run(instance)
                    if kind is Cast:
                        if reply is not None:
                            if is_awaitable(reply):
                                self.await_later(Unfinished(handler, None, item, message, reply))
                            elif handler.message_type is Cast:
                                raise BadReturnValue(self.name, handler.name, message, reply)
                    elif reply.__class__ not in PLAIN and is_awaitable(reply):
                        self.await_later(Unfinished(handler, item, item, message, reply))
                    elif item.state == BEGUN:
                        waiter = item.waiter
                        if waiter.__class__ is Countdown and item._notify is None:
                            # `Request.reply` without the call.
                            item.state = REPLIED
                            item._answer = reply
                            waiter.left -= 1
                            if not waiter.left:
                                waiter.wake()
                        else:
                            item.reply(reply)
                    else:
                        self.drop(item, "late reply")
                if self.attention or not mailbox.ready:
                    return None
        except BaseException as error:
            if is_cancellation(error):
                self.current = item
                raise
            return STOP if self._raised(error, item, message) else None
        finally:
            self.budget = budget

    def _raised(self, error: BaseException, item: Any, message: object) -> bool:
        """A handler raised, and that was no cancellation. True: it has ended the server."""
        request = item if item.__class__ is Request else None
        if isinstance(error, Refuse):
            if request is None:
                self.drop(item, "refused")
            elif request.unanswered:
                request.fail(error.error)
            else:
                self.drop(item, "late reply")
            self.handled(item)
            return False
        if isinstance(error, Stop):
            self.current = request
            self.stop_by_raising(error.reason)
            self.handled(item)
        else:
            self.current = item
            self.crashed(error, message)
        return True

    def handled(self, item: Item) -> None:
        """The handler of `item` has ended, and was no crash."""
        if self.hooks.message_handled and item.__class__ is not Cast:
            self.hooks.tell("message_handled", self.ref, item)

    def _abort_park(self, _: object) -> trio.lowlevel.Abort:
        self.parked = self.idle = False
        return trio.lowlevel.Abort.SUCCEEDED

    async def _park_with_timeout(self) -> Item | None:
        """Wait for a message for as long as `set_timeout` said; if none comes, tell the server."""
        assert self.timeout is not None
        if self.timeout_due is None:
            # Not from now again, if what woke it meanwhile was no message.
            self.timeout_due = trio.current_time() + self.timeout
        with trio.CancelScope(deadline=self.timeout_due) as scope:
            self.timeout_scope = scope
            self.parked = True
            try:
                return cast("Item | None", await trio.lowlevel.wait_task_rescheduled(self._abort_park))
            finally:
                self.timeout_scope = None
        self.timeout = None
        await self._callback(self.instance.handle_timeout, UNSET, "handle_timeout", None)
        return None

    def ran_inline(self) -> None:
        """A caller has run a handler: have the server go on, if there is anything to do for it now."""
        if not self.idle:
            # It was woken, or cancelled, by what the handler did.
            return
        self.idle = False
        self.parked = True
        scope = self.timeout_scope
        if self.attention or (self.mailbox is not None and self.mailbox.ready):
            self.wake()
        elif scope is not None and self.timeout is not None:
            scope.deadline = self.timeout_due = trio.current_time() + self.timeout
        elif scope is not None or self.timeout is not None:
            # It waits with a timeout that is not due any more, or without the one that it is to have.
            self.wake()

    def raised_inline(self, request: Request[Any], error: BaseException) -> None:
        """A handler raised in its caller's step, out of which `request` came. It is answered, or will be."""
        if isinstance(error, Refuse):
            if request.unanswered:
                request.fail(error.error)
            else:
                self.drop(request, "late reply")
            self.ran_inline()
            return
        # The server's task answers, in its end, as it would have on the long way.
        self.current = request
        if isinstance(error, Stop):
            self.stop_by_raising(error.reason)
        else:
            self.crashed(error, request.message)

    def await_later(self, unfinished: Unfinished) -> None:
        """A handler has returned an awaitable: have the server's task await it, before all else."""
        self.unfinished = unfinished
        self.wake()

    async def _finish(self, unfinished: Unfinished) -> None:
        """The rest of a handler that did not look like an async one."""
        handler, request, item = unfinished.handler, unfinished.request, unfinished.item
        message, awaitable = unfinished.message, unfinished.awaitable
        # This frame is in the traceback of what is raised.
        del unfinished
        try:
            try:
                reply = await awaited(awaitable)
            finally:
                del awaitable
            if handler.noreply:
                self._check_noreply(handler, request, message, reply)
            elif request is not None:
                if request.unanswered:
                    request.reply(reply)
                else:
                    self.drop(item, "late reply")
            elif reply is not None and handler.message_type is Cast:
                raise BadReturnValue(self.name, handler.name, message, reply)
        except BaseException as error:
            if is_cancellation(error):
                self.current = item
                raise
            self._raised(error, item, message)
            return
        self.handled(item)

    async def _handle_noreply(
        self, handler: Handler, message: Any, request: Request[Any] | None, item: Item
    ) -> None:
        if request is None:
            # The sender of a cast reads no reply; whoever gives it needs not know.
            request = Request(self.server, message)
            request.state = BEGUN
        self.defer(request)
        returned = handler.run(self.instance, From(request), *message.args, **dict(message.kwargs))
        if is_awaitable(returned):
            if self.nursery is None:
                self.await_later(Unfinished(handler, request, item, message, returned))
                return
            returned = await (returned if handler.runs_coroutine else awaited(returned))
        self._check_noreply(handler, request, message, returned)
        self.handled(item)

    def _check_noreply(
        self, handler: Handler, request: Request[Any] | None, message: object, returned: object
    ) -> None:
        if request is not None and request.executor is self:
            # From here on anybody may answer.
            request.executor = None
        if returned is not None:
            raise BadReturnValue(self.name, handler.name, message, returned)
        if request is not None:
            request.fail_if_dropped()

    async def _callback(
        self,
        callback: Callable[..., Awaitable[object]],
        argument: object,
        name: str,
        item: Item | None,
    ) -> None:
        """Run one of the coroutines that are no handlers; what it raises is a crash."""
        if item is not None and self.hooks.message_received:
            self.hooks.tell("message_received", self.ref, item)
        self.timeout = None
        message = CallbackName(f"{name}()") if argument is UNSET else argument
        try:
            returned = await await_callback(
                self.name, callback, name, *(() if argument is UNSET else (argument,))
            )
            if returned is not None:
                raise BadReturnValue(self.name, name, message, returned)
        except Stop as stop:
            self.stop_by_raising(stop.reason)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self.crashed(error, message)
            return
        if item is not None:
            self.handled(item)

    async def _attend(self) -> Any:
        """Do what is unusual. None: go on; `STOP`; `NEEDS_NURSERY`: a nursery is needed first."""
        while True:
            self.attention = False
            if self.unfinished is not None:
                if self.nursery is None:
                    self.attention = True
                    return NEEDS_NURSERY
                unfinished, self.unfinished = self.unfinished, None
                await self._finish(unfinished)
                continue
            if self.killed and not (self.continues and self.crash is None and self.grace != -math.inf):
                if self.reason is UNSET and self.stop_left == 0:
                    # Nothing was left to be done before the stop, which came before the kill.
                    self.reason = self.stop_reason
                self.attention = True
                return STOP
            if self.nursery is None and (self.new_tasks or self.continues):
                self.attention = True
                return NEEDS_NURSERY
            if self.new_tasks:
                tasks, self.new_tasks = self.new_tasks, None
                for task in tasks:
                    self.spawn(task)
            if self.continues:
                # As in OTP, it is the rest of the callback that asked for it, and comes before all else, also
                # before an end. A kill cancels it, at its first checkpoint, as it would have that callback.
                argument = self.continues.popleft()
                await self._callback(self.instance.handle_continue, argument, "handle_continue", None)
                continue
            while self.system:
                self.system.popleft().serve()
            if self.attention:
                continue
            if self.reason is UNSET:
                if self.stop_reason is UNSET:
                    return None
                self.attention = True
                if self.stop_left and not self.suspended and self.mailbox and self.mailbox.ready:
                    return None
                self.reason = self.stop_reason
            self.attention = True
            return STOP
