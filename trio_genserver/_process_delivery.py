"""A message on its way into a server: handed over, left in the mailbox, refused or dropped."""

from __future__ import annotations

from typing import Any, cast

import outcome
import trio
import trio.lowlevel

from ._declarations import resolve
from ._errors import MailboxFull, UnhandledMessage
from ._mailbox import Mailbox
from ._message import Call, Cast, Handler
from ._process_state import UNSET, ProcessState, message_of
from ._request import Envelope, Item, Request, is_withdrawn

__all__ = ["Delivery"]


class Delivery(ProcessState):
    """What senders call."""

    __slots__ = ()

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
        if self.parked:
            assert self.task is not None
            # First, as it raises if this is no Trio thread; the server is not to be hurt by that.
            trio.lowlevel.reschedule(self.task, outcome.Value(item))
            self.parked = False
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
        if self.parked:
            self.deliver(item)
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
