from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.lowlevel import checkpoint

import sim


async def briefly_wrong() -> None:
    """Wrong for one step, which no task of the program looks at."""
    here, there = sim.Shared(5), sim.Shared(5)
    sim.always(lambda: here.get() + there.get() == 10, "nothing is lost")

    async def move() -> None:
        here.set(4)
        await checkpoint()
        there.set(6)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(move)


async def two_counters() -> None:
    """Each step alone is right, and so is the end; one order of them is wrong in between."""
    low, high = sim.Shared(0), sim.Shared(0)
    sim.always(lambda: low.get() <= high.get(), "low stays below high")

    async def raise_(cell: sim.Shared[int]) -> None:
        await checkpoint()
        cell.set(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_, high)
        nursery.start_soon(raise_, low)


def test_always_sees_a_state_that_no_task_looks_at() -> None:
    (failure,) = sim.explore(briefly_wrong).failures
    assert isinstance(failure.error, sim.NotAlways)
    assert failure.error.promise == "nothing is lost"
    assert failure.error.after.endswith("move")
    (again,) = sim.replay(briefly_wrong, failure.token).failures
    assert str(again.error) == str(failure.error)


def test_always_is_looked_at_where_it_is_promised() -> None:
    async def broken_from_the_start() -> None:
        sim.always(lambda: False, "pigs fly")

    (failure,) = sim.explore(broken_from_the_start).failures
    assert isinstance(failure.error, sim.NotAlways)
    with pytest.raises(sim.NotAlways, match="pigs fly"):
        trio.run(broken_from_the_start)


def test_always_may_be_promised_by_any_task_at_any_time() -> None:
    async def later() -> None:
        cell = sim.Shared(0)

        async def watch() -> None:
            await trio.sleep(1)
            sim.always(lambda: cell.get() < 2, "stays below two")

        async def count() -> None:
            for _ in range(3):
                await trio.sleep(1)
                cell.set(cell.get() + 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            nursery.start_soon(count)

    (failure,) = sim.explore(later).failures
    assert isinstance(failure.error, sim.NotAlways)
    assert failure.error.after.endswith("count")


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "random"])
def test_always_is_found_broken_where_only_the_order_of_independent_steps_breaks_it(strategy: str) -> None:
    (failure,) = sim.explore(two_counters, strategy).failures
    assert isinstance(failure.error, sim.NotAlways)


def test_partial_order_reduction_lets_steps_commute_that_no_promise_is_about() -> None:
    async def three_cells(*, promised: int) -> None:
        cells = [sim.Shared(0) for _ in range(3)]
        watched = cells[:promised]
        if watched:
            sim.always(lambda: sum(cell.get() for cell in watched) <= promised, "no more than one each")

        async def raise_(cell: sim.Shared[int]) -> None:
            await checkpoint()
            cell.set(1)

        async with trio.open_nursery() as nursery:
            for cell in cells:
                nursery.start_soon(raise_, cell)

    for promised, traces in ((0, 1), (1, 1), (2, 2), (3, 6)):

        async def scenario(promised: int = promised) -> None:
            await three_cells(promised=promised)

        result = sim.explore(scenario, "dpor")
        assert result.complete
        assert result.executions == traces


def test_eventually_is_satisfied_by_one_state_on_the_way() -> None:
    async def flickers() -> None:
        cell = sim.Shared(0)
        sim.eventually(lambda: cell.get() == 1, "it is one")
        await checkpoint()
        cell.set(1)
        await checkpoint()
        cell.set(2)

    assert not sim.explore(flickers).failures


def test_eventually_is_due_at_the_end_of_the_run() -> None:
    async def forgets(*, sets: bool) -> None:
        cell = sim.Shared(0)
        sim.eventually(lambda: cell.get() == 1, "it is one")
        await checkpoint()
        if sets:
            cell.set(1)

    async def forgets_it() -> None:
        await forgets(sets=False)

    async def remembers_it() -> None:
        await forgets(sets=True)

    (failure,) = sim.explore(forgets_it).failures
    assert isinstance(failure.error, sim.NotEventually)
    assert str(failure.error) == "not eventually: it is one; it did not hold by the end of the run"
    assert not sim.explore(remembers_it).failures


@pytest.mark.parametrize(("seconds", "holds"), [(4.0, True), (5.0, True), (5.5, False)])
def test_eventually_within_is_in_virtual_time_and_the_last_moment_counts(seconds: float, holds: bool) -> None:
    async def scenario() -> None:
        await trio.sleep(10)
        cell = sim.Shared(0)
        sim.eventually(lambda: cell.get() == 1, "it is one", within=5)
        await trio.sleep(seconds)
        cell.set(1)

    failures = sim.explore(scenario, max_executions=3).failures
    assert bool(failures) is not holds
    for failure in failures:
        assert isinstance(failure.error, sim.NotEventually)
        assert failure.error.deadline == 15
        assert failure.error.now == 15.5


def test_what_a_run_raises_and_a_deadlock_come_before_what_it_then_left_undone() -> None:
    async def fails() -> None:
        sim.eventually(lambda: False, "never mind")
        await checkpoint()
        raise ValueError

    async def hangs() -> None:
        sim.eventually(lambda: False, "never mind")
        await trio.sleep_forever()

    for scenario, error in ((fails, ValueError), (hangs, sim.Deadlock)):
        (failure,) = sim.explore(scenario).failures
        assert type(failure.error) is error


def test_sometimes_lists_what_no_run_has_reached() -> None:
    async def scenario() -> None:
        cell = sim.Shared(0)
        sim.sometimes(lambda: cell.get() == 1, "it is one")
        sim.sometimes(lambda: cell.get() == 2, "it is two")
        sim.sometimes(lambda: cell.get() == 3, "it is three")

        async def set_(value: int) -> None:
            await checkpoint()
            cell.set(value)

        async def look() -> None:
            await checkpoint()
            sim.sometimes(cell.get() == 0, "somebody came first")
            sim.sometimes(cell.get() == 4, "somebody saw four")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_, 1)
            nursery.start_soon(set_, 2)
            nursery.start_soon(look)

    for strategy in ("random", "dpor"):
        result = sim.explore(scenario, strategy, max_executions=200)
        assert not result.failures
        assert result.never == ("it is three", "somebody saw four")


def test_a_condition_that_raises_is_the_finding_and_says_which_it_was() -> None:
    async def scenario() -> None:
        cell = sim.Shared([1])
        sim.always(lambda: cell.get()[0] == 1, "the first is one")
        await checkpoint()
        cell.set([])
        await checkpoint()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, IndexError)
    assert failure.error.__notes__[0] == "raised by the condition of always: the first is one"


def test_outside_of_a_simulation_a_scenario_with_promises_runs_as_it_is() -> None:
    looked: list[str] = []

    def holds() -> bool:
        looked.append("always")
        return True

    async def scenario() -> str:
        sim.always(holds, "true")
        sim.eventually(lambda: False, "false", within=1)
        sim.sometimes(False, "false")
        await checkpoint()
        return "done"

    assert trio.run(scenario) == "done"
    assert looked == ["always"]


Looks = Callable[[trio.Event, trio.Event], bool]

CONDITIONS: dict[str, Looks] = {
    "lazy": lambda first, second: first.is_set() and not second.is_set(),
    "lazy, the other first": lambda first, second: not second.is_set() and first.is_set(),
    "lazy or": lambda first, second: not (second.is_set() or not first.is_set()),
    "eager": lambda first, second: (first.is_set(), second.is_set()) == (True, False),
}


def two_events(promise: Callable[[Callable[[], bool]], None], looks: Looks, *, started: str) -> Scenario:
    """Two tasks set an event each; in one of the two orders `looks` sees something for a step."""

    async def scenario() -> None:
        first, second = trio.Event(), trio.Event()
        promise(lambda: looks(first, second))

        async def set_(event: trio.Event) -> None:
            event.set()

        async with trio.open_nursery() as nursery:
            for name in started:
                nursery.start_soon(set_, first if name == "1" else second, name=name)

    return scenario


Scenario = Callable[[], Awaitable[None]]

BOTH_WAYS = pytest.mark.parametrize("started", ["12", "21"])
EVERY_CONDITION = pytest.mark.parametrize("looks", CONDITIONS.values(), ids=CONDITIONS.keys())
REDUCING = pytest.mark.parametrize("strategy", ["dfs", "dpor", "dpor:2"])


@BOTH_WAYS
@EVERY_CONDITION
@REDUCING
def test_what_a_condition_would_read_in_another_order_counts(
    strategy: str, looks: Looks, started: str
) -> None:
    def never_so(looks: Callable[[], bool]) -> None:
        sim.always(lambda: not looks(), "never the first alone")

    def once_so(looks: Callable[[], bool]) -> None:
        sim.eventually(looks, "the first alone, once")

    def maybe_so(looks: Callable[[], bool]) -> None:
        sim.sometimes(looks, "the first alone")

    result = sim.explore(two_events(never_so, looks, started=started), strategy, max_failures=9)
    assert result.complete
    assert [type(failure.error) for failure in result.failures] == [sim.NotAlways]
    result = sim.explore(two_events(once_so, looks, started=started), strategy, max_failures=9)
    assert result.complete
    assert [type(failure.error) for failure in result.failures] == [sim.NotEventually]
    result = sim.explore(two_events(maybe_so, looks, started=started), strategy)
    assert result.complete
    assert result.never == ()


@REDUCING
def test_a_promise_that_a_task_makes_is_about_what_was_done_before_it_too(strategy: str) -> None:
    async def scenario() -> None:
        asked, given = trio.Event(), trio.Event()

        async def promise() -> None:
            sim.sometimes(lambda: asked.is_set() and not given.is_set(), "asked in vain")
            asked.set()

        async def give() -> None:
            given.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give)
            nursery.start_soon(promise)

    assert sim.explore(scenario, strategy).never == ()


@REDUCING
def test_the_first_step_after_a_deadline_is_any_of_those_that_it_lets_run(strategy: str) -> None:
    async def scenario() -> None:
        noticed = trio.Event()
        limit = trio.CancelScope(relative_deadline=1)
        sim.always(lambda: noticed.is_set() or not limit.cancel_called, "a timeout is noticed at once")

        async def work() -> None:
            with limit:
                await trio.sleep_forever()
            noticed.set()

        async def other() -> None:
            await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(other)

    result = sim.explore(scenario, strategy, max_failures=9)
    assert result.complete
    assert {str(failure.error).rpartition(".")[2] for failure in result.failures} == {"other"}


@REDUCING
def test_of_two_promises_that_one_step_breaks_the_same_is_told_whoever_made_his_first(strategy: str) -> None:
    async def scenario() -> None:
        cell = sim.Shared(0)

        async def promise(what: str) -> None:
            sim.always(lambda: cell.get() == 0, what)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(promise, "one")
            nursery.start_soon(promise, "two")
        cell.set(1)

    result = sim.explore(scenario, strategy, max_failures=9)
    assert {str(failure.error).split(";")[0] for failure in result.failures} == {"not always: one"}


def test_partial_order_reduction_starts_again_when_a_condition_reads_more_than_before() -> None:
    async def scenario() -> None:
        first, second, third = (sim.Shared(0) for _ in range(3))
        # The third is read from the second step on, the second from the last.
        sim.always(lambda: not first.get() or not third.get() or second.get() < 2, "it is so")

        async def set_(cell: sim.Shared[int]) -> None:
            cell.set(1)

        async with trio.open_nursery() as nursery:
            for cell in (first, second, third):
                nursery.start_soon(set_, cell)

    result = sim.explore(scenario, "dpor")
    assert result.complete
    assert result.coverage == "all 6 traces"
    assert result.executions == 7
