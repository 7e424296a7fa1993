"""A complete `dpor` has seen every outcome of a random program of servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

import sim
from tests.sim.servers.server_program import ServerProgram
from tests.sim.strategies.outcomes import Outcomes, explored


class Compared(NamedTuple):
    """How far the comparison went.

    Attributes:
        all: how many programs all interleavings of which were compared.
        some: how many of which a part of them was.
    """

    all: int
    some: int


def compare(seeds: Sequence[int], bound: int, *, promises: bool = False) -> Compared:
    """Compare outcomes of programs that have at most `bound` traces.

    Raises:
        AssertionError: `dpor` has missed one, or has blamed the program for not doing the same twice.
    """
    all_of, some_of = 0, 0
    for seed in seeds:
        program = ServerProgram(seed, promises=promises)
        traces = explored(program.program, "dpor", bound)
        assert_no_blame(program, traces)
        if not traces.result.complete:
            assert traces.result.executions >= bound, f"{program} ended early: {traces.result.coverage}"
            continue
        every = explored(program.program, "dfs", bound)
        some = every.seen
        if every.result.complete:
            all_of += 1
            assert traces.seen == every.seen, f"{program}"
            assert traces.never == every.never, f"{program}"
        else:
            some_of += 1
            walks = explored(program.program, "random", bound // 4, seed)
            assert_no_blame(program, walks)
            some |= walks.seen
        assert some <= traces.seen, f"{program}: missed {some - traces.seen}"
    return Compared(all_of, some_of)


def assert_no_blame(program: ServerProgram, outcomes: Outcomes) -> None:
    blamed = [
        failure.raised
        for failure in outcomes.result.failures
        if isinstance(failure.raised, sim.Nondeterminism)
    ]
    assert blamed == [], f"{program}: {blamed}"


def test_reduction_sees_every_outcome_of_random_server_programs() -> None:
    compared = compare(range(12), bound=60)
    assert compared.all >= 3
    assert sum(compared) >= 6


def test_reduction_sees_what_becomes_of_promises_about_random_server_programs() -> None:
    compared = compare(range(16), bound=60, promises=True)
    assert compared.all >= 3
    assert sum(compared) >= 6


@pytest.mark.torture
def test_reduction_sees_what_becomes_of_promises_about_many_server_programs(
    dose: Callable[[int], int],
) -> None:
    count = dose(100)
    compared = compare(range(10_000, 10_000 + count), bound=600, promises=True)
    assert sum(compared) >= count / 3


@pytest.mark.torture
def test_reduction_sees_every_outcome_of_many_random_server_programs(dose: Callable[[int], int]) -> None:
    count = dose(100)
    compared = compare(range(10_000, 10_000 + count), bound=600)
    assert sum(compared) >= count / 3
