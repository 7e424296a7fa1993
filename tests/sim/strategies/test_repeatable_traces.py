"""Programs whose traces could not be repeated: which step closes a nursery is no part of a trace, nor is who
needs the nursery of system tasks first."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from functools import partial

import pytest
import trio

import sim
from tests.sim.strategies.outcomes import Program, explored, missed
from tests.sim.strategies.test_outcomes import together

checkpoint = trio.lowlevel.checkpoint


async def two_take_one_value_of_a_channel_each() -> Hashable:
    cell = sim.Shared(0)

    @trio.as_safe_channel
    async def values() -> AsyncGenerator[int]:
        for _ in range(2):
            await checkpoint()
            yield cell.get()

    async def take() -> None:
        async with values() as received:
            async for _ in received:
                break

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await take()
    return None


async def system_tasks_that_end_by_themselves_or_are_cancelled() -> Hashable:
    cell = sim.Shared(0)

    async def system(number: int) -> None:
        await checkpoint()
        cell.set(cell.get() * 10 + number)

    async def spawn(number: int) -> None:
        trio.lowlevel.spawn_system_task(system, number)

    await together(partial(spawn, 1), partial(spawn, 2))
    return cell.get()


@pytest.mark.parametrize(
    "program",
    [two_take_one_value_of_a_channel_each, system_tasks_that_end_by_themselves_or_are_cancelled],
)
def test_every_trace_can_be_repeated(program: Program) -> None:
    result = explored(program, "dpor").result
    assert result.diverged is None
    assert result.complete


def test_what_system_tasks_have_done_when_the_scenario_returns() -> None:
    program = system_tasks_that_end_by_themselves_or_are_cancelled
    assert len(explored(program, "dfs").seen) > 3
    assert not missed(program)
