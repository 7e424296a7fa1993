"""Partial-order reduction within a bound finds what the search without reduction finds within it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
import trio

import sim
from benchmarks.last_zero import last_zero
from sim.strategies import BoundedDpor, PreemptionBounded, Strategy
from tests.sim.strategies.concuerror_suite import TRACES, program
from tests.sim.strategies.test_dpor import readers
from tests.sim.strategies.trio_program import Scenario, Traces, Watched, generated


def met(scenario: Scenario, results: list[Hashable], strategy: Strategy, limit: int) -> Traces | None:
    """What a strategy meets; None if it takes more executions than `limit`."""
    watched = Watched(strategy, results)
    sim.explore(scenario, watched, limit, max_failures=limit, shrink_failures=False)
    return watched.traces if strategy.coverage.startswith("all") else None


def agrees(scenario: Scenario, results: list[Hashable], bound: int, limit: int) -> bool:
    """False if there are too many schedules within the bound to go through them all."""
    everything = met(scenario, results, PreemptionBounded(bound=bound), limit)
    if everything is None:
        return False
    reduced = met(scenario, results, BoundedDpor(bound=bound), limit)
    assert reduced is not None
    assert reduced.outcomes == everything.outcomes
    assert reduced.executions <= everything.executions
    return True


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "name", ["POPL_optimal_example", "hairbrush_teeth_1", "two_writers_readers_2", "sleeping_races_4"]
)
def test_known_programs_agree_with_every_schedule_within_the_bound(name: str, bound: int) -> None:
    assert agrees(program(TRACES[name][1]), [], bound, 5_000)


def random_programs_agree(first: int, count: int, limit: int) -> None:
    checked = 0
    for seed in range(first, first + count):
        scenario, results = generated(seed)
        for bound in range(3):
            try:
                checked += agrees(scenario, results, bound, limit)
            except AssertionError as error:
                error.add_note(f"program {seed}, bound {bound}")
                raise
    assert checked > count, "too few programs were small enough; the test tests too little"


def test_random_programs_agree_with_every_schedule_within_the_bound() -> None:
    random_programs_agree(0, 10, 300)


@pytest.mark.torture
def test_many_random_programs_agree_with_every_schedule_within_the_bound(dose: Callable[[int], int]) -> None:
    random_programs_agree(1_000, dose(150), 1_500)


@pytest.mark.parametrize(("scenario", "traces"), [(last_zero(4), 28), (readers(4), 16)])
def test_a_bound_that_leaves_nothing_out_finds_every_trace(scenario: Scenario, traces: int) -> None:
    result = sim.explore(scenario, "dpor:20", 10_000)
    assert result.complete
    assert result.coverage == f"all {traces} traces"


def test_what_was_left_out_is_said() -> None:
    result = sim.explore(readers(4), "dpor:1", 10_000)
    assert not result.complete
    assert result.coverage.endswith("traces with at most 1 preemptions")
    assert result.coverage.startswith("all ")


def test_reduction_pays_within_the_bound_too() -> None:
    scenario = last_zero(5)
    reduced, plain = sim.explore(scenario, "dpor:1", 20_000), sim.explore(scenario, "preemption:1", 20_000)
    assert reduced.coverage.startswith("all ")
    assert 4 * (reduced.executions + reduced.abandoned) < plain.executions


def test_faults_cost_like_preemptions_and_are_swept_within_the_bound() -> None:
    async def scenario() -> None:
        cell = sim.Shared(0)

        async def work() -> None:
            try:
                await trio.lowlevel.checkpoint()
            finally:
                cell.set(cell.get() + 1)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(work)
        assert cell.get() == 2

    none = sim.explore(scenario, "dpor:0", 10_000, faults="cancel")
    one = sim.explore(scenario, "dpor:1", 10_000, faults="cancel", max_failures=100)
    assert none.coverage.startswith("all ")
    assert one.coverage.startswith("all ")
    assert one.executions > none.executions
