"""The promises of `explore` and `replay` to their callers."""

import math
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import sim
from sim._run.errors import members


async def lost_update() -> None:
    cell = sim.Shared(0)

    async def increment() -> None:
        value = cell.get()
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    assert cell.get() == 2, f"{cell.get()} of 2 updates are there"


async def right_update() -> None:
    cell = sim.Shared(0)
    lock = trio.Lock()

    async def increment() -> None:
        async with lock:
            value = cell.get()
            await trio.lowlevel.checkpoint()
            cell.set(value + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    assert cell.get() == 2


def test_lost_update_is_found_and_replayed_to_the_same_error() -> None:
    result = sim.explore(lost_update)
    (failure,) = result.failures
    assert isinstance(failure.error, AssertionError)
    assert "1 of 2 updates" in str(failure.error)
    for _ in range(3):
        (again,) = sim.replay(lost_update, failure.token).failures
        assert str(again.error) == str(failure.error)
        assert again.steps == failure.steps
        assert again.token == failure.token


def test_right_program_holds_in_every_interleaving() -> None:
    result = sim.explore(right_update, "dfs", max_executions=10_000)
    assert result.complete
    assert result.failures == ()
    assert result.executions > 1


def test_depth_first_reaches_each_interleaving_of_three_tasks_with_two_checkpoints_once() -> None:
    # 9! / (3! 3! 3!) orders of three times three steps.
    seen: set[tuple[int, ...]] = set()

    async def scenario() -> None:
        order: list[int] = []

        async def task(number: int) -> None:
            order.append(number)
            for _ in range(2):
                await trio.lowlevel.checkpoint()
                order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(task, number)
        seen.add(tuple(order))

    result = sim.explore(scenario, "dfs", max_executions=10_000)
    assert result.complete
    assert result.executions == math.factorial(9) // math.factorial(3) ** 3 == 1_680
    assert len(seen) == 1_680
    assert result.coverage == "all 1,680 interleavings"


def test_bound_that_is_met_exactly_still_counts_as_complete() -> None:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            nursery.start_soon(trio.lowlevel.checkpoint)

    assert sim.explore(scenario, "dfs", max_executions=6).complete
    assert not sim.explore(scenario, "dfs", max_executions=5).complete


def test_same_seed_explores_the_same_runs_and_another_seed_others() -> None:
    def runs(seed: int) -> list[tuple[int, ...]]:
        orders: list[tuple[int, ...]] = []

        async def scenario() -> None:
            order: list[int] = []

            async def task(number: int) -> None:
                for _ in range(4):
                    order.append(number)
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(task, number)
            orders.append(tuple(order))

        sim.explore(scenario, max_executions=20, seed=seed)
        return orders

    assert runs(1) == runs(1) != runs(2)


def test_as_many_failures_are_gathered_as_asked_for() -> None:
    result = sim.explore(lost_update, max_executions=200, max_failures=3)
    assert len(result.failures) == 3
    assert result.executions < 200


@pytest.mark.parametrize("shrinks", [True, False])
@pytest.mark.parametrize("jobs", [1, 2])
def test_no_failing_run_is_reported_twice_and_none_is_left_out(shrinks: bool, jobs: int) -> None:
    every = sim.explore(lost_update, "dfs", max_failures=1_000, shrink_failures=False)
    result = sim.explore(lost_update, max_failures=1_000, shrink_failures=shrinks, jobs=jobs)
    tokens = {failure.token for failure in result.failures}
    assert len(result.failures) == len(tokens) == len(every.failures)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strategy", 5),
        ("max_executions", "5"),
        ("max_failures", 1.5),
        ("max_steps", True),
        ("max_depth", "2"),
        ("max_seconds", "1"),
        ("seed", None),
        ("jobs", "2"),
        ("shrink_failures", 1),
        ("self_check", "yes"),
        ("progress", 1),
        ("database", 3),
        ("faults", 3),
        ("sweep", ["cancel"]),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_by_the_name_of_its_argument(name: str, value: Any) -> None:
    with pytest.raises(sim.WrongType, match="faults" if name == "sweep" else name):
        sim.explore(right_update, **{name: value})


def test_a_value_that_is_not_a_scenario_is_refused() -> None:
    async def with_arguments(one: int, two: int) -> None:
        raise NotImplementedError(one, two)

    def plain() -> None: ...

    for wrong in (with_arguments, plain, 5, None):
        with pytest.raises(sim.WrongUse, match="scenario"):
            sim.explore(wrong)  # type: ignore[arg-type]  # the point of the test
        with pytest.raises(sim.WrongUse, match="scenario"):
            sim.replay(wrong, "1r00")  # type: ignore[arg-type]  # the point of the test


def test_an_interrupt_carries_what_was_found() -> None:
    runs = 0

    async def scenario() -> None:
        nonlocal runs
        runs += 1
        if runs > 10:
            signal.raise_signal(signal.SIGINT)
        await trio.lowlevel.checkpoint()
        raise ValueError("found")

    with pytest.raises(sim.Interrupted) as caught:
        sim.explore(scenario, max_failures=2)
    result = caught.value.result
    assert not result.complete
    assert [str(failure.error) for failure in result.failures] == ["found"]


def test_result_check_raises_the_failure_with_its_token_in_a_note() -> None:
    result = sim.explore(lost_update)
    with pytest.raises(AssertionError) as caught:
        result.check()
    assert result.failures[0].token in "".join(caught.value.__notes__)
    sim.explore(right_update).check()


def test_several_errors_of_one_run_stay_a_group() -> None:
    async def fail(error: Exception) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        raise error

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError("one"))
            nursery.start_soon(fail, KeyError("two"))

    (failure,) = sim.explore(scenario).failures
    assert {type(error) for error in members(failure.error)} == {ValueError, KeyError}


def test_exploring_from_inside_a_trio_run_is_refused() -> None:
    async def inside() -> None:
        with pytest.raises(sim.WrongUse, match="plain function"):
            sim.explore(lost_update)

    trio.run(inside)


def test_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(sim.WrongUse, match=r"dfs.*random"):
        sim.explore(lost_update, "quantum")


@pytest.mark.parametrize("name", ["max_executions", "max_failures", "max_steps"])
def test_bounds_below_one_are_refused(name: str) -> None:
    bounds: dict[str, Any] = {"max_executions": 1, "max_failures": 1, "max_steps": 1, name: 0}
    with pytest.raises(sim.WrongUse):
        sim.explore(lost_update, **bounds)


def test_coroutine_in_place_of_an_async_function_is_refused() -> None:
    coroutine = lost_update()
    with pytest.raises(sim.WrongUse, match="called for each run"):
        sim.explore(coroutine)  # type: ignore[arg-type]  # the point of the test
    coroutine.close()


def test_replay_of_a_changed_program_says_that_it_has_changed() -> None:
    def scenario_of(tasks: int) -> Callable[[], Awaitable[None]]:
        async def scenario() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(trio.lowlevel.checkpoint)
            raise RuntimeError("always")

        return scenario

    result = sim.explore(scenario_of(5), max_failures=20, max_executions=20, shrink_failures=False)
    tokens = [failure.token for failure in result.failures if failure.preemptions]
    for token in tokens:
        with pytest.raises(sim.ReplayDiverged):
            sim.replay(scenario_of(2), token)


def test_state_that_outlives_an_execution_is_reported_as_nondeterminism() -> None:
    calls: list[int] = []

    async def scenario() -> None:
        calls.append(1)
        for _ in range(len(calls)):
            await trio.lowlevel.checkpoint()
        assert len(calls) < 5

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Nondeterminism)
    assert isinstance(failure.error.__cause__, AssertionError)
    assert failure.error.first != failure.error.second


def test_failure_that_is_not_there_the_second_time_is_reported_as_nondeterminism() -> None:
    calls: list[int] = []

    async def scenario() -> None:
        calls.append(1)
        await trio.lowlevel.checkpoint()
        assert len(calls) != 3

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Nondeterminism)


def test_trace_tells_each_step_and_counts_the_preemptions() -> None:
    (failure,) = sim.explore(lost_update, "dfs").failures
    assert [step.task for step in failure.steps] == [(), (0,), (1,), (0,), (1,), ()] or (
        failure.preemptions == 1
    )
    assert failure.preemptions == sum(step.preempts for step in failure.steps)
    assert failure.steps[0].name == "lost_update"
    assert failure.steps[-1].end == ""
    assert any("test_explore.py" in step.end for step in failure.steps)


def test_progress_is_told_of_executions() -> None:
    seen: list[int] = []
    sim.explore(right_update, max_executions=200, progress=seen.append)
    assert seen == [64, 128, 192]


def test_shared_works_outside_a_run_too() -> None:
    cell = sim.Shared([1], name="cell")
    cell.set([2])
    assert cell.get() == [2]
    assert "cell" in repr(cell)
    trio.run(right_update)


def test_no_run_begins_once_the_seconds_are_over() -> None:
    async def scenario() -> None:
        await trio.lowlevel.checkpoint()

    result = sim.explore(scenario, "random", 10**9, max_seconds=0.5)
    assert 0 < result.executions < 10**9
    with pytest.raises(sim.WrongUse, match="max_seconds"):
        sim.explore(scenario, max_seconds=0)


def test_first_run_is_made_however_few_the_seconds_are() -> None:
    async def scenario() -> None:
        raise ValueError

    (failure,) = sim.explore(scenario, max_seconds=1e-9).failures
    assert isinstance(failure.error, ValueError)


def test_what_was_covered_names_the_bound_on_faults() -> None:
    async def scenario() -> None:
        with trio.CancelScope():
            await trio.lowlevel.checkpoint()

    result = sim.explore(scenario, "dpor", 1_000, faults="cancel")
    assert result.complete
    assert result.coverage.endswith("executions, with at most 1 fault")
