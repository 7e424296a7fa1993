"""Threads are simulated: their functions are steps, in every order, and never run at once."""

import threading
import time

import pytest
import trio

import sim


def test_function_of_a_thread_runs_and_returns_its_value() -> None:
    async def scenario() -> None:
        assert await trio.to_thread.run_sync(lambda: 17) == 17

    result = sim.explore(scenario, "dfs")
    result.check()


def test_error_of_a_thread_reaches_the_caller() -> None:
    def fail() -> None:
        raise ValueError("in the thread")

    async def scenario() -> None:
        with pytest.raises(ValueError, match="in the thread"):
            await trio.to_thread.run_sync(fail)

    sim.explore(scenario, max_executions=5).check()


def test_other_tasks_run_before_and_after_the_function() -> None:
    orders: set[tuple[str, ...]] = set()

    async def scenario() -> None:
        order: list[str] = []

        async def other() -> None:
            order.append("task")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.to_thread.run_sync(order.append, "thread")
        orders.add(tuple(order))

    sim.explore(scenario, "dfs").check()
    assert orders == {("task", "thread"), ("thread", "task")}


def test_no_real_thread_is_started() -> None:
    seen: set[int] = set()

    async def scenario() -> None:
        seen.add(await trio.to_thread.run_sync(threading.get_ident))

    sim.explore(scenario, max_executions=3).check()
    assert seen == {threading.get_ident()}


def test_thread_does_not_think_that_it_is_in_trio() -> None:
    def in_thread() -> None:
        with pytest.raises(RuntimeError):
            trio.lowlevel.current_task()
        with pytest.raises(RuntimeError):
            trio.current_time()

    async def scenario() -> None:
        await trio.to_thread.run_sync(in_thread)
        assert trio.lowlevel.current_task() is not None

    sim.explore(scenario, max_executions=3).check()


def test_thread_calls_back_into_trio() -> None:
    async def scenario() -> None:
        token = trio.lowlevel.current_trio_token()
        task = trio.lowlevel.current_task()

        def in_thread() -> float:
            assert trio.from_thread.run_sync(trio.current_time, trio_token=token) == 3
            trio.from_thread.check_cancelled()
            return trio.from_thread.run_sync(trio.current_time)

        await trio.sleep(3)
        assert await trio.to_thread.run_sync(in_thread) == 3
        assert trio.lowlevel.current_task() is task

    sim.explore(scenario, max_executions=10).check()


def test_calling_back_from_the_wrong_side_is_refused_as_in_trio() -> None:
    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="call it from a thread"):
            trio.from_thread.run_sync(trio.current_time, trio_token=trio.lowlevel.current_trio_token())

    sim.explore(scenario, max_executions=2).check()


def test_sleep_in_a_thread_takes_virtual_time() -> None:
    async def scenario() -> None:
        await trio.to_thread.run_sync(time.sleep, 60)
        assert trio.current_time() == 60

    sim.explore(scenario, max_executions=2).check()


def test_abandoned_thread_goes_on_and_its_caller_too() -> None:
    ran: list[int] = []

    async def scenario() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel, scope)
                await trio.to_thread.run_sync(ran.append, 1, abandon_on_cancel=True)

    async def cancel(scope: trio.CancelScope) -> None:
        scope.cancel()

    result = sim.explore(scenario, "dfs")
    result.check()
    assert 0 < len(ran) <= result.executions


def test_limiter_bounds_simulated_threads_too() -> None:
    async def scenario() -> None:
        limiter = trio.CapacityLimiter(1)
        running: list[int] = []

        async def job() -> None:
            await trio.to_thread.run_sync(running.append, 1, limiter=limiter)
            assert limiter.borrowed_tokens <= 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(job)
        assert len(running) == 3

    sim.explore(scenario, max_executions=50).check()
