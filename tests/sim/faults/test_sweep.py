"""A sweep says what it has covered: how many points, of how many there are, under how many schedules."""

from __future__ import annotations

import itertools

import pytest
import trio
from click.testing import CliRunner

import sim
from sim.cli import main
from sim.strategies import SCHEDULES, ChoiceKind, Execution, Sweep, Verdict


async def two_tasks() -> None:
    async def work() -> None:
        with trio.CancelScope():
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(work)


async def needs_another_schedule() -> None:
    """Who is late and then given up holds up everybody."""
    order: list[str] = []

    async def late() -> None:
        order.append("late")
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            assert order[0] == "late", "given up when it came second"
            raise

    async def early() -> None:
        order.append("early")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(late)
        nursery.start_soon(early)


def test_sweep_is_of_several_schedules_and_names_its_points() -> None:
    result = sim.explore(two_tasks, sweep="cancel")
    result.check()
    points = result.executions - SCHEDULES
    assert result.coverage == f"{points} of {points} points of {SCHEDULES} schedules"
    assert not result.complete
    one = sim.explore(two_tasks, sweep="cancel", schedules=1)
    assert one.coverage == f"{one.executions - 1} of {one.executions - 1} points of 1 schedule"
    assert one.executions < result.executions


def test_each_schedule_has_a_seed() -> None:
    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "late")

    def found(seed: int, schedules: int) -> bool:
        return bool(sim.explore(needs_another_schedule, sweep=plan, seed=seed, schedules=schedules).failures)

    alone = [found(seed, 1) for seed in range(SCHEDULES)]
    assert not alone[0]
    assert any(alone)
    assert [found(seed, 2) for seed in range(SCHEDULES - 1)] == [
        one or next_one for one, next_one in itertools.pairwise(alone)
    ]
    assert found(0, SCHEDULES)


def test_sweep_that_comes_to_its_bound_says_so_and_is_spread_evenly() -> None:
    ends: set[int] = set()

    async def long() -> None:
        done = 0
        with trio.CancelScope():
            for number in range(1_000):
                await trio.lowlevel.checkpoint()
                done = number
        ends.add(done)

    result = sim.explore(long, sweep="cancel", max_executions=101)
    result.check()
    assert result.executions == 101
    assert result.coverage == "100 of 1,000 points of 1 schedule"
    gaps = [after - before for before, after in itertools.pairwise(sorted(ends))]
    assert max(gaps) <= 10


def test_bound_that_is_just_enough_is_not_a_bound() -> None:
    everything = sim.explore(two_tasks, sweep="cancel")
    again = sim.explore(two_tasks, sweep="cancel", max_executions=everything.executions)
    assert again.coverage == everything.coverage
    fewer = sim.explore(two_tasks, sweep="cancel", max_executions=everything.executions - 1)
    points = everything.executions - SCHEDULES
    assert fewer.coverage == f"{points - 1} of {points} points of {SCHEDULES} schedules"
    begun = sim.explore(two_tasks, sweep="cancel", max_executions=2)
    assert begun.coverage.startswith("0 of at least ")
    assert begun.coverage.endswith(" of 2 schedules")


def test_program_that_no_fault_can_strike_has_no_points() -> None:
    async def scenario() -> None:
        await trio.sleep(1)

    assert sim.explore(scenario, sweep="cancel").coverage == "0 of 0 points of 1 schedule"


def test_sweep_of_pairs_knows_all_points_when_it_is_over() -> None:
    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), at_most=2)
    result = sim.explore(two_tasks, sweep=plan, schedules=1)
    result.check()
    points = f"{result.executions - 1:,}"
    assert result.coverage == f"{points} of {points} points of 1 schedule"
    some = sim.explore(two_tasks, sweep=plan, schedules=1, max_executions=10)
    assert some.coverage.startswith("9 of at least ")


def test_point_that_is_not_there_again_is_not_counted() -> None:
    """Of a program that depends on something else than its choices, no more is claimed than was done."""
    sweep = Sweep(schedules=1)
    ended = Execution(Verdict.HELD, 3, 3)
    assert sweep.begin_execution()
    assert [sweep.choose(ChoiceKind.FAULT, 2) for _ in range(3)] == [0, 0, 0]
    sweep.end_execution(ended)
    assert sweep.begin_execution()
    assert [sweep.choose(ChoiceKind.FAULT, 2) for _ in range(1)] == [1]
    sweep.end_execution(ended)
    for _ in range(2):
        assert sweep.begin_execution()
        assert sweep.choose(ChoiceKind.FAULT, 2) == 0
        sweep.end_execution(ended)
    assert not sweep.begin_execution()
    assert sweep.coverage == "1 of 3 points of 1 schedule"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--sweep", "cancel"], 0, f"points of {SCHEDULES} schedules"),
        (["--sweep", "cancel", "--schedules", "2"], 0, "points of 2 schedules"),
        (["--sweep", "cancel", "--fault-tasks", "work"], 0, f"points of {SCHEDULES} schedules"),
        (["--sweep", "cancel", "--fault-tasks", "wrok"], 2, "'wrok'"),
        (["--schedules", "2"], 2, "schedules"),
    ],
)
def test_command_says_what_it_has_covered_and_refuses_victims_that_are_none(
    arguments: list[str], code: int, said: str
) -> None:
    result = CliRunner().invoke(main, ["explore", f"{__name__}:two_tasks", *arguments])
    assert result.exit_code == code, result.output
    assert said in result.output


def test_command_strikes_anytime_unless_told_otherwise() -> None:
    def covered(*arguments: str) -> int:
        result = CliRunner().invoke(
            main, ["explore", f"{__name__}:two_tasks", "--sweep", "cancel", "--schedules", "1", *arguments]
        )
        assert result.exit_code == 0, result.output
        words = result.output.split()
        return int(words[words.index("points") - 1])

    assert covered() == covered("--fault-anytime") > covered("--fault-at-own-steps")
