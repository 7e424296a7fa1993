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
from typing import Any, TypeVar, cast

import trio
import trio.lowlevel

from ._awaiting import PLAIN, await_callback, is_awaitable
from ._cancellation import is_cancellation
from ._children import ChildTasks
from ._errors import BadReturnValue, UnhandledMessage
from ._interrupt import awaited
from ._mailbox import Mailbox
from ._message import Call, Cast, Handler
from ._process_delivery import Delivery
from ._process_state import BATCH, HELD, LENT, PARKED, STEP, UNSET, Unfinished
from ._request import BEGUN, DROPPED, QUEUED, REPLIED, Countdown, Envelope, From, Info, Item, Request
from ._signals import Refuse, Stop
from ._text import CallbackName

__all__ = ["BATCH", "STEP", "Begun", "Loop"]

R = TypeVar("R")

# What the loop is told, and tells, instead of a message.
STOP: Any = object()
NEEDS_NURSERY: Any = object()


class Begun:
    """In place of a reply: its handler was run, and the request is answered, or will be."""

    __slots__ = ("request",)

    def __init__(self, request: Request[Any]) -> None:
        self.request = request


class Loop(Delivery):
    """What the task of a server does from its first message to its last."""

    __slots__ = ()

    async def _serve(self, item: Any) -> Any:
        """Handle messages until the end (returns None), or until there must be a nursery.

        Then it returns the message that needs one, or `NEEDS_NURSERY` if it is not a message that does.
        """
        instance = self.instance
        handlers = self.handlers
        request: Request[Any] | None
        while True:
            if item is None:
                if self.attention:
                    verdict = await self._attend()
                    if verdict is not None:
                        return None if verdict is STOP else verdict
                if self.suspended or (
                    self.children is not None and self.children.waiting >= self.spec.mailbox_size
                ):
                    await self.park(HELD)
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
                        item = await self.park(PARKED)
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
            if handler.in_child:
                if self.children is None:
                    self.children = ChildTasks(self.server)
                self.children.start(handler, message, request, item)
                item = None
                continue
            try:
                if handler.noreply:
                    if request is None:
                        # The sender of a cast reads no reply; whoever gives it needs not know.
                        request = Request(self.server, message)
                        request.state = BEGUN
                    self.defer(request)
                    reply = handler.run(instance, From(request), *message.args, **dict(message.kwargs))
                else:
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
                has_ended = self.settle(handler, item, message, request, None, error)
            else:
                has_ended = self.settle(handler, item, message, request, reply)
            if has_ended:
                return None
            item = None

    def settle(
        self,
        handler: Handler,
        item: Any,
        message: Any,
        request: Request[Any] | None,
        returned: object,
        error: BaseException | None = None,
    ) -> bool:
        """Do what follows from what a handler came to, whoever has run it, and where.

        Args:
          item, message: what came in, and the message that it brought.
          request: what is to be answered: `item`, or for a message that was cast what its `From` is for.
          returned: what the handler returned, and was awaited if it could be.
          error: what it raised, which is no cancellation; None: it returned.

        Returns:
          whether it has ended the server.
        """
        if error is None:
            if handler.noreply:
                assert request is not None
                if request.executor is self:
                    # From here on anybody may answer.
                    request.executor = None
                if returned is not None:
                    error = BadReturnValue(self.name, handler.name, message, returned)
                else:
                    request.fail_if_dropped()
            elif request is not None:
                if request.state <= BEGUN:
                    request.reply(returned)
                else:
                    self.drop(item, "late reply")
            elif returned is not None and handler.message_type is Cast and not handler.in_child:
                error = BadReturnValue(self.name, handler.name, message, returned)
            if error is None:
                if self.hooks.messages:
                    self.handled(item)
                return False
        # The sender of a cast hears of none of that, even if there is a `From`.
        caller: Request[Any] | None = item if item.__class__ is Request else None
        if isinstance(error, Refuse):
            if caller is None:
                self.drop(item, "refused")
            elif caller.unanswered:
                caller.fail(error.error)
            else:
                self.drop(item, "late reply")
            self.handled(item)
            return False
        if isinstance(error, Stop):
            if handler.in_child:
                if caller is not None:
                    self.defer(caller)
                self.stop_now(error.reason)
            else:
                self.current = caller
                self.stop_by_raising(error.reason)
            self.handled(item)
            return True
        if not handler.in_child:
            self.current = item
        elif caller is not None:
            self.defer(caller, error)
        self.crashed(error, message)
        return True

    # The fast copies of taking a message, running its handler and settling what it came to. What they are not
    # made for they leave to `_serve` and `settle`. A test holds each against those, on the same messages.

    def run_inline(self, handler: Handler, message: Call[Any, Any], args: tuple[Any, ...]) -> Any:
        """Run a plain handler in the step of its caller, while the server waits; see `ServerRef.call`.

        Returns:
          the reply; a `Begun`, if it is not there yet or is an error.
        """
        self.timeout = None
        # As on the long way: what is sent to the server by its own handler waits in the mailbox.
        self.waits = LENT
        reply: Any
        raised: BaseException | None = None
        try:
            run = self.task.context.run  # type: ignore[union-attr]  # it is parked
            if len(args) == 1:
                # The commonest, without unpacking.
                reply = run(handler.run, self.instance, args[0])
            else:
                reply = run(handler.run, self.instance, *args)
        except BaseException as error:  # noqa: BLE001 - the server's crash, whatever it is
            reply, raised = None, error
        else:
            if reply.__class__ in PLAIN or not is_awaitable(reply):
                mailbox = self.mailbox
                if (
                    self.waits == LENT
                    and not self.attention
                    and self.timeout is None
                    and self.timeout_scope is None
                    and (mailbox is None or not mailbox.ready)
                ):
                    # `taken_back` without the call.
                    self.waits = PARKED
                else:
                    self.taken_back()
                return reply
        # Out here, where it is not the context of what the caller gets.
        request: Request[Any] = Request(self, message)
        request.state = BEGUN
        try:
            return self._begun(handler, request, reply, raised)
        finally:
            reply = raised = None

    def run_noreply_inline(self, handler: Handler, message: Call[Any, R]) -> Request[R]:
        """`run_inline`, for a handler that leaves the reply to somebody: only that is waited for."""
        request: Request[R] = Request(self, message)
        request.state = BEGUN
        self.timeout = None
        self.waits = LENT
        self.defer(request)
        returned: Any = None
        raised: BaseException | None = None
        try:
            run = self.task.context.run  # type: ignore[union-attr]  # it is parked
            returned = run(handler.run, self.instance, From(request), *message.args)
        except BaseException as error:  # noqa: BLE001 - the server's crash, whatever it is
            raised = error
        if raised is not None or returned is not None:
            try:
                self._begun(handler, request, returned, raised)
            finally:
                returned = raised = None
            return request
        # `settle` without the call.
        if request.executor is self:
            request.executor = None
        if request._answer is DROPPED:
            request.fail_if_dropped()
        self.taken_back()
        return request

    def _begun(
        self, handler: Handler, request: Request[Any], returned: object, raised: BaseException | None
    ) -> Begun:
        """The rest of what has been run inline, unless it came to a reply: the plain path."""
        try:
            if raised is None and is_awaitable(returned):
                self.await_later(Unfinished(handler, request, request, request.message, returned))
            elif not self.settle(handler, request, request.message, request, returned, raised):
                self.taken_back()
        finally:
            # This frame would be in a cycle with what is raised in it.
            del returned, raised
        return Begun(request)

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
        handler: Any = None
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
            request = item if item.__class__ is Request else None
            return (
                STOP if self.settle(cast("Handler", handler), item, message, request, None, error) else None
            )
        finally:
            self.budget = budget

    def handled(self, item: Item) -> None:
        """The handler of `item` has ended, and did not crash."""
        if self.hooks.message_handled and item.__class__ is not Cast:
            self.hooks.tell("message_handled", self.ref, item)

    async def _park_with_timeout(self) -> Item | None:
        """Wait for a message for as long as `set_timeout` said; if none comes, tell the server."""
        assert self.timeout is not None
        if self.timeout_due is None:
            # Not from now again, if what woke it meanwhile was no message.
            self.timeout_due = trio.current_time() + self.timeout
        with trio.CancelScope(deadline=self.timeout_due) as scope:
            self.timeout_scope = scope
            try:
                return cast("Item | None", await self.park(PARKED))
            finally:
                self.timeout_scope = None
        self.timeout = None
        await self._callback(self.instance.handle_timeout, UNSET, "handle_timeout", None)
        return None

    def taken_back(self) -> None:
        """A caller has run a handler: have the server go on, if there is anything to do for it now."""
        if self.waits != LENT:
            # It was woken, or cancelled, by what the handler did.
            return
        self.waits = PARKED
        scope = self.timeout_scope
        if self.attention or (self.mailbox is not None and self.mailbox.ready):
            self.wake()
        elif scope is not None and self.timeout is not None:
            scope.deadline = self.timeout_due = trio.current_time() + self.timeout
        elif scope is not None or self.timeout is not None:
            # It waits with a timeout that is not due any more, or without the one that it is to have.
            self.wake()

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
        except BaseException as error:
            if is_cancellation(error):
                self.current = item
                raise
            self.settle(handler, item, message, request, None, error)
        else:
            self.settle(handler, item, message, request, reply)

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
                    self.look_again()
                    return NEEDS_NURSERY
                unfinished, self.unfinished = self.unfinished, None
                await self._finish(unfinished)
                continue
            if self.killed and not (self.continues and self.crash is None and self.grace != -math.inf):
                if self.reason is UNSET and self.stop_left == 0:
                    # Nothing was left to be done before the stop, which came before the kill.
                    self.reason = self.stop_reason
                self.look_again()
                return STOP
            if self.nursery is None and (self.new_tasks or self.continues):
                self.look_again()
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
                self.look_again()
                if self.stop_left and not self.suspended and self.mailbox and self.mailbox.ready:
                    return None
                self.reason = self.stop_reason
            self.look_again()
            return STOP
