"""Starts that fail, of servers, children, pools and partitions, and restarts that do not help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    ServerCrashed,
    ServerError,
    child_spec,
    open_dynamic_supervisor,
    open_server,
    open_supervisor,
    run_server,
    start_server,
)
from trio_genserver.pools import CheckoutPool, open_checkout_pool
from trio_genserver.supervision import open_partition_supervisor

from .servers import (
    WAYS,
    Desk,
    DoesNotStart,
    way,
)


def of_each_start(
    function: Callable[[Any, Any], Awaitable[object]],
) -> Callable[[Any, Any], Awaitable[object]]:
    for how in ("init", "async init", "stop", "ignore"):

        def bound(sent: Any, how: str = how) -> Awaitable[object]:
            return function(how, sent)

        bound.__name__ = f"{function.__name__}[{how}]"
        WAYS.append(bound)
    return function


@of_each_start
async def start_a_server(how: Any, sent: Any) -> None:
    async with open_server(DoesNotStart, how):
        pass


@of_each_start
async def start_a_server_in_a_nursery(how: Any, sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        await start_server(nursery, DoesNotStart, how)


@of_each_start
async def run_a_server(how: Any, sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(run_server, DoesNotStart, how)


@of_each_start
async def start_a_child(how: Any, sent: Any) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start_child(DoesNotStart, how)


@of_each_start
async def start_a_child_again(how: Any, sent: Any) -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(ServerError):
            await supervisor.start_child(DoesNotStart, how)
        await supervisor.restart_child("DoesNotStart")


@of_each_start
async def start_a_dynamic_child(how: Any, sent: Any) -> None:
    async with open_dynamic_supervisor() as supervisor:
        await supervisor.start_child(DoesNotStart, how)


@way
async def start_a_tree(sent: Any) -> None:
    async with open_supervisor([Desk, child_spec(DoesNotStart, "init")]):
        pass


@way
async def start_partitions(sent: Any) -> None:
    async with open_partition_supervisor(child_spec(DoesNotStart, "init"), 3):
        pass


@way
async def start_a_pool(sent: Any) -> None:
    async with open_checkout_pool(child_spec(DoesNotStart, "init"), size=3):
        pass


@way
async def start_a_worker(sent: Any) -> None:
    spec = child_spec(DoesNotStart, "async init")
    async with open_checkout_pool(spec, size=3, lazy=True) as pool, pool.checkout():
        pass


@way
async def want_a_worker_at_once(sent: Any) -> None:
    async with open_checkout_pool(Desk, size=1) as pool, pool.checkout(), pool.checkout(wait=False):
        pass


@way
async def have_a_worker_of_a_pool_that_ends(sent: Any) -> None:
    async def end() -> None:
        await trio.testing.wait_all_tasks_blocked()
        pool._process.stop_now("enough")

    async with open_supervisor([child_spec(CheckoutPool[Desk], Desk, size=1)]) as supervisor:
        pool = supervisor.child("CheckoutPool", CheckoutPool[Desk])
        async with pool.checkout(), trio.open_nursery() as nursery:
            nursery.start_soon(end)
            async with pool.checkout():
                pass


@way
async def restart_too_often(sent: Any) -> None:
    async with open_supervisor([Desk], max_restarts=1) as supervisor:
        desk = supervisor.child("Desk", Desk)
        while True:
            with pytest.raises(ServerCrashed):
                await desk.call(Desk.crash(sent))
            await trio.testing.wait_all_tasks_blocked()


@way
async def restart_too_often_below(sent: Any) -> None:
    from trio_genserver import supervisor_spec

    below = supervisor_spec([Desk], max_restarts=0, id="below")
    async with open_supervisor([below], max_restarts=0) as supervisor:
        supervisor.child("below").child("Desk").cast_nowait(Desk.crash_by_cast(sent))
        await trio.sleep_forever()
