"""The strategy on real Trio programs: published counts, and every interleaving of random ones."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import pytest
import trio

import sim
from benchmarks.last_zero import last_zero
from tests.sim.strategies.concuerror_suite import TRACES, program
from tests.sim.strategies.trio_program import Scenario, compare, generated


def readers(count: int) -> Scenario:
    """One writer of a cell, and readers that each read something else first; from Concuerror."""

    async def scenario() -> None:
        shared = sim.Shared(0)

        async def writer() -> None:
            shared.set(42)

        async def reader(own: sim.Shared[int]) -> None:
            own.get()
            await trio.lowlevel.checkpoint()
            shared.get()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer)
            for _ in range(count):
                nursery.start_soon(reader, sim.Shared(0))

    return scenario


def senders(count: int, mailboxes: int) -> Scenario:
    async def scenario() -> None:
        channels = [trio.open_memory_channel[int](count) for _ in range(mailboxes)]

        async def send(number: int) -> None:
            channels[number % mailboxes][0].send_nowait(number)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(send, number)

    return scenario


def ending_together(count: int) -> Scenario:
    """Tasks that share nothing but the nursery in which they end."""

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(trio.lowlevel.checkpoint)
                await trio.lowlevel.checkpoint()

    return scenario


async def failing_together() -> None:
    """Steps of a plan have met each other in executions in which they stood elsewhere."""

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    async def end() -> None:
        pass

    async def two() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(fail)
            await trio.lowlevel.checkpoint()

    async def one() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(two)
        nursery.start_soon(one)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scenario", "traces"),
    [
        (last_zero(5), 64),
        (last_zero(7), 320),
        (readers(6), 64),
        *((senders(count, 1), factorial(count)) for count in (2, 4, 5)),
        *((senders(count, count), 1) for count in (2, 8)),
        (senders(6, 2), 36),
        *((ending_together(count), 1) for count in (1, 2, 6)),
        (failing_together, 42),
    ],
)
def test_known_programs_take_one_execution_a_trace(scenario: Scenario, traces: int) -> None:
    result = sim.explore(scenario, "dpor", 10_000)
    assert (result.executions, result.abandoned, result.complete) == (traces, 0, True)
    assert result.coverage == f"all {traces:,} trace{'s' if traces > 1 else ''}"


def test_last_zero_of_ten_cells_takes_3328_executions() -> None:
    result = sim.explore(last_zero(10), "dpor", 10_000)
    assert (result.executions, result.abandoned, result.complete) == (3_328, 0, True)


@pytest.mark.parametrize("scenario", [last_zero(2), readers(2), ending_together(2)])
def test_known_programs_have_no_trace_that_is_not_met(scenario: Scenario) -> None:
    assert compare(scenario, [], 20_000)


@pytest.mark.parametrize("name", TRACES)
def test_programs_of_concuerrors_suite_have_as_many_traces_as_there(name: str) -> None:
    traces, tasks = TRACES[name]
    result = sim.explore(program(tasks), "dpor", 10_000)
    assert (result.executions, result.abandoned, result.complete) == (traces, 0, True)


@pytest.mark.parametrize("name", sorted(TRACES.keys() - {"combination_lock_1", "long_chain", "manywrite_2"}))
def test_programs_of_concuerrors_suite_have_no_trace_that_is_not_met(name: str) -> None:
    traces, tasks = TRACES[name]
    assert compare(program(tasks), [], 3_000) == traces


def test_an_exploration_that_is_stopped_does_not_claim_to_be_complete() -> None:
    result = sim.explore(last_zero(5), "dpor", 63)
    assert not result.complete
    assert result.coverage == "the first 63 traces"


def test_a_bound_that_is_just_enough_is_enough() -> None:
    result = sim.explore(last_zero(5), "dpor", 64)
    assert result.complete


def test_a_lost_update_is_found_and_replayed() -> None:
    async def scenario() -> None:
        counter = sim.Shared(0)

        async def increment() -> None:
            value = counter.get()
            await trio.lowlevel.checkpoint()
            counter.set(value + 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)
        assert counter.get() == 2

    result = sim.explore(scenario, "dpor", 100)
    (failure,) = result.failures
    assert isinstance(failure.error, AssertionError)
    assert sim.replay(scenario, failure.token).failures


def random_programs_agree(first: int, count: int, limit: int) -> None:
    checked = traces = 0
    for seed in range(first, first + count):
        scenario, results = generated(seed)
        try:
            found = compare(scenario, results, limit)
        except AssertionError as error:
            error.add_note(f"program {seed}")
            raise
        checked += found > 0
        traces += found
    assert checked > count / 2
    assert traces > 1.5 * checked, "the programs are too tame"


def test_random_trio_programs_agree_with_every_interleaving() -> None:
    random_programs_agree(0, 20, 400)


@pytest.mark.torture
def test_many_random_trio_programs_agree_with_every_interleaving(dose: Callable[[int], int]) -> None:
    random_programs_agree(1_000, dose(500), 1_500)


def test_what_a_scenario_makes_is_not_taken_for_what_was_there_before_it() -> None:
    async def scenario() -> None:
        # The second thing that it makes; the kernel has made a scope second, too, which is around all tasks.
        trio.Event()
        scope = trio.CancelScope()

        async def cancel() -> None:
            scope.cancel()

        async def start() -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(trio.lowlevel.checkpoint)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            nursery.start_soon(start)

    assert sim.explore(scenario, "dpor").coverage == "all 1 trace"
