"""A message on its way into a server: handed over, left in the mailbox, refused or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import outcome
import trio
import trio.lowlevel

from ._errors import MailboxFull, UnhandledMessage
from ._mailbox import Mailbox
from ._process_state import ProcessState, message_of
from ._request import Request
from ._server import resolve

if TYPE_CHECKING:
    from ._message import Call, Cast, Handler
    from ._process_state import Item

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
            mailbox = self.mailbox = Mailbox(self.spec.mailbox_size)
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
            oldest: Any = mailbox.take_oldest()
            if self.stop_left:
                self.stop_left -= 1
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
        error = MailboxFull(self.name, message_of(item), self.mailbox.capacity)
        if isinstance(item, Request):
            item.fail(error)
        return error

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
            self.mailbox = Mailbox(self.spec.mailbox_size)
        # Not among those of which a full mailbox may drop the oldest.
        self.mailbox.force(item)

    async def deliver_wait(self, item: Item) -> None:
        """Wait for room in the mailbox, in order. A checkpoint."""
        assert self.mailbox is not None
        try:
            await self.mailbox.put_wait(item)
        except trio.BrokenResourceError:
            if isinstance(item, Request):
                item.stop(self.reason)
            else:
                self.drop(item, "stopped")
        except trio.Cancelled:
            if isinstance(item, Request):
                item.abandon()
            else:
                self.drop(item, "withdrawn")
            raise
