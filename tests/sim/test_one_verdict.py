"""One run, one verdict: what outlives a run is found, what is the same run is taken for it, and the program's
own error is shown first."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import sim
from sim.report import describe_failure

runs = 0
cache: dict[str, float] = {}
generator = random.Random()


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
        "import sim, sim.scenarios.todo_cache as cases\n"
        "(failure,) = sim.explore(cases.broken_cache).failures\n"
        "print(type(failure.error).__name__)\n"
        "(again,) = sim.replay(cases.broken_cache, failure.token).failures\n"
        "print(type(again.error).__name__, failure.token)"
    )
    root = Path(__file__).resolve().parents[2]

    def run(source: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    found, again, token = run(program)
    assert found == again
    assert found in ("TwoServers", "OperationRefused", "AssertionError")
    elsewhere = (
        "import sim, sim.scenarios.todo_cache as cases\n"
        f"(failure,) = sim.replay(cases.broken_cache, {token!r}).failures\n"
        "print(type(failure.error).__name__)"
    )
    assert run(elsewhere) == [found]


async def raises_a_class_of_its_own() -> None:
    class Broken(Exception):
        pass

    await trio.lowlevel.checkpoint()
    raise Broken("each run has another class")


async def raises_a_made_class() -> None:
    kind: type[Exception] = type("Made", (ValueError,), {})
    raise kind("here")


async def recurses() -> None:
    async def deeper(level: int) -> None:
        await trio.lowlevel.checkpoint()
        await deeper(level + 1)

    await deeper(0)


async def recurses_without_awaiting() -> None:
    def deeper(level: int) -> int:
        return deeper(level + 1) + 1

    await trio.lowlevel.checkpoint()
    deeper(0)


async def names_tasks_by_address() -> None:
    kept = [object() for _ in range(40)]

    async with trio.open_nursery() as nursery:
        for one in kept[:3]:
            nursery.start_soon(trio.lowlevel.checkpoint, name=f"worker {id(one)} {one!r}")
    junk.append(kept)
    raise KeyError("the real bug")


async def chooses_among_objects() -> None:
    kept = object()
    junk.append(kept)
    sim.choose([kept, object()])
    raise KeyError("the real bug")


junk: list[object] = []


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        (raises_a_class_of_its_own, "Broken"),
        (raises_a_made_class, "Made"),
        (recurses, "RecursionError"),
        (recurses_without_awaiting, "RecursionError"),
        (names_tasks_by_address, "KeyError"),
        (chooses_among_objects, "KeyError"),
    ],
)
@pytest.mark.parametrize("strategy", ["random", "dpor"])
def test_run_that_is_the_same_is_not_called_another(scenario: Any, error: str, strategy: str) -> None:
    # A recursion is a thousand steps, and shrinking makes hundreds of runs.
    (failure,) = sim.explore(scenario, strategy, shrink_failures=error != "RecursionError").failures
    assert type(failure.error).__name__ == error
    (again,) = sim.replay(scenario, failure.token).failures
    assert type(again.error).__name__ == error


def test_recursion_limit_of_the_process_is_as_before() -> None:
    before = sys.getrecursionlimit()
    sim.explore(recurses)
    assert sys.getrecursionlimit() == before


async def draws_from_a_generator_of_the_module() -> None:
    await trio.sleep(generator.random())
    drawn.append((generator.random(), generator.randrange(1_000), generator.gauss(0, 1)))
    assert generator.random() < 0.9


drawn: list[tuple[float, ...]] = []


def test_generator_of_a_module_begins_afresh_in_each_run() -> None:
    kept = generator
    (failure,) = sim.explore(draws_from_a_generator_of_the_module).failures
    assert isinstance(failure.error, AssertionError)
    assert not isinstance(failure.error, sim.Nondeterminism)
    assert generator is kept
    assert len(set(drawn)) > 1
    drawn.clear()
    for _ in range(2):
        generator.random()
        assert sim.replay(draws_from_a_generator_of_the_module, failure.token).failures
    assert len(set(drawn)) == 1


async def seeds_a_generator_of_the_module() -> None:
    generator.seed(7)
    state = generator.getstate()
    drawn.append((generator.random(),))
    generator.setstate(state)
    drawn.append((generator.random(),))


def test_generator_that_the_program_seeds_gives_what_it_was_seeded_for() -> None:
    drawn.clear()
    sim.explore(seeds_a_generator_of_the_module, max_executions=5).check()
    assert set(drawn) == {(random.Random(7).random(),)}


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
