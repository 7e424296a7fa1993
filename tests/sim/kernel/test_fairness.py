"""Loops that a fair scheduler ends are no livelock, under any strategy; what none ends is one."""

# The programs under test poll.
# ruff: noqa: ASYNC110, ASYNC115

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import SimpleNamespace

import pytest
import trio
import trio.testing

import sim
from sim._kernel.suspension import Suspensions, calls_of
from tests.sim.kernel.livelock_cases import wait_for_each_other_politely

STRATEGIES = ("random", "pct:3", "pos", "delay:2", "preemption:2", "dfs", "dpor", "dpor:2")

Scenario = Callable[[], Awaitable[object]]


async def flag() -> None:
    done: list[int] = []

    async def poll() -> None:
        while not done:
            await trio.sleep(0)

    async def work() -> None:
        await trio.sleep(0)
        done.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        nursery.start_soon(work)


async def shared_flag_with_a_count_of_the_looks() -> None:
    done = sim.Shared(False)
    looks = 0

    async def poll() -> None:
        nonlocal looks
        while not done.get():
            looks += 1
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def work() -> None:
        await trio.sleep(0)
        done.set(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        nursery.start_soon(work)


async def checkpoints_until_a_timeout() -> None:
    turns = 0
    with trio.move_on_after(10) as scope:
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def look_at_the_clock_of_trio() -> None:
    end = trio.current_time() + 10
    while trio.current_time() < end:
        await trio.sleep(0)


async def look_at_the_clock_of_the_system() -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        await trio.sleep(0)


async def look_at_an_event() -> None:
    event = trio.Event()

    async def poll() -> None:
        while not event.is_set():
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.sleep(3)
        event.set()


async def receive_nowait() -> None:
    send, receive = trio.open_memory_channel[int](2)
    got: list[int] = []

    async def consume() -> None:
        while len(got) < 2:
            try:
                got.append(receive.receive_nowait())
            except trio.WouldBlock:
                await trio.sleep(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        for number in range(2):
            await send.send(number)
    assert got == [0, 1]


async def two_wait_for_a_lock_in_vain() -> None:
    lock = trio.Lock()
    inside = sim.Shared(0)

    async def enter() -> None:
        while True:
            try:
                lock.acquire_nowait()
                break
            except trio.WouldBlock:
                await trio.sleep(0)
        inside.set(inside.get() + 1)
        await trio.sleep(0)
        assert inside.get() == 1
        inside.set(0)
        lock.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter)
        nursery.start_soon(enter)


async def in_helpers() -> None:
    done = sim.Shared(False)

    async def give_way() -> None:
        await trio.sleep(0.0)

    async def turns() -> AsyncGenerator[None]:
        while True:
            await give_way()
            yield

    async def poll() -> None:
        async with aclosing(turns()) as each:
            async for _ in each:
                if done.get():
                    break

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.sleep(0)
        done.set(True)


async def send_until_the_other_end_is_closed() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def pump() -> None:
        try:
            while True:
                await ours.send_all(b"x")
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump)
        await theirs.receive_some()
        await theirs.aclose()


ENDING = (
    flag,
    shared_flag_with_a_count_of_the_looks,
    checkpoints_until_a_timeout,
    look_at_the_clock_of_trio,
    look_at_the_clock_of_the_system,
    look_at_an_event,
    receive_nowait,
    two_wait_for_a_lock_in_vain,
    in_helpers,
    send_until_the_other_end_is_closed,
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("scenario", ENDING)
def test_loop_that_a_fair_scheduler_ends_is_not_a_livelock(scenario: Scenario, strategy: str) -> None:
    result = sim.explore(scenario, strategy, max_executions=30, max_steps=2_000)
    result.check()
    assert result.executions


def peterson(*, broken: bool) -> Scenario:
    """Mutual exclusion of two tasks by polling (Peterson 1981); broken, each gives way to nobody."""

    async def scenario() -> None:
        wants = [sim.Shared(False), sim.Shared(False)]
        turn = sim.Shared(0)
        inside = sim.Shared(0)

        async def enter(own: int) -> None:
            other = 1 - own
            wants[own].set(True)
            await trio.sleep(0)
            turn.set(own if broken else other)
            await trio.sleep(0)
            while wants[other].get() and turn.get() != own:
                await trio.sleep(0)
            inside.set(inside.get() + 1)
            assert inside.get() == 1, "both are inside"
            await trio.sleep(0)
            inside.set(inside.get() - 1)
            wants[own].set(False)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter, 0)
            nursery.start_soon(enter, 1)

    return scenario


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "dpor:2", "random", "delay:2"])
def test_mutual_exclusion_by_polling_that_is_none_is_found(strategy: str) -> None:
    (failure,) = sim.explore(peterson(broken=True), strategy, max_executions=500).failures
    assert "both are inside" in str(failure.error)
    # The kernel says who may go on, so every strategy's run is replayed as any other.
    (again,) = sim.replay(peterson(broken=True), failure.token).failures
    assert "both are inside" in str(again.error)


def test_mutual_exclusion_by_polling_is_proved_for_fair_schedules() -> None:
    result = sim.explore(peterson(broken=False), "dpor", max_executions=5_000)
    result.check()
    assert result.complete
    assert result.fair_only
    assert result.coverage.endswith("with fair turns")


def test_result_of_a_program_that_repeats_nothing_is_not_limited_to_fair_schedules() -> None:
    async def scenario() -> None:
        cell = sim.Shared(0)

        async def change() -> None:
            for _ in range(3):
                cell.set(cell.get() + 1)
                await trio.sleep(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            nursery.start_soon(change)

    result = sim.explore(scenario, "dfs")
    assert result.complete
    assert not result.fair_only


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_task_that_looks_the_same_after_each_step_and_has_changed_something_has_all_its_schedules(
    strategy: str,
) -> None:
    seen: set[int] = set()

    async def scenario() -> None:
        send, receive = trio.open_memory_channel[None](8)
        received = sim.Shared(0)

        async def consume() -> None:
            async for _ in receive:
                received.set(received.get() + 1)

        async def look() -> None:
            await trio.sleep(0)
            seen.add(received.get())

        for _ in range(8):
            send.send_nowait(None)
        send.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            nursery.start_soon(look)

    result = sim.explore(scenario, strategy)
    assert result.complete
    assert not result.fair_only
    assert seen == set(range(9))


def test_time_does_not_pass_while_somebody_does_more_than_repeat_himself() -> None:
    async def scenario() -> None:
        done = sim.Shared(False)

        async def poll() -> None:
            while not done.get():
                await trio.sleep(0)

        async def work() -> None:
            for _ in range(90):
                await trio.sleep(0)
            done.set(True)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            nursery.start_soon(work)
        assert trio.current_time() == began

    sim.explore(scenario, "random", max_executions=50).check()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_loop_that_nothing_ends_is_a_livelock(strategy: str) -> None:
    (failure,) = sim.explore(
        wait_for_each_other_politely, strategy, max_executions=1, max_steps=500, shrink_failures=False
    ).failures
    assert isinstance(failure.error, sim.StepBudgetExceeded)


def test_who_looks_at_the_variables_of_a_task_changes_nothing_in_how_it_stands() -> None:
    async def nothing() -> None:
        await trio.sleep(0)

    async def poll() -> None:
        done = False
        while not done:
            await nothing()

    coroutine = poll()
    coroutine.send(None)
    suspensions = Suspensions()
    calls = calls_of(SimpleNamespace(coro=coroutine))
    assert len(calls) > 2
    before = suspensions.state(calls), suspensions.reach(calls)
    for _, frame in calls:
        assert frame.f_locals is not None
    assert (suspensions.state(calls), suspensions.reach(calls)) == before
    coroutine.close()
