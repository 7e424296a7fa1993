"""casty: actors that are found by key, with a core in Rust; here without a cluster.

A key is an actor, started by its first message: that is its routing, too. The state is a local variable, not
one that casty replicates, which is the fastest it has.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .timing import BURST, Stopwatch, at_once, resident_bytes

casty: Any = importlib.import_module("casty")

DISTRIBUTION = "casty"


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Increment(casty.Askable[int]):  # type: ignore[misc]  # in no type checker's environment
    by: int


@dataclass(frozen=True)
class Crash:
    pass


@dataclass(frozen=True)
class Stop(casty.Askable[int]):  # type: ignore[misc]  # the same
    pass


Messages = Add | Increment | Crash | Stop


async def _body(ctx: Any) -> None:
    value = 0
    async for message in ctx.inbox:
        match message:
            case Increment(by=by, reply_to=reply_to):
                value += by
                reply_to.tell(value)
            case Add(by=by):
                value += by
            case Crash():
                raise ValueError("as asked")
            case Stop(reply_to=reply_to):
                reply_to.tell(value)
                return
            case _:
                raise ValueError(message)


# casty reads the types of the messages here, at run time; a type checker does not have casty.
_body.__annotations__ = {"ctx": casty.Context[int, Messages], "return": None}
counter = casty.actor(initial=0, replicas=1, backoff=casty.Backoff(timedelta(0), timedelta(0), 1.0))(_body)


def _unobserved(_event: object) -> None:
    """Without an observer, it would log each crash."""


def _run(main: Callable[[Any], Awaitable[float]]) -> float:
    async def inside() -> float:
        async with casty.ActorSystem(observer=_unobserved) as system:
            return await main(system)

    return asyncio.run(inside())


def call_async(count: int, clients: int) -> float:
    async def main(system: Any) -> float:
        ref = system.ref(counter, "counter")

        async def client(share: int) -> None:
            for _ in range(share):
                await ref.ask(Increment(1))

        each = await at_once(client, count, clients)
        assert await ref.ask(Increment(0)) == count
        return each

    return _run(main)


def cast(count: int) -> float:
    async def main(system: Any) -> float:
        ref = system.ref(counter, "counter")
        watch = Stopwatch(count)
        for _ in range(0, count, BURST):
            for _ in range(BURST):
                ref.tell(Add(1))
            await asyncio.sleep(0)
        assert await ref.ask(Increment(0)) == count
        return watch.each

    return _run(main)


def start_stop(count: int) -> float:
    async def main(system: Any) -> float:
        watch = Stopwatch(count)
        refs = [system.ref(counter, f"counter {n}") for n in range(count)]
        for ref in refs:
            ref.tell(Add(1))
        await asyncio.gather(*(ref.ask(Stop()) for ref in refs))
        while system.activations():  # noqa: ASYNC110 - it has no event for this
            await asyncio.sleep(0)
        return watch.each

    return _run(main)


def memory(count: int) -> float:
    async def main(system: Any) -> float:
        refs = [system.ref(counter, "counter")]
        await refs[0].ask(Increment(1))
        gc.collect()
        before = resident_bytes()
        for number in range(count):
            ref = system.ref(counter, f"counter {number}")
            await ref.ask(Increment(1))
            refs.append(ref)
        gc.collect()
        return (resident_bytes() - before) / count

    return _run(main)


def crash_restart(count: int) -> float:
    async def main(system: Any) -> float:
        ref = system.ref(counter, "counter")
        await ref.ask(Increment(1))
        watch = Stopwatch(count)
        for _ in range(count):
            ref.tell(Crash())
            assert await ref.ask(Increment(1)) == 1
        return watch.each

    return _run(main)


def keyed(count: int) -> float:
    async def main(system: Any) -> float:
        keys = [f"list {n % 8}" for n in range(count)]
        watch = Stopwatch(count)
        for key in keys:
            await system.ref(counter, key).ask(Increment(1))
        return watch.each

    return _run(main)
