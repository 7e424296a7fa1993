"""Calls that fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    Request,
    ServerCrashed,
    ServerError,
    as_completed,
    child_spec,
    open_server,
    open_supervisor,
    wait_all,
)
from trio_genserver.pools import open_checkout_pool
from trio_genserver.registry import Registry
from trio_genserver.supervision import open_partition_supervisor

from .servers import (
    WAYS,
    Broken,
    Caller,
    Desk,
    way,
)

CALLS: list[Callable[[Any], Any]] = [
    Desk.refuse,
    Desk.refuse_later,
    Desk.refuse_in_a_child,
    Desk.refuse_what_was_raised,
    Desk.crash,
    Desk.crash_later,
    Desk.crash_in_a_child,
    Desk.crash_with_from,
    Desk.crash_below,
    Desk.reply_error,
    Desk.stop_it,
    Desk.call_itself,
]


def of_each_call(
    function: Callable[[Any, Any], Awaitable[object]],
) -> Callable[[Any, Any], Awaitable[object]]:
    for message in CALLS:

        def bound(sent: Any, message: Any = message) -> Awaitable[object]:
            return function(message, sent)

        bound.__name__ = f"{function.__name__}[{message.__name__}]"
        WAYS.append(bound)
    return function


@of_each_call
async def call_a_server(message: Any, sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.call(message(sent))


@of_each_call
async def call_a_server_in_a_server_with_a_time_limit(message: Any, sent: Any) -> None:
    async with open_server(Desk) as desk, open_server(Caller) as caller:
        await caller.call(Caller.ask(desk, message(sent)))


@of_each_call
async def call_a_child(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        await desk.call(message(sent))


@of_each_call
async def call_a_child_that_is_not_restarted(message: Any, sent: Any) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        try:
            await desk.call(message(sent))
        finally:
            await trio.testing.wait_all_tasks_blocked()


@of_each_call
async def wait_for_a_request(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        request: Request[Any] = supervisor.child("Desk", Desk).send_request(message(sent))
        await request.wait()


@of_each_call
async def wait_for_a_request_several_times(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        request: Request[Any] = supervisor.child("Desk", Desk).send_request(message(sent))
        for _ in range(2):
            with pytest.raises(Exception):  # noqa: B017, PT011 - what it is does not matter here
                await request.wait()
        request.check()


@of_each_call
async def wait_for_all(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        requests: list[Request[Any]] = [desk.send_request(message(sent)) for _ in range(3)]
        await wait_all(requests)


@of_each_call
async def take_them_as_they_are_completed(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        requests: list[Request[Any]] = [desk.send_request(message(sent)) for _ in range(3)]
        async for request in as_completed(requests):
            request.check()


@of_each_call
async def call_a_worker_of_a_checkout_pool(message: Any, sent: Any) -> None:
    async with open_checkout_pool(Desk, size=1) as pool, pool.checkout() as desk:
        await desk.call(message(sent))


@of_each_call
async def call_a_partition(message: Any, sent: Any) -> None:
    async with open_partition_supervisor(child_spec(Desk), 2) as partitions:
        await partitions.worker_for("key").call(message(sent))


@of_each_call
async def call_by_name(message: Any, sent: Any) -> None:
    names: Registry[Desk] = Registry()
    async with open_server(child_spec(Desk).replace(via=names.via("desk"))):
        await names["desk"].call(message(sent))


@way
async def wait_too_long(sent: Any) -> None:
    async with open_server(Desk) as desk:
        with trio.fail_after(0):
            await desk.call(Desk.keep(sent))


@way
async def abandon_it(sent: Any) -> None:
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.keep(sent))
        request.abandon()
        request.check()


@way
async def ask_before_it_is_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        desk.send_request(Desk.keep(sent)).check()


@way
async def reply_twice(sent: Any) -> None:
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.keep(sent))
        await trio.testing.wait_all_tasks_blocked()
        try:
            await desk.call(Desk.reply_twice())
        finally:
            with pytest.raises(Broken, match="first"):
                await request.wait()


@way
async def call_who_is_not_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        pass
    await desk.call(Desk.refuse(sent))


@way
async def call_who_has_crashed(sent: Any) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        with pytest.raises(ServerCrashed):
            await desk.call(Desk.crash(sent))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ServerError):
            await desk.send_request(Desk.crash(sent)).wait()
        await desk.call(Desk.crash(sent))


@way
async def call_another_kind(sent: Any) -> None:
    async with open_server(Desk) as desk:
        message: Any = Caller.ask(desk, sent)
        await desk.call(message)


@way
async def call_in_an_except_clause(sent: Any) -> None:
    async with open_server(Desk) as desk:
        try:
            raise KeyError("the caller's own")
        except KeyError:
            await desk.call(Desk.refuse(sent))


@way
async def wait_for_what_is_kept_when_it_crashes(sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        request: Request[None] = desk.send_request(Desk.keep(sent))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ServerCrashed):
            await desk.call(Desk.crash(sent))
        await request.wait()


@way
async def wait_for_it_in_several_tasks(sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        request: Request[None] = supervisor.child("Desk", Desk).send_request(Desk.refuse_later(sent))

        async def wait() -> None:
            with pytest.raises(Broken):
                await request.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
        request.check()
