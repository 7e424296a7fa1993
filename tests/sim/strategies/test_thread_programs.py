"""The gate of `dpor` for programs of threads: whatever random ones come to, it meets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.strategies.thread_programs import generated
from tests.sim.strategies.trio_grammar.programs import compare


def programs_agree(first: int, count: int, most_interleavings: int, most_traces: int) -> None:
    compared = with_choice = 0
    for seed in range(first, first + count):
        found = compare(generated(seed), most_interleavings, most_traces)
        assert not found.missed, f"program {seed}"
        # A trace may be met twice where threads get on inside of a task's step.
        assert not found.trouble or found.trouble.endswith("abandoned"), f"program {seed}: {found.trouble}"
        compared += found.traces > 0
        with_choice += found.outcomes > 1
    assert compared > count * 0.3, "the programs are too large"
    assert with_choice > count * 0.2, "the programs are too tame"


def test_what_random_programs_of_threads_come_to_is_met() -> None:
    programs_agree(1_000, 20, 100, 100)


@pytest.mark.torture
def test_what_thousands_of_random_programs_of_threads_come_to_is_met(dose: Callable[[int], int]) -> None:
    programs_agree(10_000, dose(500), 1_500, 1_500)
