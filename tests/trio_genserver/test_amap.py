"""Bounded concurrency over many items: in order or not, and nothing left behind."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing
from outcome import Error, Value

from trio_genserver.tasks import Settled, amap, amap_isolated

Clock = trio.testing.MockClock


class Sleeper:
    """Calls that take as many seconds as their item says, and how many of them there were at a time."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.ended: list[tuple[float, float]] = []

    async def __call__(self, seconds: float) -> float:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(seconds)
        finally:
            self.running -= 1
            self.ended.append((seconds, trio.current_time()))
        return seconds


async def collect(results: AsyncIterator[Any]) -> list[Any]:
    return [result async for result in results]


@pytest.mark.parametrize("max_concurrency", [1, 2, 3, 4, 100])
async def test_no_more_calls_run_at_a_time_than_allowed(max_concurrency: int, autojump_clock: Clock) -> None:
    # OTP 151
    sleeper = Sleeper()
    items = [3, 1, 2, 1, 5, 1, 1, 2]
    async with amap(sleeper, items, max_concurrency=max_concurrency) as results:
        assert await collect(results) == items
    assert sleeper.most == min(max_concurrency, len(items))


async def test_order_is_kept_with_the_slowest_first(autojump_clock: Clock) -> None:  # OTP 151
    items = [9, 3, 6, 1]
    async with amap(Sleeper(), items, max_concurrency=4) as results:
        assert await collect(results) == items
    assert trio.current_time() == 9


async def test_results_come_as_they_are_ready_if_order_is_not_kept(autojump_clock: Clock) -> None:  # OTP 151
    async with amap(Sleeper(), [9, 3, 6, 1], max_concurrency=4, ordered=False) as results:
        times = [(result, trio.current_time()) async for result in results]
    assert times == [(1, 1), (3, 3), (6, 6), (9, 9)]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("variant", [amap, amap_isolated])
async def test_no_items_give_no_results(variant: Callable[..., Any], ordered: bool) -> None:  # OTP 151
    async with variant(Sleeper(), [], ordered=ordered) as results:
        assert await collect(results) == []
        assert await collect(results) == []


@pytest.mark.parametrize("ordered", [True, False])
async def test_items_are_read_only_as_results_are_taken(ordered: bool, autojump_clock: Clock) -> None:
    # OTP 151
    read: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number % 2

    async with amap(Sleeper(), endless(), max_concurrency=3, ordered=ordered) as results:
        await trio.sleep(100)
        assert len(read) == 6
        for taken in range(1, 5):
            await anext(results)
            await trio.sleep(100)
            assert len(read) == 6 + taken
    await trio.sleep(100)
    assert len(read) == 10


async def test_items_may_be_async_and_are_closed_with_the_block(autojump_clock: Clock) -> None:  # OTP 151
    log: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            for number in range(100):
                await trio.sleep(1)
                yield number
        finally:
            log.append("closed")

    async with amap(Sleeper(), ticks(), max_concurrency=2) as results:
        assert [await anext(results) for _ in range(3)] == [0, 1, 2]
    assert log == ["closed"]
    async with amap(Sleeper(), aiter_of([0, 1]), max_concurrency=2) as results:
        assert await collect(results) == [0, 1]


async def aiter_of(items: list[int]) -> AsyncIterator[int]:
    for item in items:
        yield item


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("variant", [amap, amap_isolated])
async def test_leaving_early_leaves_no_call_behind(
    variant: Callable[..., Any], ordered: bool, autojump_clock: Clock
) -> None:  # OTP 151
    sleeper = Sleeper()
    async with variant(sleeper, [1, 100, 100, 100], max_concurrency=3, ordered=ordered) as results:
        async for _ in results:
            break
        assert sleeper.running >= 2
    assert sleeper.running == 0
    assert trio.current_time() == 1
    with pytest.raises(trio.ClosedResourceError, match="the block of this amap has ended"):
        await anext(results)


@pytest.mark.parametrize("how", ["raise", "cancel"])
async def test_a_block_that_ends_badly_leaves_no_call_behind(how: str, autojump_clock: Clock) -> None:
    # OTP 151
    sleeper = Sleeper()
    if how == "raise":
        with pytest.raises(RuntimeError, match="the block's own"):
            async with amap(sleeper, [10, 10]):
                await trio.sleep(1)
                raise RuntimeError("the block's own")
    else:
        with trio.move_on_after(1):
            async with amap(sleeper, [10, 10]) as results:
                await anext(results)
    assert sleeper.ended == [(10, 1), (10, 1)]


async def reciprocal(number: float) -> float:
    await trio.sleep(number)
    return 1 / number


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_failing_call_ends_the_block_at_once(ordered: bool, autojump_clock: Clock) -> None:
    # OTP 151
    sleeper = Sleeper()

    async def call(number: float) -> float:
        return await (sleeper(number) if number > 1 else reciprocal(number))

    with pytest.raises(ZeroDivisionError):
        async with amap(call, [50, 50, 0, 50], max_concurrency=4, ordered=ordered) as results:
            await collect(results)
    assert trio.current_time() == 0
    assert sleeper.running == 0


async def test_several_failures_at_once_come_out_together(autojump_clock: Clock) -> None:
    async def call(number: int) -> None:
        try:
            await trio.sleep(number)
        finally:
            raise ValueError(number)

    with pytest.raises(ExceptionGroup) as caught:
        async with amap(call, [1, 2]) as results:
            await collect(results)
    assert sorted(str(error) for error in caught.value.exceptions) == ["1", "2"]


async def test_a_failure_of_the_items_ends_the_block(autojump_clock: Clock) -> None:  # OTP 151
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    for variant in (amap, amap_isolated):
        with pytest.raises(KeyError, match="no more"):
            async with variant(Sleeper(), broken()) as results:
                await collect(results)


async def test_a_call_that_takes_too_long_fails_the_block(autojump_clock: Clock) -> None:  # OTP 151
    sleeper = Sleeper()
    with pytest.raises(trio.TooSlowError):
        async with amap(sleeper, [1, 100], timeout=5) as results:
            await collect(results)
    assert sleeper.ended == [(1, 1), (100, 5)]


@pytest.mark.parametrize("ordered", [True, False])
async def test_unlinked_each_item_comes_with_its_outcome(ordered: bool, autojump_clock: Clock) -> None:
    # OTP 151
    async with amap_isolated(reciprocal, [2, 0, 100, 1], timeout=5, ordered=ordered) as results:
        settled = await collect(results)
    assert trio.current_time() == 5
    assert [each.item for each in settled] == ([2, 0, 100, 1] if ordered else [0, 1, 2, 100])
    by_item = {each.item: each.outcome for each in settled}
    assert by_item[2] == Value(0.5)
    assert by_item[1] == Value(1)
    assert isinstance(by_item[0], Error)
    assert isinstance(by_item[0].error, ZeroDivisionError)
    assert isinstance(by_item[100], Error)
    assert isinstance(by_item[100].error, trio.TooSlowError)
    assert "100 took longer than 5 s" in str(by_item[100].error)


async def test_unlinked_a_timeout_of_the_calls_own_is_its_outcome(autojump_clock: Clock) -> None:
    async def call(seconds: float) -> str:
        with trio.move_on_after(1):
            await trio.sleep(seconds)
        return "moved on"

    async with amap_isolated(call, [3], timeout=5) as results:
        assert await collect(results) == [Settled(3, Value("moved on"))]


async def test_a_result_that_was_waited_for_in_vain_is_not_lost(autojump_clock: Clock) -> None:  # OTP 151
    for ordered in (True, False):
        async with amap(Sleeper(), [5, 1], ordered=ordered, max_concurrency=1) as results:
            with trio.move_on_after(2) as scope:
                await anext(results)
            assert scope.cancelled_caught
            assert await collect(results) == [5, 1]


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_thousand_quick_items_all_come(ordered: bool) -> None:
    async def call(number: int) -> int:
        return number

    async with amap(call, range(1000), max_concurrency=7, ordered=ordered) as results:
        values = await collect(results)
    assert values == list(range(1000)) if ordered else sorted(values) == list(range(1000))


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
    ],
)
def test_an_option_that_is_invalid_is_refused_at_once(options: dict[str, Any]) -> None:
    for variant in (amap, amap_isolated):
        with pytest.raises(ValueError, match=next(iter(options))):
            variant(Sleeper(), [], **options)
