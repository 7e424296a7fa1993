"""Statements about time, scopes, errors, nurseries."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

import trio
import trio.testing

from tests.sim.strategies.trio_grammar.synchronization import simple
from tests.sim.strategies.trio_grammar.world import Act, Failure, Maker, World, described

checkpoint = trio.lowlevel.checkpoint


def pause(maker: Maker) -> Act:
    wait = maker.random.choice(
        (
            checkpoint,
            trio.lowlevel.checkpoint_if_cancelled,
            trio.lowlevel.cancel_shielded_checkpoint,
            partial(trio.sleep, 0),
        )
    )

    async def act(world: World) -> Hashable:
        await wait()
        return "on"

    return act


def sleep(maker: Maker) -> Act:
    seconds = maker.random.randint(1, 2)

    async def act(world: World) -> Hashable:
        await trio.sleep(seconds)
        return trio.current_time()

    return act


def settle(maker: Maker) -> Act:
    async def act(world: World) -> Hashable:
        await trio.testing.wait_all_tasks_blocked()
        return "settled"

    return act


# Scopes.


def scope_entered(maker: Maker) -> Act:
    which, inside = maker.which(), maker.block()

    async def act(world: World) -> Hashable:
        with world.scopes[which] as scope:
            await inside.run(world)
        return scope.cancelled_caught

    return act


def _put_deadline(world: World, which: int, number: int) -> None:
    world.scopes[which].deadline = trio.current_time() + number % 3


def _put_relative(world: World, which: int, number: int) -> None:
    world.scopes[which].relative_deadline = number % 3


def _put_shield(world: World, which: int, number: int) -> None:
    world.scopes[which].shield = number > 4


scope = simple(
    lambda world, which, number: world.scopes[which].cancel(),
    lambda world, which, number: world.scopes[which].cancel(reason=str(number)),
    _put_deadline,
    _put_relative,
    _put_shield,
)

scope_look = simple(
    lambda world, which, number: world.scopes[which].cancel_called,
    lambda world, which, number: world.scopes[which].cancelled_caught,
    lambda world, which, number: world.scopes[which].deadline,
    lambda world, which, number: world.scopes[which].relative_deadline,
    lambda world, which, number: world.scopes[which].is_relative,
    lambda world, which, number: world.scopes[which].shield,
    lambda world, which, number: trio.current_effective_deadline(),
)


def timeout(maker: Maker) -> Act:
    kind, inside = maker.random.choice(("move_on_after", "fail_after", "move_on_at")), maker.block()
    seconds, shield = maker.random.randint(0, 2), maker.random.random() < 0.3

    async def act(world: World) -> Hashable:
        match kind:
            case "move_on_after":
                block = trio.move_on_after(seconds, shield=shield)
            case "fail_after":
                with trio.fail_after(seconds, shield=shield):
                    await inside.run(world)
                return "in time"
            case _:
                block = trio.move_on_at(trio.current_time() + seconds, shield=shield)
        with block as entered:
            await inside.run(world)
        return entered.cancelled_caught

    return act


def shielded(maker: Maker) -> Act:
    inside, opens = maker.block(), maker.random.random() < 0.4

    async def act(world: World) -> Hashable:
        with trio.CancelScope(shield=True) as shield:
            await inside.run(world)
            if opens:
                shield.shield = False
                await checkpoint()
        return "unshielded"

    return act


def cleanup(maker: Maker) -> Act:
    inside, after = maker.block(), maker.block(1)
    protects, replaces = maker.random.random() < 0.5, maker.random.random() < 0.4

    async def act(world: World) -> Hashable:
        try:
            await inside.run(world)
        except trio.Cancelled as error:
            with trio.CancelScope(shield=protects):
                await after.run(world)
            if replaces:
                raise Failure("instead of being cancelled") from error
            raise
        return "not cancelled"

    return act


# Errors.


def fail(maker: Maker) -> Act:
    later = maker.random.random() < 0.5

    async def act(world: World) -> Hashable:
        if later:
            await checkpoint()
        raise Failure

    return act


def caught(maker: Maker) -> Act:
    inside = maker.block()

    async def act(world: World) -> Hashable:
        try:
            await inside.run(world)
        except Failure:
            return "caught"
        return "nothing to catch"

    return act


# Nurseries.


def nursery(maker: Maker) -> Act:
    children = [maker.block() for _ in range(maker.random.randint(1, 2))]
    inside = maker.block(1)
    which, shows, cancels = maker.which(), maker.random.random() < 0.4, maker.random.random() < 0.3
    looks = maker.random.random() < 0.4

    async def act(world: World) -> Hashable:
        failed: Hashable = None
        scope: trio.CancelScope | None = None
        try:
            async with trio.open_nursery() as nursery:
                scope = nursery.cancel_scope
                for child in children:
                    nursery.start_soon(child.run, world)
                if shows and not world.is_apart:
                    world.nurseries[which].set(nursery)
                await inside.run(world)
                if looks:
                    world.logs[inside.number].append(len(nursery.child_tasks))
                if cancels:
                    nursery.cancel_scope.cancel()
        except* Failure as group:
            failed = described(group)
        return failed, scope is not None and scope.cancelled_caught

    return act


def nursery_raw(maker: Maker) -> Act:
    """Sees the cancellations in the group as well, in order."""
    children = [maker.block() for _ in range(maker.random.randint(1, 2))]

    async def act(world: World) -> Hashable:
        seen: list[Hashable] = world.logs.setdefault(-1 - children[0].number, [])
        try:
            async with trio.open_nursery() as nursery:
                for child in children:
                    nursery.start_soon(child.run, world)
                await checkpoint()
        except BaseExceptionGroup as group:
            seen.append(described(group))
            raise
        except trio.Cancelled:
            seen.append("cancelled")
            raise
        return "ended"

    return act


def nursery_of_another(maker: Maker) -> Act:
    which, child = maker.which(), maker.block(1)
    action = maker.random.choice(("start_soon", "cancel", "look", "caught", "scope"))

    async def act(world: World) -> Hashable:
        nursery = world.nurseries[which].get()
        if nursery is None:
            return "none"
        match action:
            case "start_soon":
                nursery.start_soon(child.run, world)
            case "cancel":
                nursery.cancel_scope.cancel()
            case "look":
                return len(nursery.child_tasks)
            case "caught":
                return nursery.cancel_scope.cancelled_caught
            case _:
                return nursery.cancel_scope.cancel_called
        return action

    return act


def start(maker: Maker) -> Act:
    before, after, which = maker.block(1), maker.block(1), maker.which()
    lends, in_shown = maker.random.random() < 0.3, maker.random.random() < 0.3
    never = maker.random.random() < 0.1

    async def child(world: World, *, task_status: trio.TaskStatus[int]) -> None:
        if lends:
            world.statuses[which].set(task_status)
        await before.run(world)
        if not never:
            task_status.started(world.cells[which].get())
        await after.run(world)

    async def act(world: World) -> Hashable:
        shown = world.nurseries[which].get()
        if in_shown and shown is not None:
            value: Hashable = await shown.start(child, world)
            return value
        started: list[Hashable] = []
        try:
            async with trio.open_nursery() as nursery:
                started.append(await nursery.start(child, world))
        except* (Failure, RuntimeError) as group:
            started.append(described(group))
        return tuple(started)

    return act


def start_status(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        status = world.statuses[which].get()
        if status is None:
            return "none"
        status.started(7)
        return "started"

    return act


STATEMENTS = (
    pause,
    sleep,
    settle,
    scope_entered,
    scope_entered,
    scope,
    scope,
    scope_look,
    timeout,
    shielded,
    cleanup,
    fail,
    caught,
    nursery,
    nursery,
    nursery_raw,
    nursery_of_another,
    start,
    start_status,
)
