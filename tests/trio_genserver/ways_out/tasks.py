"""Tasks, agents, amap, and blocks that raise themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import monitor, open_server, open_supervisor
from trio_genserver.agents import open_agent
from trio_genserver.tasks import TaskStopped, amap, amap_isolated, open_task_supervisor

from .servers import (
    Broken,
    Desk,
    fail,
    given,
    way,
)


@way
async def wait_for_a_task(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        await tasks.start(fail, sent).wait()


@way
async def let_a_task_fail(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start(fail, sent)
        await trio.sleep_forever()
        print(task)


@way
async def wait_for_a_task_that_is_not_linked(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_isolated(fail, sent)
        with pytest.raises(Broken):
            await task.wait()
        await task.wait()


@way
async def look_at_the_outcome_of_a_task(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_isolated(fail, sent)
        for outcome in (await task.poll(1), task.outcome):
            assert outcome is not None
            with pytest.raises(Broken):
                outcome.unwrap()
        del outcome
        await task.shutdown()


@way
async def wait_for_a_task_that_was_stopped(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_isolated(trio.sleep_forever)
        await task.shutdown()
        with pytest.raises(TaskStopped):
            task.check()
        await task.wait()


@way
async def map_over_what_fails(sent: Any) -> None:
    async with amap(fail, [sent, sent]) as results:
        async for result in results:
            print(result)


@way
async def map_over_items_that_fail(sent: Any) -> None:
    async def items() -> AsyncIterator[object]:
        yield sent
        raise Broken("no more")

    async with amap(given, items()) as results:
        async for result in results:
            print(result)


@way
async def map_too_slowly(sent: Any) -> None:
    async def slow(_: object) -> None:
        await trio.sleep_forever()

    async with amap(slow, [sent], timeout=0.001) as results:
        async for result in results:
            print(result)


@way
async def map_and_take_the_outcome(sent: Any) -> None:
    async with amap_isolated(fail, [sent, sent]) as results:
        async for settled in results:
            outcome = settled.outcome
            del settled
            try:
                outcome.unwrap()
            finally:
                # An outcome keeps what it raises: that is its user's.
                del outcome


@way
async def let_an_agent_fail(sent: Any) -> None:
    def wrong(state: object) -> None:
        raise Broken("agent")

    async with open_agent(list[object]) as agent:
        await agent.get(wrong)


@way
async def start_an_agent_that_fails(sent: Any) -> None:
    def wrong() -> None:
        raise Broken("agent")

    async with open_agent(wrong):
        pass


@way
async def let_the_block_fail(sent: Any) -> None:
    async with open_server(Desk), open_supervisor([Desk]), open_task_supervisor():
        raise Broken("the block")


@way
async def let_block_and_server_fail(sent: Any) -> None:
    async with open_server(Desk) as desk:
        try:
            await desk.call(Desk.crash(sent))
        finally:
            raise Broken("the block")


@way
async def remove_a_monitor(sent: Any) -> None:
    async with open_server(Desk) as desk:
        watch = monitor(desk)
        watch.demonitor()
        await watch.wait()


@way
async def let_two_tasks_fail_at_once(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        tasks.start(fail, sent)
        tasks.start(fail, sent)
        await trio.sleep_forever()


@way
async def forget_a_task_that_has_failed(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        tasks.start_isolated(fail, sent)
        await tasks.wait_idle()
        raise Broken("the block")


@way
async def let_the_block_of_a_map_fail(sent: Any) -> None:
    async def slow(_: object) -> None:
        await trio.sleep_forever()

    async with amap(slow, [sent]):
        await trio.testing.wait_all_tasks_blocked()
        raise Broken("the block")
