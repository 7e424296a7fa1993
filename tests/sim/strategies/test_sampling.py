"""PCT and partial-order sampling reach what a random walk hardly ever does."""

import pytest
import trio

import sim
from sim.strategies import PCT, PartialOrderSampling, RandomWalk, Strategy, make_strategy


async def late_starter() -> None:
    """Fails only if one task makes no step until another has made forty."""
    done = sim.Shared(False)

    async def long_one() -> None:
        for _ in range(40):
            await trio.lowlevel.checkpoint()
        done.set(True)

    async def late_one() -> None:
        assert not done.get()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(long_one)
        nursery.start_soon(late_one)


async def held_back_in_the_middle() -> None:
    """Fails only if a task is held back, at one particular place, over all of another's steps."""
    begun = trio.Event()
    finished = sim.Shared(False)

    async def held() -> None:
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        begun.set()
        await trio.lowlevel.checkpoint()
        assert not finished.get()

    async def other() -> None:
        await begun.wait()
        for _ in range(30):
            await trio.lowlevel.checkpoint()
        finished.set(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        nursery.start_soon(held)


@pytest.mark.parametrize("strategy", [PCT(1), PartialOrderSampling(1)])
def test_task_is_held_back_over_many_steps(strategy: Strategy) -> None:
    assert sim.explore(late_starter, strategy, 200).failures
    assert not sim.explore(late_starter, RandomWalk(1), 200).failures


def test_pct_finds_a_bug_of_depth_two_without_being_told_the_horizon() -> None:
    assert sim.explore(held_back_in_the_middle, PCT(1, depth=2), 500).failures
    assert not sim.explore(held_back_in_the_middle, RandomWalk(1), 500).failures


@pytest.mark.parametrize("name", ["pct", "pct:1", "pct:7", "pos"])
def test_same_seed_makes_the_same_exploration(name: str) -> None:
    def tokens(seed: int) -> list[str]:
        async def scenario() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(trio.lowlevel.checkpoint)
            raise RuntimeError("every run is to be reported")

        result = sim.explore(scenario, name, 20, seed, max_failures=20, shrink_failures=False)
        return [failure.token for failure in result.failures]

    assert tokens(1) == tokens(1) != tokens(2)


@pytest.mark.parametrize("name", ["pct:0", "pct:x", "pct:", "pos:3", "random:1", "quantum"])
def test_name_that_makes_no_strategy_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"strategy|number|depth"):
        make_strategy(name, 0)
