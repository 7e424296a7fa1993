from __future__ import annotations

from random import Random

import pytest
import trio
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import sim
from sim.hypothesis import Schedule, schedules

quick = settings(
    max_examples=100,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


async def add_up(amounts: list[int], *, lock: trio.Lock | None) -> None:
    total = sim.Shared(0)

    async def add(amount: int) -> None:
        if lock is not None:
            await lock.acquire()
        seen = total.get()
        await trio.lowlevel.checkpoint()
        total.set(seen + amount)
        if lock is not None:
            lock.release()

    async with trio.open_nursery() as nursery:
        for amount in amounts:
            nursery.start_soon(add, amount)
    assert total.get() == sum(amounts)


@quick
@given(amounts=st.lists(st.integers(0, 100), max_size=4), schedule=schedules())
def test_what_holds_under_every_schedule_holds(amounts: list[int], schedule: Schedule) -> None:
    async def scenario() -> None:
        await add_up(amounts, lock=trio.Lock())

    result = schedule.run(scenario)
    assert result.executions == 1


def fails(drawn: tuple[list[int], Schedule]) -> bool:
    amounts, schedule = drawn

    async def scenario() -> None:
        await add_up(amounts, lock=None)

    try:
        schedule.run(scenario)
    except AssertionError:
        return True
    return False


def test_operations_and_schedule_shrink_together() -> None:
    everything = st.tuples(st.lists(st.integers(0, 100), max_size=6), schedules())
    amounts, schedule = find(everything, fails, settings=settings(quick, max_examples=1000), random=Random(0))
    # Two tasks, of which the first must have added something to lose, and hardly a choice that is not 0.
    assert sorted(amounts) == [0, 1]
    assert len([digit for digit in repr(schedule) if digit in "123456789"]) <= 2


def test_a_failure_says_how_to_replay_it() -> None:
    @quick
    @given(schedule=schedules())
    def property_(schedule: Schedule) -> None:
        async def scenario() -> None:
            await add_up([1, 1], lock=None)

        schedule.run(scenario)

    with pytest.raises(AssertionError) as caught:
        property_()
    notes = "\n".join(caught.value.__notes__)
    assert "replay it with sim.replay(scenario, " in notes


def test_a_deadlock_is_a_failure_of_the_property() -> None:
    @quick
    @given(schedule=schedules())
    def property_(schedule: Schedule) -> None:
        async def scenario() -> None:
            await trio.sleep_forever()

        schedule.run(scenario)

    with pytest.raises(sim.Deadlock):
        property_()
