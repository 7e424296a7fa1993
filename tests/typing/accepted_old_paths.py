"""Old paths, which work for one release, type check as well; checked by test_typing, never run."""

from __future__ import annotations

from typing import assert_type

import trio

import trio_genserver
from trio_genserver import (
    AgentRef,
    GenServer,
    KeyedPool,
    ServerRef,
    Task,
    amap_nolink,
    open_agent,
    open_task_supervisor,
)


class Shard(GenServer): ...


async def old_paths(pool: KeyedPool[Shard]) -> None:
    assert_type(pool.worker_for("key"), ServerRef[Shard])
    async with amap_nolink(trio.sleep, [1]) as slept:
        print([each async for each in slept])
    async with open_agent(list[int]) as agent, open_task_supervisor() as tasks:
        assert_type(agent, AgentRef[list[int]])
        assert_type(tasks.start(agent.get, len), Task[int])
        assert_type(tasks.start_nolink(agent.get, len), Task[int])


def modules_without_an_import() -> None:
    assert_type(trio_genserver.pools.stable_hash("key"), int)
    print(trio_genserver.sys.get_state, trio_genserver.tasks.amap, trio_genserver.NotRegistered)
