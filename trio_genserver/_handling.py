"""Settles what a handler returned or raised, wherever it ran; and the fast copies of that.

`settle` is the only place for that: for handlers run by the loop, by a caller, in a child task or by the task
that awaits their rest, and for callbacks that are not handlers. The fast copies, which take a message, run
its handler and settle the outcome, are `run_inline`, `run_noreply_inline` and `drain`. What they are not made
for they leave to `settle` and to the loop. A test holds each against those, on the same messages.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar, cast

import trio

from ._agenda import Unfinished
from ._awaiting import PLAIN, is_awaitable
from ._cancellation import is_cancellation
from ._cycle import execution_var
from ._delivery import waiting_messages
from ._errors import BadReturnValue
from ._host import Host
from ._mailbox import Mailbox
from ._message import Call, Cast, Handler
from ._parts import Parts
from ._request import BEGUN, DROPPED, QUEUED, REPLIED, Countdown, From, Item, Request
from ._signals import Refuse, Stop
from ._turn import BATCH, LENT, PARKED, STEP

__all__ = [
    "CONTINUE",
    "INFO",
    "STOP",
    "TIMEOUT",
    "Begun",
    "Callback",
    "await_later",
    "drain",
    "handled",
    "run_inline",
    "run_noreply_inline",
    "settle",
]

R = TypeVar("R")

# Signals to the loop instead of a message.
STOP: Any = object()


class Begun:
    """In place of a reply: its handler was run, and the request is answered, or will be."""

    __slots__ = ("request",)

    def __init__(self, request: Request[Any]) -> None:
        self.request = request


class Callback:
    """One of the callbacks that run between messages, as `settle` takes it for a handler: it answers nobody,
    refuses nobody, and must return None.
    """

    __slots__ = ("name",)

    is_callback: Final = True
    in_child: Final = False
    noreply: Final = False
    message_type: Final = Cast

    def __init__(self, name: str) -> None:
        self.name = name


INFO = Callback("handle_info")
CONTINUE = Callback("handle_continue")
TIMEOUT = Callback("handle_timeout")


def settle(
    process: Parts,
    handler: Handler | Callback,
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
      error: its exception, which is not a cancellation; None: it returned.

    Returns:
      whether it has ended the server.
    """
    if error is None:
        if handler.noreply:
            assert request is not None
            if request.executor is process:
                # From here on anybody may answer.
                request.executor = None
            if returned is not None:
                error = BadReturnValue(process.name, handler.name, message, returned)
            else:
                request.fail_if_dropped()
        elif request is not None:
            if request.state <= BEGUN:
                request.reply(returned)
            else:
                process.drop(item, "late reply")
        elif returned is not None and handler.message_type is Cast and not handler.in_child:
            error = BadReturnValue(process.name, handler.name, message, returned)
        if error is None:
            if process.hooks.messages:
                handled(process, item)
            return False
    # The sender of a cast hears of none of that, even if there is a `From`.
    caller: Request[Any] | None = item if item.__class__ is Request else None
    if isinstance(error, Refuse) and not handler.is_callback:
        if caller is None:
            process.drop(item, "refused")
        elif caller.unanswered:
            caller.fail(error.error)
        else:
            process.drop(item, "late reply")
        handled(process, item)
        return False
    if isinstance(error, Stop):
        if not handler.in_child:
            process.was_handling(caller)
        elif caller is not None:
            process.defer(caller)
        if process.agenda is not None:
            # Its earlier requests are not carried out.
            process.agenda.forget_continues(execution_var.get() if handler.in_child else process)
        process.stop_now(error.reason)
        handled(process, item)
        return True
    if handler.is_callback:
        # It is over, and nobody is told that it was not handled.
        pass
    elif not handler.in_child:
        process.was_handling(item)
    elif caller is not None:
        process.defer(caller, error)
    process.crashed(error, message)
    return True


def handled(process: Host, item: Item | None) -> None:
    """The handler of `item`, if there is one, has ended, and did not crash."""
    if process.hooks.message_handled and item is not None and item.__class__ is not Cast:
        process.hooks.tell("message_handled", process.ref, item)


def run_inline(process: Parts, handler: Handler, message: Call[Any, Any], args: tuple[Any, ...]) -> Any:
    """Run a plain handler in the step of its caller, while the server waits; see `ServerRef.call`.

    Returns:
      the reply; a `Begun`, if it is not there yet or is an error.
    """
    turn = process.turn
    # `Turn.lend` without the call.
    turn.timeout = None
    turn.waits = LENT
    reply: Any
    raised: BaseException | None = None
    try:
        run = turn.task.context.run  # type: ignore[union-attr]  # it is parked
        if len(args) == 1:
            # The commonest, without unpacking.
            reply = run(handler.run, process.instance, args[0])
        else:
            reply = run(handler.run, process.instance, *args)
    except BaseException as error:  # noqa: BLE001 - the server's crash, whatever it is
        reply, raised = None, error
    else:
        if reply.__class__ in PLAIN or not is_awaitable(reply):
            mailbox = process.mailbox
            if (
                turn.waits == LENT
                and not turn.attention
                and turn.timeout is None
                and turn.timeout_scope is None
                and (mailbox is None or not mailbox.ready)
            ):
                # `Turn.taken_back` without the call.
                turn.waits = PARKED
            else:
                turn.taken_back(mailbox is not None and mailbox.ready > 0)
            return reply
    # Out here, where it is not the context of what the caller gets.
    request: Request[Any] = Request(process, message)
    request.state = BEGUN
    try:
        return _begun(process, handler, request, reply, raised)
    finally:
        reply = raised = None


def run_noreply_inline(process: Parts, handler: Handler, message: Call[Any, R]) -> Request[R]:
    """`run_inline`, for a handler that leaves the reply to somebody: only that is waited for."""
    request: Request[R] = Request(process, message)
    request.state = BEGUN
    turn = process.turn
    turn.lend()
    process.defer(request)
    returned: Any = None
    raised: BaseException | None = None
    try:
        run = turn.task.context.run  # type: ignore[union-attr]  # it is parked
        returned = run(handler.run, process.instance, From(request), *message.args)
    except BaseException as error:  # noqa: BLE001 - the server's crash, whatever it is
        raised = error
    if raised is not None or returned is not None:
        try:
            _begun(process, handler, request, returned, raised)
        finally:
            returned = raised = None
        return request
    # `settle` without the call.
    if request.executor is process:
        request.executor = None
    if request._answer is DROPPED:
        request.fail_if_dropped()
    mailbox = process.mailbox
    turn.taken_back(mailbox is not None and mailbox.ready > 0)
    return request


def _begun(
    process: Parts, handler: Handler, request: Request[Any], returned: object, raised: BaseException | None
) -> Begun:
    """The rest of what has been run inline, unless it came to a reply: the plain path."""
    try:
        if raised is None and is_awaitable(returned):
            await_later(process, Unfinished(handler, request, request, request.message, returned))
        elif not settle(process, handler, request, request.message, request, returned, raised):
            mailbox = process.mailbox
            process.turn.taken_back(mailbox is not None and mailbox.ready > 0)
    finally:
        # This frame would be in a cycle with what is raised in it.
        del returned, raised
    return Begun(request)


def drain(process: Parts, mailbox: Mailbox[Item]) -> Any:
    """Handle what waits, for as long as it is calls and casts to plain methods: the short way through.

    Returns:
      the first message that is anything else, taken out; None: look at `attention`, then at the mailbox;
      `STOP`: a handler has ended the server.
    """
    instance = process.instance
    handlers = process.handlers
    hooks = process.hooks
    turn = process.turn
    budget = turn.budget
    if turn.since == math.inf and mailbox.ready > budget:
        turn.since = trio.current_time()
    item: Any = None
    message: Any = None
    handler: Any = None
    try:
        while True:
            if not budget:
                if not 0 < trio.current_time() - turn.since < STEP:
                    return None
                budget = BATCH
            budget -= 1
            if mailbox.careful:
                if not waiting_messages(process):
                    return None
                item = mailbox.take()
            else:
                # `Mailbox.take` without the call.
                mailbox.ready -= 1
                item = mailbox.receive_nowait()
                if mailbox.before_stop:
                    mailbox.before_stop -= 1
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
                turn.timeout = None
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
                            await_later(process, Unfinished(handler, None, item, message, reply))
                        elif handler.message_type is Cast:
                            raise BadReturnValue(process.name, handler.name, message, reply)
                elif reply.__class__ not in PLAIN and is_awaitable(reply):
                    await_later(process, Unfinished(handler, item, item, message, reply))
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
                    process.drop(item, "late reply")
            if turn.attention or not mailbox.ready:
                return None
    except BaseException as error:
        if is_cancellation(error):
            process.was_handling(item)
            raise
        request = item if item.__class__ is Request else None
        return (
            STOP if settle(process, cast("Handler", handler), item, message, request, None, error) else None
        )
    finally:
        turn.budget = budget


def await_later(process: Parts, unfinished: Unfinished) -> None:
    """A handler has returned an awaitable: have the server's task await it, before all else."""
    (process.agenda or process.make_agenda()).finish(unfinished)
    process.turn.wake()
