"""lapinbeam: actors on asyncio with a core in Rust for what goes between nodes; here on one node.

An actor's name belongs to its class, so many actors are many classes. They are made before the time is taken.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from .timing import BURST, Stopwatch, at_once, resident_bytes

lapinbeam: Any = importlib.import_module("lapinbeam")

DISTRIBUTION = "lapinbeam"


def counter(name: str) -> type[Any]:
    """An actor class of that name."""

    class Counter:
        def __init__(self) -> None:
            self.value = 0

        async def receive(self, message: tuple[str, int]) -> None:
            match message:
                case ("increment", by):
                    self.value += by
                    await lapinbeam.current_message().reply(self.value)
                case ("add", by):
                    self.value += by
                case _:
                    raise ValueError(message)

    made: type[Any] = lapinbeam.actor(name=name)(Counter)
    return made


def _run(main: Callable[[Any], Awaitable[float]]) -> float:
    async def inside() -> float:
        async with lapinbeam.Node("bench@127.0.0.1:0") as node:
            return await main(lapinbeam.Supervisor("one_for_one", node=node))

    return asyncio.run(inside())


def call_async(count: int, clients: int) -> float:
    async def main(supervisor: Any) -> float:
        ref = supervisor.spawn(counter("counter"))

        async def client(share: int) -> None:
            for _ in range(share):
                await ref.ask(("increment", 1))

        each = await at_once(client, count, clients)
        assert await ref.ask(("increment", 0)) == count
        return each

    return _run(main)


def cast(count: int) -> float:
    async def main(supervisor: Any) -> float:
        ref = supervisor.spawn(counter("counter"))
        watch = Stopwatch(count)
        for _ in range(0, count, BURST):
            for _ in range(BURST):
                await ref.send(("add", 1))
            await asyncio.sleep(0)
        assert await ref.ask(("increment", 0)) == count
        return watch.each

    return _run(main)


def start_stop(count: int) -> float:
    classes = [counter(f"counter {n}") for n in range(count)]

    async def main(supervisor: Any) -> float:
        watch = Stopwatch(count)
        for each in classes:
            supervisor.spawn(each)
        await asyncio.sleep(0)
        await supervisor.shutdown()
        return watch.each

    return _run(main)


def memory(count: int) -> float:
    classes = [counter(f"counter {n}") for n in range(count)]

    async def main(supervisor: Any) -> float:
        await supervisor.spawn(counter("counter")).ask(("increment", 1))
        gc.collect()
        before = resident_bytes()
        for each in classes:
            await supervisor.spawn(each).ask(("increment", 1))
        gc.collect()
        return (resident_bytes() - before) / count

    return _run(main)


def keyed(count: int) -> float:
    async def main(supervisor: Any) -> float:
        async def handle(message: str) -> None:
            await lapinbeam.current_message().reply(message)

        keys = [f"list {n}" for n in range(count)]
        async with supervisor.spawn_pool(handle, 8, name="pool", key=str) as pool:
            watch = Stopwatch(count)
            for key in keys:
                await pool.ask(key)
            return watch.each

    return _run(main)
