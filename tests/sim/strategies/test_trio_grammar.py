"""The gate of `dpor`: whatever random Trio programs come to, it meets; and none ends in a divergence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.strategies.trio_grammar.programs import (
    compare,
    generated,
    programs_agree,
    with_promises,
)

# Programs leave generators behind on purpose, and Trio warns of each.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def trio_agrees(first: int, count: int, bound: int) -> None:
    programs_agree(map(generated, range(first, first + count)), bound, compared=0.7, with_choice=0.1)


def test_what_random_programs_come_to_is_met() -> None:
    trio_agrees(1_000, 15, 150)


@pytest.mark.torture
def test_what_thousands_of_random_programs_come_to_is_met(dose: Callable[[int], int]) -> None:
    trio_agrees(10_000, dose(500), 500)


def promises_agree(first: int, count: int, bound: int) -> None:
    # A run that breaks a promise ends there, so that another may turn out to be one that was made.
    programs = map(with_promises, range(first, first + count))
    programs_agree(programs, bound, compared=0.8, with_choice=0.2, met_twice=True)


def test_what_random_programs_with_promises_come_to_is_met() -> None:
    promises_agree(42, 20, 100)


@pytest.mark.torture
def test_what_thousands_of_random_programs_with_promises_come_to_is_met(dose: Callable[[int], int]) -> None:
    promises_agree(10_000, dose(500), 500)


@pytest.mark.parametrize("program", [226, 262, 1014, 1112, 1216, 1224, 1289])
def test_programs_that_once_diverged_do_not(program: int) -> None:
    assert not compare(generated(program), 100, 300).trouble
