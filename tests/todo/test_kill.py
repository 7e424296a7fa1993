"""Killed with SIGKILL again and again: nothing acknowledged is lost, nothing is half there, no id comes
twice.

Half of the kills come at random, from the very beginning, when the folder is only being made, to the thick
of it. The other half wait until a connection is seen to be in the midst of something (see
`tests.todo.moments`), so that every dose has kills in each moment that matters; that it had is checked.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import IO

import pytest

from tests.todo.acknowledged import Acknowledged, contents
from tests.todo.moments import MOMENTS, Moments

ROOT = Path(__file__).parents[2]
AIMED = MOMENTS[1:]
IN_OPENING = frozenset({"making tables", "in a checkpoint"})
"""These are over when the writer says its first word."""
FOLDER_LASTS = 10
"""So many kills a folder; then a new one, as the making of the tables is to be hit, too."""


class Killer:
    """Runs the writer and kills it; compares what is there with what was acknowledged.

    Attributes:
      replies: how many requests were acknowledged.
      struck: how often which of `MOMENTS` was hit.
    """

    def __init__(self, tmp_path: Path, seed: int) -> None:
        self.tmp_path = tmp_path
        self.moments = Moments(tmp_path / "moments")
        self.replies = 0
        self.struck: Counter[str] = Counter()
        self._draw = random.Random(seed)

    def kill(self, times: int) -> None:
        """Kill it so many times, comparing after each."""
        command = [sys.executable, "-m", "tests.todo.writer", "serve", str(self.tmp_path / "moments")]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdin is not None
            assert parent.stdout is not None
            place, model = self.tmp_path / "none", Acknowledged()
            for round_ in range(times):
                if round_ % FOLDER_LASTS == 0:
                    self.replies += model.replies
                    place, model = self.tmp_path / f"db {round_}", Acknowledged()
                self.moments.clear()
                parent.stdin.write(f"{place}\t{round_}\n".encode())
                parent.stdin.flush()
                self._kill_once(parent.stdout, model, aim=round_ % 2 == 0)
                if place.exists():
                    # A copy: what is left half done is the next writer's to find, who is killed at that, too.
                    copy = shutil.copytree(place, self.tmp_path / "copy")
                    model.check(contents(copy, check=round_ % 10 == 9))
                    shutil.rmtree(copy)
            self.replies += model.replies
            parent.stdin.close()

    def _kill_once(self, output: IO[bytes], model: Acknowledged, *, aim: bool) -> None:
        said = _line(output).split()
        assert said[0] == "started", said
        draw = self._draw
        target = min(AIMED, key=lambda moment: self.struck[moment]) if aim else None
        soon = target in IN_OPENING
        left = 0 if soon else draw.choice([0, 1, 2, draw.randrange(10), draw.randrange(300)])
        for _ in range(left):
            model.hear(_line(output))
        while target is not None and target not in self.moments.present():
            # It goes on only as long as somebody reads what it says.
            if select.select([output], [], [], 0)[0]:
                model.hear(_line(output))
                if soon:
                    break
        os.kill(int(said[1]), signal.SIGKILL)
        while (line := _line(output)) != "ended":
            model.hear(line)
        self.struck.update(self.moments.present() or {"idle"})


def _line(output: IO[bytes]) -> str:
    return output.readline().decode().removesuffix("\n")


@pytest.mark.parametrize("seed", range(2))
def test_acknowledged_changes_survive_a_kill_at_any_moment(tmp_path: Path, seed: int) -> None:
    """Fifty kills, twice over: a hundred in each run of the tests."""
    killer = Killer(tmp_path, seed)
    killer.kill(50)
    assert killer.replies > 200
    assert all(killer.struck[moment] for moment in MOMENTS), killer.struck


@pytest.mark.torture
def test_acknowledged_changes_survive_four_hundred_kills(tmp_path: Path) -> None:
    killer = Killer(tmp_path, seed=4)
    killer.kill(400)
    assert killer.replies > 2_000
    assert all(killer.struck[moment] > 10 for moment in MOMENTS), killer.struck
