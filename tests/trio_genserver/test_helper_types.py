"""What the type checkers know of registries, tasks, maps, pools and agents: both check these lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

from outcome import Outcome

from trio_genserver import ChildSpec, GenServer, ServerRef, child_spec, handle_call, open_server, wait_all
from trio_genserver.agents import open_agent
from trio_genserver.pools import LeastLoadedPool, RoundRobinPool, open_checkout_pool
from trio_genserver.registry import DuplicateRegistry, Registry, ServerName
from trio_genserver.tasks import Settled, Task, amap, amap_isolated, open_task_supervisor, poll_many


class Counter(GenServer):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    @handle_call
    def get(self) -> int:
        return self.value


async def double(number: int) -> float:
    return number * 2.0


async def test_a_registry_knows_the_class_of_its_servers() -> None:
    names: Registry[Counter] = Registry()
    topics: DuplicateRegistry[Counter] = DuplicateRegistry()
    name = assert_type(names.via("x"), ServerName[Counter])
    spec = assert_type(child_spec(Counter, 3).replace(via=name), ChildSpec[Counter])
    async with open_server(spec) as counter:
        topics.register("all", counter)
        assert_type(names.lookup("x"), ServerRef[Counter] | None)
        assert_type(names["x"], ServerRef[Counter])
        assert_type(topics.lookup("all"), list[ServerRef[Counter]])
        assert assert_type(await name.call(Counter.get()), int) == 3


async def test_a_task_knows_what_it_returns() -> None:
    async with open_task_supervisor() as tasks:
        task = assert_type(tasks.start(double, 1), Task[float])
        assert assert_type(await task.wait(), float) == 2
        assert_type(await task.poll(), Outcome[float] | None)
        assert_type(await task.shutdown(), float | None)
        assert_type(await wait_all([task, tasks.start_isolated(double, 2)]), list[float])
        assert_type(await poll_many([task]), list[tuple[Task[float], Outcome[float] | None]])


async def test_a_map_knows_what_comes_out() -> None:
    async with amap(double, [1, 2]) as results:
        assert_type(results, AsyncIterator[float])
        assert [each async for each in results] == [2, 4]
    async with amap_isolated(double, [1, 2]) as settled:
        assert_type(settled, AsyncIterator[Settled[int, float]])


async def test_a_pool_knows_the_class_of_its_workers() -> None:
    async with open_checkout_pool(child_spec(Counter, 1), size=1) as pool, pool.checkout() as worker:
        assert_type(worker, ServerRef[Counter])
        assert_type(RoundRobinPool([worker]).worker(), ServerRef[Counter])
        assert_type(LeastLoadedPool([worker]).worker(), ServerRef[Counter])
        assert await worker.call(Counter.get()) == 1


async def test_an_agent_knows_its_state() -> None:
    async with open_agent(lambda: [1]) as agent:
        assert assert_type(await agent.get(len), int) == 1
        assert assert_type(await agent.get_and_update(lambda state: (str(state), state)), str) == "[1]"
