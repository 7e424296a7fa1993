"""The gate of `dpor` for programs of threads: whatever random ones come to, it meets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.strategies.thread_programs import generated
from tests.sim.strategies.trio_grammar.programs import programs_agree


def threads_agree(first: int, count: int, bound: int) -> None:
    # A trace may be met twice where threads get on inside of a task's step.
    programs = map(generated, range(first, first + count))
    programs_agree(programs, bound, compared=0.3, with_choice=0.2, met_twice=True)


def test_what_random_programs_of_threads_come_to_is_met() -> None:
    threads_agree(1_000, 10, 100)


@pytest.mark.torture
def test_what_thousands_of_random_programs_of_threads_come_to_is_met(dose: Callable[[int], int]) -> None:
    threads_agree(10_000, dose(500), 1_500)
