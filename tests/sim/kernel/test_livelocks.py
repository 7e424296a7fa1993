"""The report of a run without an end shows what it repeats once, and says what of that never changes."""

# The programs under test poll.
# ruff: noqa: ASYNC110, ASYNC115

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from click.testing import CliRunner

import sim
from sim._exploration.result import Failure
from sim._kernel.suspension import Call, Suspensions
from sim._run.cycle import Cycle, find_cycle
from sim._run.trace import TracedStep
from sim.cli import main
from sim.report import describe_failure
from sim.strategies._happens_before import Event, HappensBefore
from tests.sim.kernel.livelock_cases import wait_for_each_other_politely

STRATEGIES = ("random", "pct:3", "pos", "delay:2", "preemption:2", "dfs", "dpor", "dpor:2")

STEPS = 300

Scenario = Callable[[], Awaitable[object]]


async def play_ping_pong() -> None:
    there_in, there_out = trio.open_memory_channel[str](0)
    back_in, back_out = trio.open_memory_channel[str](0)

    async def serve() -> None:
        while True:
            await there_in.send("ping")
            await back_out.receive()

    async def answer() -> None:
        while True:
            await there_out.receive()
            await back_in.send("pong")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(answer)


async def wake_each_other_with_events() -> None:
    turns = [trio.Event(), trio.Event()]

    async def pass_on(own: int) -> None:
        while True:
            await turns[own].wait()
            turns[own] = trio.Event()
            turns[1 - own].set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, 0)
        nursery.start_soon(pass_on, 1)
        turns[0].set()


async def start_a_task_each_time() -> None:
    done = sim.Shared(False)

    async def look() -> None:
        await trio.sleep(0)

    while not done.get():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)


def livelock(
    scenario: Scenario, strategy: str = "random", *, shrink: bool = False
) -> tuple[Failure, sim.StepBudgetExceeded]:
    result = sim.explore(scenario, strategy, max_executions=1, max_steps=STEPS, shrink_failures=shrink)
    (failure,) = result.failures
    assert isinstance(failure.error, sim.StepBudgetExceeded)
    assert failure.raised is failure.error
    return failure, failure.error


@pytest.mark.parametrize(
    ("strategy", "shrink"), [*((strategy, False) for strategy in STRATEGIES), ("random", True)]
)
@pytest.mark.parametrize(
    "scenario",
    [
        wait_for_each_other_politely,
        play_ping_pong,
        wake_each_other_with_events,
        start_a_task_each_time,
    ],
)
def test_what_a_livelock_repeats_is_shown_once(scenario: Scenario, strategy: str, shrink: bool) -> None:
    failure, error = livelock(scenario, strategy, shrink=shrink)
    cycle = error.cycle
    assert cycle is not None
    assert cycle.length <= 12
    assert cycle.times >= 20
    assert len(error.repeated) == cycle.length
    text = str(error)
    assert len(text.splitlines()) < 25
    assert f" made {cycle.times:,} times" in text
    report = describe_failure(failure, 80).splitlines()
    assert len(report) < 60
    table = report[report.index("") :]
    # Those which lead to it, those which are repeated, and none after.
    rows = [line for line in table if "●" in line]
    assert len([row for row in rows if int(row.split()[0].rstrip("*")) >= cycle.first]) == cycle.length
    assert all(len(line) <= 80 for line in table if "●" in line)


@pytest.mark.parametrize("strategy", ["random", "pct:3", "dfs", "dpor"])
def test_blocking_ping_pong_names_both_tasks_and_what_is_the_same_each_time(strategy: str) -> None:
    _, error = livelock(play_ping_pong, strategy)
    assert error.cycle is not None
    assert error.cycle.length == 4 or not error.cycle.in_order
    assert {line.partition(" ")[0] for line in error.repeated} == {"serve", "answer"}
    assert "there_in: a memory channel with 0 messages" in error.unchanged
    assert "back_out: a memory channel with 0 messages" in error.unchanged
    assert not error.changed
    assert "a livelock\n" in str(error)


def test_flag_that_nobody_sets_is_named() -> None:
    _, error = livelock(wait_for_each_other_politely)
    assert error.unchanged == ("yours: Shared(True)",)
    assert not error.changed
    assert "max_steps" not in str(error)


class Poller:
    """Polls in several ways at once, and counts."""

    looks = 0

    def __init__(self) -> None:
        self.done = False
        self.arrived: list[int] = []

    @property
    def is_done(self) -> bool:
        return self.done

    def has_arrived(self) -> bool:
        return len(self.arrived) > 0

    async def give_way(self) -> None:
        await trio.sleep(0)

    async def wait(self) -> None:
        while not (self.is_done or self.has_arrived()):
            self.looks += 1
            await self.give_way()


def test_what_methods_and_properties_look_at_is_named_and_so_is_what_changes() -> None:
    async def scenario() -> None:
        poller = Poller()
        event = trio.Event()

        def happened() -> bool:
            return event.is_set()

        async def watch() -> None:
            while not happened():
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.wait)
            nursery.start_soon(watch)

    _, error = livelock(scenario)
    assert set(error.unchanged) == {
        "event: an event that is not set",
        "self.done: False",
        "self.arrived: []",
    }
    (changed,) = error.changed
    assert changed.startswith("self.looks: ")
    # What counts may count up to something.
    assert "or raise max_steps" in str(error)


def test_loop_that_gets_on_is_told_from_one_that_does_not() -> None:
    async def scenario() -> None:
        for _number in range(10 * STEPS):
            await trio.sleep(0)

    _, error = livelock(scenario)
    assert not error.unchanged
    (changed,) = error.changed
    assert changed.startswith("_number: ")
    assert changed.endswith(f"-> {STEPS - 1}")
    assert "or raise max_steps" in str(error)


def test_what_two_tasks_call_by_one_name_is_told_apart() -> None:
    async def scenario() -> None:
        async def poll(done: list[int]) -> None:
            while len(done) < 2:
                await trio.sleep(0)

        async with trio.open_nursery() as nursery:
            none: list[int] = []
            nursery.start_soon(poll, none)
            nursery.start_soon(poll, [1])

    _, error = livelock(scenario)
    assert set(error.unchanged) == {"done of poll 0: []", "done of poll 1: [1]"}


def test_what_is_changed_and_changed_back_by_another_is_not_called_unchanged() -> None:
    async def scenario() -> None:
        turn = sim.Shared(0)

        async def poll(own: int) -> None:
            while True:
                turn.set(own)
                await trio.sleep(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll, 0)
            nursery.start_soon(poll, 1)

    _, error = livelock(scenario)
    assert not any(line.startswith("turn") for line in error.unchanged)
    assert any(line.startswith("turn") for line in error.changed)


def test_no_code_of_the_program_is_called_to_tell_what_it_looks_at() -> None:
    class Touchy:
        def __init__(self) -> None:
            self.done = False
            self.looks = 0

        def __repr__(self) -> NoReturn:
            raise AssertionError("asked for its text")

        def __bool__(self) -> NoReturn:
            raise AssertionError("asked whether it is true")

        def __eq__(self, other: object) -> NoReturn:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]  # it compares, and so has none

        @property
        def costly(self) -> NoReturn:
            raise AssertionError("called")

        def __getattr__(self, name: str) -> NoReturn:
            raise AssertionError(f"asked for {name}")

    async def scenario() -> None:
        touchy = Touchy()
        while not touchy.done:
            if touchy.looks:
                print(touchy.costly, touchy.nothing)
            await trio.sleep(0)

    _, error = livelock(scenario)
    assert "touchy.done: False" in error.unchanged


def test_loop_that_looks_at_nothing_says_so() -> None:
    async def scenario() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    _, error = livelock(scenario)
    assert error.cycle == Cycle(1, 1, STEPS - 1)
    assert "none of the variables that the loops look at is visible" in str(error)


def test_run_that_repeats_nothing_is_not_said_to() -> None:
    async def scenario() -> None:
        async def go_on(number: int) -> None:
            if number % 7 < random.randrange(5):
                await trio.sleep(0)
            if number % 3:
                await trio.sleep(random.randrange(1, 9))
            elif random.randrange(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 1)

        for number in range(10_000):
            await go_on(number)

    failure, error = livelock(scenario)
    assert error.cycle is None
    assert f"{scenario.__qualname__} made most of the last ones" in str(error)
    assert len(describe_failure(failure).splitlines()) > 80


def test_error_of_a_livelock_is_whole_in_another_process() -> None:
    _, error = livelock(play_ping_pong)
    there = pickle.loads(pickle.dumps(error))
    assert str(there) == str(error)
    assert there.cycle == error.cycle
    assert there.unchanged == error.unchanged


def test_repetition_by_its_token_tells_the_same() -> None:
    failure, error = livelock(wait_for_each_other_politely, "dpor")
    (again,) = sim.replay(wait_for_each_other_politely, failure.token, max_steps=STEPS).failures
    assert str(again.error) == str(error)


def test_command_prints_and_dumps_the_cycle_once(tmp_path: Path) -> None:
    program = tmp_path / "polls.py"
    program.write_text(
        "import trio\nasync def poll():\n    done = False\n    while not done:\n        await trio.sleep(0)\n"
    )
    run = CliRunner().invoke
    explore = ["explore", f"{program}:poll", "--max-steps", "400"]
    shown = run(main, explore)
    assert shown.exit_code == 1
    assert len(shown.output.splitlines()) < 25
    assert "done: False" in shown.output
    dumped = run(main, [*explore, "--json"])
    (failure,) = json.loads(dumped.stdout)["failures"]
    assert failure["cycle"] == {"first": 1, "length": 1, "times": 399, "in_order": True}
    assert len(failure["steps"]) == 2


def steps_of(*made: tuple[int, str]) -> list[TracedStep]:
    return [TracedStep((task,), f"task {task}", 0.0, 0, 1, "", place, preempts=False) for task, place in made]


def test_cycle_is_the_shortest_one_and_begins_where_the_run_begins_to_repeat_itself() -> None:
    beginning = [(0, "a"), (1, "b"), (0, "c")]
    repeated = [(0, "x"), (1, "y"), (0, "x"), (1, "z")]
    cycle = find_cycle(steps_of(*beginning, *repeated * 10, *repeated[:3]))
    assert cycle == Cycle(3, 4, 10)


def test_turns_in_a_row_are_no_cycle_while_others_have_theirs_too() -> None:
    # Task 0 has made the last five steps, after a hundred times that both had theirs.
    turns = [*[(0, "x")] * 5, *[(1, "y")] * 5]
    cycle = find_cycle(steps_of(*turns * 100, *[(0, "x")] * 5))
    assert cycle is not None
    assert cycle.length == 10


def test_tasks_that_each_repeat_their_own_steps_are_found_in_any_order() -> None:
    rng = random.Random(1)
    own = {0: ["a", "b"], 1: ["c", "d", "e"], 2: ["f"]}
    at = dict.fromkeys(own, 0)
    made = [(0, "z"), (1, "z"), (2, "z")]
    for _ in range(900):
        task = rng.choice(list(own))
        made.append((task, own[task][at[task] % len(own[task])]))
        at[task] += 1
    cycle = find_cycle(steps_of(*made))
    assert cycle is not None
    assert not cycle.in_order
    shown = set(made[cycle.first : cycle.first + cycle.length])
    assert shown == {(task, place) for task, places in own.items() for place in places}


def test_task_that_gets_on_beside_one_that_repeats_itself_is_not_a_cycle() -> None:
    made: list[tuple[int, str]] = []
    for number in range(300):
        made += [(0, "x"), (1, f"line {number}")]
    assert find_cycle(steps_of(*made)) is None
    assert find_cycle([]) is None


async def count_for_ever() -> None:
    count = sim.Shared(0)

    async def add() -> None:
        while True:
            count.set(count.get() + 1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(add)


@pytest.mark.parametrize("strategy", ["random", "dfs", "dpor"])
def test_long_run_without_end_is_made_a_few_times_and_its_loops_are_looked_at_for_a_while(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = looks = 0
    state = Suspensions.state

    async def scenario() -> None:
        nonlocal runs
        runs += 1
        await count_for_ever()

    def look(self: Suspensions, calls: Sequence[Call]) -> Hashable:
        nonlocal looks
        looks += 1
        return state(self, calls)

    monkeypatch.setattr(Suspensions, "state", look)
    result = sim.explore(scenario, strategy, max_steps=3_000)
    assert isinstance(result.failures[0].error, sim.StepBudgetExceeded)
    assert runs <= 25
    assert looks <= 200 * runs


def test_races_of_a_run_are_looked_for_only_if_another_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    without = HappensBefore.without
    races = 0

    def count(self: HappensBefore, early: Event) -> list[Event]:
        nonlocal races
        races += 1
        return without(self, early)

    monkeypatch.setattr(HappensBefore, "without", count)
    sim.explore(count_for_ever, "dpor", max_steps=200, shrink_failures=False)
    assert races == 0
    sim.explore(count_for_ever, "dpor", 2, max_steps=200, max_failures=2, shrink_failures=False)
    assert races > 0


def test_reduction_is_not_complete_after_a_run_that_was_given_up() -> None:
    async def scenario() -> None:
        stopped, count = sim.Shared(False), sim.Shared(0)

        async def add() -> None:
            while not stopped.get():
                count.set(count.get() + 1)
                await trio.lowlevel.checkpoint()

        async def stop() -> None:
            stopped.set(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(stop)

    result = sim.explore(scenario, "dpor", 500, max_steps=40, max_failures=500, shrink_failures=False)
    assert result.failures
    assert not result.complete
    assert result.coverage.startswith("the first")
