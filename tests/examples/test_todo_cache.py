"""The to-do system under the simulator: the broken cache is found and replayed, the right one holds."""

from __future__ import annotations

import logging

import pytest

import sim
from examples.todo_cache import TwoServers, broken_cache, clients_that_give_up, right_cache
from todo import OperationRefused


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the broken system logs is what it is for."""
    caplog.set_level(logging.CRITICAL)


def test_the_right_cache_holds_in_sampled_interleavings() -> None:
    result = sim.explore(right_cache, "random", max_executions=100, seed=1)
    result.check()
    assert result.executions == 100


def test_the_right_cache_holds_in_the_first_traces_of_a_systematic_search() -> None:
    """No proof: the whole tree has more traces than a test can visit, and the result says so."""
    result = sim.explore(right_cache, "dpor", max_executions=100)
    result.check()
    assert result.executions == 100
    assert not result.complete


@pytest.mark.parametrize("strategy", ["random", "dpor"])
def test_the_broken_cache_is_found_and_replays_to_the_same_error(strategy: str) -> None:
    """The clients notice that they have two servers, or the database refuses what the second adds."""
    result = sim.explore(broken_cache, strategy, max_executions=500)
    (failure,) = result.failures
    assert isinstance(failure.error, TwoServers | OperationRefused)
    (again,) = sim.replay(broken_cache, failure.token).failures
    assert type(again.error) is type(failure.error)
    assert str(again.error) == str(failure.error)


@pytest.mark.parametrize("seed", range(3))
def test_a_client_may_give_up_at_any_time_and_no_entry_is_lost(seed: int) -> None:
    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "client *")
    result = sim.explore(clients_that_give_up, sweep=plan, seed=seed, schedules=1)
    result.check()
    assert result.coverage == f"{result.executions - 1} of {result.executions - 1} points of 1 schedule"
    assert result.executions > 30
