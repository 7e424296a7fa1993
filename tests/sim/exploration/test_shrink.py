"""A failing run is replaced by a plainer one that fails in the same way."""

from collections.abc import Sequence

import pytest
import trio

import sim
from sim._exploration.shrink import MAX_ATTEMPTS, shrink
from sim._run.choices import ChoiceLog
from sim.strategies import DepthFirst


def log_of(indices: Sequence[int]) -> ChoiceLog:
    log = ChoiceLog()
    for index in indices:
        log.add(index, 5)
    return log


def test_only_the_choices_that_matter_are_left_and_as_small_as_they_can_be() -> None:
    def attempt(indices: Sequence[int]) -> tuple[ChoiceLog, int] | None:
        if len(indices) > 70 and indices[13] >= 2 and indices[70] >= 1:
            return log_of(indices), sum(index > 0 for index in indices)
        return None

    plainest = shrink(log_of([4] * 100), 100, attempt)
    assert {place: index for place, index in enumerate(plainest.indices) if index} == {13: 2, 70: 1}


def test_attempts_are_bounded() -> None:
    attempts = 0

    def attempt(indices: object) -> None:
        nonlocal attempts
        attempts += 1

    shrink(log_of([4] * 5_000), 9, attempt)
    assert attempts == MAX_ATTEMPTS


async def lost_update_among_many() -> None:
    cell = sim.Shared(0)

    async def increment() -> None:
        value = cell.get()
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)

    async def bystander() -> None:
        for _ in range(4):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(increment)
            nursery.start_soon(bystander)
    assert cell.get() == 2


@pytest.mark.parametrize("seed", range(10))
def test_lost_update_is_shrunk_to_the_one_preemption_that_it_takes(seed: int) -> None:
    (failure,) = sim.explore(lost_update_among_many, seed=seed).failures
    assert isinstance(failure.error, AssertionError)
    assert failure.preemptions == 1
    assert len(failure.token) <= 10


def test_shrinking_reaches_the_fewest_preemptions_that_any_schedule_needs() -> None:
    async def scenario() -> None:
        cell = sim.Shared(0)

        async def increment() -> None:
            for _ in range(2):
                value = cell.get()
                await trio.lowlevel.checkpoint()
                cell.set(value + 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)
        assert cell.get() > 2, "at least half of the updates are lost"

    every = sim.explore(scenario, DepthFirst(), 10_000, max_failures=10_000, shrink_failures=False).failures
    fewest = min(failure.preemptions for failure in every)
    for seed in range(5):
        (failure,) = sim.explore(scenario, seed=seed).failures
        assert failure.preemptions == fewest


def test_shrunk_failure_replays_to_the_same_error() -> None:
    (failure,) = sim.explore(lost_update_among_many, seed=4).failures
    (again,) = sim.replay(lost_update_among_many, failure.token).failures
    assert again.steps == failure.steps


def test_other_error_on_the_way_does_not_take_the_place_of_the_one_that_was_found() -> None:
    async def scenario() -> None:
        order: list[int] = []

        async def task(number: int) -> None:
            await trio.lowlevel.checkpoint()
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(task, number)
        if order == [0, 1, 2, 3]:
            raise KeyError("the plain schedule")
        raise ValueError("any other")

    failures = sim.explore(scenario, seed=2, max_failures=5, max_executions=30).failures
    assert any(isinstance(failure.error, ValueError) for failure in failures)
    for failure in failures:
        order_is_plain = not any(step.chosen for step in failure.steps)
        assert isinstance(failure.error, KeyError) is order_is_plain


def test_shrinking_can_be_left_out() -> None:
    shrunk, raw = (
        sim.explore(lost_update_among_many, seed=3, shrink_failures=shrinks).failures[0]
        for shrinks in (True, False)
    )
    assert shrunk.preemptions < raw.preemptions
