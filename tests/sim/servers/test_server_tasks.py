"""Tasks that are ended and ignored at the same time, under every schedule."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import sim
from trio_genserver.tasks import Task, open_task_supervisor, poll_many


async def lingers() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()


async def shut_down(task: Task[Any]) -> None:
    assert await task.shutdown() is None


async def poll(task: Task[Any]) -> None:
    await poll_many([task], kill=True)


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize("end", [shut_down, poll])
def test_who_ends_a_task_that_is_ignored_meanwhile_goes_on_when_it_is_gone(end: Any, strategy: str) -> None:
    async def scenario() -> None:
        async with open_task_supervisor() as tasks:
            task = tasks.start_isolated(lingers)

            async def ignore() -> None:
                task.ignore()

            async def end_it() -> None:
                await end(task)
                assert tasks.tasks == []

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ignore)
                nursery.start_soon(end_it)

    result = sim.explore(scenario, strategy, 20_000)
    result.check()
    assert result.complete
