"""The scenarios that came with `sim` are in `examples`; for one release, their old names work and say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(
    *arguments: str, cwd: Path = ROOT, without_examples: bool = False
) -> subprocess.CompletedProcess[str]:
    start = ["-c", "import sys; sys.modules['examples'] = None; from sim.__main__ import run; run()"]
    command = [sys.executable, *(start if without_examples else ["-m", "sim"]), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "says", "code"),
    [
        ("sim.scenarios.todo_cache:broken_cache", "broken_cache: 1 executions", 1),
        ("sim.scenarios.todo_cache:right_cache", "right_cache: 9 executions", 0),
        ("sim.scenarios.planted.waiting:lost_wakeup", "lost_wakeup: ", 1),
    ],
)
def test_a_scenario_is_explored_by_its_old_name(name: str, says: str, code: int) -> None:
    done = run("explore", name, "--max-executions", "9")
    assert (done.stdout.startswith(says), done.returncode) == (True, code), done.stderr
    old = name.partition(":")[0]
    assert f"{old} is now {old.replace('sim.scenarios', 'examples')}; the old name goes" in done.stderr


def test_the_old_name_is_of_the_same_module() -> None:
    program = (
        "import sim.scenarios.planted.waiting as old, examples.planted.waiting as new\n"
        "from sim.scenarios import todo_cache\n"
        "import examples.todo_cache\n"
        "assert old is new and todo_cache is examples.todo_cache\n"
        "print(new.__spec__.name)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "examples.planted.waiting", done.stderr


def test_a_name_that_never_was_is_not_a_module() -> None:
    done = run("explore", "sim.scenarios.todo_list:broken")
    assert done.returncode == 2
    assert "there is no module 'sim.scenarios.todo_list'" in done.stderr


def test_where_there_is_no_checkout_the_old_name_says_so() -> None:
    done = run("explore", "sim.scenarios.todo_cache:broken_cache", without_examples=True)
    assert done.returncode == 2
    assert "is now examples.todo_cache, which is not installed with sim" in done.stderr
    listed = run("list", without_examples=True)
    assert listed.returncode == 2
    assert "name a module" in listed.stderr


def test_another_package_called_examples_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "__init__.py").touch()
    (tmp_path / "examples" / "todo_cache.py").write_text("async def broken_cache(): ...")
    done = run("explore", "sim.scenarios.todo_cache:broken_cache", cwd=tmp_path)
    assert done.returncode == 2
    assert "not installed with sim" in done.stderr
