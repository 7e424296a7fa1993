"""Pools that choose by turn and by load: no worker left out, none chosen that does not run."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import GenServer, ServerNotRunning, ServerRef, handle_call, handle_cast, start_server
from trio_genserver.pools import LeastLoadedPool, RoundRobinPool


class Worker(GenServer):
    def __init__(self, number: int) -> None:
        self.number = number

    @handle_call
    def get_number(self) -> int:
        return self.number

    @handle_call
    async def work(self, until: trio.Event) -> int:
        await until.wait()
        return self.number

    @handle_call(child=True, max_children=1)
    async def work_in_child(self, until: trio.Event) -> int:
        await until.wait()
        return self.number

    @handle_cast
    def nothing(self) -> None: ...


async def start(nursery: trio.Nursery, count: int) -> list[ServerRef[Worker]]:
    return [await start_server(nursery, Worker, number) for number in range(count)]


def test_a_pool_of_nothing_is_refused() -> None:
    for kind in (RoundRobinPool, LeastLoadedPool):
        with pytest.raises(ValueError, match="at least one worker"):
            kind([])


@pytest.mark.parametrize("kind", [RoundRobinPool[Worker], LeastLoadedPool[Worker]])
async def test_idle_workers_are_used_in_turn(
    kind: type[RoundRobinPool[Worker]] | type[LeastLoadedPool[Worker]],
) -> None:
    async with trio.open_nursery() as nursery:
        pool = kind(await start(nursery, 3))
        numbers = [await pool.worker().call(Worker.get_number()) for _ in range(7)]
        assert numbers == [0, 1, 2, 0, 1, 2, 0]
        assert len(pool) == 3
        assert [ref.name for ref in pool] == ["Worker"] * 3
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [RoundRobinPool[Worker], LeastLoadedPool[Worker]])
async def test_a_worker_that_does_not_run_is_left_out(
    kind: type[RoundRobinPool[Worker]] | type[LeastLoadedPool[Worker]],
) -> None:
    async with trio.open_nursery() as nursery:
        workers = await start(nursery, 3)
        pool = kind(workers)
        await workers[1].stop()
        numbers = [await pool.worker().call(Worker.get_number()) for _ in range(4)]
        assert numbers == [0, 2, 0, 2]
        await workers[0].stop()
        await workers[2].stop()
        for _ in range(4):
            with pytest.raises(ServerNotRunning):
                await pool.worker().call(Worker.get_number())


async def test_the_worker_with_the_least_to_do_is_chosen() -> None:
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        workers = await start(nursery, 3)
        pool = LeastLoadedPool(workers)
        nursery.start_soon(workers[0].call, Worker.work(go))
        nursery.start_soon(workers[2].call, Worker.work(go))
        await trio.testing.wait_all_tasks_blocked()
        assert [await pool.worker().call(Worker.get_number()) for _ in range(3)] == [1, 1, 1]
        nursery.start_soon(workers[1].call, Worker.work(go))
        await trio.testing.wait_all_tasks_blocked()
        # All handle one; now what waits in the mailboxes decides.
        for ref in (workers[0], workers[0], workers[1]):
            ref.cast_nowait(Worker.nothing())
        assert pool.worker() is workers[2]
        workers[2].cast_nowait(Worker.nothing())
        workers[2].cast_nowait(Worker.nothing())
        assert pool.worker() is workers[1]
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_what_child_tasks_do_and_will_do_counts_as_load() -> None:
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        workers = await start(nursery, 2)
        pool = LeastLoadedPool(workers)
        for ref in (workers[0], workers[0], workers[1]):
            nursery.start_soon(ref.call, Worker.work_in_child(go))
        await trio.testing.wait_all_tasks_blocked()
        assert [pool.worker() for _ in range(3)] == [workers[1]] * 3
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_many_callers_at_once_are_spread_evenly() -> None:
    """The choice and the sending are one step, so each caller sees what those before it have sent."""
    go = trio.Event()
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        pool = LeastLoadedPool(await start(nursery, 4))

        async def use() -> None:
            done.append(await pool.worker().call(Worker.work(go)))

        async with trio.open_nursery() as clients:
            for _ in range(40):
                clients.start_soon(use)
            await trio.testing.wait_all_tasks_blocked()
            go.set()
        assert sorted(done) == sorted([0, 1, 2, 3] * 10)
        nursery.cancel_scope.cancel()
