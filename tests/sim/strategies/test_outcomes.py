"""Whatever some interleaving comes to, some trace of `dpor` comes to: a program for each thing that one task
can do and another can see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import pytest
import trio

from tests.sim.strategies.outcomes import Program, explored, missed

checkpoint = trio.lowlevel.checkpoint


async def together(*jobs: Callable[[], Awaitable[object]]) -> None:
    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(job)


def cancelled_while_two_wait(wait: Callable[[], Callable[[], Awaitable[object]]]) -> Program:
    """Two tasks want the one thing that there is; a third cancels both."""

    async def program() -> Hashable:
        log: dict[int, str] = {}
        want = wait()

        async def work(number: int) -> None:
            try:
                await want()
                log[number] = "got it"
            except trio.Cancelled:
                log[number] = "cancelled"
                raise

        async def cancel() -> None:
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, 0)
            nursery.start_soon(work, 1)
            nursery.start_soon(cancel)
        return tuple(sorted(log.items()))

    return program


def full_channel() -> Callable[[], Awaitable[object]]:
    send, receive = trio.open_memory_channel[int](1)
    send.send_nowait(0)
    return receive.receive


@pytest.mark.parametrize(
    "wait",
    [
        full_channel,
        lambda: trio.Semaphore(1).acquire,
        lambda: trio.CapacityLimiter(1).acquire,
    ],
)
def test_a_cancellation_between_two_that_wait(wait: Callable[[], Callable[[], Awaitable[object]]]) -> None:
    program = cancelled_while_two_wait(wait)
    assert len(explored(program, "dfs").seen) > 1
    assert not missed(program)


async def whether_a_scope_has_caught() -> Hashable:
    scope = trio.CancelScope()
    seen: list[object] = []

    async def cancel() -> None:
        with scope:
            scope.cancel()
            await checkpoint()

    async def look() -> None:
        seen.append(scope.cancelled_caught)

    await together(cancel, look)
    return tuple(seen)


async def a_relative_deadline_becomes_absolute(look: Callable[[trio.CancelScope], object]) -> Hashable:
    scope = trio.CancelScope(relative_deadline=5)
    seen: list[object] = []

    async def enter() -> None:
        with scope:
            await checkpoint()

    async def see() -> None:
        try:
            seen.append(look(scope))
        except RuntimeError:
            seen.append("not entered")

    await together(enter, see)
    return tuple(seen)


async def two_set_a_relative_deadline() -> Hashable:
    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            await trio.sleep(3)

    async def put(seconds: float) -> None:
        await trio.sleep(1)
        scope.relative_deadline = seconds

    await together(wait, partial(put, 1), partial(put, 5))
    return trio.current_time(), scope.cancelled_caught


async def two_enter_a_scope() -> Hashable:
    scope = trio.CancelScope()
    seen: list[object] = []

    async def enter(number: int) -> None:
        try:
            with scope:
                await checkpoint()
            seen.append((number, "entered"))
        except RuntimeError:
            seen.append((number, "refused"))

    await together(partial(enter, 0), partial(enter, 1))
    return tuple(sorted(seen, key=str))


async def how_many_wait_for_an_event() -> Hashable:
    event = trio.Event()
    seen: list[object] = []

    async def look() -> None:
        seen.append(event.statistics().tasks_waiting)

    async def end() -> None:
        await trio.sleep(1)
        event.set()

    await together(event.wait, look, end)
    return tuple(seen)


async def how_many_wait_for_an_event_and_are_cancelled() -> Hashable:
    event, quiet = trio.Event(), trio.CancelScope()
    seen: list[object] = []

    async def wait() -> None:
        with quiet:
            await event.wait()

    async def look() -> None:
        await trio.sleep(1)
        seen.append(event.statistics().tasks_waiting)

    async def cancel() -> None:
        await trio.sleep(1)
        quiet.cancel()

    await together(wait, look, cancel)
    return tuple(seen)


SEEN_BY_OTHERS: dict[str, tuple[int, Program]] = {
    "cancelled_caught": (2, whether_a_scope_has_caught),
    "deadline": (2, partial(a_relative_deadline_becomes_absolute, lambda scope: scope.deadline)),
    "relative_deadline": (
        1,
        partial(a_relative_deadline_becomes_absolute, lambda scope: scope.relative_deadline),
    ),
    "is_relative": (2, partial(a_relative_deadline_becomes_absolute, lambda scope: scope.is_relative)),
    "two relative deadlines": (2, two_set_a_relative_deadline),
    "two enter": (2, two_enter_a_scope),
    "how many wait": (2, how_many_wait_for_an_event),
    "how many still wait": (2, how_many_wait_for_an_event_and_are_cancelled),
}


@pytest.mark.parametrize("name", SEEN_BY_OTHERS)
def test_what_a_task_does_and_another_sees(name: str) -> None:
    outcomes, program = SEEN_BY_OTHERS[name]
    assert len(explored(program, "dfs").seen) == outcomes
    assert not missed(program)


def test_waiting_for_an_event_still_commutes_where_nobody_counts() -> None:
    async def program() -> Hashable:
        event = trio.Event()
        await together(event.wait, event.wait, partial(trio.sleep, 1), partial(put, event))
        return None

    async def put(event: trio.Event) -> None:
        await trio.sleep(1)
        event.set()

    assert explored(program, "dpor").result.executions == 1
