"""Looks at tasks, nurseries, threads and streams, and the order of errors: `dpor` meets what each sees."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from functools import partial

import pytest
import trio
import trio.testing

import sim
from tests.sim.strategies.outcomes import Program, explored, missed
from tests.sim.strategies.test_outcomes import together

checkpoint = trio.lowlevel.checkpoint


async def order_of_errors(of_body: bool, shielded: bool) -> Hashable:
    """Tasks that are cancelled, and fail while they clean up."""

    async def fail(number: int) -> None:
        if shielded:
            with trio.CancelScope(shield=True):
                await checkpoint()
        else:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError(number)
        raise ValueError(number)

    seen: list[Hashable] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, 0)
            if not of_body:
                nursery.start_soon(fail, 1)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            if of_body:
                with trio.CancelScope(shield=True):
                    await checkpoint()
                raise ValueError("body")
    except* ValueError as group:
        seen += [error.args for error in group.exceptions]
    return tuple(seen)


async def cancelled_and_a_group_of_cancelled() -> Hashable:
    seen: list[Hashable] = []

    async def nested() -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever)

    with trio.CancelScope() as scope:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(nested)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        except BaseExceptionGroup as group:
            seen += [type(error).__name__ for error in group.exceptions]
            raise
    return tuple(seen)


async def nurseries_of_a_task() -> Hashable:
    seen: list[Hashable] = []
    task = trio.lowlevel.current_task()

    async def look() -> None:
        seen.append(len(task.child_nurseries))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await checkpoint()
        async with trio.open_nursery():
            await checkpoint()
    return tuple(seen)


async def tasks_of_a_run(what: str) -> Hashable:
    seen: list[Hashable] = []

    async def look() -> None:
        seen.append(getattr(trio.lowlevel.current_statistics(), what))

    await together(checkpoint, look)
    return tuple(seen)


async def who_breaks_a_lot() -> Hashable:
    lot = trio.lowlevel.ParkingLot()
    seen: list[Hashable] = []

    async def spoil() -> None:
        lot.break_lot()

    async def look() -> None:
        seen.append(bool(lot.broken_by))

    await together(spoil, look)
    return tuple(seen)


async def whether_a_task_can_still_break_a_lot() -> Hashable:
    lot = trio.lowlevel.ParkingLot()
    seen: list[Hashable] = []

    async def breaker(task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        task_status.started(trio.lowlevel.current_task())
        await checkpoint()

    async with trio.open_nursery() as nursery:
        task: trio.lowlevel.Task = await nursery.start(breaker)
        try:
            trio.lowlevel.add_parking_lot_breaker(task, lot)
            seen.append("added")
        except trio.BrokenResourceError:
            seen.append("ended")
    return tuple(seen), len(lot.broken_by)


async def two_count_with_a_run_variable(older: bool) -> Hashable:
    variable = COUNTER if older else trio.lowlevel.RunVar("counter", 0)
    variable.set(0)

    async def add() -> None:
        value = variable.get()
        await checkpoint()
        variable.set(value + 1)

    await together(add, add)
    return variable.get()


COUNTER = trio.lowlevel.RunVar("counter", 0)


async def how_many_threads_there_are() -> Hashable:
    seen: list[Hashable] = []

    async def work() -> None:
        await trio.to_thread.run_sync(int, limiter=trio.CapacityLimiter(1))

    async def look() -> None:
        seen.append(trio.testing.active_thread_count())

    await together(work, look)
    await together(work)
    return tuple(seen)


async def a_result_or_a_cancellation() -> Hashable:
    scope = trio.CancelScope()
    seen: list[Hashable] = []

    async def work() -> None:
        with scope:
            await trio.to_thread.run_sync(int, abandon_on_cancel=True)
            seen.append("result")

    async def cancel() -> None:
        scope.cancel()

    await together(work, cancel)
    return tuple(seen)


async def a_thread_that_asks_whether_it_is_cancelled() -> Hashable:
    scope = trio.CancelScope()
    seen: list[Hashable] = []

    def ask() -> None:
        try:
            trio.from_thread.check_cancelled()
            seen.append("no")
        except trio.Cancelled:
            seen.append("yes")

    async def work() -> None:
        with scope:
            await trio.to_thread.run_sync(ask)

    async def cancel() -> None:
        scope.cancel()

    await together(work, cancel)
    return tuple(seen)


async def receiving_from_a_stream_that_is_closed(lockstep: bool) -> Hashable:
    pair = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
    left, right = pair()
    seen: list[Hashable] = []

    async def receive() -> None:
        try:
            seen.append(bytes(await left.receive_some()))
        except trio.ClosedResourceError:
            seen.append("closed")

    async def send() -> None:
        try:
            await right.send_all(b"x")
        except trio.BrokenResourceError:
            seen.append("broken")

    await together(receive, send, left.aclose)
    return tuple(sorted(seen, key=str))


async def receiving_where_another_was_cancelled() -> Hashable:
    left, _ = trio.testing.memory_stream_pair()
    scope = trio.CancelScope()
    seen: dict[str, Hashable] = {}

    async def receive(who: str, within: trio.CancelScope) -> None:
        try:
            with within:
                await left.receive_some()
        except trio.BusyResourceError:
            seen[who] = "busy"
        else:
            seen[who] = "waited"

    async def cancel() -> None:
        scope.cancel()

    await together(
        partial(receive, "first", scope),
        cancel,
        partial(receive, "second", trio.CancelScope(relative_deadline=1)),
    )
    return tuple(sorted(seen.items()))


async def a_sequence_that_is_broken() -> Hashable:
    sequencer = trio.testing.Sequencer()
    scope = trio.CancelScope()
    seen: dict[int, Hashable] = {}

    async def take(place: int, within: trio.CancelScope) -> None:
        try:
            with within:
                async with sequencer(place):
                    seen[place] = "taken"
        except RuntimeError:
            seen[place] = "broken"

    async def cancel() -> None:
        scope.cancel()

    await together(partial(take, 1, trio.CancelScope(relative_deadline=1)), cancel, partial(take, 2, scope))
    return tuple(sorted(seen.items()))


async def getting_a_batch() -> Hashable:
    with pytest.warns(trio.TrioDeprecationWarning):
        queue = trio.lowlevel.UnboundedQueue[int]()
    seen: list[Hashable] = []

    async def put(number: int) -> None:
        queue.put_nowait(number)

    async def get() -> None:
        seen.append((tuple(await queue.get_batch()), queue.qsize()))

    await together(partial(put, 1), partial(put, 2), get)
    return tuple(seen)


SEEN: dict[str, tuple[int, Program]] = {
    "errors of two tasks": (2, partial(order_of_errors, of_body=False, shielded=False)),
    "errors of two tasks, later": (2, partial(order_of_errors, of_body=False, shielded=True)),
    "errors of a task and the body": (2, partial(order_of_errors, of_body=True, shielded=False)),
    "cancelled, and a group of them": (2, cancelled_and_a_group_of_cancelled),
    "child_nurseries": (2, nurseries_of_a_task),
    "tasks_living": (2, partial(tasks_of_a_run, "tasks_living")),
    "tasks_runnable": (2, partial(tasks_of_a_run, "tasks_runnable")),
    "broken_by": (2, who_breaks_a_lot),
    "a breaker that may have ended": (2, whether_a_task_can_still_break_a_lot),
    "a run variable": (2, partial(two_count_with_a_run_variable, older=False)),
    "an older run variable": (2, partial(two_count_with_a_run_variable, older=True)),
    "active_thread_count": (2, how_many_threads_there_are),
    "a thread that is abandoned": (2, a_result_or_a_cancellation),
    "check_cancelled": (3, a_thread_that_asks_whether_it_is_cancelled),
    "a memory stream": (3, partial(receiving_from_a_stream_that_is_closed, lockstep=False)),
    "a lockstep stream": (2, partial(receiving_from_a_stream_that_is_closed, lockstep=True)),
    "a memory stream that was let go": (3, receiving_where_another_was_cancelled),
    "a sequence that is broken": (1, a_sequence_that_is_broken),
    "an unbounded queue": (6, getting_a_batch),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_a_task_does_and_another_sees(name: str) -> None:
    outcomes, program = SEEN[name]
    assert len(explored(program, "dfs").seen) == outcomes
    assert not missed(program)


def cancelled_together() -> Program:
    async def program() -> Hashable:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return None

    return program


async def in_threads() -> Hashable:
    async def work() -> None:
        await trio.to_thread.run_sync(int, limiter=trio.CapacityLimiter(1))

    await together(work)
    return None


@pytest.mark.parametrize("program", [cancelled_together(), in_threads])
def test_what_nobody_looks_at_has_one_trace(program: Program) -> None:
    assert explored(program, "dpor").result.executions == 1


def test_what_an_execution_has_made_is_gone_with_it() -> None:
    made: list[weakref.ref[object]] = []

    async def scenario() -> None:
        assert sum(reference() is not None for reference in made) < 10
        variable = trio.lowlevel.RunVar("variable", 0)
        made.append(weakref.ref(variable))
        cell = sim.Shared(0)

        async def count() -> None:
            cell.set(cell.get() + variable.get())

        await together(*[count] * 4)
        await in_threads()

    assert sim.explore(scenario, "dpor").complete
    assert len(made) > 20
