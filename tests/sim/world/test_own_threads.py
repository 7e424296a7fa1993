"""Threads that a program starts itself: simulated like those of Trio's, joined in virtual time."""

import _thread
import concurrent.futures
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
import trio

import sim
from sim._world.clock import CLOCK_START
from tests.sim.world.thread_cases import works_of_two

STRATEGIES = ["random", "pct", "dfs", "dpor"]


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_threads_run_in_every_order_and_are_joined_by_a_task(strategy: str) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        order, work = works_of_two()
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        seen.add("".join(order))

    result = sim.explore(scenario, strategy, 60_000)
    result.check()
    assert result.complete
    assert seen == set(map("".join, itertools.permutations("aabb")))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_thread_joins_another_in_virtual_time(strategy: str) -> None:
    def work() -> None:
        thread = threading.Thread(target=time.sleep, args=(5,))
        thread.start()
        thread.join(2)
        assert thread.is_alive()
        assert thread in threading.enumerate()
        thread.join()
        assert not thread.is_alive()

    async def scenario() -> None:
        await trio.to_thread.run_sync(work)
        assert trio.current_time() == CLOCK_START + 5

    sim.explore(scenario, strategy, 50, self_check=True).check()


def test_thread_is_the_programs_own_object() -> None:
    local = threading.local()

    def work(seen: list[object]) -> None:
        thread = threading.current_thread()
        seen += [thread, thread.ident == threading.get_ident(), hasattr(local, "value"), thread.daemon]
        local.value = 1
        with pytest.raises(RuntimeError, match="join current"):
            thread.join()
        with pytest.raises(RuntimeError):
            trio.lowlevel.current_task()

    async def scenario() -> None:
        for daemon in (False, True):
            seen: list[object] = []
            thread = threading.Thread(target=work, args=(seen,), name="mine", daemon=daemon)
            assert not thread.is_alive()
            with pytest.raises(RuntimeError, match="before it is started"):
                thread.join()
            thread.start()
            assert thread.ident is not None
            with pytest.raises(RuntimeError, match="once"):
                thread.start()
            thread.join()
            assert seen == [thread, True, False, daemon]

    before = threading.active_count()
    sim.explore(scenario, max_executions=10, self_check=True).check()
    assert threading.active_count() == before


def test_names_and_numbers_of_threads_are_the_same_in_each_run() -> None:
    seen: set[object] = set()

    async def scenario() -> None:
        thread = threading.Thread(target=threading.active_count)
        counts = [threading.active_count()]
        thread.start()
        counts.append(threading.active_count())
        thread.join()
        counts.append(threading.active_count())
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            name = executor.submit(lambda: threading.current_thread().name).result()
        seen.add((thread.name, name, counts[1] - counts[0] <= 1, counts[2] - counts[0]))

    counter = cast("Any", threading)._counter
    sim.explore(scenario, max_executions=30, self_check=True).check()
    assert seen == {("Thread-1 (active_count)", "ThreadPoolExecutor-0_0", True, 0)}
    assert cast("Any", threading)._counter is counter


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_executor_runs_jobs_in_simulated_threads(strategy: str) -> None:
    async def scenario() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            jobs = [executor.submit(time.sleep, 1) for _ in range(4)]
            concurrent.futures.wait(jobs)
        assert trio.current_time() == CLOCK_START + 2

    sim.explore(scenario, strategy, 100).check()


def test_executor_that_is_not_shut_down_ends_with_the_program_and_its_jobs_are_done() -> None:
    done: list[int] = []

    async def scenario() -> None:
        executor = concurrent.futures.ThreadPoolExecutor(2)
        for number in range(3):
            executor.submit(done.append, number)

    sim.explore(scenario, max_executions=10).check()
    assert sorted(done) == sorted([0, 1, 2] * 12)  # the first run is repeated twice


def test_executor_with_a_job_that_never_ends_keeps_the_program_from_its_end() -> None:
    async def scenario() -> None:
        executor = concurrent.futures.ThreadPoolExecutor(1)
        executor.submit(threading.Event().wait)

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.LeakedTasks)


def test_timer_fires_after_its_time_unless_it_is_cancelled() -> None:
    async def scenario() -> None:
        fired: list[float] = []
        timers = [threading.Timer(delay, lambda: fired.append(time.monotonic())) for delay in (3, 4)]
        for timer in timers:
            timer.start()
        await trio.sleep(3.5)
        timers[1].cancel()
        await trio.sleep(10)
        assert fired == [CLOCK_START + 3]

    sim.explore(scenario, max_executions=30).check()


def test_thread_of_the_lowest_level_is_simulated() -> None:
    async def scenario() -> None:
        ended = threading.Event()

        def work(seconds: float, *, event: threading.Event) -> None:
            time.sleep(seconds)
            event.set()

        _thread.start_new_thread(work, (2,), {"event": ended})
        ended.wait()
        assert trio.current_time() == CLOCK_START + 2

    sim.explore(scenario, max_executions=10, self_check=True).check()


def test_thread_that_is_left_waiting_keeps_the_program_from_its_end_unless_it_is_a_daemon() -> None:
    async def scenario(daemon: bool) -> None:
        threading.Thread(target=threading.Event().wait, name="left", daemon=daemon).start()

    before = threading.active_count()
    sim.explore(partial(scenario, True), max_executions=10, self_check=True).check()
    (failure,) = sim.explore(partial(scenario, False)).failures
    assert isinstance(failure.error, sim.LeakedTasks)
    assert "left" in str(failure.error)
    assert threading.active_count() == before


def test_daemon_that_never_ends_ends_with_the_program() -> None:
    def work() -> None:
        while True:
            try:
                time.sleep(1)
            except Exception:  # noqa: BLE001 - as daemons do
                continue

    async def scenario() -> None:
        threading.Thread(target=work, daemon=True).start()
        await trio.sleep(5)

    before = threading.active_count()
    sim.explore(scenario, max_executions=10, self_check=True).check()
    assert threading.active_count() == before


def test_error_that_a_thread_does_not_handle_is_a_failure_with_its_cause() -> None:
    def fail() -> None:
        raise ValueError("in the thread")

    async def scenario() -> None:
        thread = threading.Thread(target=fail, name="mine")
        thread.start()
        thread.join()

    (failure,) = sim.explore(scenario).failures
    error = cast("sim.ThreadCrashed", failure.error)
    assert isinstance(error, sim.ThreadCrashed)
    assert isinstance(error.__cause__, ValueError)
    assert error.name == "mine"
    assert "in the thread" in str(error)


def test_scenario_that_handles_the_errors_of_its_threads_holds() -> None:
    seen: list[str] = []

    def fail(error: type[BaseException]) -> None:
        raise error

    async def scenario() -> None:
        threading.excepthook = lambda args: seen.append(args.exc_type.__name__)
        for error in (ValueError, SystemExit):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()

    before = threading.excepthook
    sim.explore(scenario, max_executions=2).check()
    assert seen == ["ValueError"] * 4  # the first run is repeated twice
    assert threading.excepthook is before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_threads_that_wait_for_each_others_end_are_a_deadlock(strategy: str) -> None:
    async def scenario() -> None:
        threads: list[threading.Thread] = []

        def joins(which: int) -> None:
            threads[which].join()

        threads += [threading.Thread(target=joins, args=(1 - number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        await trio.to_thread.run_sync(threads[0].join)

    (failure,) = sim.explore(scenario, strategy, 200).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert "the end of a thread" in str(failure.error)
    assert "in joins" in str(failure.error)


def test_threads_and_executors_of_before_the_run_are_refused() -> None:
    go = threading.Event()
    host = threading.Thread(target=go.wait)
    host.start()
    executor = concurrent.futures.ThreadPoolExecutor(1)

    async def joins() -> None:
        host.join()

    async def joins_in_a_thread() -> None:
        await trio.to_thread.run_sync(host.join)

    async def submits() -> None:
        executor.submit(int)

    try:
        for scenario in (joins, joins_in_a_thread, submits):
            (failure,) = sim.explore(scenario).failures
            assert isinstance(failure.error, sim.Escape)
            assert "before the run" in str(failure.error)
    finally:
        go.set()
        host.join()
        executor.shutdown()


def test_event_loop_in_a_thread_of_the_run_is_refused() -> None:
    def loop() -> None:
        trio.run(trio.sleep, 0)

    async def scenario(start: Callable[[Callable[[], None]], None]) -> None:
        start(loop)
        await trio.sleep(1)

    def in_thread(function: Callable[[], None]) -> None:
        threading.Thread(target=function).start()

    (failure,) = sim.explore(partial(scenario, in_thread)).failures
    assert isinstance(failure.error, sim.Escape)
    assert "trio.run" in str(failure.error)


def test_threads_of_other_threads_are_real_during_an_exploration() -> None:
    stop = threading.Event()
    idents: list[int | None] = []

    def host() -> None:
        while not stop.is_set():
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            idents.append(thread.ident)

    async def scenario() -> None:
        await trio.sleep(1)

    of_host = threading.Thread(target=host)
    of_host.start()
    try:
        while not idents:
            sim.explore(scenario, max_executions=50).check()
    finally:
        stop.set()
        of_host.join()
    assert all(idents)
