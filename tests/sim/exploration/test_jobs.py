"""Several processes share an exploration and report as one."""

import pytest
import trio

import sim
from tests.sim.exploration.test_explore import lost_update, right_update


def test_jobs_make_all_executions_between_them() -> None:
    result = sim.explore(right_update, max_executions=101, jobs=3)
    result.check()
    assert result.executions == 101
    assert result.coverage == "sampled by 3 processes"


def test_failure_found_by_a_job_is_the_same_failure_here() -> None:
    (failure,) = sim.explore(lost_update, jobs=2).failures
    assert isinstance(failure.error, AssertionError)
    assert failure.preemptions == 1
    (again,) = sim.replay(lost_update, failure.token).failures
    assert again.steps == failure.steps


def test_jobs_have_seeds_of_their_own() -> None:
    orders: list[tuple[int, ...]] = []

    async def scenario() -> None:
        order: list[int] = []

        async def task(number: int) -> None:
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(task, number)
        orders.append(tuple(order))
        raise RuntimeError("so that each job has one run to report")

    result = sim.explore(scenario, max_executions=4, jobs=4, max_failures=4, shrink_failures=False)
    assert len({failure.token for failure in result.failures}) == 4


def test_more_jobs_than_executions_leave_some_out() -> None:
    assert sim.explore(right_update, max_executions=2, jobs=5).executions == 2


@pytest.mark.parametrize(("strategy", "jobs"), [("dfs", 2), ("dpor", 2), ("random", 0)])
def test_what_cannot_be_divided_is_refused(strategy: str, jobs: int) -> None:
    with pytest.raises(sim.WrongUse, match=r"several processes|at least 1"):
        sim.explore(right_update, strategy, jobs=jobs)


def test_error_in_a_job_is_told() -> None:
    async def scenario() -> None:
        import os

        os._exit(3)

    with pytest.raises(sim.SimError, match="has died"):
        sim.explore(scenario, max_executions=2, jobs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_say_that_turns_were_fair(jobs: int) -> None:
    async def scenario() -> None:
        done: list[bool] = []

        async def wait() -> None:
            while not done:
                await trio.lowlevel.checkpoint()

        async def work() -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            done.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(work)

    result = sim.explore(scenario, max_executions=200, jobs=jobs)
    result.check()
    assert result.fair_only
