"""Locks of threads that tasks take too: a task that waits for one stops every other task, and no thread."""

import queue
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

import sim
from sim._world.clock import CLOCK_START
from tests.sim.world.thread_cases import deadlock_of, in_opposite_order

STRATEGIES = ["random", "pct", "dfs", "dpor"]
EXHAUSTIVE = ["dfs", "dpor"]


async def beside(in_thread: Callable[[], object], in_task: Callable[[], object]) -> None:
    """Call one function in a thread, and another in a task that need not wait for it."""

    async def task() -> None:
        in_task()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, in_thread)
        nursery.start_soon(task)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_task_that_waits_for_a_thread_gets_the_lock_and_time_passes(strategy: str) -> None:
    async def scenario() -> None:
        lock = threading.Lock()
        held = trio.Event()
        order: list[str] = []

        def holds() -> None:
            with lock:
                trio.from_thread.run_sync(held.set)
                time.sleep(3)
                order.append("thread")

        async def other() -> None:
            await trio.sleep(1)
            order.append("other")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, holds)
            nursery.start_soon(other)
            await held.wait()
            with lock:
                order.append("task")
                assert trio.current_time() == CLOCK_START + 3
        # The task has stopped the other one meanwhile, which was due first.
        assert order == ["thread", "task", "other"]

    sim.explore(scenario, strategy, 2_000).check()


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_thread_gets_between_two_critical_sections_of_a_task(strategy: str) -> None:
    seen: set[int] = set()

    async def scenario() -> None:
        lock = threading.Lock()
        balance = [0]

        def deposit() -> None:
            with lock:
                before = balance[0]
            with lock:
                balance[0] = before + 1

        await beside(deposit, deposit)
        seen.add(balance[0])

    result = sim.explore(scenario, strategy, 100_000)
    result.check()
    assert result.complete
    assert seen == {1, 2}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_task_and_thread_that_take_locks_in_opposite_order_are_a_deadlock(strategy: str) -> None:
    async def scenario() -> None:
        await in_opposite_order(threading.Lock(), threading.RLock(), beside)

    deadlock_of(scenario, strategy, "held by")


def test_task_that_waits_for_a_thread_that_needs_the_loop_is_a_deadlock() -> None:
    async def scenario() -> None:
        lock = threading.Lock()
        held = trio.Event()

        def holds() -> None:
            with lock:
                trio.from_thread.run_sync(held.set)
                trio.from_thread.run(trio.sleep, 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, holds)
            await held.wait()
            with lock:
                pass

    (failure,) = sim.explore(scenario, "random", 50).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert "in holds" in str(failure.error)


def test_task_that_nobody_wakes_is_a_deadlock_with_its_line() -> None:
    async def scenario() -> None:
        threading.Event().wait()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert "in scenario" in str(failure.error)


def test_deadlock_is_found_though_the_program_handles_every_exception() -> None:
    async def scenario() -> None:
        while True:
            try:
                threading.Event().wait()
            except Exception:  # noqa: BLE001 - the point of the test
                continue

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)


def test_timeouts_of_a_task_pass_in_virtual_time() -> None:
    async def scenario() -> None:
        began = time.monotonic()
        assert not threading.Event().wait(5)
        with pytest.raises(queue.Empty):
            queue.Queue[int]().get(timeout=5)
        lock = threading.Lock()
        assert lock.acquire()
        assert not lock.acquire(timeout=5)
        assert not lock.acquire(blocking=False)
        assert time.monotonic() - began == 15

    sim.explore(scenario, max_executions=3, self_check=True).check()


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_wait_that_is_over_when_its_thread_gives_the_lock_back_may_end_either_way(strategy: str) -> None:
    seen: set[bool] = set()

    async def scenario() -> None:
        lock = threading.Lock()
        held = trio.Event()

        def holds() -> None:
            with lock:
                trio.from_thread.run_sync(held.set)
                time.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, holds)
            await held.wait()
            seen.add(lock.acquire(timeout=1))

    result = sim.explore(scenario, strategy, 50_000)
    result.check()
    assert result.complete
    assert seen == {True, False}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_task_takes_from_a_queue_what_a_thread_puts_there(strategy: str) -> None:
    async def scenario() -> None:
        items: queue.Queue[int] = queue.Queue(1)
        seen: list[int] = []

        begun = trio.Event()

        def put() -> None:
            trio.from_thread.run_sync(begun.set)
            for item in range(2):
                items.put(item)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, put)
            # Else there may be no thread yet, and none can be started while the task waits.
            await begun.wait()
            seen.append(items.get())
            await trio.lowlevel.checkpoint()
            seen.append(items.get())
        assert seen == [0, 1]

    sim.explore(scenario, strategy, 1_000).check()


def test_invariant_that_waits_for_a_lock_is_refused() -> None:
    async def scenario() -> None:
        lock = threading.Lock()

        def holds() -> bool:
            with lock:
                return True

        sim.always(holds, "the lock is free")
        with lock:
            await trio.lowlevel.checkpoint()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)


def program(in_task: Callable[[threading.Lock, list[str]], None]) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        lock = threading.Lock()
        order: list[str] = []

        def work(name: str) -> None:
            for _ in range(2):
                with lock:
                    order.append(name)

        async def task() -> None:
            in_task(lock, order)
            await trio.lowlevel.checkpoint()
            in_task(lock, order)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            await trio.to_thread.run_sync(partial(work, "a"))
        return "".join(order)

    return run


@pytest.mark.parametrize("blocking", [True, False])
def test_dpor_meets_every_outcome_that_dfs_meets(blocking: bool) -> None:
    def in_task(lock: threading.Lock, order: list[str]) -> None:
        if lock.acquire(blocking):
            order.append("t")
            lock.release()
        else:
            order.append("-")

    seen: dict[str, set[str]] = {}
    for strategy in EXHAUSTIVE:

        async def scenario(strategy: str = strategy) -> None:
            seen.setdefault(strategy, set()).add(await program(in_task)())

        result = sim.explore(scenario, strategy, 100_000)
        result.check()
        assert result.complete
    assert seen["dpor"] == seen["dfs"]
    assert len(seen["dfs"]) >= 6


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_run_that_ends_in_the_middle_of_a_step_hides_no_other(strategy: str) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        ready = threading.Event()

        async def joins() -> None:
            thread = threading.Thread(target=ready.wait)
            thread.start()
            await trio.lowlevel.checkpoint()
            # No task gets on until the thread does.
            thread.join()

        async def sets() -> None:
            ready.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(joins)
            nursery.start_soon(sets)
        seen.add("held")

    result = sim.explore(scenario, strategy, 5_000, max_failures=5_000, shrink_failures=False)
    seen |= {type(failure.error).__name__ for failure in result.failures}
    assert result.complete
    assert seen == {"held", "Deadlock"}
