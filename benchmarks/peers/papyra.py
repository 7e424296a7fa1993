"""papyra: actors with a supervision policy each, on AnyIO, here on its asyncio."""

from __future__ import annotations

import asyncio
import gc
import importlib
from typing import Any

from .timing import BURST, Stopwatch, at_once, resident_bytes

papyra: Any = importlib.import_module("papyra")
supervision: Any = importlib.import_module("papyra.supervision")

DISTRIBUTION = "papyra"


class Counter(papyra.Actor):  # type: ignore[misc]  # papyra is in no type checker's environment
    def __init__(self) -> None:
        self.value = 0

    async def receive(self, message: tuple[str, int]) -> int | None:
        match message:
            case ("increment", by):
                self.value += by
                return self.value
            case ("add", by):
                self.value += by
                return None
            case _:
                raise ValueError("as asked")


def call_async(count: int, clients: int) -> float:
    async def main() -> float:
        async with papyra.ActorSystem() as system:
            ref = system.spawn(Counter)

            async def client(share: int) -> None:
                for _ in range(share):
                    await ref.ask(("increment", 1))

            each = await at_once(client, count, clients)
            assert await ref.ask(("increment", 0)) == count
            return each

    return asyncio.run(main())


def cast(count: int) -> float:
    async def main() -> float:
        async with papyra.ActorSystem() as system:
            ref = system.spawn(Counter, mailbox_capacity=None)
            watch = Stopwatch(count)
            for _ in range(0, count, BURST):
                for _ in range(BURST):
                    await ref.tell(("add", 1))
                await asyncio.sleep(0)
            assert await ref.ask(("increment", 0)) == count
            return watch.each

    return asyncio.run(main())


def start_stop(count: int) -> float:
    async def main() -> float:
        watch = Stopwatch(count)
        async with papyra.ActorSystem() as system:
            refs = [system.spawn(Counter) for _ in range(count)]
            for ref in refs:
                await system.stop(ref)
        return watch.each

    return asyncio.run(main())


def memory(count: int) -> float:
    async def main() -> float:
        async with papyra.ActorSystem() as system:
            refs = [system.spawn(Counter)]
            await refs[0].ask(("increment", 1))
            gc.collect()
            before = resident_bytes()
            for _ in range(count):
                ref = system.spawn(Counter)
                await ref.ask(("increment", 1))
                refs.append(ref)
            gc.collect()
            return (resident_bytes() - before) / count

    return asyncio.run(main())


def crash_restart(count: int) -> float:
    policy = supervision.SupervisionPolicy(
        strategy=supervision.Strategy.RESTART, max_restarts=10**9, within_seconds=5.0
    )

    async def main() -> float:
        async with papyra.ActorSystem() as system:
            ref = system.spawn(Counter, policy=policy)
            watch = Stopwatch(count)
            for _ in range(count):
                await ref.tell(("crash", 0))
                assert await ref.ask(("increment", 1)) == 1
            return watch.each

    return asyncio.run(main())
