"""The gate of fair scheduling: what random programs that poll come to, `dpor` meets; and none ends in a
divergence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.strategies.polling_programs import compare, generated


def polls_agree(first: int, count: int, traces: int, runs: int) -> None:
    compared = [compare(generated(seed), traces, runs) for seed in range(first, first + count)]
    trouble = [f"{seed}: {one.trouble}" for seed, one in enumerate(compared, first) if one.trouble]
    assert not trouble, "\n".join(trouble)
    # Or nothing was compared, or nothing of what is tested has happened.
    assert sum(one.complete for one in compared) >= 0.3 * count
    assert sum(one.fair for one in compared) >= 0.6 * count


def test_what_random_programs_that_poll_come_to_is_met() -> None:
    polls_agree(1_000, 3, 20, 4)


@pytest.mark.torture
def test_what_hundreds_of_random_programs_that_poll_come_to_is_met(dose: Callable[[int], int]) -> None:
    polls_agree(10_000, dose(100), 200, 20)
