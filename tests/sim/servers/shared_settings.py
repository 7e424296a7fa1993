"""More of what random programs of servers happen among: registries, pools, tasks, agents."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from tests.sim.servers.served import Cell, Operation, calls, seen
from tests.sim.servers.server_settings import Ended, Setting, prefixed
from trio_genserver import as_completed, child_spec, open_server
from trio_genserver.agents import open_agent
from trio_genserver.pools import CheckoutOrder, open_checkout_pool
from trio_genserver.registry import DuplicateRegistry, Registry
from trio_genserver.tasks import Settled, Task, amap, amap_isolated, open_task_supervisor, poll_many

ORDERS: tuple[CheckoutOrder, ...] = ("lifo", "fifo")


def a_registry(random: Random) -> Setting:
    named, listens = random.choice((True, False)), random.choice((True, False))

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        registry: Registry[Cell] = Registry("cells")
        heard = ended.setdefault("events", [])
        name = registry.via("key", 0)
        spec = child_spec(Cell, 1, ended.setdefault("cell", []))
        async with (
            open_server(spec.replace(via=name) if named else spec) as cell,
            open_server(Cell, 2) as other,
        ):
            if listens:
                # It has one writer: the registry, each change of which is ordered with the others.
                registry.listen(lambda event: heard.append(type(event).__name__))

            async def register(by: int) -> None:
                registry.register("key", other if by % 2 else cell, by)

            async def unregister(by: int) -> None:
                registry.unregister("key", other if by % 2 else cell)

            async def look(_: int) -> object:
                return seen(registry.lookup("key")), "key" in registry, len(registry)

            async def count(_: int) -> object:
                return registry.count(lambda entry: entry.value == 0), registry.keys_of(cell)

            async def value(_: int) -> object:
                return registry.value("key")

            async def update(by: int) -> object:
                before: Any = registry.value("key")
                await trio.lowlevel.checkpoint()
                return registry.update_value("key", cell, lambda _: before + by)

            async def entries(_: int) -> object:
                return tuple(entry.value for entry in registry)

            async def second(by: int) -> object:
                async with open_server(child_spec(Cell, by).replace(via=name)) as ref:
                    return await ref.call(Cell.add(by))

            yield {
                "register": register,
                "unregister": unregister,
                "look": look,
                "count": count,
                "value": value,
                "update": update,
                "entries": entries,
                "second": second,
                **prefixed("by name", calls(name)),
                **calls(cell),
            }

    return opened


def a_duplicate_registry(random: Random) -> Setting:
    del random

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        del ended
        registry: DuplicateRegistry[Cell] = DuplicateRegistry("cells")
        async with open_server(Cell, 1) as cell, open_server(Cell, 2) as other:
            registry.register("key", cell, 0)

            async def register(by: int) -> None:
                registry.register("key", other if by % 2 else cell, by)

            async def unregister(by: int) -> None:
                registry.unregister("key", other if by % 2 else cell)

            async def look(_: int) -> object:
                return len(registry.lookup("key")), [entry.value for entry in registry.entries("key")]

            async def all_of(by: int) -> object:
                return tuple([await ref.call(Cell.add(by)) for ref in registry.lookup("key")])

            yield {"register": register, "unregister": unregister, "look": look, "all": all_of, **calls(cell)}

    return opened


def a_checkout_pool(random: Random) -> Setting:
    size, more, lazy = random.choice((1, 1, 2)), random.choice((0, 1)), random.choice((True, False))
    order = random.choice(ORDERS)

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        del ended
        async with open_checkout_pool(
            child_spec(Cell, 1), size=size, max_overflow=more, lazy=lazy, order=order
        ) as pool:

            def use(operation: str, *, wait: bool = True) -> Operation:
                async def used(by: int) -> object:
                    async with pool.checkout(wait=wait) as worker:
                        return seen(await calls(worker)[operation](by))

                return used

            async def remove(by: int) -> object:
                async with pool.checkout() as worker:
                    pool.remove(worker)
                    return await worker.call(Cell.add(by))

            async def status(_: int) -> object:
                return repr(pool.status())

            yield {
                "remove": remove,
                "status": status,
                "stop": lambda _: pool.stop(),
                **{name: use(name) for name in ("add", "slow", "second", "crash", "fail", "cast")},
                **{f"{name} now": use(name, wait=False) for name in ("add", "slow")},
            }

    return opened


def some_tasks(random: Random) -> Setting:
    room = random.choice((1, 2, None))

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        async with (
            open_server(Cell, 1, ended.setdefault("cell", [])) as cell,
            open_task_supervisor(max_children=room) as tasks,
        ):

            async def work(by: int) -> int:
                await trio.lowlevel.checkpoint()
                return await cell.call(Cell.add(by))

            async def waited(by: int) -> object:
                return await tasks.start(work, by).wait()

            async def unlinked(by: int) -> object:
                return await tasks.start_isolated(cell.call, Cell.fail() if by % 2 else Cell.add(by)).wait()

            async def several(by: int) -> object:
                started = [tasks.start_isolated(work, by + number) for number in range(2)]
                return tuple([seen(await each.wait()) async for each in as_completed(started)])

            async def ended_soon(by: int) -> object:
                task: Task[int] = tasks.start_isolated(work, by)
                await trio.lowlevel.checkpoint()
                return seen(await task.shutdown())

            async def polled(by: int) -> object:
                found = await poll_many([tasks.start_isolated(work, by)], kill=by % 2 == 0)
                return tuple(outcome is None for _, outcome in found)

            async def ignored(by: int) -> object:
                return tasks.start_isolated(work, by).ignore() is None

            async def idle(_: int) -> object:
                await tasks.wait_idle()
                return len(tasks.tasks)

            async def mapped(by: int) -> object:
                async with amap(work, range(by), ordered=by % 2 == 0, max_concurrency=2) as results:
                    return tuple([result async for result in results])

            async def settled(by: int) -> object:
                async with amap_isolated(work, range(by), ordered=by % 2 == 0) as results:
                    return tuple([_settled(result) async for result in results])

            yield {
                "waited": waited,
                "unlinked": unlinked,
                "several": several,
                "ended soon": ended_soon,
                "polled": polled,
                "ignored": ignored,
                "idle": idle,
                "amap": mapped,
                "amap_isolated": settled,
                "stop the supervisor": lambda _: tasks.stop(),
                **calls(cell),
            }

    return opened


def _settled(item: Settled[int, int]) -> object:
    return item.item, type(item.outcome).__name__


def an_agent(random: Random) -> Setting:
    del random

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        del ended
        async with open_agent(lambda: 1) as agent:

            def wrong(value: int) -> int:
                raise ValueError(value)

            yield {
                "get": lambda _: agent.get(lambda value: value),
                "update": lambda by: agent.update(lambda value: value * 2 + by),
                "swap": lambda by: agent.get_and_update(lambda value: (value, by)),
                "cast": lambda by: agent.cast_update(lambda value: value + by),
                "wrong": lambda _: agent.update(wrong),
                "stop": lambda _: agent.stop(),
            }

    return opened
