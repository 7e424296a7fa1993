"""How a server begins and ends, as its task goes through it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from ._awaiting import await_callback
from ._cancellation import is_cancellation
from ._cycle import waiting_for
from ._empty import is_left_empty
from ._errors import BadReturnValue, CallCycle
from ._host import Host
from ._interrupt import struck_where_it_is
from ._lifecycle import STARTING, UNSET
from ._log import admits, ended, report
from ._loop import NEEDS_NURSERY, continue_, serve
from ._parts import Parts
from ._request import Item, Request, wait_of
from ._shown import shown_state
from ._signals import Stop
from ._spec import Name
from ._text import CallbackName
from ._turn import HELD

__all__ = ["cancelled_outside", "end", "fail_withheld", "in_its_end", "live"]


async def live(process: Parts) -> None:
    """From its name to its last message. A supervisor has more around it."""
    spec = process.spec
    lifecycle = process.lifecycle
    if spec.via is not None:
        await _take_name(process, spec.via)
    if lifecycle.killed or lifecycle.start_error is not None:
        return
    try:
        _make_instance(process)
    except BaseException as error:  # noqa: BLE001 - the starter gets it, whatever it is
        lifecycle.start_failed(process.name, error)
        return
    item = None
    if is_left_empty(spec.server_class.init):
        _started(process)
        item = await serve(process, None)
        if item is None:
            return
    living = _in_a_nursery(process, item)
    # This frame lasts as long as the server, and would keep its first message for as long.
    item = None
    try:
        await living
    finally:
        await _continue_children(process)


async def _in_a_nursery(process: Parts, item: Any) -> None:
    lifecycle = process.lifecycle
    async with trio.open_nursery() as nursery:
        process.has_nursery(nursery)
        if lifecycle.killed:
            nursery.cancel_scope.cancel(reason=f"{process.name} is shut down")
        if lifecycle.state == STARTING and not await _init(process):
            # It may have started child tasks before it failed.
            nursery.cancel_scope.cancel(reason=f"the init of {process.name} failed")
            return
        serving = serve(process, None if item is NEEDS_NURSERY else item)
        item = None
        await serving
        # Its tasks may take their time to end. Messages that come in from now on will not be handled, and
        # their senders are told so at once.
        lifecycle.take_no_more(process)
        nursery.cancel_scope.cancel(reason=f"{process.name} stopped")


async def _continue_children(process: Parts) -> None:
    """Run `handle_continue` for the child tasks that have asked for it in their last step.

    The loop was over by then. It is cancelled at its first checkpoint, as each of those tasks was.
    """
    lifecycle = process.lifecycle
    while (
        process.agenda is not None
        and process.agenda.continues
        and lifecycle.state != STARTING
        and lifecycle.start_error is None
        and lifecycle.crash is None
        and not lifecycle.out_of_time
    ):
        async with trio.open_nursery() as nursery:
            process.has_nursery(nursery)
            nursery.cancel_scope.cancel(reason=f"{process.name} stopped")
            await continue_(process, process.agenda.continues)


@struck_where_it_is
def _make_instance(process: Parts) -> None:
    spec = process.spec
    cls = spec.server_class
    instance = cls.__new__(cls, *spec.args, **spec.kwargs)
    # Not by the class's own `__setattr__`: that of a frozen dataclass refuses.
    object.__setattr__(instance, "_process", process)
    process.has_instance(instance)
    instance.__init__(*spec.args, **spec.kwargs)


async def _take_name(process: Parts, via: Name) -> None:
    """Register the name that the specification asks for; wait for who has it if that one is ending."""
    while not process.lifecycle.killed:
        holder: Host | None = via.claim(process)
        if holder is None:
            return
        if holder.alive:
            process.lifecycle.start_failed(process.name, via.taken(process.name, holder))
            return
        try:
            # The end of that one may wait, over some calls, for whoever starts this one.
            with waiting_for(wait_of(holder, f"the end of {holder.name}")):
                await _wait_for_exit(process, holder)
        except CallCycle as error:
            process.lifecycle.start_failed(process.name, error)
            return


async def _wait_for_exit(process: Parts, holder: Host) -> None:
    awaited = holder.lifecycle.call_on_exit(lambda _process, _reason: process.turn.wake())
    try:
        await process.turn.park(HELD, process.abort_park)
    finally:
        holder.lifecycle.forget_on_exit(awaited)


async def _init(process: Parts) -> bool:
    lifecycle = process.lifecycle
    try:
        returned: object = await await_callback(process.name, process.instance.init, "init")
        if returned is not None:
            raise BadReturnValue(process.name, "init", None, returned)
    except BaseException as error:
        if is_cancellation(error):
            raise
        # The starter gets it, whatever it is.
        lifecycle.start_failed(process.name, error)
        return False
    if lifecycle.reason is not UNSET and not lifecycle.killed:
        lifecycle.start_failed(process.name, Stop(lifecycle.reason))
        return False
    _started(process)
    return True


def _started(process: Parts) -> None:
    process.lifecycle.started()
    if process.hooks.server_started:
        process.hooks.tell("server_started", process.ref)
    if not process.lifecycle.killed:
        process.lifecycle.let_starter_go_on()


async def end(process: Parts) -> None:
    """From the last message to the last of it: nobody is left waiting."""
    lifecycle = process.lifecycle
    lifecycle.take_no_more(process)
    lifecycle.end_for("shutdown")
    withhold_unhandled(process)
    try:
        if process.instance is not None and lifecycle.start_error is None:
            await _terminate(process)
    finally:
        _ended_at_last(process)


async def _terminate(process: Parts) -> None:
    if is_left_empty(process.spec.server_class.terminate) or process.lifecycle.out_of_time:
        return
    try:
        await in_its_end(process, partial(_call_terminate, process))
    finally:
        if process.lifecycle.out_of_time and admits(process.ref, "late terminate"):
            report(
                process.ref,
                "late terminate",
                "terminate of %s took longer than its shutdown time and was cancelled",
                process.name,
            )


async def _call_terminate(process: Parts) -> None:
    lifecycle = process.lifecycle
    try:
        await await_callback(process.name, process.instance.terminate, "terminate", lifecycle.reason)
    except Stop as stop:
        lifecycle.terminated(None, stop.reason)
    except BaseException as error:
        if is_cancellation(error):
            raise
        # As in OTP, this is the reason now; the first crash was reported when it came.
        lifecycle.terminated(error, error)
        if process.hooks.server_crashed:
            message = CallbackName("terminate()")
            process.hooks.tell("server_crashed", process.ref, error, message, shown_state(process))


def _ended_at_last(process: Parts) -> None:
    """Tell everybody. As in OTP, that is after `terminate`, and what became of that is the reason."""
    lifecycle = process.lifecycle
    if lifecycle.grace == -math.inf:
        lifecycle.ran_out_of_time(supervised=process.supervised)
    withhold_unhandled(process)
    if process.deferred:
        for request, cause in process.take_deferred():
            if cause is None:
                _fail(process, request)
            else:
                request.crash(cause)
    lifecycle.ended()
    process.let_go()
    if lifecycle.on_exit is not None:
        lifecycle.tell_of_exit(process)
    ref = process.ref
    if process.hooks.server_stopped:
        process.hooks.tell("server_stopped", ref, lifecycle.reason)
    if ref._records is not None or process.has_family:
        ended(ref)
    lifecycle.let_waiters_go_on(process)
    lifecycle.keep_copies(supervised=process.supervised)
    process.forget_ref()


# Its end, and the time that it has for that.


def cancelled_outside(process: Parts) -> None:
    """The owner of the server has cancelled it: from now on, it has as much time as `shutdown` allows."""
    lifecycle = process.lifecycle
    lifecycle.cancelled(0 if process.mailbox is None else process.mailbox.before_stop)
    if lifecycle.grace is UNSET:
        shutdown = process.spec.shutdown
        lifecycle.set_grace(0 if shutdown == "brutal_kill" else shutdown)


async def in_its_end(process: Parts, function: Callable[[], Awaitable[None]]) -> None:
    """Run `function` out of reach of cancellations: as long as it takes, if the server ends by itself.

    Its supervisor (`kill`) bounds that, and so does a cancellation from outside, which is raised when
    `function` is over. If it was cut short, there is no time left (`Lifecycle.out_of_time`).
    """
    if process.supervised or process.lifecycle.grace is not UNSET or process.spec.shutdown == math.inf:
        await _in_a_shield(process, function)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_await_cancellation, process, name=f"cancellation of {process.name}")
        await _in_a_shield(process, function)
        nursery.cancel_scope.cancel(reason=f"{process.name} has ended")


async def _in_a_shield(process: Parts, function: Callable[[], Awaitable[None]]) -> None:
    with process.lifecycle.open_shield() as scope:
        try:
            await function()
        finally:
            process.lifecycle.close_shield()
    if scope.cancelled_caught:
        process.lifecycle.cut_short()


async def _await_cancellation(process: Parts) -> None:
    try:
        await trio.sleep_forever()
    finally:
        if process.lifecycle.shield is not None:
            cancelled_outside(process)


# The messages that are not handled.


def fail_withheld(process: Parts) -> None:
    """Tell the senders whose messages are not handled now, before the end is over."""
    withhold_unhandled(process)
    for request in list(process.deferred):
        _fail(process, request)


def withhold_unhandled(process: Parts) -> None:
    """Nothing of what waits will be handled: senders go on, callers are told at the end."""
    agenda = process.agenda
    unfinished = None if agenda is None else agenda.take_unfinished()
    if unfinished is not None:
        process.was_handling(unfinished.item)
        unfinished.close()
    if process.current is not None:
        item = process.take_current()
        if isinstance(item, Request):
            process.defer(item)
    while agenda is not None and agenda.system:
        _fail(process, agenda.system.popleft())
    if process.mailbox is not None:
        for each in process.close_mailbox():
            _withhold(process, each)
    if process.children is not None:
        for child in process.children.close():
            _withhold(process, child.item)


def _withhold(process: Parts, item: Item) -> None:
    if isinstance(item, Request):
        process.defer(item)
    else:
        process.drop(item, "stopped")


def _fail(process: Parts, request: Request[Any]) -> None:
    if process.lifecycle.crash is not None:
        request.crash(process.lifecycle.crash)
    else:
        request.stop(process.lifecycle.reason)
