"""One run, one verdict: a repeated run is taken for the same one, whatever the program makes in each."""

import inspect
import random
import sys
from collections.abc import Generator
from typing import Any

import pytest
import trio

import sim

generator = random.Random()


async def raises_a_class_of_its_own() -> None:
    class Broken(Exception):
        pass

    await trio.lowlevel.checkpoint()
    raise Broken("each run has another class")


async def raises_a_made_class() -> None:
    kind: type[Exception] = type("Made", (ValueError,), {})
    raise kind("here")


@pytest.fixture
def shallow() -> Generator[None]:
    """Few calls of calls: that it comes to its limit makes a recursion what it is, not the thousand steps."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    yield
    sys.setrecursionlimit(before)


async def recurses() -> None:
    async def deeper(level: int) -> None:
        await trio.lowlevel.checkpoint()
        await deeper(level + 1)

    await deeper(0)


async def recurses_without_awaiting() -> None:
    def deeper(level: int) -> int:
        return deeper(level + 1) + 1

    await trio.lowlevel.checkpoint()
    deeper(0)


async def names_tasks_by_address() -> None:
    kept = [object() for _ in range(40)]

    async with trio.open_nursery() as nursery:
        for one in kept[:3]:
            nursery.start_soon(trio.lowlevel.checkpoint, name=f"worker {id(one)} {one!r}")
    junk.append(kept)
    raise KeyError("the real bug")


async def chooses_among_objects() -> None:
    kept = object()
    junk.append(kept)
    sim.choose([kept, object()])
    raise KeyError("the real bug")


junk: list[object] = []


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        (raises_a_class_of_its_own, "Broken"),
        (raises_a_made_class, "Made"),
        (recurses, "RecursionError"),
        (recurses_without_awaiting, "RecursionError"),
        (names_tasks_by_address, "KeyError"),
        (chooses_among_objects, "KeyError"),
    ],
)
@pytest.mark.parametrize("strategy", ["random", "dpor"])
@pytest.mark.usefixtures("shallow")
def test_run_that_is_the_same_is_not_called_another(scenario: Any, error: str, strategy: str) -> None:
    # A recursion is hundreds of steps, and shrinking makes hundreds of runs.
    (failure,) = sim.explore(scenario, strategy, shrink_failures=error != "RecursionError").failures
    assert type(failure.error).__name__ == error
    (again,) = sim.replay(scenario, failure.token).failures
    assert type(again.error).__name__ == error


@pytest.mark.usefixtures("shallow")
def test_recursion_limit_of_the_process_is_as_before() -> None:
    before = sys.getrecursionlimit()
    sim.explore(recurses, shrink_failures=False)
    assert sys.getrecursionlimit() == before


async def draws_from_a_generator_of_the_module() -> None:
    await trio.sleep(generator.random())
    drawn.append((generator.random(), generator.randrange(1_000), generator.gauss(0, 1)))
    assert generator.random() < 0.9


drawn: list[tuple[float, ...]] = []


def test_generator_of_a_module_begins_afresh_in_each_run() -> None:
    kept = generator
    (failure,) = sim.explore(draws_from_a_generator_of_the_module).failures
    assert isinstance(failure.error, AssertionError)
    assert not isinstance(failure.error, sim.Nondeterminism)
    assert generator is kept
    assert len(set(drawn)) > 1
    drawn.clear()
    for _ in range(2):
        generator.random()
        assert sim.replay(draws_from_a_generator_of_the_module, failure.token).failures
    assert len(set(drawn)) == 1


async def seeds_a_generator_of_the_module() -> None:
    generator.seed(7)
    state = generator.getstate()
    drawn.append((generator.random(),))
    generator.setstate(state)
    drawn.append((generator.random(),))


def test_generator_that_the_program_seeds_gives_what_it_was_seeded_for() -> None:
    drawn.clear()
    sim.explore(seeds_a_generator_of_the_module, max_executions=5).check()
    assert set(drawn) == {(random.Random(7).random(),)}
