"""Threads that wait for each other with the means of the standard library: waits of the simulation."""

import concurrent.futures
import functools
import itertools
import multiprocessing.dummy
import os
import queue
import sched
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import pytest
import trio

import sim
from tests.sim.world.thread_cases import deadlock_of, in_opposite_order, works_of_two

OLDER_EVENT = threading.Event()
OLDER_LOCK = threading.Lock()
OLDER_RLOCK = threading.RLock()


async def in_threads(*functions: Callable[[], object]) -> None:
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(partial(trio.to_thread.run_sync, function, abandon_on_cancel=False))


async def event_that_a_task_sets() -> None:
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: gate.wait())
        await trio.sleep(1)
        gate.set()


async def older_event() -> None:
    OLDER_EVENT.clear()
    await in_threads(OLDER_EVENT.wait, OLDER_EVENT.set)


async def future_that_a_callback_sets() -> None:
    token = trio.lowlevel.current_trio_token()

    def work() -> int:
        answer: concurrent.futures.Future[int] = concurrent.futures.Future()
        token.run_sync_soon(answer.set_result, 7)
        return answer.result()

    assert await trio.to_thread.run_sync(work) == 7


async def lock_held_over_a_sleep() -> None:
    lock = threading.Lock()
    began = trio.current_time()

    def work() -> None:
        with lock:
            time.sleep(1)

    await in_threads(work, work)
    assert trio.current_time() - began == 2


async def condition() -> None:
    changed = threading.Condition()
    items: list[int] = []

    def take() -> None:
        with changed, changed:
            changed.wait_for(lambda: len(items) == 2)

    def put() -> None:
        with changed:
            items.append(1)
            changed.notify_all()

    await in_threads(take, put, put)


async def semaphore() -> None:
    free = threading.BoundedSemaphore(1)
    inside: list[int] = []

    def work() -> None:
        with free:
            inside.append(1)
            time.sleep(1)
            assert inside.pop() == 1
            assert not inside

    await in_threads(work, work)


async def barrier() -> None:
    both = threading.Barrier(2)
    await in_threads(both.wait, both.wait)


async def bounded_queue() -> None:
    items: queue.Queue[int] = queue.Queue(1)
    seen: list[int] = []

    def put() -> None:
        for item in range(3):
            items.put(item)
        items.join()

    def take() -> None:
        for _ in range(3):
            seen.append(items.get())
            items.task_done()

    await in_threads(put, take)
    assert seen == [0, 1, 2]


async def simple_queue() -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    await in_threads(items.get, partial(items.put, 1))


@pytest.mark.parametrize("strategy", ["random", "pct", "dpor"])
@pytest.mark.parametrize(
    "scenario",
    [
        event_that_a_task_sets,
        older_event,
        future_that_a_callback_sets,
        lock_held_over_a_sleep,
        condition,
        semaphore,
        barrier,
        bounded_queue,
        simple_queue,
    ],
)
def test_thread_that_waits_is_woken(scenario: Callable[[], Awaitable[None]], strategy: str) -> None:
    sim.explore(scenario, strategy, 60, self_check=True).check()


@pytest.mark.parametrize(
    ("first", "second"),
    # Asked for in the run: what was taken out of the module before is out of the simulator's reach.
    [
        (lambda: threading.Lock(), lambda: threading.Lock()),
        (lambda: threading.RLock(), lambda: threading.Lock()),
        (None, None),
    ],
    ids=["locks", "reentrant", "older"],
)
@pytest.mark.parametrize("strategy", ["random", "dfs", "dpor"])
def test_locks_taken_in_opposite_order_are_a_deadlock_of_the_threads(
    first: Callable[[], threading.Lock] | None, second: Callable[[], threading.Lock] | None, strategy: str
) -> None:
    async def scenario() -> None:
        one = OLDER_LOCK if first is None else first()
        other = OLDER_RLOCK if second is None else second()

        await in_opposite_order(one, other, in_threads)

    deadlock_of(scenario, strategy, "waits for a lock of threads")


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_every_order_in_which_threads_take_a_lock_is_explored(strategy: str) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        order, work = works_of_two()
        # Started by one task each, without the limiter, the names and the callbacks of Trio's in between.
        await in_threads(partial(work, "a"), partial(work, "b"))
        seen.add("".join(order))

    sim.explore(scenario, strategy, 60_000).check()
    assert seen == set(map("".join, itertools.permutations("aabb")))


def test_timeouts_of_waits_pass_in_virtual_time() -> None:
    def waits() -> None:
        began = time.monotonic()
        assert not threading.Event().wait(5)
        assert not threading.Semaphore(0).acquire(timeout=5)
        with pytest.raises(queue.Empty):
            queue.Queue[int]().get(timeout=5)
        with pytest.raises(queue.Empty):
            queue.SimpleQueue[int]().get(timeout=5)
        with pytest.raises(TimeoutError):
            concurrent.futures.Future[int]().result(5)
        lock = threading.Lock()
        assert lock.acquire()
        assert not lock.acquire(timeout=5)
        assert not lock.acquire(blocking=False)
        assert time.monotonic() - began == 30

    async def scenario() -> None:
        await trio.to_thread.run_sync(waits)

    sim.explore(scenario, max_executions=5, self_check=True).check()


def test_update_guarded_in_halves_is_found_and_guarded_as_a_whole_is_not() -> None:
    async def scenario(whole: bool) -> None:
        lock = threading.Lock()
        balance = [0]

        def deposit() -> None:
            with lock:
                seen = balance[0]
                if whole:
                    balance[0] = seen + 1
            if not whole:
                with lock:
                    balance[0] = seen + 1

        await in_threads(deposit, deposit)
        assert balance == [2]

    for strategy in ("random", "dpor"):
        (failure,) = sim.explore(partial(scenario, False), strategy, 5_000).failures
        assert isinstance(failure.error, AssertionError)
    result = sim.explore(partial(scenario, True), "dpor", 5_000)
    result.check()
    assert result.complete


def test_thread_that_nobody_wakes_is_in_the_report_of_the_deadlock() -> None:
    async def scenario() -> None:
        def waits_for_nothing() -> None:
            threading.Event().wait()

        await trio.to_thread.run_sync(waits_for_nothing)

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert "in waits_for_nothing" in str(failure.error)


def test_thread_that_blocks_outside_the_simulation_is_reported_with_its_stack() -> None:
    receive, send = os.pipe()

    def reads() -> None:
        os.read(receive, 1)

    async def scenario() -> None:
        await trio.to_thread.run_sync(reads)

    try:
        (failure,) = sim.explore(scenario).failures
    finally:
        os.close(send)
    error = cast("sim.ThreadBlocked", failure.error)
    assert isinstance(error, sim.ThreadBlocked)
    assert "in reads" in error.stack[-1]


def test_everything_is_real_again_afterwards_and_for_other_threads_meanwhile() -> None:
    before = threading.Lock, threading.RLock, queue.SimpleQueue, threading.Event.is_set, OLDER_LOCK
    stop = threading.Event()
    asked: queue.Queue[None] = queue.Queue()
    made: list[type] = []

    def of_the_host() -> None:
        while not stop.is_set():
            asked.get()
            made.append(type(threading.Lock()))

    host = threading.Thread(target=of_the_host)
    host.start()
    kept: list[threading.Lock] = []

    async def scenario() -> None:
        asked.put(None)
        kept.append(threading.Lock())
        await event_that_a_task_sets()

    try:
        sim.explore(scenario, max_executions=3).check()
    finally:
        stop.set()
        asked.put(None)
        host.join()
    assert set(made) == {type(threading.Lock())}
    assert (threading.Lock, threading.RLock, queue.SimpleQueue, threading.Event.is_set, OLDER_LOCK) == before
    # One that has outlived its run is a lock all the same.
    with kept[0]:
        taken = threading.Thread(target=lambda: made.append(bool if kept[0].acquire(blocking=False) else int))
        taken.start()
        taken.join()
    assert made[-1] is int


async def two_threads_read_a_cached_property() -> None:
    class Costly:
        @functools.cached_property
        def value(self) -> int:
            time.sleep(1)
            return 1

    costly = Costly()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: costly.value)
        nursery.start_soon(trio.to_thread.run_sync, lambda: costly.value)


async def a_scheduler_runs_by_its_defaults() -> None:
    done: list[str] = []

    def work() -> None:
        scheduler = sched.scheduler()
        scheduler.enter(3600, 1, done.append, ("later",))
        scheduler.enter(60, 1, done.append, ("soon",))
        scheduler.run()

    await trio.to_thread.run_sync(work)
    assert done == ["soon", "later"]
    assert trio.current_time() >= 3600


async def a_lock_of_the_dummy_processes_is_held_over_a_sleep() -> None:
    lock = multiprocessing.dummy.Lock()

    def work() -> None:
        with lock:
            time.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, work)
        nursery.start_soon(trio.to_thread.run_sync, work)


@pytest.mark.parametrize(
    "scenario",
    [
        two_threads_read_a_cached_property,
        a_scheduler_runs_by_its_defaults,
        a_lock_of_the_dummy_processes_is_held_over_a_sleep,
    ],
)
def test_modules_that_keep_their_own_reference_are_simulated_too(scenario: Callable[[], Any]) -> None:
    def kept() -> list[object]:
        modules: list[Any] = [functools, multiprocessing.dummy]
        return [*(module.RLock for module in modules), vars(sched.scheduler)["__init__"]]

    before = kept()
    sim.explore(scenario, max_executions=10).check()
    assert kept() == before
