"""One run, one verdict: what outlives a run is found, and the program's own error is shown first."""

import contextvars
import itertools
import os
import random
import subprocess
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import trio

import sim
from sim.report import describe_failure

runs = 0
cache: dict[str, float] = {}
generator = random.Random()
junk: list[object] = []


class Settings:
    """State that a class keeps."""

    limit = 0


async def counts_in_a_global() -> None:
    global runs
    runs += 1
    await trio.lowlevel.checkpoint()
    assert runs % 50, "the fiftieth"


async def grows_with_a_class_attribute() -> None:
    Settings.limit += 1
    for _ in range(Settings.limit // 7):
        await trio.lowlevel.checkpoint()


def test_what_outlives_runs_is_found_at_the_end_and_named() -> None:
    Settings.limit = 0
    result = sim.explore(grows_with_a_class_attribute, max_executions=30)
    (failure,) = result.failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert any("Settings.limit: 0 -> 31" in line for line in failure.error.changed)
    assert "Settings.limit" in describe_failure(failure)
    assert result.executions == 30


@pytest.mark.parametrize("strategy", ["random", "pct", "pos"])
def test_list_that_is_handed_to_every_run_is_found(strategy: str) -> None:
    mailbox: list[int] = []

    async def scenario() -> None:
        async def take() -> None:
            while mailbox:
                mailbox.pop()
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            for _ in range(3):
                nursery.start_soon(trio.lowlevel.checkpoint)
        mailbox.extend([1, 2, 3])

    (failure,) = sim.explore(scenario, strategy, max_executions=25).failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert "mailbox" in str(failure.error)


def test_failure_that_the_runs_before_have_made_is_put_down_to_them_with_its_own_error_first() -> None:
    left: list[int] = []

    async def scenario() -> None:
        left.append(1)
        await trio.lowlevel.checkpoint()
        if len(left) > 20:
            raise RuntimeError("too many")

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert isinstance(failure.error.__cause__, RuntimeError)
    assert str(failure.error).startswith("RuntimeError: too many")
    assert describe_failure(failure).startswith("RuntimeError: too many")
    assert "left: a list of 0" in str(failure.error)


def test_state_is_found_by_several_processes_too() -> None:
    Settings.limit = 0
    (failure,) = sim.explore(grows_with_a_class_attribute, max_executions=60, jobs=2).failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert "Settings.limit" in str(failure.error)


def test_cache_that_draws_in_the_first_run_only_hides_no_bug_and_is_none() -> None:
    def scenario_of(filled: dict[str, float], right: bool) -> Any:
        async def scenario() -> None:
            cell = sim.Shared(0)
            lock = trio.Lock()

            async def add() -> None:
                if "jitter" not in filled:
                    filled["jitter"] = random.random()
                value = cell.get()
                await trio.lowlevel.checkpoint()
                cell.set(value + 1)

            async def add_locked() -> None:
                async with lock:
                    await add()

            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(add_locked if right else add)
            assert cell.get() == 2, "an update is lost"

        return scenario

    for seed in range(6):
        scenario = scenario_of({}, right=False)
        (failure,) = sim.explore(scenario, seed=seed).failures
        assert isinstance(failure.error, AssertionError)
        for filled in ({}, {"jitter": 0.5}):
            (again,) = sim.replay(scenario_of(filled, right=False), failure.token).failures
            assert str(again.error) == str(failure.error)
    for strategy in ("random", "dfs", "dpor", "pct"):
        assert not sim.explore(scenario_of({}, right=True), strategy, max_executions=100).failures


def test_scenario_of_the_todo_cache_finds_its_bug_in_a_fresh_process() -> None:
    program = (
        "import sim, examples.todo_cache as cases\n"
        "(failure,) = sim.explore(cases.broken_cache).failures\n"
        "print(type(failure.error).__name__)\n"
        "(again,) = sim.replay(cases.broken_cache, failure.token).failures\n"
        "print(type(again.error).__name__, failure.token)"
    )
    root = Path(__file__).resolve().parents[3]

    def run(source: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    found, again, token = run(program)
    assert found == again
    assert found in ("TwoServers", "OperationRefused", "AssertionError")
    elsewhere = (
        "import sim, examples.todo_cache as cases\n"
        f"(failure,) = sim.replay(cases.broken_cache, {token!r}).failures\n"
        "print(type(failure.error).__name__)"
    )
    assert run(elsewhere) == [found]


async def leaves_it_in_the_environment() -> None:
    os.environ["SIM_TEST_RUNS"] = os.environ.get("SIM_TEST_RUNS", "") + "x"
    await trio.lowlevel.checkpoint()
    assert len(os.environ["SIM_TEST_RUNS"]) % 9


def test_only_what_has_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator of this module, which begins afresh in each run, leaves nothing."""
    monkeypatch.setenv("SIM_TEST_RUNS", "")
    (failure,) = sim.explore(leaves_it_in_the_environment, max_executions=30).failures
    assert isinstance(failure.error, sim.Nondeterminism)
    (changed,) = failure.error.changed
    assert changed.startswith("os.environ['SIM_TEST_RUNS']: '' -> 'xxxxxxx")


async def depends_on_addresses() -> None:
    class Subscriber:
        pass

    subscribers = [Subscriber() for _ in range(8)]
    junk.append([bytearray(100 * len(junk)), subscribers])
    first = next(iter({*subscribers}))
    await trio.sleep(subscribers.index(first))
    raise ValueError("the real bug")


def test_report_of_a_run_that_was_another_begins_with_the_error_of_the_program() -> None:
    for _ in range(30):
        (failure,) = sim.explore(depends_on_addresses, max_executions=1).failures
        report = describe_failure(failure)
        assert report.startswith("ValueError: the real bug")
        if isinstance(failure.error, sim.Nondeterminism):
            assert "hashed by their address" in report
            return
    pytest.fail("addresses never differed")


async def two_or_three_tasks() -> None:
    Settings.limit += 1
    async with trio.open_nursery() as nursery:
        for _ in range(2 + (Settings.limit % 2 == 0)):
            nursery.start_soon(trio.sleep, 1)


async def waits_the_second_time() -> None:
    Settings.limit += 1
    if Settings.limit > 1:
        await trio.sleep(1)


async def fails_from_the_second_time_on() -> None:
    Settings.limit += 1
    assert Settings.limit == 1


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "preemption:2"])
@pytest.mark.parametrize(
    "scenario", [two_or_three_tasks, waits_the_second_time, fails_from_the_second_time_on]
)
def test_no_exploration_is_complete_over_state_that_outlives_a_run(scenario: Any, strategy: str) -> None:
    Settings.limit = 0
    result = sim.explore(scenario, strategy)
    assert not result.complete
    assert not result.coverage.startswith("all ")
    (failure,) = result.failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert any(line.startswith(f"{__name__}.Settings.limit: 0 -> ") for line in failure.error.changed)


def test_state_that_only_some_interleavings_touch_is_found() -> None:
    remembered: set[str] = set()

    async def scenario() -> None:
        order: list[str] = []

        async def arrive(name: str) -> None:
            await trio.lowlevel.checkpoint()
            order.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrive, "first")
            nursery.start_soon(arrive, "second")
        if order[0] == "second" and order[0] not in remembered:
            remembered.add("second")
            await trio.sleep(1)

    result = sim.explore(scenario, "dfs")
    assert not result.complete
    (failure,) = result.failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert "remembered: a set of 0 -> a set of 1" in str(failure.error)
    assert "a run was repeated" in str(failure.error)


def test_repetition_at_the_end_is_not_an_execution() -> None:
    made = 0

    async def scenario() -> None:
        nonlocal made
        made += 1
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trio.lowlevel.checkpoint)

    result = sim.explore(scenario, "dfs")
    assert result.complete
    assert not result.failures
    assert result.coverage == f"all {result.executions} interleavings"
    assert made > result.executions


@lru_cache
def squared(number: int) -> int:
    return number * number


names = itertools.count()
where: contextvars.ContextVar[int] = contextvars.ContextVar("where", default=0)


async def leaves_what_makes_no_difference() -> None:
    squared(len(junk))
    where.set(where.get() + 1)
    assert where.get() == 1
    Settings.limit += 1
    junk.append(Settings.limit)
    random.seed()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(trio.lowlevel.checkpoint, name=f"worker-{next(names)}")


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "random"])
def test_state_that_makes_no_difference_is_not_a_finding(strategy: str) -> None:
    result = sim.explore(leaves_what_makes_no_difference, strategy, 30)
    result.check()
    assert result.complete is (strategy != "random")


class Slotted:
    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Counted(dict[str, int]):
    """As `collections.Counter` is."""


slotted = Slotted()
counted = Counted()
numbers = itertools.count()
space = types.SimpleNamespace(seen=0)


def remembers(seen: list[int] = []) -> int:  # noqa: B006 - that is the mistake
    seen.append(1)
    return len(seen)


def attributed() -> int:
    calls: int = getattr(attributed, "calls", 0) + 1
    vars(attributed)["calls"] = calls
    return calls


def slot() -> int:
    slotted.size += 1
    return slotted.size


def subclass() -> int:
    counted["seen"] = counted.get("seen", 0) + 1
    return counted["seen"]


def namespace() -> int:
    space.seen += 1
    return int(space.seen)


@lru_cache
def cached(number: int) -> int:
    return number


def through_a_cache() -> int:
    return cached(cached.cache_info().currsize)


@pytest.mark.parametrize(
    ("count", "name"),
    [
        (remembers, "seen (a default of remembers)"),
        (attributed, "attributed.calls"),
        (slot, "slotted.size"),
        (subclass, "counted['seen']"),
        (namespace, "space.seen"),
        (lambda: next(numbers), "numbers"),
        (through_a_cache, "cached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_changed_is_named(count: Any, name: str) -> None:
    async def scenario() -> None:
        for _ in range(min(count(), 9)):
            await trio.lowlevel.checkpoint()

    (failure,) = sim.explore(scenario, "dfs").failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert any(name in line.partition(": ")[0] for line in failure.error.changed)


def test_failure_that_does_not_come_again_is_said_to_hold() -> None:
    Settings.limit = 0

    async def scenario() -> None:
        Settings.limit += 1
        await trio.lowlevel.checkpoint()
        if Settings.limit == 5:
            raise RuntimeError("once")

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Nondeterminism)
    assert "once:  it failed with RuntimeError('once')" in str(failure.error)
    assert "again: it held" in str(failure.error)
    assert any("Settings.limit" in line for line in failure.error.changed)


def test_failure_beside_state_that_outlives_runs_keeps_its_error_and_says_so() -> None:
    left: list[int] = []

    async def scenario() -> None:
        for _ in left[:1]:
            await trio.lowlevel.checkpoint()
        left.append(sim.choose(range(1, 60)))
        if left[-1] == 59:
            raise RuntimeError("a bug of its own")

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, RuntimeError)
    report = describe_failure(failure)
    assert report.startswith("RuntimeError: a bug of its own\nbesides, state outlives a run")
    assert "left: a list of 0" in report


def test_failure_that_only_the_process_of_a_job_can_have_is_not_lost() -> None:
    left: list[int] = []

    async def scenario() -> None:
        left.append(1)
        if len(left) > 3 and sim.choose(range(10)) == 9:
            raise RuntimeError("only after others")

    (failure,) = sim.explore(scenario, max_executions=400, jobs=2).failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    assert "RuntimeError: only after others" in str(failure.error)
    assert "again: it held" in str(failure.error)


def losing(poisoned: list[int], after: Any) -> Any:
    """A scenario that, when it loses an update, leaves behind that it has."""

    async def scenario() -> None:
        cell = sim.Shared(0)

        async def add() -> None:
            value = cell.get()
            await trio.lowlevel.checkpoint()
            cell.set(value + 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(add)
        if poisoned:
            await after()
        if cell.get() != 2:
            poisoned.append(1)
            raise AssertionError("an update is lost")

    return scenario


@pytest.mark.parametrize("strategy", ["random", "dfs"])
def test_what_only_failing_runs_leave_behind_is_named_beside_their_failure(strategy: str) -> None:
    scenario = losing([], trio.lowlevel.checkpoint)
    (failure,) = sim.explore(scenario, strategy).failures
    assert isinstance(failure.error, AssertionError)
    report = describe_failure(failure)
    assert report.startswith("AssertionError: an update is lost\nbesides, state outlives a run")
    assert "poisoned: a list of 0 -> a list of" in report


@pytest.mark.parametrize("strategy", ["random", "dfs"])
def test_failing_run_that_changes_how_the_next_one_fails_is_told_so(strategy: str) -> None:
    async def fail() -> None:
        raise KeyError("poisoned")

    (failure,) = sim.explore(losing([], fail), strategy).failures
    assert isinstance(failure.error, sim.Nondeterminism)
    text = str(failure.error)
    assert text.startswith("AssertionError: an update is lost")
    assert "poisoned: a list of 0 -> a list of" in text
    # What is known comes before what is usual.
    assert text.index("the state that has changed may decide here") < text.index("the order of a set")


def test_failing_run_that_leaves_nothing_behind_has_no_note() -> None:
    async def nothing() -> None:
        pass

    (failure,) = sim.explore(losing([], nothing)).failures
    assert not getattr(failure.error, "__notes__", [])


@pytest.mark.parametrize("count", [2, 3, 4, 5, 20])
@pytest.mark.parametrize("strategy", ["random", "pct:2", "dfs"])
def test_state_that_outlives_a_run_is_found_however_few_runs_there_are(strategy: str, count: int) -> None:
    made: list[int] = []

    async def scenario() -> None:
        made.append(1)
        async with trio.open_nursery() as nursery:
            for _ in range(1 + len(made) % 2):
                nursery.start_soon(trio.lowlevel.checkpoint)
                nursery.start_soon(trio.lowlevel.checkpoint)

    result = sim.explore(scenario, strategy, count)
    assert not result.complete
    assert result.failures or result.diverged
