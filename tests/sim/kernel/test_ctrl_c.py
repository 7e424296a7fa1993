"""Ctrl-C ends the command wherever it is, with what was found so far and the exit code 130.

Each scenario writes a line where the signal is to come, and goes on from there without an end, so that
nothing depends on how fast the machine is. The signal goes to all processes of the group, as a terminal sends
it.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends a signal to a group of processes")

PROGRAM = """
import os
import trio, sim

runs = failed = 0

def here():
    os.write(2, b"HERE\\n")

async def forever():
    here()
    while True:
        await trio.lowlevel.checkpoint()

async def spins_first():
    here()
    while True:
        pass

async def spins():
    global runs
    runs += 1
    await trio.lowlevel.checkpoint()
    if runs == 20:
        here()
        while True:
            pass

async def catches():
    try:
        await forever()
    except KeyboardInterrupt:
        pass

async def fails_and_then_goes_on():
    global failed
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(trio.lowlevel.checkpoint)
    # The run itself, two repetitions of it, the first run again; then it is made plainer.
    failed += 1
    if failed > BEFORE:
        await forever()
    raise ValueError("the bug")

async def in_a_thread():
    def wait():
        here()
        while True:
            pass
    await trio.to_thread.run_sync(wait)
"""


class Ended(NamedTuple):
    """What a command has come to."""

    code: int
    stdout: str
    stderr: str


def interrupted(folder: Path, *arguments: str, program: str = PROGRAM) -> Ended:
    """Run `sim` in a folder and press Ctrl-C once it says so."""
    (folder / "program.py").write_text(program)
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # It is ignored by what is started in the background, and so by its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        try:
            assert process.stderr is not None
            before: list[str] = []
            for line in process.stderr:
                if line == "HERE\n":
                    break
                before.append(line)
            else:
                pytest.fail(f"it ended before: {''.join(before)}")
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = [line for line in stderr.splitlines() if line != "HERE"]
    return Ended(process.returncode, stdout, "\n".join(said))


SO_FAR = "sim: interrupted: this is what was found so far"
LONG = "--max-steps=1000000000"


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        ("forever", ()),
        ("forever", ("--strategy=dfs",)),
        ("forever", ("--strategy=dpor",)),
        ("forever", ("--sweep=cancel",)),
        ("catches", ("--self-check",)),
        ("spins", ()),
    ],
)
def test_exploration(tmp_path: Path, scenario: str, options: tuple[str, ...]) -> None:
    ended = interrupted(tmp_path, "explore", f"program:{scenario}", LONG, *options)
    assert ended.stderr == SO_FAR
    assert ended.code == 130
    assert f"{scenario}: " in ended.stdout
    assert "0 failed" in ended.stdout


def test_exploration_with_json(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, "explore", "program:spins", "--json")
    assert ended.code == 130
    result = json.loads(ended.stdout)
    assert result["interrupted"]
    assert 0 < result["executions"] < 100


def test_thread_that_does_not_come_back(tmp_path: Path) -> None:
    ended = interrupted(tmp_path, "explore", "program:in_a_thread")
    assert ended.code == 130
    assert ended.stderr.endswith(SO_FAR)


@pytest.mark.parametrize("scenario", ["forever", "spins"])
def test_jobs(tmp_path: Path, scenario: str) -> None:
    ended = interrupted(tmp_path, "explore", f"program:{scenario}", LONG, "--jobs=2", "--max-executions=1000")
    assert ended.stderr == SO_FAR
    assert ended.code == 130
    assert "processes" in ended.stdout


def test_failure_that_another_job_has_found_is_shown(tmp_path: Path) -> None:
    program = PROGRAM + (
        "\nimport multiprocessing\n"
        "async def one_of_two():\n"
        "    await trio.lowlevel.checkpoint()\n"
        "    if multiprocessing.current_process().name[-1] == '1':\n"
        "        raise ValueError('the bug')\n"
        "    await forever()\n"
    )
    options = ("--jobs=2", "--max-executions=1000")
    ended = interrupted(tmp_path, "explore", "program:one_of_two", LONG, *options, program=program)
    assert ended.stderr == SO_FAR
    assert ended.code == 130
    assert "1 failed" in ended.stdout
    assert "ValueError: the bug" in ended.stdout


@pytest.mark.parametrize("scenario", ["forever", "spins_first"])
def test_replay(tmp_path: Path, scenario: str) -> None:
    ended = interrupted(tmp_path, "replay", f"program:{scenario}", "1s00", LONG)
    assert ended.stderr == SO_FAR
    assert ended.code == 130
    assert f"{scenario}: " in ended.stdout


@pytest.mark.parametrize("before", [1, 2, 3, 5])
def test_failure_that_is_being_examined_or_made_plainer_is_shown(tmp_path: Path, before: int) -> None:
    program = PROGRAM.replace("BEFORE", str(before))
    ended = interrupted(tmp_path, "explore", "program:fails_and_then_goes_on", LONG, program=program)
    assert ended.stderr == SO_FAR
    assert ended.code == 130
    assert "1 failed" in ended.stdout
    assert "ValueError: the bug" in ended.stdout
    assert "see it again: " in ended.stdout


def test_module_that_is_being_imported(tmp_path: Path) -> None:
    program = "import os\nos.write(2, b'HERE\\n')\nwhile True: pass\n"
    ended = interrupted(tmp_path, "explore", "program:anything", program=program)
    assert (ended.code, ended.stdout, ended.stderr.strip()) == (130, "", "sim: interrupted")
