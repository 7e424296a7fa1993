"""The command line: what it prints, and exit codes that mean something."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sim.cli import main

PROGRAM = '''
import trio
import sim

async def broken():
    """Two tasks that lose an update."""
    cell = sim.Shared(0)

    async def increment():
        value = cell.get()
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    assert cell.get() == 2

async def right():
    """Nothing goes wrong here."""
    await trio.lowlevel.checkpoint()

async def with_argument(x):
    """Not a scenario."""

def plain(): ...
'''


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "cli_program.py"
    path.write_text(PROGRAM)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_list_shows_scenarios_with_their_first_line(program: str) -> None:
    result = invoke("list", program)
    assert result.exit_code == 0
    assert "broken  Two tasks that lose an update." in result.output
    assert "right" in result.output
    assert "with_argument" not in result.output
    names = [entry["scenario"] for entry in json.loads(invoke("list", program, "--json").output)]
    assert [name.partition(":")[2] for name in names] == ["broken", "right"]


def test_list_without_a_module_shows_what_comes_with_sim() -> None:
    assert invoke("list").exit_code == 0


def test_explore_keeps_to_bounds_on_depth_and_time(program: str) -> None:
    result = invoke("explore", f"{program}:broken", "--strategy", "dpor", "--max-depth", "2")
    assert result.exit_code == 0
    assert "all 1 trace to a depth of 2" in result.output
    assert "right: 0 executions" in invoke("explore", f"{program}:right", "--max-seconds", "1e-9").output


def test_explore_exits_0_when_all_held(program: str) -> None:
    result = invoke("explore", f"{program}:right", "--max-executions", "7")
    assert result.exit_code == 0
    assert "right: 7 executions" in result.output


def test_explore_exits_1_and_prints_interleaving_and_token(program: str) -> None:
    result = invoke("explore", f"{program}:broken", "--seed", "3")
    assert result.exit_code == 1
    assert "replay token: " in result.output
    assert "increment" in result.output
    assert "●" in result.output


def test_token_that_explore_prints_replays(program: str) -> None:
    explored = json.loads(invoke("explore", f"{program}:broken", "--json").output)
    (failure,) = explored["failures"]
    replayed = invoke("replay", f"{program}:broken", failure["token"])
    assert replayed.exit_code == 1
    assert failure["token"] in replayed.output
    again = json.loads(invoke("replay", f"{program}:broken", failure["token"], "--json").output)
    assert again["failures"][0]["steps"] == failure["steps"]
    assert again["failures"][0]["error"] == failure["error"]


def test_json_says_what_was_covered(program: str) -> None:
    result = invoke("explore", f"{program}:right", "--strategy", "dfs", "--json")
    explored = json.loads(result.output)
    assert explored["complete"] is True
    assert explored["executions"] == 1
    assert explored["failures"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("explore", "no_such_module_at_all:scenario"),
        ("explore", "sim:no_such_scenario"),
        ("explore", "sim:Shared"),
        ("explore", "sim"),
        ("explore", "no_such_file.py:scenario"),
        ("explore", "sim:explore", "--strategy", "quantum"),
        ("explore",),
        ("replay", "sim:explore"),
        ("list", "no_such_module_at_all"),
    ],
)
def test_wrong_use_exits_2(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_token_that_cannot_be_read_exits_2(program: str) -> None:
    result = invoke("replay", f"{program}:right", "!!")
    assert result.exit_code == 2
    assert "!!" in result.output
