"""Cancelled at every checkpoint: each operation that waits is given up after 0, 1, 2, ... steps of others.

After each: nobody waits for ever, nothing is lost, no task is left. The sweep ends at the first number of
steps at which the operation is over before it is cancelled, so it reaches every checkpoint there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_genserver import GenServer, child_spec, handle_call, monitor, start_server, wait_all
from trio_genserver.pools import open_checkout_pool
from trio_genserver.registry import Registry
from trio_genserver.tasks import amap, amap_isolated, open_task_supervisor

STEPS = 200


class Slow(GenServer):
    async def init(self) -> None:
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()

    async def terminate(self, reason: object) -> None:
        await trio.lowlevel.checkpoint()

    @handle_call
    async def work(self) -> str:
        await trio.lowlevel.checkpoint()
        return "done"


async def steps(count: int) -> int:
    for _ in range(count):
        await trio.lowlevel.checkpoint()
    return count


async def cancelled_after(count: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Run `operation`, cancel it after `count` steps of another task; whether that came too late."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await steps(count)
                scope.cancel()

            nursery.start_soon(cancel)
            await operation()
            nursery.cancel_scope.cancel()
    return not scope.cancelled_caught


async def sweep(run: Callable[[int], Awaitable[bool]]) -> None:
    for count in range(STEPS):
        tasks = trio.lowlevel.current_statistics().tasks_living
        over = await run(count)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        if over:
            assert count > 0
            return
    pytest.fail(f"it is never over within {STEPS} steps")


async def test_a_start_under_a_name_that_is_given_up_leaves_neither_a_server_nor_a_name() -> None:
    names: Registry[Slow] = Registry()
    spec = child_spec(Slow).replace(via=names.via("x"))

    async def run(count: int) -> bool:
        async with trio.open_nursery() as nursery:
            over = await cancelled_after(count, lambda: start_server(nursery, spec))
            if not over:
                assert "x" not in names
                assert not nursery.child_tasks
            ref = names.lookup("x") or await start_server(nursery, spec)
            assert await ref.call(Slow.work()) == "done"
            await ref.stop()
            assert names._holder("x") is None
        return over

    await sweep(run)


async def test_a_start_that_waits_for_a_name_and_is_given_up_leaves_the_name_to_others() -> None:
    names: Registry[Slow] = Registry()
    spec = child_spec(Slow).replace(via=names.via("x"))

    async def run(count: int) -> bool:
        async with trio.open_nursery() as nursery:
            first = await start_server(nursery, spec)
            first._process.kill()
            over = await cancelled_after(count, lambda: start_server(nursery, spec))
            await first.wait_stopped()
            ref = names.lookup("x") or await start_server(nursery, spec)
            assert ref is not first
            await ref.stop()
            assert names._holder("x") is None
        return over

    await sweep(run)


async def test_a_wait_for_tasks_that_is_given_up_leaves_the_tasks() -> None:
    async def run(count: int) -> bool:
        async with open_task_supervisor() as tasks:
            several = [tasks.start(steps, number) for number in (3, 1, 5)]

            async def operation() -> None:
                await several[0].wait()
                await wait_all(several)
                await several[2].poll(1)

            over = await cancelled_after(count, operation)
            assert await wait_all(several) == [3, 1, 5]
        return over

    await sweep(run)


async def test_a_shutdown_that_is_given_up_still_ends_the_task() -> None:
    async def run(count: int) -> bool:
        async with open_task_supervisor() as tasks:
            task = tasks.start(trio.sleep_forever)
            over = await cancelled_after(count, task.shutdown)
            await tasks.wait_idle()
        return over

    await sweep(run)


async def test_a_block_of_tasks_that_is_given_up_leaves_none() -> None:
    running = 0

    async def work(number: int) -> None:
        nonlocal running
        running += 1
        try:
            await steps(number)
        finally:
            running -= 1

    async def operation() -> None:
        async with open_task_supervisor() as tasks:
            for number in (4, 2, 6):
                tasks.start(work, number)

    async def run(count: int) -> bool:
        over = await cancelled_after(count, operation)
        assert running == 0
        return over

    await sweep(run)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("linked", [True, False])
async def test_a_map_that_is_given_up_leaves_no_call(linked: bool, ordered: bool) -> None:
    running = 0

    async def call(number: int) -> int:
        nonlocal running
        running += 1
        try:
            return await steps(number)
        finally:
            running -= 1

    async def operation() -> None:
        variant = amap if linked else amap_isolated
        async with variant(call, [3, 1, 0, 2, 4], max_concurrency=2, ordered=ordered) as results:
            async for _ in results:
                await steps(1)

    async def run(count: int) -> bool:
        over = await cancelled_after(count, operation)
        assert running == 0
        return over

    await sweep(run)


async def test_a_wait_for_a_monitor_that_is_given_up_leaves_the_monitor() -> None:
    async def run(count: int) -> bool:
        async with trio.open_nursery() as nursery:
            ref = await start_server(nursery, Slow)
            watch = monitor(ref)
            nursery.start_soon(ref.stop)
            over = await cancelled_after(count, watch.wait)
            assert (await watch.wait()).reason == "normal"
        return over

    await sweep(run)


@pytest.mark.parametrize("lazy", [True, False])
async def test_a_checkout_that_is_given_up_loses_no_worker(lazy: bool) -> None:
    async def run(count: int) -> bool:
        async with open_checkout_pool(Slow, size=1, max_overflow=1, lazy=lazy) as pool:

            async def use() -> None:
                async with pool.checkout() as worker:
                    await worker.call(Slow.work())

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(use)
                over = await cancelled_after(count, use)
            await trio.testing.wait_all_tasks_blocked()
            status = pool.status()
            assert (status.busy, status.starting, status.ending, status.waiting) == (0, 0, 0, 0)
            assert status.idle == 1
            await use()
        return over

    await sweep(run)


async def test_a_pool_whose_block_is_given_up_leaves_no_worker() -> None:
    async def operation() -> None:
        async with open_checkout_pool(Slow, size=2) as pool, pool.checkout() as worker:
            await worker.call(Slow.work())

    await sweep(lambda count: cancelled_after(count, operation))


async def test_a_lock_that_is_given_up_is_free() -> None:
    names: Registry[Slow] = Registry()

    async def hold() -> None:
        async with names.lock("x"):
            await steps(3)

    async def run(count: int) -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)
            nursery.start_soon(hold)
            over = await cancelled_after(count, hold)
        assert not names._locks
        return over

    await sweep(run)
