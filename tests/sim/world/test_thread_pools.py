"""Pools of threads are simulated whole, and no thread of a run stays in the host process."""

import gc
import multiprocessing.dummy
import multiprocessing.pool
import os
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import util
from typing import Any

import pytest
import trio

import sim

Scenario = Callable[[], Awaitable[None]]

# What the library says of a pool that is left open, as it does outside of runs.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")

_threading: Any = threading
_util: Any = util


async def pool_as_context() -> None:
    with multiprocessing.pool.ThreadPool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]


async def pool_closed_and_joined() -> None:
    pool = multiprocessing.pool.ThreadPool(2)
    result = pool.apply_async(abs, (-3,))
    pool.close()
    pool.join()
    assert result.get() == 3


async def pool_left_open() -> None:
    pool = multiprocessing.dummy.Pool(2)
    assert pool.map(abs, [-1]) == [1]


_kept: list[object] = []


async def pool_kept_for_ever() -> None:
    pool = multiprocessing.dummy.Pool(1)
    assert pool.map(abs, [-1]) == [1]
    _kept.append(pool)


async def executor_left_open() -> None:
    ThreadPoolExecutor(2).submit(abs, -1)


async def timer_that_never_ends() -> None:
    timer = threading.Timer(1e9, print)
    timer.daemon = True
    timer.start()


async def process_of_dummy() -> None:
    process = multiprocessing.dummy.Process(target=abs, args=(1,))
    process.start()
    process.join()


async def daemon_that_waits() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


@pytest.fixture(autouse=True)
def forget_pools() -> Generator[None]:
    yield
    _kept.clear()


@pytest.mark.parametrize("strategy", ["random", "dpor"])
@pytest.mark.parametrize(
    "scenario",
    [
        pool_as_context,
        pool_closed_and_joined,
        pool_left_open,
        pool_kept_for_ever,
        executor_left_open,
        timer_that_never_ends,
        process_of_dummy,
        daemon_that_waits,
    ],
)
def test_it_holds_and_nothing_of_it_stays(scenario: Scenario, strategy: str) -> None:
    before = threading.enumerate(), dict(_threading._active), set(_util._finalizer_registry)
    sim.explore(scenario, strategy, 5).check()
    gc.collect()
    assert (threading.enumerate(), dict(_threading._active), set(_util._finalizer_registry)) == before


def test_workers_of_a_pool_take_turns_in_every_order() -> None:
    async def scenario() -> None:
        done: list[int] = []
        lock = threading.Lock()

        def add(number: int) -> None:
            with lock:
                done.append(number)

        with multiprocessing.pool.ThreadPool(2) as pool:
            pool.map(add, [1, 2])
        assert done == [1, 2]

    assert isinstance(sim.explore(scenario, max_executions=200).failures[0].error, AssertionError)


def spin() -> None:
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722 - the point of the test
            pass


@pytest.mark.parametrize("own", [False, True])
def test_thread_that_computes_for_ever_ends_once_it_is_given_up(own: bool) -> None:
    spinning: list[threading.Thread] = []

    def spins() -> None:
        spinning.append(threading.current_thread())
        spin()

    async def scenario() -> None:
        if own:
            thread = threading.Thread(target=spins)
            thread.start()
            thread.join()
        else:
            await trio.to_thread.run_sync(spins)

    before = threading.enumerate()
    (failure,) = sim.explore(scenario, max_seconds=0.1).failures
    assert isinstance(failure.error, sim.ThreadBlocked)
    assert threading.enumerate() == before
    for thread in spinning:
        thread.join()
        assert not thread.is_alive()


def test_thread_that_blocks_is_not_listed() -> None:
    receive, send = os.pipe()

    def reads() -> None:
        os.read(receive, 1)

    async def scenario() -> None:
        await trio.to_thread.run_sync(reads)

    before = threading.enumerate()
    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.ThreadBlocked)
    assert threading.enumerate() == before
    os.close(send)
    os.close(receive)
