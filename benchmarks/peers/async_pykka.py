"""async-pykka: Pykka's interface on asyncio. No supervision."""

from __future__ import annotations

import asyncio
import gc
import importlib
from typing import Any

from .timing import BURST, Stopwatch, at_once, resident_bytes

async_pykka: Any = importlib.import_module("async_pykka")

DISTRIBUTION = "async-pykka"


class Counter(async_pykka.AsyncioActor):  # type: ignore[misc]  # it is in no type checker's environment
    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  # the same
        self.value = 0

    async def on_receive(self, message: tuple[str, int]) -> int | None:
        match message:
            case ("increment", by):
                self.value += by
                return self.value
            case ("add", by):
                self.value += by
                return None
            case _:
                raise ValueError(message)


def call_async(count: int, clients: int) -> float:
    async def main() -> float:
        ref = Counter.start()

        async def client(share: int) -> None:
            for _ in range(share):
                await ref.ask(("increment", 1))

        each = await at_once(client, count, clients)
        assert await ref.ask(("increment", 0)) == count
        await ref.stop()
        return each

    return asyncio.run(main())


def cast(count: int) -> float:
    async def main() -> float:
        ref = Counter.start()
        watch = Stopwatch(count)
        for _ in range(0, count, BURST):
            for _ in range(BURST):
                ref.tell(("add", 1))
            await asyncio.sleep(0)
        assert await ref.ask(("increment", 0)) == count
        each = watch.each
        await ref.stop()
        return each

    return asyncio.run(main())


def start_stop(count: int) -> float:
    async def main() -> float:
        watch = Stopwatch(count)
        refs = [Counter.start() for _ in range(count)]
        for stopped in [ref.stop() for ref in refs]:
            await stopped
        return watch.each

    return asyncio.run(main())


def memory(count: int) -> float:
    async def main() -> float:
        refs = [Counter.start()]
        await refs[0].ask(("increment", 1))
        gc.collect()
        before = resident_bytes()
        for _ in range(count):
            ref = Counter.start()
            await ref.ask(("increment", 1))
            refs.append(ref)
        gc.collect()
        after = resident_bytes()
        await async_pykka.ActorRegistry.stop_all()
        return (after - before) / count

    return asyncio.run(main())
