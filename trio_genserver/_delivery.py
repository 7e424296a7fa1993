"""Delivers a message to a server: hands it over, leaves it in the mailbox, refuses it or drops it.

The functions that senders call. They hand a message to a server that waits at an empty mailbox, or leave it
in the mailbox, which is made for the first message that has to wait.
"""

from __future__ import annotations

from typing import Any, cast

import trio
import trio.lowlevel

from ._cycle import waiting_for
from ._declarations import resolve
from ._errors import CallCycle, MailboxFull, ServerNotRunning, UnhandledMessage
from ._message import Call, Cast, Handler
from ._parts import Parts
from ._request import Envelope, Item, Request, wait_of
from ._turn import PARKED

__all__ = [
    "call",
    "deliver",
    "deliver_always",
    "hand_over",
    "hand_over_nowait",
    "handler_of",
    "send",
    "waiting_messages",
    "withdraw",
]

_checkpoint_if_cancelled = trio.lowlevel.checkpoint_if_cancelled
_schedule_point = trio.lowlevel.cancel_shielded_checkpoint

# Sends for a reference, the long way: `ServerRef` has the fast copies.


async def call(process: Parts, request: Request[Any]) -> Any:
    """Take `request` and wait for its answer. The mailbox may be full, and the caller a server itself."""
    await _checkpoint_if_cancelled()
    try:
        with waiting_for(request):
            _check(process, request.message)
            if process.hooks.message_sent:
                process.hooks.tell("message_sent", process.ref, request)
            # No task goes into the request while it waits for room: a reply must not reschedule it there.
            if not (deliver(process, request) or _deliver_full(process, request)):
                await _deliver_wait(process, request)
            return await request.park()
    except (CallCycle, ServerNotRunning, MailboxFull, UnhandledMessage):
        # It may have failed before it came to any.
        await _schedule_point()
        raise


def send(process: Parts, request: Request[Any]) -> None:
    """Have `request` handled, without waiting for anything. See `ServerRef.send_request`."""
    message: Any = request.message
    if not process.alive:
        process.drop(message, "not running")
        error = ServerNotRunning(process.name, message)
        error.__cause__ = process.lifecycle.known_crash()
        request.never_sent(error)
        return
    if request.handler is None:
        handler_of(process, message)
    if process.hooks.message_sent:
        process.hooks.tell("message_sent", process.ref, request)
    if not (deliver(process, request) or _deliver_full(process, request)):
        raise _full(process, request)


async def hand_over(process: Parts, item: Item) -> None:
    """Take `item`, and wait for room if it must. A checkpoint. See `ServerRef.cast`."""
    await _checkpoint_if_cancelled()
    try:
        prepared = _prepare(process, item)
        waits = prepared is not None and not (deliver(process, prepared) or _deliver_full(process, prepared))
    except (MailboxFull, UnhandledMessage):
        await _schedule_point()
        raise
    if not waits:
        await _schedule_point()
        return
    item = cast("Item", prepared)
    try:
        with waiting_for(wait_of(process, item.message if isinstance(item, Envelope) else item)):
            await _deliver_wait(process, item)
    except CallCycle:
        process.drop(item, "withdrawn")
        await _schedule_point()
        raise


def hand_over_nowait(process: Parts, item: Item) -> None:
    """`hand_over`, without waiting for room. Not a checkpoint."""
    prepared = _prepare(process, item)
    if prepared is not None and not (deliver(process, prepared) or _deliver_full(process, prepared)):
        raise _full(process, prepared)


def _check(process: Parts, message: Any) -> None:
    if not process.alive:
        process.drop(message, "not running")
        raise ServerNotRunning(process.name, message) from process.lifecycle.known_crash()
    if message.handler not in process.handlers:
        handler_of(process, message)


def _prepare(process: Parts, item: Item) -> Item | None:
    """`item` as the mailbox takes it, or None: nobody is there to handle it."""
    if not process.alive:
        process.drop(item, "not running")
        return None
    if isinstance(item, Cast):
        if item.handler not in process.handlers:
            handler_of(process, item)
        if process.hooks.messages:
            item = Envelope(item)
    if process.hooks.message_sent:
        process.hooks.tell("message_sent", process.ref, item)
    return item


# How an item comes in.


def handler_of(process: Parts, message: Call[Any, Any] | Cast[Any]) -> Handler:
    """The handler that this server has for `message`.

    Raises:
      UnhandledMessage: it has none.
    """
    handler = process.handlers.get(message.handler)
    if handler is None:
        handler = resolve(process.spec.server_class, message.handler)
        if handler is None:
            raise UnhandledMessage(process.name, process.spec.server_class, message)
    return handler


def deliver(process: Parts, item: Item) -> bool:
    """Hand `item` over or leave it in the mailbox; False if that is full. Only while `alive`."""
    if process.turn.waits == PARKED:
        process.turn.go_on(item)
        return True
    mailbox = process.mailbox
    if mailbox is None:
        mailbox = process.make_mailbox()
    if mailbox.put(item):
        return True
    if not mailbox.dirty:
        return False
    _sweep(process)
    return mailbox.put(item)


def _deliver_full(process: Parts, item: Item) -> bool:
    """The mailbox is full: do as `overflow` says. False means: wait for room.

    Raises:
      MailboxFull: `item` was not taken, and its sender is to know.
    """
    mailbox = process.mailbox
    assert mailbox is not None
    overflow = process.spec.overflow
    if overflow == "wait":
        return False
    if overflow == "drop_oldest":
        oldest: Any = mailbox.take_oldest()
        if oldest.__class__ is not Request:
            process.drop(oldest, "mailbox full")
        elif oldest.unanswered:
            process.drop(oldest, "mailbox full")
            oldest.fail(MailboxFull(process.name, oldest.message, mailbox.capacity))
        mailbox.put(item)
        return True
    if overflow == "drop_newest" and item.__class__ is not Request:
        process.drop(item, "mailbox full")
        return True
    raise _full(process, item)


def _full(process: Parts, item: Item) -> MailboxFull:
    """`item` is not taken: the error for its sender. Everybody else knows."""
    assert process.mailbox is not None
    process.drop(item, "mailbox full")
    message, capacity = item.message if isinstance(item, Envelope) else item, process.mailbox.capacity
    if isinstance(item, Request):
        # An error of its own: it is not to be in a cycle with the one that is raised.
        item.fail(MailboxFull(process.name, message, capacity))
    return MailboxFull(process.name, message, capacity)


def deliver_always(process: Parts, item: Item) -> None:
    """Hand `item` over or leave it in the mailbox, also beyond its bound.

    For what is sent once and must arrive, after all that was sent before, and whose number is bounded
    elsewhere: by the monitors and the tasks that a server asked to hear of. Nobody could wait.
    """
    if not process.alive:
        process.drop(item, "not running")
        return
    if process.hooks.message_sent:
        process.hooks.tell("message_sent", process.ref, item)
    if process.turn.waits == PARKED:
        process.turn.go_on(item)
        return
    # Not among those of which a full mailbox may drop the oldest.
    (process.mailbox or process.make_mailbox()).force(item)


async def _deliver_wait(process: Parts, item: Item) -> None:
    """Wait for room in the mailbox, in order. A checkpoint."""
    mailbox = process.mailbox
    assert mailbox is not None
    if not isinstance(item, Envelope):
        # The same message may be sent by many.
        item = Envelope(item)

    def abort(_: object) -> trio.lowlevel.Abort:
        # A cancellation touches the process, and not only its mailbox.
        assert process.mailbox is not None
        process.mailbox.stop_waiting(item)
        return trio.lowlevel.Abort.SUCCEEDED

    mailbox.put_beyond(item, trio.lowlevel.current_task())
    try:
        await trio.lowlevel.wait_task_rescheduled(abort)
    except trio.Cancelled:
        if isinstance(item, Request):
            item.abandon()
        else:
            process.drop(item, "withdrawn")
            withdraw(process)
        raise


# The waiting messages.


def waiting_messages(process: Parts) -> int:
    """How many messages wait in the mailbox, those that wait for room included."""
    if process.mailbox is None:
        return 0
    if process.mailbox.dirty:
        _sweep(process)
    return process.mailbox.ready


def withdraw(process: Parts) -> None:
    """A message that may be in the mailbox was given up: it makes room."""
    if process.mailbox is not None and process.mailbox.withdraw():
        _sweep(process)


def _sweep(process: Parts) -> None:
    """Take out of the mailbox what was given up."""
    assert process.mailbox is not None
    if process.mailbox.sweep():
        # Nothing is left to be handled before the stop.
        process.turn.wake()
