"""Killed with SIGKILL again and again: nothing acknowledged is lost, nothing is half there, no id comes
twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.todo.acknowledged import Acknowledged, contents

ROOT = Path(__file__).parents[2]


def kill_again_and_again(place: Path, kills: int, seed: int) -> Acknowledged:
    """Run the writer on the same folder and kill it, so many times, comparing after each."""
    draw = random.Random(seed)
    model = Acknowledged()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.todo.writer", "serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for round_ in range(kills):
            parent.stdin.write(f"{place}\t{round_}\n")
            said = parent.stdout.readline().split()
            assert said[0] == "started", said
            # From the very beginning, when the folder is only being made or opened, to the thick of it.
            left = draw.choice([0, 1, 2, draw.randrange(10), draw.randrange(100), draw.randrange(400)])
            while left > 0:
                model.hear(parent.stdout.readline().rstrip("\n"))
                left -= 1
            os.kill(int(said[1]), signal.SIGKILL)
            for line in parent.stdout:
                if line == "ended\n":
                    break
                model.hear(line.rstrip("\n"))
            if place.exists():
                model.check(contents(place, check=round_ % 10 == 9))
        parent.stdin.close()
    return model


def test_what_was_acknowledged_survives_being_killed(tmp_path: Path) -> None:
    model = kill_again_and_again(tmp_path / "db", kills=20, seed=1)
    assert model.replies > 100


@pytest.mark.torture
def test_what_was_acknowledged_survives_being_killed_two_hundred_times(tmp_path: Path) -> None:
    model = kill_again_and_again(tmp_path / "db", kills=250, seed=2)
    assert model.replies > 2_000
