"""Statements about tasks and their statistics, system tasks, generators, threads."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, Hashable

import trio
import trio.testing

from tests.sim.strategies.trio_grammar.synchronization import simple
from tests.sim.strategies.trio_grammar.world import Act, Failure, Maker, World

checkpoint = trio.lowlevel.checkpoint


def show_task(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        world.tasks[which].set(trio.lowlevel.current_task())
        return "shown"

    return act


def look_at_task(maker: Maker) -> Act:
    which = maker.which()
    what = maker.random.choice(("nurseries", "root", "parent", "eventual", "frames"))

    async def act(world: World) -> Hashable:
        task = world.root if what == "root" else world.tasks[which].get()
        if task is None:
            return "none"
        match what:
            case "nurseries":
                return len(task.child_nurseries)
            case "root":
                return tuple(len(nursery.child_tasks) for nursery in task.child_nurseries)
            case "parent":
                return task.parent_nursery is world.nurseries[which].get()
            case "eventual":
                return task.eventual_parent_nursery is None
            case _:
                # How many there are depends on the strategy: the wrappers that note footprints have frames.
                return bool(list(task.iter_await_frames()))

    return act


def look_into_task(maker: Maker) -> Act:
    which = maker.which()
    what = maker.random.choice(("waits in", "state", "locals", "name", "rename"))

    async def act(world: World) -> Hashable:
        task = world.tasks[which].get()
        if task is None:
            return "none"
        match what:
            case "waits in":
                return isinstance(task.custom_sleep_data, trio.lowlevel.ParkingLot)
            case "state":
                return inspect.getcoroutinestate(task.coro)
            case "locals":
                return len(inspect.getcoroutinelocals(task.coro))
            case "name":
                return task.name
            case _:
                task.name = f"task {which}"
        return what

    return act


statistics = simple(
    lambda world, which, number: trio.lowlevel.current_statistics().tasks_living,
    lambda world, which, number: trio.lowlevel.current_statistics().tasks_runnable,
    lambda world, which, number: trio.lowlevel.current_statistics().run_sync_soon_queue_size,
    lambda world, which, number: trio.lowlevel.current_statistics().seconds_to_next_deadline,
    lambda world, which, number: trio.testing.active_thread_count(),
)


def system_task(maker: Maker) -> Act:
    inside = maker.block(1)

    async def run(world: World) -> None:
        with contextlib.suppress(Failure):
            await inside.run(world)

    async def act(world: World) -> Hashable:
        trio.lowlevel.spawn_system_task(run, world.apart())
        return "spawned"

    return act


def sequence(maker: Maker) -> Act:
    place, inside = maker.random.randint(0, 2), maker.block(1)

    async def act(world: World) -> Hashable:
        async with world.sequencer(place):
            await inside.run(world)
        return place

    return act


# Async generators.


def generator(maker: Maker) -> Act:
    which, number = maker.which(), maker.random.randint(1, 9)
    ends = maker.random.choice(("all", "break", "aclose", "kept"))
    awaits = maker.random.random() < 0.5

    async def values(world: World) -> AsyncGenerator[int]:
        try:
            for _ in range(2):
                await checkpoint()
                yield world.cells[which].get()
        finally:
            if awaits:
                with trio.CancelScope(shield=True):
                    await checkpoint()
            world.cells[which].set(world.cells[which].get() * 10 + number)

    async def act(world: World) -> Hashable:
        seen: list[int] = []
        made = values(world)
        async for value in made:
            seen.append(value)
            if ends != "all":
                break
        if ends == "aclose":
            await made.aclose()
        elif ends == "kept":
            world.kept.append(made)
        del made
        return tuple(seen)

    return act


# Threads.


def thread(maker: Maker) -> Act:
    which, number, calls = maker.which(), maker.random.randint(1, 9), maker.block(1)
    work = maker.random.choice(("nothing", "run_sync", "run", "check", "check", "fail", "token", "both"))
    abandons, limits = maker.random.random() < 0.5, maker.random.random() < 0.6

    def add(world: World) -> int:
        cell = world.cells[which]
        cell.set(cell.get() * 10 + number)
        return cell.get()

    def function(world: World, token: trio.lowlevel.TrioToken) -> Hashable:
        match work:
            case "run_sync":
                return trio.from_thread.run_sync(add, world)
            case "run":
                # In a system task if the thread may be abandoned.
                trio.from_thread.run(calls.run, world.apart() if abandons else world)
            case "both":
                trio.from_thread.run_sync(add, world)
                trio.from_thread.check_cancelled()
            case "check":
                trio.from_thread.check_cancelled()
            case "fail":
                raise Failure
            case "token":
                return trio.from_thread.run_sync(add, world, trio_token=token)
            case _:
                pass
        return work

    async def act(world: World) -> Hashable:
        limiter = world.limiters[which] if limits else None
        token = trio.lowlevel.current_trio_token()
        return await trio.to_thread.run_sync(
            function, world, token, abandon_on_cancel=abandons, limiter=limiter
        )

    return act


def callback(maker: Maker) -> Act:
    which, number = maker.which(), maker.random.randint(1, 9)
    idempotent = maker.random.random() < 0.3

    async def act(world: World) -> Hashable:
        def add() -> None:
            cell = world.cells[which]
            cell.set(cell.get() * 10 + number)

        trio.lowlevel.current_trio_token().run_sync_soon(add, idempotent=idempotent)
        return "queued"

    return act


def threads_completed(maker: Maker) -> Act:
    async def act(world: World) -> Hashable:
        await trio.testing.wait_all_threads_completed()
        return trio.testing.active_thread_count()

    return act


STATEMENTS = (
    show_task,
    look_at_task,
    statistics,
    system_task,
    sequence,
    generator,
    thread,
    callback,
    threads_completed,
)
