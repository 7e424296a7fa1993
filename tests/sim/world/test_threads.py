"""Threads are simulated: their functions are steps, in every order, and never run at once."""

import contextvars
import socket
import threading
import time
from functools import partial
from typing import Any, cast

import pytest
import trio
import trio.testing

import sim
from sim._world.clock import CLOCK_START


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


def test_functions_of_threads_never_run_at_once_and_their_threads_end_with_the_exploration() -> None:
    before = threading.active_count()
    running: list[int] = []

    def job() -> None:
        running.append(1)
        assert len(running) == 1
        assert threading.current_thread() is not threading.main_thread()
        running.pop()

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(trio.to_thread.run_sync, job)

    sim.explore(scenario, max_executions=20).check()
    assert threading.active_count() == before


def test_thread_has_the_name_it_was_given() -> None:
    async def scenario() -> None:
        name = await trio.to_thread.run_sync(lambda: threading.current_thread().name, thread_name="disk")
        assert name == "disk"

    sim.explore(scenario, max_executions=2).check()


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
            assert trio.from_thread.run_sync(trio.current_time, trio_token=token) == CLOCK_START + 3
            trio.from_thread.check_cancelled()
            return trio.from_thread.run_sync(trio.current_time)

        await trio.sleep(3)
        assert await trio.to_thread.run_sync(in_thread) == CLOCK_START + 3
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
        assert trio.current_time() - CLOCK_START == 60

    sim.explore(scenario, max_executions=2).check()


def test_abandoned_thread_goes_on_and_its_caller_too() -> None:
    ran: list[int] = []
    runs = 0

    async def scenario() -> None:
        nonlocal runs
        runs += 1
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel, scope)
                await trio.to_thread.run_sync(ran.append, runs, abandon_on_cancel=True)

    async def cancel(scope: trio.CancelScope) -> None:
        scope.cancel()

    sim.explore(scenario, "dfs").check()
    assert ran
    assert len(ran) == len(set(ran))  # never twice in one run


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


async def double(value: int) -> int:
    await trio.lowlevel.checkpoint()
    return 2 * value


def test_thread_runs_an_async_function_and_gets_its_value_or_error() -> None:
    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("in Trio")

    def in_thread() -> int:
        with pytest.raises(ValueError, match="in Trio"):
            trio.from_thread.run(fail)
        return trio.from_thread.run(double, trio.from_thread.run(double, 1))

    async def scenario() -> None:
        assert await trio.to_thread.run_sync(in_thread) == 4
        assert trio.current_time() - CLOCK_START == 1

    sim.explore(scenario, max_executions=20).check()


def merges(one: str, other: str) -> set[str]:
    if not one or not other:
        return {one + other}
    first = {one[0] + rest for rest in merges(one[1:], other)}
    return first | {other[0] + rest for rest in merges(one, other[1:])}


def test_other_tasks_and_threads_get_on_while_a_thread_waits_for_an_async_function() -> None:
    orders: set[str] = set()

    async def scenario() -> None:
        order: list[str] = []

        async def note(name: str) -> None:
            await trio.lowlevel.checkpoint()
            order.append(name)

        def in_thread(name: str) -> None:
            order.append(name)
            trio.from_thread.run(note, name.upper())
            order.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, in_thread, "a")
            nursery.start_soon(trio.to_thread.run_sync, in_thread, "b")
        orders.add("".join(order))

    sim.explore(scenario, max_executions=2_000).check()
    expected = merges("aAa", "bBb")
    assert len(expected) == 20
    assert orders == expected


def test_async_function_of_a_thread_runs_in_the_task_that_started_it() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def scenario() -> None:
        variable.set("the caller's")
        host = trio.lowlevel.current_task()

        async def look() -> tuple[bool, str]:
            return trio.lowlevel.current_task() is host, variable.get()

        assert await trio.to_thread.run_sync(trio.from_thread.run, look) == (True, "the caller's")
        token = trio.lowlevel.current_trio_token()
        own = await trio.to_thread.run_sync(partial(trio.from_thread.run, look, trio_token=token))
        assert own == (False, "the caller's")

    sim.explore(scenario, max_executions=5).check()


def test_cancelling_reaches_a_thread_at_its_async_function_and_at_check_cancelled() -> None:
    seen: set[str] = set()

    def in_thread() -> None:
        try:
            trio.from_thread.run(trio.sleep, 10)
        except trio.Cancelled:
            seen.add("cancelled")
            raise

    def polls() -> None:
        for _ in range(3):
            time.sleep(1)
            trio.from_thread.check_cancelled()
        raise AssertionError("was never cancelled")

    async def scenario() -> None:
        for function in (in_thread, polls):
            began = trio.current_time()
            with trio.move_on_after(1.5) as scope:
                await trio.to_thread.run_sync(function)
            assert scope.cancelled_caught
            assert trio.current_time() - began == (1.5 if function is in_thread else 2)

    sim.explore(scenario, max_executions=5).check()
    assert seen == {"cancelled"}


def test_abandoned_thread_that_calls_back_ends_with_the_run() -> None:
    seen: list[str] = []

    def in_thread() -> None:
        try:
            trio.from_thread.run(trio.sleep_forever)
        except trio.Cancelled:
            seen.append("cancelled")

    async def scenario() -> None:
        with trio.move_on_after(1):
            await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True)

    result = sim.explore(scenario, max_executions=5)
    result.check()
    assert seen == ["cancelled"] * 7  # the first run is repeated twice


def test_thread_that_waits_for_ever_is_a_deadlock_and_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    ended: list[int] = []

    def in_thread() -> None:
        try:
            trio.from_thread.run(trio.sleep_forever)
        finally:
            ended.append(1)

    async def scenario() -> None:
        await trio.to_thread.run_sync(in_thread)

    (failure,) = sim.explore(scenario, shrink_failures=False).failures
    error = cast("sim.Deadlock", failure.error)
    assert isinstance(error, sim.Deadlock)
    assert len(error.waiting) == 2
    assert len(ended) == 3  # the run, and the two that check it
    assert threading.active_count() == before


def test_threads_and_tasks_nest() -> None:
    async def from_trio(depth: int) -> int:
        return 0 if depth == 0 else 1 + await trio.to_thread.run_sync(from_thread, depth - 1)

    def from_thread(depth: int) -> int:
        return 1 + trio.from_thread.run(from_trio, depth)

    async def scenario() -> None:
        assert await from_trio(4) == 8

    sim.explore(scenario, max_executions=5).check()


def test_thread_puts_a_callback_into_the_queue_as_any_thread_may() -> None:
    async def scenario() -> None:
        token = trio.lowlevel.current_trio_token()
        event = trio.Event()
        await trio.to_thread.run_sync(token.run_sync_soon, event.set)
        await event.wait()

    sim.explore(scenario, "dfs", 500).check()


def test_escape_in_a_thread_is_refused() -> None:
    async def scenario() -> None:
        await trio.to_thread.run_sync(socket.socket)

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)


def test_time_passes_for_a_thread_that_sleeps() -> None:
    def in_thread() -> float:
        began = time.monotonic()
        time.sleep(2)
        return time.monotonic() - began

    async def scenario() -> None:
        assert await trio.to_thread.run_sync(in_thread) == 2

    sim.explore(scenario, max_executions=2).check()


async def lost_update_between_threads() -> None:
    balance = sim.Shared(0)

    async def look() -> int:
        return balance.get()

    async def put(value: int) -> None:
        balance.set(value)

    def deposit() -> None:
        seen = trio.from_thread.run(look)
        trio.from_thread.run(put, seen + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, deposit)
        nursery.start_soon(trio.to_thread.run_sync, deposit)
    assert balance.get() == 2


@pytest.mark.parametrize("strategy", ["random", "pct", "pos", "dpor"])
def test_race_of_threads_that_call_back_is_found_and_replayed_the_same(strategy: str) -> None:
    (failure,) = sim.explore(lost_update_between_threads, strategy, 5_000).failures
    assert isinstance(failure.error, AssertionError)
    (again,) = sim.replay(lost_update_between_threads, failure.token).failures
    assert again.steps == failure.steps


def test_threads_that_call_back_do_the_same_as_under_trio() -> None:
    async def program() -> list[object]:
        seen: list[object] = []

        def in_thread() -> str:
            seen.append(trio.from_thread.run_sync(seen.append, "sync"))
            seen.append(trio.from_thread.run(double, 4))
            with pytest.raises(TypeError) as caught:
                trio.from_thread.run_sync(cast("Any", double), 4)  # the point of the test
            seen.append(str(caught.value).partition(" at 0x")[0])
            return "done"

        seen.append(await trio.to_thread.run_sync(in_thread))
        return seen

    simulated: list[object] = []

    async def scenario() -> None:
        simulated.append(await program())

    sim.explore(scenario, max_executions=10).check()
    assert simulated == [trio.run(program)] * 12  # the first run is repeated twice


def test_threads_that_share_nothing_commute_but_not_with_who_waits_for_all_of_them() -> None:
    async def two_threads() -> None:
        limiters = [trio.CapacityLimiter(1) for _ in range(2)]
        async with trio.open_nursery() as nursery:
            for limiter in limiters:
                nursery.start_soon(partial(trio.to_thread.run_sync, int, limiter=limiter))

    async def and_a_watcher() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(two_threads)
            nursery.start_soon(trio.testing.wait_all_threads_completed)
        assert trio.testing.active_thread_count() == 0

    # What is left of order: the one queue through which both deliver.
    alone = sim.explore(two_threads, "dpor", 1_000)
    watched = sim.explore(and_a_watcher, "dpor", 1_000)
    for result in (alone, watched):
        result.check()
        assert result.complete
    assert alone.executions == 12 < watched.executions
