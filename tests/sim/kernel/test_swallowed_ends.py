"""Tasks that catch whatever ends them: the exploration reports, and the process ends all the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

import sim
from sim._exploration import loop

PROGRAM = """
import trio, sim

async def retries():
    send, receive = trio.open_memory_channel(0)
    while True:
        try:
            with trio.fail_after(1):
                await receive.receive()
            return
        except:
            pass

if __name__ == "__main__":
    (failure,) = sim.explore(retries, max_executions=3, max_steps=300, max_seconds=1).failures
    print(type(failure.error).__name__)
"""


def test_process_ends_after_tasks_that_catch_everything(tmp_path: Path) -> None:
    """It hung at its end: who freed the coroutine woke its loop, which nothing ends outside of Trio."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=False, cwd=Path.cwd(), timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["StepBudgetExceeded"]
    assert "ignored GeneratorExit" not in ended.stderr


runs = 0


async def counts_and_never_ends() -> None:
    global runs
    runs += 1
    while True:  # noqa: ASYNC110 - it waits for nothing
        await trio.sleep(1)


def test_long_failing_run_is_made_once_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    global runs
    runs = 0
    monkeypatch.setattr(loop, "_LONG", 100)
    (failure,) = sim.explore(counts_and_never_ends, max_steps=1_000, max_seconds=1e-9).failures
    assert isinstance(failure.error, sim.StepBudgetExceeded)
    assert failure.error.cycle is not None
    assert len(failure.steps) == 1_000
    assert runs == 1
