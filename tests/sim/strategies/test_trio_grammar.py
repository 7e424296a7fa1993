"""The gate of `dpor`: whatever random Trio programs come to, it meets; and none ends in a divergence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.strategies.trio_grammar.programs import compare, generated

# Programs leave generators behind on purpose, and Trio warns of each.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def programs_agree(first: int, count: int, most_interleavings: int, most_traces: int) -> None:
    compared = with_choice = 0
    for seed in range(first, first + count):
        found = compare(generated(seed), most_interleavings, most_traces)
        assert not found.missed, f"program {seed}"
        assert not found.trouble, f"program {seed}: {found.trouble}"
        compared += found.traces > 0
        with_choice += found.outcomes > 1
    assert compared > count * 0.7, "the programs are too large"
    assert with_choice > count * 0.1, "the programs are too tame"


def test_what_random_programs_come_to_is_met() -> None:
    programs_agree(1_000, 60, 150, 150)


@pytest.mark.torture
def test_what_thousands_of_random_programs_come_to_is_met(dose: Callable[[int], int]) -> None:
    programs_agree(10_000, dose(500), 500, 500)


@pytest.mark.parametrize("program", [226, 262, 1014, 1112, 1216, 1224, 1289])
def test_programs_that_once_diverged_do_not(program: int) -> None:
    assert not compare(generated(program), 100, 300).trouble
