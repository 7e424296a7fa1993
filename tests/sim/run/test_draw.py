"""A draw with `sim.choose` is a choice: enumerated, shown, shrunk, replayed."""

import pytest
import trio

import sim


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_every_option_is_gone_through(strategy: str) -> None:
    seen: list[tuple[str, int]] = []

    async def scenario() -> None:
        seen.append((sim.choose(["yes", "no"]), sim.choose(range(3))))

    result = sim.explore(scenario, strategy)
    assert result.complete
    # The following runs are repetitions, to see that they have left nothing behind.
    assert sorted(seen[: result.executions]) == [
        (answer, number) for answer in ("no", "yes") for number in range(3)
    ]


@pytest.mark.parametrize("strategy", ["random", "pct", "pos"])
def test_options_are_sampled(strategy: str) -> None:
    seen: set[int] = set()

    async def scenario() -> None:
        seen.add(sim.choose(range(5)))

    sim.explore(scenario, strategy, 200).check()
    assert seen == set(range(5))


def test_latency_drawn_by_a_peer_decides_who_is_first() -> None:
    orders: set[str] = set()

    async def scenario() -> None:
        order: list[str] = []

        async def peer(name: str) -> None:
            await trio.sleep(sim.choose([1, 2]))
            order.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer, "a")
            nursery.start_soon(peer, "b")
        orders.add("".join(order))
        assert order != ["b", "a"]

    (failure,) = sim.explore(scenario, "dpor", 500).failures
    assert orders >= {"ab", "ba"}
    assert "drawing" in "".join(map(str, failure.steps))
    (again,) = sim.replay(scenario, failure.token).failures
    assert again.steps == failure.steps


def test_draw_is_shrunk_to_the_first_option_that_still_fails() -> None:
    async def scenario() -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            sim.choose("abc")
        assert sim.choose(range(1_000_000)) < 700

    (failure,) = sim.explore(scenario).failures
    drew = [what for step in failure.steps for what in step.drew]
    assert drew[:3] == ["'a'"] * 3
    assert 700 <= int(drew[3]) < 1_400


def test_a_thread_and_the_same_run_again_draw_alike() -> None:
    async def scenario() -> None:
        first = await trio.to_thread.run_sync(sim.choose, range(10))
        assert (first, sim.choose(range(10))) != (3, 4)

    (failure,) = sim.explore(scenario, max_executions=5_000).failures
    assert [what for step in failure.steps for what in step.drew] == ["3", "4"]
    (again,) = sim.replay(scenario, failure.token).failures
    assert again.steps == failure.steps


def test_outside_of_a_simulation_it_is_the_first_option() -> None:
    assert sim.choose(["plain", "strange"]) == "plain"


def test_no_option_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to"):
        sim.choose([])
    with pytest.raises(ValueError, match="1 to"):
        sim.choose(range(10**9))
