"""`strict_exception_groups` is that of `trio.run`, wherever scenarios are run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

import sim
from sim.cli import main

Scenario = Callable[[], Awaitable[object]]

pytestmark = pytest.mark.filterwarnings("ignore::trio.TrioDeprecationWarning")


async def fail(error: Exception) -> None:
    await trio.lowlevel.checkpoint()
    raise error


async def one_fails() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(fail, KeyError("broken"))


async def fail_at_once() -> None:
    raise KeyError("broken")


async def two_fail() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_at_once)
        raise ValueError("broken")


async def one_fails_in_a_strict_nursery() -> None:
    async with trio.open_nursery(strict_exception_groups=True) as nursery:
        nursery.start_soon(fail, KeyError("broken"))


async def is_caught_as_it_is() -> None:
    caught = False
    try:
        await one_fails()
    except KeyError:
        caught = True
    assert caught


def shape(error: BaseException | None) -> object:
    inside: Any = getattr(error, "exceptions", None)
    return type(error), tuple(map(shape, inside)) if inside is not None else None


@pytest.mark.parametrize("strategy", ["random", "dfs", "dpor"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("scenario", [one_fails, two_fail, one_fails_in_a_strict_nursery])
def test_what_leaves_a_nursery_is_what_leaves_it_under_trio(
    scenario: Scenario, strict: bool, strategy: str
) -> None:
    with pytest.raises((KeyError, ExceptionGroup)) as raised:
        trio.run(scenario, strict_exception_groups=strict)
    result = sim.explore(scenario, strategy, max_executions=200, strict_exception_groups=strict)
    (failure,) = result.failures
    assert shape(failure.raised) == shape(raised.value)
    (again,) = sim.replay(scenario, failure.token, strict_exception_groups=strict).failures
    assert shape(again.raised) == shape(raised.value)


def test_scenario_may_rely_on_loose_groups_and_fails_without() -> None:
    sim.explore(is_caught_as_it_is, "dfs", max_executions=5_000, strict_exception_groups=False).check()
    assert sim.explore(is_caught_as_it_is, max_executions=5).failures
    shared = sim.explore(is_caught_as_it_is, max_executions=20, jobs=2, strict_exception_groups=False)
    assert not shared.failures


def test_failing_runs_of_before_are_tried_with_the_same_groups(tmp_path: Path) -> None:
    database = tmp_path / "failures.json"
    found = sim.explore(one_fails, database=database, strict_exception_groups=False)
    known = sim.explore(one_fails, database=database, strict_exception_groups=False)
    for result in (found, known):
        (failure,) = result.failures
        assert isinstance(failure.raised, KeyError)


def test_trio_warns_of_loose_groups_and_of_strict_ones_does_not() -> None:
    with pytest.warns(trio.TrioDeprecationWarning):
        sim.explore(trio.lowlevel.checkpoint, max_executions=1, strict_exception_groups=False)


def test_a_value_that_is_not_a_flag_is_refused() -> None:
    wrong: Any = "no"
    with pytest.raises(sim.WrongType, match="strict_exception_groups"):
        sim.explore(one_fails, strict_exception_groups=wrong)
    with pytest.raises(sim.WrongType, match="strict_exception_groups"):
        sim.replay(one_fails, "1r00", strict_exception_groups=wrong)


def test_command_takes_it_and_says_how_to_see_the_run_again(tmp_path: Path) -> None:
    program = tmp_path / "loose.py"
    program.write_text(
        "import trio\n"
        "async def fails():\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        raise KeyError('broken')\n"
    )
    name = f"{program}:fails"
    strict = CliRunner().invoke(main, ["explore", name])
    loose = CliRunner().invoke(main, ["explore", name, "--loose-exception-groups"])
    assert strict.exit_code == loose.exit_code == 1
    assert "--loose-exception-groups" not in strict.output
    line = next(line for line in loose.output.splitlines() if line.startswith("see it again"))
    assert line.endswith("--loose-exception-groups")
    token = next(line.split()[-1] for line in loose.output.splitlines() if line.startswith("replay token"))
    again = CliRunner().invoke(main, ["replay", name, token, "--loose-exception-groups"])
    assert again.exit_code == 1
