"""What comes to a nursery when its tasks have ended and its parent has not gone on yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import pytest
import trio

import sim
from tests.sim.strategies.outcomes import explored, missed


async def pause(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await trio.lowlevel.checkpoint()
    task_status.started()


async def by_start(nursery: trio.Nursery) -> Hashable:
    await nursery.start(pause)
    return "started"


async def by_start_soon(nursery: trio.Nursery) -> Hashable:
    nursery.start_soon(pause)
    return "started"


async def by_looking(nursery: trio.Nursery) -> Hashable:
    return len(nursery.child_tasks)


async def what_is_free(use: Callable[[trio.Nursery], Awaitable[Hashable]]) -> Hashable:
    """A parent looks at a lock after its nursery, and what another does with that follows his release."""
    lock = trio.Lock()
    shown: sim.Shared[trio.Nursery | None] = sim.Shared(None)
    seen: dict[str, Hashable] = {}

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            shown.set(nursery)
        seen["locked"] = lock.locked()

    async def other() -> None:
        lock.acquire_nowait()
        await trio.lowlevel.checkpoint()
        lock.release()
        nursery = shown.get()
        try:
            seen["use"] = None if nursery is None else await use(nursery)
        except RuntimeError:
            seen["use"] = "closed"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(parent)
        nursery.start_soon(other)
    return tuple(sorted(seen.items()))


async def whether_a_child_was_started_by_another() -> Hashable:
    """The status of a task that has ended is still good for a moment."""
    shown: sim.Shared[trio.TaskStatus[int] | None] = sim.Shared(None)
    seen: dict[str, Hashable] = {}

    async def child(*, task_status: trio.TaskStatus[int]) -> None:
        shown.set(task_status)

    async def other() -> None:
        status = shown.get()
        if status is not None:
            try:
                status.started(1)
            except (RuntimeError, AssertionError) as error:
                seen["other"] = type(error).__name__

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        try:
            async with trio.open_nursery() as own:
                seen["start"] = await own.start(child)
        except* RuntimeError:
            seen["start"] = "not started"
    return tuple(sorted(seen.items()))


@pytest.mark.parametrize("use", [by_start, by_start_soon, by_looking])
def test_what_finds_a_nursery_closed_comes_before_its_parent_goes_on_or_after(
    use: Callable[[trio.Nursery], Awaitable[Hashable]],
) -> None:
    program = partial(what_is_free, use)
    closed = 0 if use is by_looking else "closed"
    assert {(("locked", locked), ("use", closed)) for locked in (False, True)} <= explored(
        program, "dfs"
    ).seen
    assert not missed(program)


def test_a_task_that_has_ended_is_started_by_another() -> None:
    assert not missed(whether_a_child_was_started_by_another)
