"""Statements about cells, run variables, events, locks, semaphores, limiters, conditions, parking lots."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import trio

from tests.sim.strategies.trio_grammar.world import Act, Maker, World

checkpoint = trio.lowlevel.checkpoint


def simple(*choices: Callable[[World, int, int], Hashable]) -> Callable[[Maker], Act]:
    """A statement that does one of some things without waiting."""

    def make(maker: Maker) -> Act:
        which, number = maker.which(), maker.random.randint(1, 9)
        do = maker.random.choice(choices)

        async def act(world: World) -> Hashable:
            return do(world, which, number)

        return act

    return make


cell = simple(
    lambda world, which, number: world.cells[which].get(),
    lambda world, which, number: world.cells[which].set(number),
)


def cell_later(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        value = world.cells[which].get()
        await checkpoint()
        world.cells[which].set(value + 1)
        return value

    return act


def branch(maker: Maker) -> Act:
    which = maker.which()
    here, there = maker.block(1), maker.block(1)

    async def act(world: World) -> Hashable:
        value = world.cells[which].get()
        await (here if value else there).run(world)
        return value

    return act


variable = simple(
    lambda world, which, number: world.variables[which].get(),
    lambda world, which, number: world.variables[which].get(number),
    lambda world, which, number: world.variables[which].set(number).redeemed,
)


def variable_for_a_while(maker: Maker) -> Act:
    which, number = maker.which(), maker.random.randint(1, 9)

    async def act(world: World) -> Hashable:
        token = world.variables[which].set(number)
        await checkpoint()
        world.variables[which].reset(token)
        return number

    return act


event = simple(
    lambda world, which, number: world.events[which].set(),
    lambda world, which, number: world.events[which].is_set(),
    lambda world, which, number: world.events[which].statistics().tasks_waiting,
)


def event_wait(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        await world.events[which].wait()
        return "set"

    return act


def lock(maker: Maker) -> Act:
    which, inside = maker.which(), maker.block(1)

    async def act(world: World) -> Hashable:
        async with world.locks[which]:
            await inside.run(world)
        return "released"

    return act


def lock_nowait(maker: Maker) -> Act:
    which, inside, otherwise = maker.which(), maker.block(1), maker.block(1)

    async def act(world: World) -> Hashable:
        lock = world.locks[which]
        try:
            lock.acquire_nowait()
        except trio.WouldBlock:
            await otherwise.run(world)
            return "held by another"
        try:
            await inside.run(world)
        finally:
            lock.release()
        return "released"

    return act


def lock_kept(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        await world.locks[which].acquire()
        return "acquired"

    return act


lock_look = simple(
    lambda world, which, number: world.locks[which].locked(),
    lambda world, which, number: world.locks[which].statistics().tasks_waiting,
    lambda world, which, number: world.locks[which].statistics().owner is not None,
    lambda world, which, number: world.locks[which].release(),
)

semaphore = simple(
    lambda world, which, number: world.semaphores[which].acquire_nowait(),
    lambda world, which, number: world.semaphores[which].release(),
    lambda world, which, number: world.semaphores[which].value,
    lambda world, which, number: world.semaphores[which].statistics().tasks_waiting,
)


def semaphore_wait(maker: Maker) -> Act:
    which = maker.which()
    gives_back = maker.random.random() < 0.5

    async def act(world: World) -> Hashable:
        await world.semaphores[which].acquire()
        if gives_back:
            await checkpoint()
            world.semaphores[which].release()
        return "acquired"

    return act


def _put_tokens(world: World, which: int, number: int) -> None:
    world.limiters[which].total_tokens = number % 3 + 1


limiter = simple(
    lambda world, which, number: world.limiters[which].acquire_nowait(),
    lambda world, which, number: world.limiters[which].release(),
    lambda world, which, number: world.limiters[which].acquire_on_behalf_of_nowait(number % 2),
    lambda world, which, number: world.limiters[which].release_on_behalf_of(number % 2),
    lambda world, which, number: world.limiters[which].borrowed_tokens,
    lambda world, which, number: world.limiters[which].available_tokens,
    lambda world, which, number: world.limiters[which].total_tokens,
    lambda world, which, number: world.limiters[which].statistics().tasks_waiting,
    lambda world, which, number: len(world.limiters[which].statistics().borrowers),
    _put_tokens,
)


def limiter_wait(maker: Maker) -> Act:
    which, behalf = maker.which(), maker.random.choice((None, 0, 1))

    async def act(world: World) -> Hashable:
        limiter = world.limiters[which]
        if behalf is None:
            async with limiter:
                await checkpoint()
        else:
            await limiter.acquire_on_behalf_of(behalf)
        return "acquired"

    return act


def condition(maker: Maker) -> Act:
    which = maker.which()
    action = maker.random.choice(("wait", "notify", "notify_all", "look"))

    async def act(world: World) -> Hashable:
        condition = world.conditions[which]
        async with condition:
            match action:
                case "wait":
                    await condition.wait()
                case "notify":
                    condition.notify()
                case "notify_all":
                    condition.notify_all()
                case _:
                    await checkpoint()
        return action, condition.statistics().tasks_waiting

    return act


condition_nowait = simple(
    lambda world, which, number: world.conditions[which].acquire_nowait(),
    lambda world, which, number: world.conditions[which].release(),
    lambda world, which, number: world.conditions[which].locked(),
    lambda world, which, number: world.conditions[which].notify(),
    lambda world, which, number: world.conditions[which].statistics().tasks_waiting,
    lambda world, which, number: world.conditions[which].statistics().lock_statistics.locked,
)

lot = simple(
    lambda world, which, number: len(world.lots[which].unpark()),
    lambda world, which, number: len(world.lots[which].unpark(count=2)),
    lambda world, which, number: len(world.lots[which].unpark_all()),
    lambda world, which, number: world.lots[which].repark(world.lots[1 - which]),
    lambda world, which, number: world.lots[which].repark_all(world.lots[1 - which]),
    lambda world, which, number: world.lots[which].break_lot(),
    lambda world, which, number: len(world.lots[which]),
    lambda world, which, number: bool(world.lots[which]),
    lambda world, which, number: len(world.lots[which].broken_by),
    lambda world, which, number: world.lots[which].statistics().tasks_waiting,
)


def lot_park(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        await world.lots[which].park()
        return "unparked"

    return act


def lot_breaker(maker: Maker) -> Act:
    which, other = maker.which(), maker.which()
    removes = maker.random.random() < 0.3

    async def act(world: World) -> Hashable:
        task = world.tasks[other].get() or trio.lowlevel.current_task()
        if removes:
            trio.lowlevel.remove_parking_lot_breaker(task, world.lots[which])
        else:
            trio.lowlevel.add_parking_lot_breaker(task, world.lots[which])
        return removes

    return act


STATEMENTS = (
    cell,
    cell_later,
    branch,
    variable,
    variable_for_a_while,
    event,
    event_wait,
    lock,
    lock_nowait,
    lock_kept,
    lock_look,
    semaphore,
    semaphore_wait,
    limiter,
    limiter_wait,
    condition,
    condition_nowait,
    lot,
    lot_park,
    lot_breaker,
)
