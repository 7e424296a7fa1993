"""The loop of a server: take a message, find its handler, run it, answer; one after the other.

`serve` is the whole loop, and most messages take a short way through it, `_handling.drain`. One flag
(`Turn.attention`) says that something unusual has to be done, and `attend` finds out what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
import trio.lowlevel

from ._agenda import Unfinished
from ._awaiting import await_callback, is_awaitable
from ._cancellation import is_cancellation
from ._delivery import handler_of
from ._errors import UnhandledMessage
from ._handling import CONTINUE, INFO, STOP, TIMEOUT, Callback, await_later, drain, settle
from ._host import Execution
from ._interrupt import awaited
from ._lifecycle import UNSET
from ._message import Cast
from ._parts import Parts
from ._request import BEGUN, QUEUED, Envelope, From, Info, Item, Request
from ._text import CallbackName
from ._turn import HELD, PARKED

__all__ = ["NEEDS_NURSERY", "attend", "continue_", "serve"]

# Signals of the loop instead of a message.
NEEDS_NURSERY: Any = object()


async def serve(process: Parts, item: Any) -> Any:
    """Handle messages until the end (returns None), or until there must be a nursery.

    Then it returns the message that needs one, or `NEEDS_NURSERY` if it is not a message that does.
    """
    turn = process.turn
    instance = process.instance
    handlers = process.handlers
    request: Request[Any] | None
    while True:
        if item is None:
            if turn.attention:
                verdict = await process.attend()
                if verdict is not None:
                    return None if verdict is STOP else verdict
            if turn.suspended or (
                process.children is not None and process.children.waiting >= process.spec.mailbox_size
            ):
                await turn.park(HELD, process.abort_park)
                continue
            mailbox = process.mailbox
            if mailbox is not None and mailbox.ready:
                if turn.budget == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    if process.agenda is None or not process.agenda.continues:
                        # Else a child task has asked for that meanwhile, and it is not to be lost.
                        await trio.lowlevel.checkpoint_if_cancelled()
                    turn.begin_step()
                    continue
                item = drain(process, mailbox)
                if item is None:
                    continue
                if item is STOP:
                    return None
            else:
                # The last message and its reply are not kept alive by a server that waits.
                request = message = reply = None
                if turn.timeout is None:
                    item = await turn.park(PARKED, process.abort_park)
                else:
                    if process.nursery is None:
                        return NEEDS_NURSERY
                    item = await _park_with_timeout(process)
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
                process.drop(item, "withdrawn")
                item = None
                continue
            if process.nursery is None:
                return item
            await _callback(process, INFO, instance.handle_info, item.message, item)
            item = None
            continue
        else:
            message = item.message
        handler = handlers.get(message.handler)
        if handler is None:
            try:
                handler = handler_of(process, message)
            except UnhandledMessage as error:
                process.was_handling(item)
                process.crashed(error, message)
                return None
        if process.nursery is None and handler.is_async:
            return item

        # Handle it.
        if request is not None:
            request.state = BEGUN
        if process.hooks.messages:
            if kind is Cast:
                # It was sent when nobody looked.
                item = Envelope(message)
            if process.hooks.message_received and not handler.in_child:
                process.hooks.tell("message_received", process.ref, item)
        if turn.timeout is not None:
            turn.no_timeout()
        if handler.in_child:
            (process.children or process.make_children()).start(handler, message, request, item)
            item = None
            continue
        try:
            if handler.noreply:
                if request is None:
                    # The sender of a cast reads no reply; whoever gives it needs not know.
                    request = Request(process, message)
                    request.state = BEGUN
                process.defer(request)
                reply = handler.run(instance, From(request), *message.args, **dict(message.kwargs))
            else:
                reply = handler.run(instance, *message.args, **dict(message.kwargs))
            if handler.runs_coroutine:
                reply = await reply
            elif is_awaitable(reply):
                if process.nursery is None:
                    await_later(process, Unfinished(handler, request, item, message, reply))
                    item = None
                    continue
                reply = await awaited(reply)
        except BaseException as error:
            if is_cancellation(error):
                process.was_handling(item)
                raise
            has_ended = settle(process, handler, item, message, request, None, error)
        else:
            has_ended = settle(process, handler, item, message, request, reply)
        if has_ended:
            return None
        item = None


async def _park_with_timeout(process: Parts) -> Item | None:
    """Wait for a message for as long as `set_timeout` said; if none comes, tell the server."""
    turn = process.turn
    with turn.open_timeout():
        try:
            return cast("Item | None", await turn.park(PARKED, process.abort_park))
        finally:
            turn.close_timeout()
    turn.no_timeout()
    await _callback(process, TIMEOUT, process.instance.handle_timeout, UNSET, None)
    return None


async def _finish(process: Parts, unfinished: Unfinished) -> None:
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
            process.was_handling(item)
            raise
        settle(process, handler, item, message, request, None, error)
    else:
        settle(process, handler, item, message, request, reply)


async def _callback(
    process: Parts,
    kind: Callback,
    callback: Callable[..., Awaitable[object]],
    argument: object,
    item: Item | None,
) -> None:
    """Run one of the coroutines that are no handlers.

    Args:
      argument: what it is given; `UNSET`: it takes none.
      item: what came in; None: nothing did.
    """
    if item is not None and process.hooks.message_received:
        process.hooks.tell("message_received", process.ref, item)
    process.turn.no_timeout()
    message = CallbackName(f"{kind.name}()") if argument is UNSET else argument
    arguments = () if argument is UNSET else (argument,)
    try:
        returned = await await_callback(process.name, callback, kind.name, *arguments)
    except BaseException as error:
        if is_cancellation(error):
            raise
        settle(process, kind, item, message, None, None, error)
    else:
        settle(process, kind, item, message, None, returned)


async def continue_(process: Parts, continues: deque[tuple[Execution | None, object]]) -> None:
    """Run `handle_continue` for the first that has asked for it."""
    _, argument = continues.popleft()
    await _callback(process, CONTINUE, process.instance.handle_continue, argument, None)


async def attend(process: Parts) -> Any:
    """Do what is unusual. None: go on; `STOP`; `NEEDS_NURSERY`: a nursery is needed first."""
    turn, lifecycle = process.turn, process.lifecycle
    while True:
        turn.looks()
        agenda = process.agenda
        if agenda is not None and agenda.unfinished is not None:
            if process.nursery is None:
                turn.look_again()
                return NEEDS_NURSERY
            await _finish(process, cast("Unfinished", agenda.take_unfinished()))
            continue
        mailbox = process.mailbox
        continues = None if agenda is None else agenda.continues
        if lifecycle.killed and not (continues and lifecycle.crash is None and not lifecycle.out_of_time):
            if mailbox is None or not mailbox.before_stop:
                # Nothing was left to be done before the stop, which came before the kill.
                lifecycle.end_for(lifecycle.stop_reason)
            turn.look_again()
            return STOP
        if agenda is not None:
            if process.nursery is None and agenda.needs_nursery:
                turn.look_again()
                return NEEDS_NURSERY
            for task in agenda.take_tasks():
                process.spawn(task)
            if continues:
                # As in OTP, it is the rest of the callback that asked for it, and comes before all else, also
                # before an end. A kill cancels it, at its first checkpoint, as it would have that callback.
                await continue_(process, continues)
                continue
            while agenda.system:
                agenda.system.popleft().serve()
        if turn.attention:
            continue
        if lifecycle.reason is UNSET:
            if lifecycle.stop_reason is UNSET:
                return None
            turn.look_again()
            if mailbox is not None and mailbox.before_stop and mailbox.ready and not turn.suspended:
                return None
            lifecycle.end_for(lifecycle.stop_reason)
        turn.look_again()
        return STOP
