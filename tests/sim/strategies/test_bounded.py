"""A bound leaves out exactly the schedules that are beyond it."""

import pytest
import trio

import sim
from sim.strategies import DelayBounded, DepthFirst, PreemptionBounded, Strategy
from tests.sim.dependence.generated import generated_program


class Done(Exception):
    """Raised at the end of a run, so that every run is reported with its steps."""


async def three_tasks() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.lowlevel.checkpoint)
    raise Done


def failures(strategy: Strategy, scenario: sim.Scenario = three_tasks) -> tuple[sim.Failure, ...]:
    result = sim.explore(scenario, strategy, 100_000, max_failures=100_000, shrink_failures=False)
    assert result.executions == len(result.failures)
    return result.failures


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 9])
def test_preemption_bound_keeps_every_schedule_within_it_and_no_other(bound: int) -> None:
    every = failures(DepthFirst())
    within = {failure.token for failure in every if failure.preemptions <= bound}
    found = [failure.token for failure in failures(PreemptionBounded(bound=bound))]
    assert sorted(found) == sorted(within)


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 9])
def test_delay_bound_keeps_every_schedule_within_it_and_no_other(bound: int) -> None:
    every = failures(DepthFirst())
    within = {failure.token for failure in every if sum(s.chosen for s in failure.steps) <= bound}
    found = [failure.token for failure in failures(DelayBounded(bound=bound))]
    assert sorted(found) == sorted(within)


def test_preemption_bound_holds_on_generated_programs() -> None:
    most = 0
    for seed in range(40):
        program, _ = generated_program(seed)

        async def scenario(program: sim.Scenario = program) -> None:
            await program()
            raise Done

        result = sim.explore(scenario, PreemptionBounded(bound=1), 20, max_failures=20, shrink_failures=False)
        assert result.failures
        assert all(failure.preemptions <= 1 for failure in result.failures), seed
        most = max(most, *(failure.preemptions for failure in result.failures))
    assert most == 1


def test_result_says_within_what_bound_all_was_explored() -> None:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            nursery.start_soon(trio.lowlevel.checkpoint)

    bounded = sim.explore(scenario, "preemption:0")
    assert bounded.coverage == "all 2 interleavings with at most 0 preemptions"
    assert not bounded.complete
    enough = sim.explore(scenario, "delay:20")
    assert enough.coverage == "all 6 interleavings"
    assert enough.complete


def test_negative_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        DelayBounded(bound=-1)
