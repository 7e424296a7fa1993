"""System calls that fail, under the real and unmodified program.

Each ends in a clear error at the caller, and nothing acknowledged is lost. strace makes them fail; it
counts the calls of each thread, and the worker's thread makes the ones that matter.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.todo.acknowledged import contents

ROOT = Path(__file__).parents[2]
COUNT = 30

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed; it makes the system calls fail"
)


def add_with_fault(place: Path, fault: str) -> tuple[list[str], list[str]]:
    """Add entries while `fault` strikes. Returns the lines of what was done, and of what was not."""
    call = fault.partition(":")[0]
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}"]
    program = [sys.executable, "-m", "tests.todo.adder", str(place), str(COUNT)]
    ended = subprocess.run([*strace, *program], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = ended.stdout.splitlines()
    assert lines.pop() == "end"
    assert len(lines) == COUNT
    done = [line for line in lines if line.startswith("ok")]
    return done, [line for line in lines if line.startswith("error")]


def compare(place: Path, done: list[str]) -> None:
    """Everything acknowledged is there; what was not may be, whole, and under an id of its own."""
    stored = {entry.id: entry.title for entry in contents(place).get("bob", [])}
    for line in done:
        _, number, title = line.split(" ", 2)
        assert stored[int(number)] == title
    assert len(set(stored.values())) == len(stored)
    assert all(re.fullmatch(r"entry \d+", title) for title in stored.values())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that is there already, so that the faults strike the work and not the making."""
    contents_before = tmp_path / "db"
    program = [sys.executable, "-m", "tests.todo.adder", str(contents_before), "0"]
    subprocess.run(program, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return contents_before


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_input_output_error_is_told_and_the_worker_starts_again(place: Path, call: str) -> None:
    # Not so early that the same call in the next threads adds up to more restarts than are allowed.
    when = {"fdatasync": 17, "pwrite64": 190}[call]
    done, failed = add_with_fault(place, f"{call}:error=EIO:when={when}..{when}")
    compare(place, done)
    assert failed
    assert "StorageFailed" in failed[0]
    assert "disk I/O error" in failed[0]
    assert "may or may not be on disk" in failed[0]
    # The worker was started again, in a new thread, where the same call fails once more; and went on each
    # time.
    assert len(done) + len(failed) == COUNT
    assert len(done) >= COUNT * 2 // 3


def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(place: Path) -> None:
    done, failed = add_with_fault(place, "pwrite64:error=ENOSPC:when=40..60")
    compare(place, done)
    assert failed
    assert all("StorageFailed" in line and "full" in line for line in failed)
    assert "free some space" in failed[0]
    assert len(done) >= 5


def test_a_disk_that_fails_again_and_again_ends_the_system_with_what_happened(place: Path) -> None:
    """The supervisor gives up, and says why; what was acknowledged is there."""
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    program = [sys.executable, "-m", "tests.todo.adder", str(place), "30"]
    fault = ["-e", "inject=fdatasync:error=EIO:when=4+"]
    ended = subprocess.run(
        [*strace, *fault, *program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    lines = ended.stdout.splitlines()
    compare(place, [line for line in lines if line.startswith("ok")])
    assert any("disk I/O error" in line for line in lines)
