"""A bound on depth: programs without end have one, and within the bound nothing is left out."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import pytest
import trio

import sim
from benchmarks.last_zero import last_zero
from sim.strategies import BoundedDpor, DepthBounded, DepthFirst, Dpor, PreemptionBounded, Strategy
from tests.sim.strategies.test_bounded_dpor import met
from tests.sim.strategies.trio_program import generated


async def without_end() -> None:
    mine, ours = sim.Shared(0), sim.Shared(0)

    async def write(cell: sim.Shared[int], value: int) -> None:
        while True:
            cell.set(value)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, ours, 1)
        nursery.start_soon(write, ours, 2)
        nursery.start_soon(write, mine, 3)


@pytest.mark.parametrize("steps", range(5))
def test_program_without_end_has_the_traces_of_its_tasks_first_steps(steps: int) -> None:
    result = sim.explore(without_end, "dpor", 1_000, max_depth=1 + steps)
    traces = comb(2 * steps, steps)
    assert (result.executions, result.abandoned, result.failures) == (traces, 0, ())
    assert result.coverage == f"all {traces} trace{'s' if traces > 1 else ''} to a depth of {1 + steps}"
    assert not result.complete


@pytest.mark.parametrize("strategy", ["random", "pct", "pos", "delay", "dfs", "dpor:1"])
def test_any_strategy_keeps_to_the_bound_and_says_so(strategy: str) -> None:
    result = sim.explore(without_end, strategy, 10, max_depth=3, self_check=True)
    assert not result.failures
    assert result.coverage.endswith(" to a depth of 3")
    assert result.steps <= (result.executions + result.abandoned) * (1 + 3 * 2)


def test_several_processes_say_so_too() -> None:
    result = sim.explore(without_end, "random", 10, max_depth=3, jobs=2)
    assert result.coverage == "sampled to a depth of 3 by 2 processes"


def test_bound_that_is_not_come_to_leaves_nothing_out() -> None:
    result = sim.explore(last_zero(5), "dpor", 1_000, max_depth=20)
    assert result.complete
    assert result.coverage == "all 64 traces"


def test_failure_within_the_bound_is_found_shrunk_and_replayed_without_it() -> None:
    async def loses_an_update_in_the_end() -> None:
        cell = sim.Shared(0)

        async def increment() -> None:
            for times in range(1, 20):
                value = cell.get()
                await trio.lowlevel.checkpoint()
                cell.set(value + 1)
                await trio.lowlevel.checkpoint()
                if cell.get() < times:
                    raise ValueError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)

    (failure,) = sim.explore(loses_an_update_in_the_end, "dpor", 10_000, max_depth=8).failures
    assert isinstance(failure.error, ValueError)
    (again,) = sim.replay(loses_an_update_in_the_end, failure.token).failures
    assert again.steps == failure.steps


def test_chain_of_tasks_that_start_each_other_ends_at_the_bound() -> None:
    async def link() -> None:
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link)

    assert sim.explore(link, "dpor", 10, max_depth=5).coverage == "all 1 trace to a depth of 5"


def test_depth_of_nothing_is_refused() -> None:
    with pytest.raises(sim.WrongUse, match="depth"):
        sim.explore(without_end, max_depth=0)


def agree_within(
    seed: int, depth: int, limit: int, plain: Callable[[], Strategy], reduced: Callable[[], Strategy]
) -> bool:
    """False if there are too many schedules within the bound to go through them all."""
    scenario, results = generated(seed)
    everything = met(scenario, results, DepthBounded(plain(), depth), limit)
    if everything is None:
        return False
    found = met(scenario, results, DepthBounded(reduced(), depth), limit)
    assert found is not None
    assert found.outcomes == everything.outcomes, f"program {seed} to the depth {depth}"
    if plain is DepthFirst:
        assert (found.executions, found.abandoned) == (len(everything.outcomes), 0)
    return True


def random_programs_agree(first: int, count: int, limit: int) -> None:
    checked = 0
    for seed in range(first, first + count):
        for depth in (2, 3, 4):
            checked += agree_within(seed, depth, limit, DepthFirst, Dpor)
            checked += agree_within(
                seed, depth, limit, lambda: PreemptionBounded(bound=1), lambda: BoundedDpor(bound=1)
            )
    assert checked > 3 * count, "too few programs were small enough; the test tests too little"


def test_random_programs_agree_with_every_interleaving_to_the_depth() -> None:
    random_programs_agree(0, 5, 300)


@pytest.mark.torture
def test_many_random_programs_agree_with_every_interleaving_to_the_depth(dose: Callable[[int], int]) -> None:
    random_programs_agree(1_000, dose(150), 1_500)


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_task_at_the_bound_is_not_to_go_on_in_place_of_a_step_that_breaks_a_promise(depth: int) -> None:
    async def scenario() -> None:
        count = sim.Shared(0)
        sim.always(lambda: count.get() < 2, "count is less than 2")

        async def go_far() -> None:
            for _ in range(9):
                await trio.lowlevel.checkpoint()

        async def add() -> None:
            for _ in range(2):
                count.set(count.get() + 1)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_far)
            nursery.start_soon(add)

    result = sim.explore(
        scenario, "dpor", max_executions=100, max_failures=100, shrink_failures=False, max_depth=depth
    )
    assert result.diverged is None
    assert result.coverage == f"all 1 trace, 1 of them failing to a depth of {depth}"
