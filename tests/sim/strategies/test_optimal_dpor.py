"""The search against the published counts, and against every interleaving of random programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import factorial
from random import Random

import pytest

from sim._run.strategy import RepetitionDiverged
from sim.strategies._optimal_dpor import OptimalDpor
from tests.sim.strategies.abstract_exploration import brute_force, by_dpor
from tests.sim.strategies.abstract_program import Program, Thread, World
from tests.sim.strategies.random_program import random_program


def last_zero(cells: int) -> Program:
    """Writers make each cell one more than its left neighbour was; a reader looks for the last 0.

    From the suite of Concuerror; one use of a cell a step.
    """

    def reader(world: World) -> Thread:
        for cell in range(cells, 0, -1):
            if world.read(f"a{cell}") == 0:
                return
            yield False

    def writer(cell: int, world: World) -> Thread:
        left = world.read(f"a{cell - 1}")
        yield False
        world.write(f"a{cell}", left + 1)

    def program(world: World) -> None:
        world.spawn(reader)
        for cell in range(1, cells + 1):
            world.spawn(partial(writer, cell))

    return program


def readers(count: int) -> Program:
    """One writer of a cell, and readers that each read something else first; from Concuerror."""

    def writer(world: World) -> Thread:
        world.write("x", 1)
        yield False

    def reader(number: int, world: World) -> Thread:
        world.read(f"{number}")
        yield False
        world.read("x")

    def program(world: World) -> None:
        world.spawn(writer)
        for number in range(count):
            world.spawn(partial(reader, number))

    return program


def example_five(world: World) -> None:
    """Example 5 of Abdulla and others, POPL 2014, in the form that Concuerror's suite gives it.

    Without wakeup trees half of the ten executions of a search run into a sleep set.
    """

    def p(world: World) -> Thread:
        world.write("x", 1)
        yield False

    def q(world: World) -> Thread:
        world.write("y", 1)
        yield False

    def r(world: World) -> Thread:
        y = world.read("y")
        yield False
        if y == 0:
            world.write("z", 1)

    def s(world: World) -> Thread:
        z = world.read("z")
        yield False
        if z == 0:
            return
        y = world.read("y")
        yield False
        if y == 0:
            world.write("x", 2)

    for body in (p, q, r, s):
        world.spawn(body)


def senders(count: int, mailboxes: int) -> Program:
    def sender(number: int, world: World) -> Thread:
        yield from world.send(f"{number % mailboxes}", number)

    def program(world: World) -> None:
        for mailbox in range(mailboxes):
            world.channel(f"{mailbox}", count)
        for number in range(count):
            world.spawn(partial(sender, number))

    return program


def ending_together(count: int) -> Program:
    """Children of one nursery that share nothing but their end."""

    def child(world: World) -> Thread:
        yield False

    def parent(world: World) -> Thread:
        nursery = world.open_nursery()
        for _ in range(count):
            world.spawn(child, nursery)
            yield False
        yield from world.join(nursery)
        world.note("joined")

    def program(world: World) -> None:
        world.spawn(parent)

    return program


@pytest.mark.parametrize(
    ("program", "traces"),
    [
        *((last_zero(cells), (cells + 3) * 2**cells // 4) for cells in (1, 2, 3, 4, 5, 6)),
        *((readers(count), 2**count) for count in (1, 3, 6)),
        (example_five, 5),
        *((senders(count, 1), factorial(count)) for count in (2, 4, 5)),
        *((senders(count, count), 1) for count in (2, 5, 9)),
        (senders(6, 2), 36),
        *((ending_together(count), 1) for count in (1, 2, 6)),
    ],
)
def test_known_programs_take_one_execution_a_trace(program: Program, traces: int) -> None:
    found = by_dpor(program)
    assert (found.executions, len(found.traces), found.redundant) == (traces, traces, 0)


def test_last_zero_of_ten_cells_takes_3328_executions() -> None:
    found = by_dpor(last_zero(10))
    assert (found.executions, found.redundant) == (3_328, 0)


def check_against_brute_force(program: Program, limit: int, *, optimal: bool = True) -> bool:
    """False if the program has too many interleavings to be enumerated."""
    everything = brute_force(program, limit)
    if everything is None:
        return False
    found = by_dpor(program)
    assert found.traces.keys() == everything.traces.keys()
    assert found.states == everything.states
    assert found.failures == everything.failures
    if optimal:
        assert (found.executions, found.redundant) == (len(everything.traces), 0)
    return True


@pytest.mark.parametrize(
    "program", [last_zero(3), readers(3), example_five, senders(4, 2), ending_together(2)]
)
def test_known_programs_agree_with_brute_force(program: Program) -> None:
    assert check_against_brute_force(program, 100_000)


KINDS = ("branches", "locks", "channels", "events", "nurseries", "scopes", "time")
SHAPES = ((2, 3), (3, 2), (4, 1))
"""Numbers of threads, and of statements each."""


def random_programs_agree(first: int, count: int, limit: int, kinds: list[str]) -> None:
    checked = 0
    for seed in range(first, first + count):
        random = Random(seed)
        threads, length = random.choice(SHAPES)
        some = frozenset([*kinds, *random.sample(KINDS, random.randint(0, 2))])
        program = random_program(random, some, threads, length)
        try:
            checked += check_against_brute_force(program, limit, optimal=not some & {"draws", "failures"})
        except AssertionError as error:
            error.add_note(f"seed {seed}, kinds {sorted(some)}")
            raise
    assert checked >= count / 5, "too few programs were small enough; the test tests too little"


@pytest.mark.parametrize("kind", KINDS)
def test_random_programs_agree_with_brute_force(kind: str) -> None:
    random_programs_agree(0, 20, 500, [kind])


def test_steps_that_decide_by_what_they_find_what_to_use_next_cost_no_optimality() -> None:
    # Seeds at which a search that trusts what a step used in another order loses a trace.
    for seed in (18, 538):
        random = Random(seed)
        some = frozenset(random.sample(KINDS, random.randint(0, 3)))
        threads = random.choice((2, 2, 3, 3, 4))
        program = random_program(random, some, threads, {2: 3, 3: 2, 4: 1}[threads])
        assert check_against_brute_force(program, 4_000)


def test_choices_inside_steps_lose_no_trace() -> None:
    random_programs_agree(0, 25, 500, ["draws"])


@pytest.mark.parametrize(
    ("seed", "kinds"),
    [
        # Without the plans that a step blocks which ends the run, and with plans that come after one.
        (26, ("branches", "events", "failures", "locks")),
        (579, ("branches", "failures", "time")),
        # A step that draws is taken for one that does not conflict, as it did not with another outcome.
        (111, ("branches", "draws", "events", "failures")),
    ],
)
def test_steps_that_end_the_run_at_once_hide_no_trace_without_them(seed: int, kinds: tuple[str, ...]) -> None:
    random = Random(seed)
    threads, length = random.choice(((2, 3), (3, 2), (4, 1), (3, 3), (2, 4)))
    random.sample(KINDS, random.randint(0, 2))
    program = random_program(random, frozenset(kinds), threads, length)
    assert check_against_brute_force(program, 4_000, optimal=False)


def test_steps_that_end_the_run_at_once_lose_no_trace_and_no_failure() -> None:
    random_programs_agree(0, 20, 500, ["failures", "branches"])


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["branches", "draws", "events", "scopes", "time"])
def test_many_programs_whose_steps_end_the_run_agree_with_brute_force(
    kind: str, dose: Callable[[int], int]
) -> None:
    random_programs_agree(1_000, dose(200), 1_500, ["failures", kind])


@pytest.mark.torture
@pytest.mark.parametrize("kind", [*KINDS, "draws"])
def test_many_random_programs_agree_with_brute_force(kind: str, dose: Callable[[int], int]) -> None:
    random_programs_agree(1_000, dose(200), 1_500, [kind])


def test_a_process_that_cannot_run_in_the_repetition_is_reported() -> None:
    search = OptimalDpor()
    search.begin()
    for process in ("a", "b"):
        search.choose(["a", "b"] if process == "a" else ["b"])
        search.ran(search.footprint([("x", 2)]), [])
    search.end()
    assert search.begin()
    with pytest.raises(RepetitionDiverged, match="step 0: 'b' ran here"):
        search.choose(["c"])
