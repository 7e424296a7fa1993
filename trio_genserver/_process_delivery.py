"""A message on its way into a server: handed over, left in the mailbox, refused or dropped."""

from __future__ import annotations

from typing import Any, cast

import trio
import trio.lowlevel

from ._cycle import waiting_for
from ._declarations import resolve
from ._errors import CallCycle, MailboxFull, ServerNotRunning, UnhandledMessage
from ._mailbox import Mailbox
from ._message import Call, Cast, Handler
from ._process_state import PARKED, UNSET, ProcessState, message_of
from ._request import Envelope, Item, Request, is_withdrawn, wait_of

__all__ = ["Delivery"]

_checkpoint_if_cancelled = trio.lowlevel.checkpoint_if_cancelled
_schedule_point = trio.lowlevel.cancel_shielded_checkpoint


class Delivery(ProcessState):
    """What senders call."""

    __slots__ = ()

    # What a reference asks for, the long way: `ServerRef` has the fast copies of it.

    async def call(self, request: Request[Any]) -> Any:
        """Take `request` and wait for its answer. The mailbox may be full, and the caller a server itself."""
        await _checkpoint_if_cancelled()
        try:
            with waiting_for(request):
                self._check(request.message)
                if self.hooks.message_sent:
                    self.hooks.tell("message_sent", self.ref, request)
                # No task goes into the request while it waits for room: a reply must not reschedule it there.
                if not (self.deliver(request) or self.deliver_full(request)):
                    await self.deliver_wait(request)
                return await request.park()
        except (CallCycle, ServerNotRunning, MailboxFull, UnhandledMessage):
            # It may have failed before it came to any.
            await _schedule_point()
            raise

    def send(self, request: Request[Any]) -> None:
        """Have `request` handled, without waiting for anything. See `ServerRef.send_request`."""
        message: Any = request.message
        if not self.alive:
            self.drop(message, "not running")
            error = ServerNotRunning(self.name, message)
            error.__cause__ = self.known_crash()
            request.never_sent(error)
            return
        if request.handler is None:
            self.resolve(message)
        if self.hooks.message_sent:
            self.hooks.tell("message_sent", self.ref, request)
        if not (self.deliver(request) or self.deliver_full(request)):
            raise self.full(request)

    async def hand_over(self, item: Item) -> None:
        """Take `item`, and wait for room if it must. A checkpoint. See `ServerRef.cast`."""
        await _checkpoint_if_cancelled()
        try:
            prepared = self._prepare(item)
            waits = prepared is not None and not (self.deliver(prepared) or self.deliver_full(prepared))
        except (MailboxFull, UnhandledMessage):
            await _schedule_point()
            raise
        if not waits:
            await _schedule_point()
            return
        item = cast("Item", prepared)
        try:
            with waiting_for(wait_of(self, item.message if isinstance(item, Envelope) else item)):
                await self.deliver_wait(item)
        except CallCycle:
            self.drop(item, "withdrawn")
            await _schedule_point()
            raise

    def hand_over_nowait(self, item: Item) -> None:
        """`hand_over`, without waiting for room. Not a checkpoint."""
        prepared = self._prepare(item)
        if prepared is not None and not (self.deliver(prepared) or self.deliver_full(prepared)):
            raise self.full(prepared)

    def _check(self, message: Any) -> None:
        if not self.alive:
            self.drop(message, "not running")
            raise ServerNotRunning(self.name, message) from self.known_crash()
        if message.handler not in self.handlers:
            self.resolve(message)

    def _prepare(self, item: Item) -> Item | None:
        """`item` as the mailbox takes it, or None: nobody is there to handle it."""
        if not self.alive:
            self.drop(item, "not running")
            return None
        if isinstance(item, Cast):
            if item.handler not in self.handlers:
                self.resolve(item)
            if self.hooks.messages:
                item = Envelope(item)
        if self.hooks.message_sent:
            self.hooks.tell("message_sent", self.ref, item)
        return item

    # How an item comes in.

    def resolve(self, message: Call[Any, Any] | Cast[Any]) -> Handler:
        """The handler that this server has for `message`.

        Raises:
          UnhandledMessage: it has none.
        """
        handler = self.handlers.get(message.handler)
        if handler is None:
            handler = resolve(self.spec.server_class, message.handler)
            if handler is None:
                raise UnhandledMessage(self.name, self.spec.server_class, message)
        return handler

    def deliver(self, item: Item) -> bool:
        """Hand `item` over or leave it in the mailbox; False if that is full. Only while `alive`."""
        if self.waits == PARKED:
            self.go_on(item)
            return True
        mailbox = self.mailbox
        if mailbox is None:
            mailbox = self.mailbox = Mailbox(self.spec.mailbox_size, is_withdrawn)
        if mailbox.put(item):
            return True
        if not mailbox.dirty:
            return False
        self.sweep()
        return mailbox.put(item)

    def deliver_full(self, item: Item) -> bool:
        """The mailbox is full: do as `overflow` says. False means: wait for room.

        Raises:
          MailboxFull: `item` was not taken, and its sender is to know.
        """
        mailbox = self.mailbox
        assert mailbox is not None
        overflow = self.spec.overflow
        if overflow == "wait":
            return False
        if overflow == "drop_oldest":
            place, oldest = cast("tuple[int, Any]", mailbox.take_oldest())
            self.stop_left -= place < self.stop_left
            if oldest.__class__ is not Request:
                self.drop(oldest, "mailbox full")
            elif oldest.unanswered:
                self.drop(oldest, "mailbox full")
                oldest.fail(MailboxFull(self.name, oldest.message, mailbox.capacity))
            mailbox.put(item)
            return True
        if overflow == "drop_newest" and item.__class__ is not Request:
            self.drop(item, "mailbox full")
            return True
        raise self.full(item)

    def full(self, item: Item) -> MailboxFull:
        """`item` is not taken: the error for its sender. Everybody else knows."""
        assert self.mailbox is not None
        self.drop(item, "mailbox full")
        message, capacity = message_of(item), self.mailbox.capacity
        if isinstance(item, Request):
            # An error of its own: it is not to be in a cycle with the one that is raised.
            item.fail(MailboxFull(self.name, message, capacity))
        return MailboxFull(self.name, message, capacity)

    def deliver_always(self, item: Item) -> None:
        """Hand `item` over or leave it in the mailbox, also beyond its bound.

        For what is sent once and must arrive, after all that was sent before, and whose number is bounded
        elsewhere: by the monitors and the tasks that a server asked to hear of. Nobody could wait.
        """
        if not self.alive:
            self.drop(item, "not running")
            return
        if self.hooks.message_sent:
            self.hooks.tell("message_sent", self.ref, item)
        if self.waits == PARKED:
            self.go_on(item)
            return
        if self.mailbox is None:
            self.mailbox = Mailbox(self.spec.mailbox_size, is_withdrawn)
        # Not among those of which a full mailbox may drop the oldest.
        self.mailbox.force(item)

    async def deliver_wait(self, item: Item) -> None:
        """Wait for room in the mailbox, in order. A checkpoint."""
        mailbox = self.mailbox
        assert mailbox is not None
        if not isinstance(item, Envelope):
            # The same message may be sent by many.
            item = Envelope(item)

        def abort(_: object) -> trio.lowlevel.Abort:
            self.stop_waiting(item)
            return trio.lowlevel.Abort.SUCCEEDED

        mailbox.put_beyond(item, trio.lowlevel.current_task())
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        except trio.Cancelled:
            if isinstance(item, Request):
                item.abandon()
            else:
                self.drop(item, "withdrawn")
                self.withdraw()
            raise

    def stop_waiting(self, item: Item) -> None:
        """The sender of `item`, which waited for room, was cancelled."""
        assert self.mailbox is not None
        self.mailbox.stop_waiting(item)

    # What waits.

    @property
    def waiting_messages(self) -> int:
        """How many messages wait in the mailbox, those that wait for room included."""
        if self.mailbox is None:
            return 0
        if self.mailbox.dirty:
            self.sweep()
        return self.mailbox.ready

    def withdraw(self) -> None:
        """A message that may be in the mailbox was given up: it makes room."""
        if self.mailbox is not None and self.mailbox.withdraw():
            self.sweep()

    def sweep(self) -> None:
        """Take out of the mailbox what was given up."""
        assert self.mailbox is not None
        if self.stop_left:
            self.stop_left -= self.mailbox.sweep(self.stop_left)
            if not self.stop_left:
                # Nothing is left to be handled before the stop.
                self.wake()
        else:
            self.mailbox.sweep(0)

    def stop_in_order(self, reason: object) -> None:
        """End when what is in the mailbox now has been handled, for `reason` unless that ends it before."""
        if self.reason is UNSET and self.stop_reason is UNSET:
            self.stop_reason = reason
            self.stop_left = self.waiting_messages
            self.wake()
