"""The command line: what it prints, and exit codes that mean something."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sim
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
    assert "right: 1 executions" in invoke("explore", f"{program}:right", "--max-seconds", "1e-9").output


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


def process(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m sim`, as a process of its own."""
    root = str(Path(sim.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "source",
    ["def f(:", "import no_such_module_at_all", "raise ValueError('two\\nlines')", "import sys; sys.exit(0)"],
)
def test_module_that_cannot_be_imported_exits_2_with_one_line(tmp_path: Path, source: str) -> None:
    path = tmp_path / "cannot_be_imported.py"
    path.write_text(source)
    result = invoke("explore", f"{path}:scenario")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert f"{path}:1" in line


def test_scenario_with_parameters_exits_2_with_one_line(program: str) -> None:
    result = invoke("explore", f"{program}:with_argument")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "(x)" in line


NOISY = """
import atexit, os, subprocess, sys
import trio
print("imported")
atexit.register(print, "at exit")
async def scenario():
    print("printed")
    sys.__stdout__.write("past the stream")
    os.write(1, b"past Python")
    await trio.lowlevel.checkpoint()
"""


def test_json_stays_json_whatever_the_scenario_prints(tmp_path: Path) -> None:
    (tmp_path / "noisy_program.py").write_text(NOISY)
    done = process(tmp_path, "explore", "noisy_program:scenario", "--json", "--max-executions", "3")
    assert done.returncode == 0
    assert json.loads(done.stdout)["executions"] == 3
    assert "printed" in done.stderr
    listed = process(tmp_path, "list", "noisy_program", "--json")
    assert json.loads(listed.stdout)[0]["scenario"] == "noisy_program:scenario"


CLOSES = """
import contextlib, os, sys

async def scenario():
    # Not all of it can be done twice.
    with contextlib.suppress(Exception): {line}
    assert 0, "the bug"
"""


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    "line",
    [
        "sys.stdout.close()",
        "sys.stderr.close()",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "sys.stdout.detach(); sys.stderr.detach()",
        "os.close(1); os.close(2)",
    ],
)
def test_failure_is_reported_whatever_the_scenario_does_to_the_streams(
    tmp_path: Path, line: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "closes_streams.py").write_text(CLOSES.format(line=line), encoding="utf-8")
    done = process(tmp_path, "explore", "closes_streams:scenario", "--max-executions", "3", *options)
    assert (done.returncode, done.stderr) == (1, "")
    assert "the bug" in done.stdout


def test_line_to_see_it_again_works_when_pasted(tmp_path: Path) -> None:
    (tmp_path / "a program.py").write_text(PROGRAM)
    explored = process(tmp_path, "explore", "a program.py:broken", "--max-steps", "50")
    line = re.search("^see it again: (.*)$", explored.stdout, re.MULTILINE)
    assert line is not None
    assert "--max-steps 50" in line[1]
    shell = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    again = subprocess.run(
        line[1], shell=True, cwd=tmp_path, env=shell, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert again.stdout.splitlines()[-1] == explored.stdout.splitlines()[-1]


def test_ctrl_c_shows_what_was_found_and_exits_130(tmp_path: Path) -> None:
    (tmp_path / "endless_program.py").write_text(
        "import signal, trio\nruns = 0\n"
        "async def scenario():\n"
        "    global runs\n    runs += 1\n"
        "    if runs == 20: signal.raise_signal(signal.SIGINT)\n"
        "    await trio.lowlevel.checkpoint()\n"
        "    raise ValueError('found')\n"
    )
    done = process(tmp_path, "explore", "endless_program:scenario", "--max-failures", "2")
    assert done.returncode == 130, done.stderr
    assert "1 failed" in done.stdout
    assert "ValueError: found" in done.stdout
    assert done.stderr.splitlines() == ["sim: interrupted: this is what was found so far"]


def test_token_that_does_not_fail_says_so_and_exits_0(program: str) -> None:
    result = invoke("replay", f"{program}:right", "1r00")
    assert result.exit_code == 0
    assert "does not fail" in result.stderr


def test_version_is_told_and_without_arguments_the_help(tmp_path: Path) -> None:
    done = process(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("sim, version ")
    assert invoke().exit_code == 2


def test_no_assert_checks_anything_under_o_and_that_is_said(program: str, tmp_path: Path) -> None:
    done = process(tmp_path, "explore", f"{program}:broken", "--max-executions", "5", PYTHONOPTIMIZE="1")
    assert done.returncode == 0
    assert "-O" in done.stderr
