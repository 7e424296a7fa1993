"""A task looks into another one, at its plain attributes and at its coroutine: `dpor` meets what it sees."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Hashable
from typing import Any, Final

import pytest
import trio
import trio.testing

from tests.sim.strategies.outcomes import Program, explored, missed
from tests.sim.strategies.test_outcomes import together

checkpoint = trio.lowlevel.checkpoint

variable: Final = contextvars.ContextVar("variable", default=0)

Look = Callable[[Any, Any], Hashable]


def looked_into(look: Look) -> Program:
    """A task goes through its steps, and another looks into it meanwhile."""

    async def program() -> Hashable:
        seen: list[Hashable] = []
        may_go_on, lot = trio.Event(), trio.lowlevel.ParkingLot()

        async def watched(task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
            task = trio.lowlevel.current_task()
            task_status.started(task)
            await may_go_on.wait()
            gone_on = True
            variable.set(1)
            task.name = "later"
            await lot.park()
            assert gone_on

        async with trio.open_nursery() as nursery:
            task: trio.lowlevel.Task = await nursery.start(watched)
            kept = task.coro

            async def watch() -> None:
                seen.append(look(task, kept))

            async def let_go_on() -> None:
                may_go_on.set()

            await together(watch, let_go_on)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return tuple(seen)

    return program


LOOKS: Final[dict[str, tuple[int, Look]]] = {
    "custom_sleep_data": (2, lambda task, kept: isinstance(task.custom_sleep_data, trio.lowlevel.ParkingLot)),
    "context": (2, lambda task, kept: task.context.get(variable)),
    "name": (2, lambda task, kept: task.name),
    "repr": (2, lambda task, kept: "later" in repr(task)),
    "locals of the coroutine": (2, lambda task, kept: len(inspect.getcoroutinelocals(task.coro))),
    "a coroutine that was kept": (2, lambda task, kept: inspect.getcoroutinelocals(kept).get("gone_on")),
    "line of the coroutine": (2, lambda task, kept: task.coro.cr_frame.f_lasti),
    "frames, of which it has as many as ever": (1, lambda task, kept: len(list(task.iter_await_frames()))),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_one_sees_who_looks_into_a_task(name: str) -> None:
    outcomes, look = LOOKS[name]
    program = looked_into(look)
    assert len(explored(program, "dfs").seen) == outcomes
    assert not missed(program)


async def whether_a_coroutine_has_ended() -> Hashable:
    seen: list[Hashable] = []

    async def ends(task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        task_status.started(trio.lowlevel.current_task())
        await checkpoint()

    async with trio.open_nursery() as nursery:
        task: trio.lowlevel.Task = await nursery.start(ends)

        async def look() -> None:
            seen.append(inspect.getcoroutinestate(task.coro))

        nursery.start_soon(look)
    return tuple(seen)


async def what_is_left_for_a_task() -> Hashable:
    """One that is woken finds what another has put there: plain attributes are written from outside, too."""
    seen: list[Hashable] = []
    waiting: list[Any] = []

    async def wait() -> None:
        task: Any = trio.lowlevel.current_task()
        waiting.append(task)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        (task,) = waiting

        async def leave() -> None:
            task.custom_sleep_data = "left"

        async def look() -> None:
            seen.append(task.custom_sleep_data)

        await together(leave, look)
        trio.lowlevel.reschedule(task)
    return tuple(seen)


@pytest.mark.parametrize("program", [whether_a_coroutine_has_ended, what_is_left_for_a_task])
def test_what_becomes_of_a_task_that_is_looked_into(program: Program) -> None:
    assert len(explored(program, "dfs").seen) == 2
    assert not missed(program)


async def what_a_lot_looks_like() -> Hashable:
    lot = trio.lowlevel.ParkingLot()
    seen: list[Hashable] = []

    async def look() -> None:
        seen.append("Task" in repr(lot))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lot.park)
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return tuple(seen)


def test_a_lot_shows_who_waits_in_it() -> None:
    assert len(explored(what_a_lot_looks_like, "dfs").seen) == 2
    assert not missed(what_a_lot_looks_like)


async def names_and_own_attributes() -> Hashable:
    async def work() -> None:
        task = trio.lowlevel.current_task()
        variable.set(1)
        assert task.context.get(variable) == 1
        assert inspect.getcoroutinestate(task.coro) == inspect.CORO_RUNNING
        await checkpoint()

    async with trio.open_nursery() as nursery:
        for name in ("one", "two", "three"):
            nursery.start_soon(work, name=name)
        await checkpoint()
        return tuple(
            sorted(task.name for task in trio.lowlevel.current_task().child_nurseries[0].child_tasks)
        )


def test_names_that_nobody_changes_and_what_a_task_sees_of_itself_make_no_trace_more() -> None:
    async def only_started() -> Hashable:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(checkpoint)
            await checkpoint()
            return len(nursery.child_tasks)

    assert (
        explored(names_and_own_attributes, "dpor").result.executions
        == explored(only_started, "dpor").result.executions
    )
