from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import trio

import sim
from examples.planted import PLANTED, PromiseBroken

# The rarest takes a random walk some hundred executions.
BUDGET = 2_000


def is_planted(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(map(is_planted, inside))
    return isinstance(error, (PromiseBroken, sim.Deadlock))


every_race = pytest.mark.parametrize("name", PLANTED)


def test_there_are_many_and_each_has_a_summary_of_its_own() -> None:
    assert len(PLANTED) >= 25
    assert len({race.summary for race in PLANTED.values()}) == len(PLANTED)
    assert all(race.summary.endswith(".") for race in PLANTED.values())


@every_race
def test_a_planted_race_is_found_and_replayed(name: str) -> None:
    broken = PLANTED[name].broken
    result = sim.explore(broken, max_executions=BUDGET)
    assert result.failures
    (failure,) = result.failures
    assert is_planted(failure.error)
    (again,) = sim.replay(broken, failure.token).failures
    assert str(again.error) == str(failure.error)


@every_race
def test_a_planted_race_does_not_show_in_every_schedule(name: str) -> None:
    # Else it would not be a race, and any one run would find it.
    result = sim.explore(PLANTED[name].broken, max_executions=100, max_failures=100, shrink_failures=False)
    assert len(result.failures) < result.executions == 100


@every_race
def test_nothing_is_found_in_the_corrected_twin(name: str) -> None:
    # A few runs: that there is nothing to find is proved below, and tried with many seeds by `make torture`.
    corrected = PLANTED[name].corrected
    assert not sim.explore(corrected, max_executions=BUDGET // 20).failures
    assert not sim.explore(corrected, strategy="dfs", max_executions=BUDGET // 20).failures


@every_race
def test_partial_order_reduction_finds_a_planted_race_and_proves_its_absence_in_the_twin(name: str) -> None:
    result = sim.explore(PLANTED[name].broken, "dpor", max_executions=BUDGET)
    assert result.failures
    assert is_planted(result.failures[0].error)
    proof = sim.explore(PLANTED[name].corrected, "dpor", max_executions=BUDGET)
    assert not proof.failures
    # Eight tasks at one condition have more traces than a test has time for.
    assert proof.complete or name == "notify_wakes_the_wrong_one"


@pytest.mark.torture
@every_race
def test_nothing_is_found_in_the_corrected_twin_under_many_seeds(
    name: str, dose: Callable[[int], int]
) -> None:
    for seed in range(dose(4)):
        assert not sim.explore(PLANTED[name].corrected, max_executions=BUDGET, seed=seed).failures


@every_race
def test_the_corrected_twin_is_a_program_of_plain_trio(name: str) -> None:
    async def main() -> None:
        await PLANTED[name].corrected()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
