"""What random programs of servers happen among: a server, a supervisor, a registry, a pool and so on, each
with what clients may do there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any, TypeAlias

import trio

from tests.sim.servers.served import Cell, Operation, calls, seen
from trio_genserver import (
    DynamicSupervisorRef,
    Overflow,
    Restart,
    ServerRef,
    as_completed,
    child_spec,
    monitor,
    open_dynamic_supervisor,
    open_server,
    open_supervisor,
    wait_all,
)
from trio_genserver.pools import KeyedPool, LeastLoadedPool, RoundRobinPool
from trio_genserver.supervision import AutoShutdown, Strategy, open_partition_supervisor

Ended: TypeAlias = dict[str, list[str]]
"""How each server has ended, by its name; each list has one writer."""

Setting: TypeAlias = Callable[[Ended], AbstractAsyncContextManager[dict[str, Operation]]]
"""Opens it for one run."""

OVERFLOWS: tuple[Overflow, ...] = ("wait", "raise", "drop_oldest", "drop_newest")
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
AUTO_SHUTDOWNS: tuple[AutoShutdown, ...] = ("never", "never", "any_significant", "all_significant")
RESTARTS: tuple[Restart, ...] = ("permanent", "transient", "temporary")


def a_server(random: Random) -> Setting:
    size, overflow = random.choice((1, 2, 1000)), random.choice(OVERFLOWS)

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        spec = child_spec(Cell, 1, ended.setdefault("cell", []))
        async with open_server(spec.replace(mailbox_size=size, overflow=overflow)) as cell:
            yield calls(cell)

    return opened


def two_servers(random: Random) -> Setting:
    del random

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        first = child_spec(Cell, 1, ended.setdefault("one", [])).replace(name="one")
        second = child_spec(Cell, 2, ended.setdefault("two", [])).replace(name="two")
        async with open_server(first) as one, open_server(second) as two:
            pools = RoundRobinPool([one, two]), LeastLoadedPool([one, two]), KeyedPool([one, two])

            async def completed(by: int) -> object:
                requests = [ref.send_request(Cell.add_slowly(by), label=ref.name) for ref in (one, two)]
                return tuple(
                    [(each.label, seen(await _of(each.wait))) async for each in as_completed(requests)]
                )

            async def first_only(by: int) -> object:
                requests = [ref.send_request(Cell.add_in_a_child(by), label=ref.name) for ref in (one, two)]
                async for request in as_completed(requests):
                    for each in requests:
                        each.abandon()
                    return request.label
                return None

            async def all_of(by: int) -> object:
                return tuple(
                    await wait_all([one.send_request(Cell.add_slowly(by)), two.send_request(Cell.fail())])
                )

            async def of_both(by: int) -> object:
                return tuple(await wait_all([ref.send_request(Cell.add(by)) for ref in (one, two)]))

            yield {
                "completed": completed,
                "first only": first_only,
                "all": all_of,
                "of both": of_both,
                "in turn": lambda by: pools[0].worker().call(Cell.add(by)),
                "least loaded": lambda by: pools[1].worker().call(Cell.add_slowly(by)),
                "keyed": lambda by: pools[2].worker_for(by).call(Cell.add(by)),
                "watch": lambda _: one.call(Cell.watch(two)),
                **prefixed("one", calls(one)),
                **prefixed("two", calls(two)),
            }

    return opened


def a_supervisor(random: Random) -> Setting:
    strategy, count = random.choice(STRATEGIES), random.choice((1, 1, 2))
    restarts, most = [random.choice(RESTARTS) for _ in range(count)], random.choice((0, 1, 3))
    auto = random.choice(AUTO_SHUTDOWNS)

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        specs = [
            child_spec(Cell, number, ended.setdefault(str(number), [])).replace(
                id=number, restart=restart, significant=auto != "never" and restart != "permanent"
            )
            for number, restart in enumerate(restarts)
        ]
        async with open_supervisor(
            specs, strategy=strategy, max_restarts=most, auto_shutdown=auto
        ) as supervisor:
            cell = supervisor.child(0, Cell)

            async def started(by: int) -> object:
                # Each client its own.
                spec = child_spec(Cell, by, ended.setdefault(f"more {by}", []))
                return seen(await (await supervisor.start_child(spec.replace(id=by + 10))).call(Cell.get()))

            async def children(_: int) -> object:
                return tuple((info.id, info.status) for info in supervisor.which_children())

            async def counts(_: int) -> object:
                return repr(supervisor.count_children())

            async def stopped(_: int) -> object:
                with trio.move_on_after(2):
                    return seen(await cell.wait_stopped())
                return "runs"

            async def downs(_: int) -> object:
                watching = monitor(supervisor)
                with trio.move_on_after(2):
                    return seen(await watching.wait())
                return "runs"

            yield {
                "start": started,
                "children": children,
                "counts": counts,
                "stopped": stopped,
                "down": downs,
                "terminate child": lambda _: supervisor.terminate_child(0),
                "restart child": lambda _: supervisor.restart_child(0),
                "delete child": lambda _: supervisor.delete_child(0),
                "stop the supervisor": lambda _: supervisor.stop(),
                **calls(cell),
                **prefixed("last", calls(supervisor.child(count - 1, Cell))),
            }

    return opened


def a_dynamic_supervisor(random: Random) -> Setting:
    restart, most, room = random.choice(RESTARTS), random.choice((0, 1)), random.choice((1, 2, None))

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        async with open_dynamic_supervisor(max_restarts=most, max_children=room) as supervisor:
            spec = child_spec(Cell, 1, ended.setdefault("child", [])).replace(restart=restart)
            yield _children_of(supervisor, await supervisor.start_child(spec))

    return opened


def _children_of(supervisor: DynamicSupervisorRef, cell: ServerRef[Cell]) -> dict[str, Operation]:
    async def started(by: int) -> object:
        ref = await supervisor.start_child(Cell, by)
        return seen(await ref.call(Cell.add_slowly(by)))

    async def passing(by: int) -> None:
        ref = await supervisor.start_child(Cell, by)
        await supervisor.terminate_child(ref)

    async def counts(_: int) -> object:
        return repr(supervisor.count_children())

    async def children(_: int) -> object:
        return tuple(info.status for info in supervisor.which_children())

    return {
        "start": started,
        "passing": passing,
        "counts": counts,
        "children": children,
        "terminate child": lambda _: supervisor.terminate_child(cell),
        "stop the supervisor": lambda _: supervisor.stop(),
        **calls(cell),
    }


def some_partitions(random: Random) -> Setting:
    count = random.choice((1, 2))

    @asynccontextmanager
    async def opened(ended: Ended) -> AsyncGenerator[dict[str, Operation]]:
        del ended
        async with open_partition_supervisor(child_spec(Cell, 1), count, max_restarts=1) as partitions:

            async def how_many(_: int) -> object:
                return partitions.partitions

            yield {
                "how many": how_many,
                "resize": lambda by: partitions.resize(by),
                "by key": lambda by: partitions.worker_for(by).call(Cell.add(by)),
                "last": lambda by: partitions.child(partitions.partitions - 1).call(Cell.add_slowly(by)),
                **calls(partitions.child(0)),
            }

    return opened


async def _of(wait: Callable[[], Any]) -> object:
    try:
        return await wait()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was seen
        return error


def prefixed(prefix: str, operations: dict[str, Operation]) -> dict[str, Operation]:
    return {f"{prefix}: {name}": operation for name, operation in operations.items()}
