"""What an exploration leaves alone: the other threads of the process, and whatever it has replaced."""

import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic as imported_monotonic
from time import sleep as imported_sleep

import pytest
import trio

import sim
from sim._world.clock import WALL_CLOCK_START

of_this_module = Random(7)


@contextmanager
def older_thread() -> Generator[Callable[[Callable[[], object]], object]]:
    """A thread of the host process, and a function that has it call another and gives back the result."""
    jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[object] = queue.SimpleQueue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            results.put(job())

    thread = threading.Thread(target=work)
    thread.start()

    def ask(job: Callable[[], object]) -> object:
        jobs.put(job)
        return results.get()

    try:
        yield ask
    finally:
        jobs.put(None)
        thread.join()


CLOCKS: dict[str, Callable[[], float]] = {
    "time": lambda: time.time(),
    "time_ns": lambda: time.time_ns() / 1e9,
    "clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9,
    "gmtime": lambda: time.mktime(time.gmtime()),
    "localtime": lambda: time.mktime(time.localtime()),
    "ctime": lambda: time.mktime(time.strptime(time.ctime())),
    "asctime": lambda: time.mktime(time.strptime(time.asctime())),
    "strftime": lambda: float(time.strftime("%Y")) * 365.24 * 86_400 - 1970 * 365.24 * 86_400,
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_an_older_thread_sees_the_real_date(clock: Callable[[], float]) -> None:
    real: list[object] = []
    virtual: list[float] = []
    with older_thread() as ask:

        async def scenario() -> None:
            real.append(ask(clock))
            virtual.append(clock())

        sim.explore(scenario, max_executions=1).check()
    year = 366 * 86_400
    assert abs(virtual[0] - WALL_CLOCK_START) < year
    assert isinstance(real[0], float)
    assert real[0] > WALL_CLOCK_START + year


@pytest.mark.parametrize("name", ["monotonic", "perf_counter", "process_time", "thread_time"])
def test_an_older_thread_measures_real_time(name: str) -> None:
    before = getattr(time, name)(), getattr(time, f"{name}_ns")()
    seen: list[object] = []
    with older_thread() as ask:

        async def scenario() -> None:
            await trio.sleep(10**9)
            seen.extend([ask(getattr(time, name)), ask(getattr(time, f"{name}_ns"))])

        sim.explore(scenario, max_executions=1).check()
    seconds, nanoseconds = seen
    assert isinstance(seconds, float)
    assert isinstance(nanoseconds, int)
    assert seconds < before[0] + 10**6
    assert nanoseconds < before[1] + 10**15


def test_an_older_thread_really_sleeps() -> None:
    slept: list[object] = []

    def sleep() -> float:
        began = imported_monotonic()
        time.sleep(0.002)
        imported_sleep(0.002)
        return imported_monotonic() - began

    with older_thread() as ask:

        async def scenario() -> None:
            slept.append(ask(sleep))

        sim.explore(scenario, max_executions=1).check()
    [seconds] = slept
    assert isinstance(seconds, float)
    assert seconds >= 0.004


def test_an_older_thread_draws_nothing_from_the_run() -> None:
    drawn: list[object] = []
    state = random.getstate()
    random.seed(3)
    expected = [Random(3).random(), Random(7).random()]

    def draw() -> list[float]:
        return [random.random(), of_this_module.random()]

    with older_thread() as ask:

        async def scenario() -> None:
            mine = random.random(), of_this_module.random()
            drawn.append(ask(draw))
            assert (random.random(), of_this_module.random()) != mine

        try:
            sim.explore(scenario, max_executions=1).check()
            after = random.random()
        finally:
            random.setstate(state)
    assert drawn == [expected]
    generator = Random(3)
    generator.random()
    assert after == generator.random()


def test_a_second_exploration_at_once_is_refused() -> None:
    async def nothing() -> None:
        await trio.lowlevel.checkpoint()

    refused: list[object] = []

    def explore() -> BaseException | None:
        try:
            sim.explore(nothing, max_executions=1)
        except sim.WrongUse as error:
            return error
        return None

    with older_thread() as ask:

        async def scenario() -> None:
            refused.append(ask(explore))

        sim.explore(scenario, max_executions=1).check()
        [error] = refused
        assert isinstance(error, sim.ExplorationUnderWay)
        assert error.other == threading.current_thread().name
        assert error.other in str(error)
        # One after the other is fine, in whichever thread.
        assert ask(explore) is None
    sim.explore(nothing, max_executions=1).check()


def test_lock_that_a_host_thread_holds_for_a_moment_is_waited_for() -> None:
    lock = threading.Lock()
    asked: queue.Queue[None] = queue.Queue()
    held = threading.Event()

    def host() -> None:
        with lock:
            held.set()
            asked.get()

    def in_thread() -> None:
        asked.put(None)
        with lock:
            taken.append(1)

    taken: list[int] = []

    async def scenario() -> None:
        await trio.to_thread.run_sync(in_thread)

    thread = threading.Thread(target=host)
    thread.start()
    held.wait()
    sim.explore(scenario, max_executions=1).check()
    thread.join()
    assert taken == [1]


@pytest.mark.parametrize("in_thread", [False, True])
def test_lock_that_nobody_in_the_run_ever_gives_back_is_an_escape(in_thread: bool) -> None:
    lock = threading.Lock()
    lock.acquire()

    async def scenario() -> None:
        if in_thread:
            await trio.to_thread.run_sync(lock.acquire)
        else:
            lock.acquire()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)
    assert "by no thread or task of the run" in str(failure.error)


def test_event_that_a_host_thread_sets_for_a_thread_of_the_run_is_an_escape() -> None:
    event, begin, done = threading.Event(), threading.Lock(), threading.Lock()
    begin.acquire()
    done.acquire()

    def host() -> None:
        begin.acquire()
        event.set()
        done.release()

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, lambda: event.wait())
            await trio.sleep(1)
            begin.release()
            done.acquire()

    thread = threading.Thread(target=host)
    thread.start()
    (failure,) = sim.explore(scenario, max_executions=1).failures
    thread.join()
    # Made again, the run finds the event set; what was raised comes first all the same.
    error = failure.error.__cause__ or failure.error
    assert isinstance(error, sim.Escape)
    assert "outside of the run" in str(error)


@pytest.mark.parametrize(
    ("module", "explore"),
    [
        ("sim", "sim.explore(scenario, max_executions=2)"),
        ("sim.cli", "sim.cli._main.explore(scenario, max_executions=2)"),
        ("sim.hypothesis", "sim.hypothesis.Schedule(lambda choices: 0).run(scenario)"),
    ],
)
def test_no_module_of_the_simulator_is_imported_in_a_run(module: str, explore: str) -> None:
    program = (
        f"import sys, {module}, trio\n"
        "async def scenario():\n"
        "    before = set(sys.modules)\n"
        "    sim.choose([1, 2]); sim.Shared(0); sim.History(); sim.models.Counter()\n"
        "    assert set(sys.modules) == before, set(sys.modules) - before\n"
        f"result = {explore}\n"
        "assert result is None or result.executions and not result.failures\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
