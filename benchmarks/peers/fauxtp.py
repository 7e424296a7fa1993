"""fauxtp: GenServer and Supervisor on AnyIO, here on its asyncio, where it is faster than on Trio."""

from __future__ import annotations

import asyncio
import gc
import importlib
from typing import Any

from .timing import BURST, Stopwatch, at_once, resident_bytes

anyio: Any = importlib.import_module("anyio")
fauxtp: Any = importlib.import_module("fauxtp")
registry: Any = importlib.import_module("fauxtp.registry")
supervisor: Any = importlib.import_module("fauxtp.supervisor")

DISTRIBUTION = "fauxtp"


class Counter(fauxtp.GenServer):  # type: ignore[misc]  # fauxtp is in no type checker's environment
    async def init(self) -> int:
        return 0

    async def handle_call(self, request: tuple[str, int], _from: object, state: int) -> tuple[int, int]:
        match request:
            case ("increment", by):
                return state + by, state + by
            case _:
                raise ValueError(request)

    async def handle_cast(self, request: tuple[str, int], state: int) -> int:
        match request:
            case ("add", by):
                return state + by
            case _:
                raise ValueError("as asked")


def call_async(count: int, clients: int) -> float:
    async def main() -> float:
        async with anyio.create_task_group() as group:
            pid = await Counter.start(task_group=group)

            async def client(share: int) -> None:
                for _ in range(share):
                    await fauxtp.call(pid, ("increment", 1))

            each = await at_once(client, count, clients)
            assert await fauxtp.call(pid, ("increment", 0)) == count
            group.cancel_scope.cancel()
        return each

    return asyncio.run(main())


def cast(count: int) -> float:
    async def main() -> float:
        async with anyio.create_task_group() as group:
            pid = await Counter.start(task_group=group)
            watch = Stopwatch(count)
            for _ in range(0, count, BURST):
                for _ in range(BURST):
                    await fauxtp.cast(pid, ("add", 1))
                await asyncio.sleep(0)
            assert await fauxtp.call(pid, ("increment", 0)) == count
            each = watch.each
            group.cancel_scope.cancel()
        return each

    return asyncio.run(main())


def start_stop(count: int) -> float:
    async def main() -> float:
        watch = Stopwatch(count)
        async with anyio.create_task_group() as group:
            handles = [await Counter.start_link(task_group=group) for _ in range(count)]
            # A task that is cancelled before its first step would never have been a server.
            await asyncio.sleep(0)
            for handle in handles:
                handle.cancel_scope.cancel()
        return watch.each

    return asyncio.run(main())


def memory(count: int) -> float:
    async def main() -> float:
        async with anyio.create_task_group() as group:
            pids = [await Counter.start(task_group=group)]
            await fauxtp.call(pids[0], ("increment", 1))
            gc.collect()
            before = resident_bytes()
            for _ in range(count):
                pid = await Counter.start(task_group=group)
                await fauxtp.call(pid, ("increment", 1))
                pids.append(pid)
            gc.collect()
            after = resident_bytes()
            group.cancel_scope.cancel()
        return (after - before) / count

    return asyncio.run(main())


def crash_restart(count: int) -> float:
    async def main() -> float:
        async with anyio.create_task_group() as group:
            names = await registry.Registry.start(task_group=group)
            await supervisor.Supervisor.start(
                children=[supervisor.ChildSpec(actor=Counter, name="counter")],
                registry=names,
                task_group=group,
            )

            async def another_than(old: object) -> object:
                while True:
                    pid = await fauxtp.call(names, ("get", "counter"))
                    if pid is not None and pid != old:
                        return pid

            pid = await another_than(None)
            watch = Stopwatch(count)
            for _ in range(count):
                await fauxtp.cast(pid, ("crash", 0))
                pid = await another_than(pid)
                assert await fauxtp.call(pid, ("increment", 1)) == 1
            each = watch.each
            group.cancel_scope.cancel()
        return each

    return asyncio.run(main())
