"""Random programs come to the same here and in OTP: who is told what, which servers run at the end, and what
happens in each, in order.

What is known to be different is left out of the programs, or said in `here` and `interpreter.exs`:
``docs/decisions/ends-of-servers.md`` has the list and the reasons.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.trio_genserver.otp import here
from tests.trio_genserver.otp.programs import REASONS, Program, Term, generated

INTERPRETER = Path(__file__).with_name("interpreter.exs")
# How many run at the same time, and how many milliseconds a unit then has: where the two disagree they are
# run again, more slowly, since a busy machine is late.
BATCH = 200
UNITS = (100, 400, 1_600)

pytestmark = pytest.mark.skipif(shutil.which("elixir") is None, reason="needs elixir")


def in_otp(programs: Sequence[Program], unit: int, place: Path) -> list[Term]:
    """What programs come to in OTP."""
    place.write_text("".join(f"{program.term()}\n" for program in programs), encoding="utf-8")
    done = subprocess.run(
        ["elixir", str(INTERPRETER), str(place), str(unit)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ELIXIR_ERL_OPTIONS": "+fnu"},
    )
    results: list[Term] = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert len(results) == len(programs)
    return results


def agree(program: Program, ours: Any, theirs: Any) -> bool:
    """Whether two results are the same, but for what `stop` is content with."""
    if ours[1:] != theirs[1:]:
        return False
    told = zip(program.clients, ours[0], theirs[0], strict=True)
    return all(
        one == other or (action[0] == "stop" and one == "ok" and other[1] in (*REASONS[:3], action[2]))
        for client, here_told, there_told in told
        for (_, action), one, other in zip(cast("Any", client), here_told, there_told, strict=True)
    )


def is_tight(program: Program) -> bool:
    """Whether what it comes to depends on hundredths of a unit."""
    result = here.run(program)
    return any(here.run(program.stretched(by)) != result for by in (-0.04, 0.04))


def programs_agree(seeds: range, place: Path) -> None:
    for first in range(seeds.start, seeds.stop, BATCH):
        batch = [generated(seed) for seed in range(first, min(first + BATCH, seeds.stop))]
        disagreeing = [program for program in batch if not is_tight(program)]
        assert len(disagreeing) > len(batch) * 0.8
        found: list[tuple[Term, Term]] = []
        for unit in UNITS:
            if not disagreeing:
                break
            theirs = in_otp(disagreeing, unit, place)
            compared = [
                (each, here.run(each), there) for each, there in zip(disagreeing, theirs, strict=True)
            ]
            different = [each for each in compared if not agree(*each)]
            disagreeing = [program for program, *_ in different]
            found = [(ours, there) for _, ours, there in different]
        for program, (ours, there) in zip(disagreeing, found, strict=True):
            pytest.fail(f"{program}\nhere: {ours}\nOTP:  {there}")


def test_random_programs_come_to_what_they_come_to_in_otp(tmp_path: Path) -> None:
    programs_agree(range(150), tmp_path / "programs")


@pytest.mark.torture
def test_many_random_programs_come_to_what_they_come_to_in_otp(
    tmp_path: Path, dose: Callable[[int], int]
) -> None:
    programs_agree(range(10_000, 10_000 + dose(2_000)), tmp_path / "programs")
