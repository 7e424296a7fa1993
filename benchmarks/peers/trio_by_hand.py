"""Trio without a library: two persistent memory channels, as in `benchmarks.by_hand`."""

from __future__ import annotations

import gc
import time
import zlib
from functools import partial
from typing import TypeAlias

import trio

from benchmarks import by_hand

from .timing import Stopwatch, resident_bytes

DISTRIBUTION = "trio"

Requests: TypeAlias = "trio.MemorySendChannel[by_hand.Message]"


async def _counter(served: trio.MemoryReceiveChannel[by_hand.Message]) -> None:
    value = 0
    async for by, reply in served:
        if by < 0:
            raise ValueError("as asked")
        value += by
        await reply.send(value)


def call_async(count: int, clients: int) -> float:
    return trio.run(partial(by_hand.call, clients, count, clock=time.perf_counter))


def cast(count: int) -> float:
    return trio.run(partial(by_hand.one_way, count, clock=time.perf_counter))


def start_stop(count: int) -> float:
    return trio.run(partial(by_hand.spawn_stop, count, clock=time.perf_counter))


def memory(count: int) -> float:
    async def main() -> float:
        reply, replies = trio.open_memory_channel[int](0)
        servers: list[Requests] = []
        async with trio.open_nursery() as nursery:
            before = 0
            for number in range(count + 1):
                if number == 1:
                    gc.collect()
                    before = resident_bytes()
                requests, served = trio.open_memory_channel[by_hand.Message](0)
                nursery.start_soon(_counter, served)
                await requests.send((1, reply))
                await replies.receive()
                servers.append(requests)
            gc.collect()
            after = resident_bytes()
            nursery.cancel_scope.cancel()
        return (after - before) / count

    return trio.run(main)


def crash_restart(count: int) -> float:
    async def supervise(served: trio.MemoryReceiveChannel[by_hand.Message]) -> None:
        while True:
            try:
                await _counter(served)
            except ValueError:
                continue
            return

    async def main() -> float:
        requests, served = trio.open_memory_channel[by_hand.Message](0)
        reply, replies = trio.open_memory_channel[int](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervise, served)
            watch = Stopwatch(count)
            for _ in range(count):
                await requests.send((-1, reply))
                await requests.send((1, reply))
                assert await replies.receive() == 1
            each = watch.each
            requests.close()
        return each

    return trio.run(main)


def keyed(count: int) -> float:
    async def main() -> float:
        reply, replies = trio.open_memory_channel[int](0)
        keys = [f"list {n}" for n in range(count)]
        async with trio.open_nursery() as nursery:
            servers: list[Requests] = []
            for _ in range(8):
                requests, served = trio.open_memory_channel[by_hand.Message](0)
                nursery.start_soon(_counter, served)
                servers.append(requests)
            watch = Stopwatch(count)
            for key in keys:
                await servers[zlib.crc32(key.encode()) % 8].send((1, reply))
                await replies.receive()
            each = watch.each
            nursery.cancel_scope.cancel()
        return each

    return trio.run(main)
