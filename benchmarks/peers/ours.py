"""trio_genserver, measured as its peers are."""

from __future__ import annotations

import gc
import math

import trio

from trio_genserver import (
    GenServer,
    ServerError,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.pools import KeyedPool

from .timing import BURST, Stopwatch, resident_bytes

DISTRIBUTION = ""
MOST_RESTARTS = 10**9


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @handle_call
    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_call
    async def increment_async(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_cast
    def add(self, by: int = 1) -> None:
        self.value += by

    @handle_cast
    def crash(self) -> None:
        raise ValueError("as asked")


def _call(count: int, clients: int, plain: bool) -> float:
    build = Counter.increment if plain else Counter.increment_async

    async def client(counter: ServerRef[Counter]) -> None:
        for _ in range(count // clients):
            await counter.call(build(1))

    async def main() -> float:
        async with open_server(Counter) as counter:
            watch = Stopwatch(count)
            async with trio.open_nursery() as nursery:
                for _ in range(clients):
                    nursery.start_soon(client, counter)
            each = watch.each
            assert await counter.call(Counter.increment(0)) == count
            return each

    return trio.run(main)


def call(count: int, clients: int) -> float:
    return _call(count, clients, True)


def call_async(count: int, clients: int) -> float:
    return _call(count, clients, False)


def cast(count: int) -> float:
    async def main() -> float:
        async with open_server(child_spec(Counter).replace(mailbox_size=math.inf)) as counter:
            watch = Stopwatch(count)
            for _ in range(0, count, BURST):
                for _ in range(BURST):
                    counter.cast_nowait(Counter.add(1))
                await trio.lowlevel.checkpoint()
            assert await counter.call(Counter.increment(0)) == count
            return watch.each

    return trio.run(main)


def start_stop(count: int) -> float:
    async def main() -> float:
        watch = Stopwatch(count)
        async with trio.open_nursery() as nursery:
            refs = [await start_server(nursery, Counter) for _ in range(count)]
            async with trio.open_nursery() as stopping:
                for ref in refs:
                    stopping.start_soon(ref.stop)
        return watch.each

    return trio.run(main)


def memory(count: int) -> float:
    async def main() -> float:
        async with trio.open_nursery() as nursery:
            refs = [await start_server(nursery, Counter)]
            gc.collect()
            before = resident_bytes()
            for _ in range(count):
                ref = await start_server(nursery, Counter)
                await ref.call(Counter.increment(1))
                refs.append(ref)
            gc.collect()
            after = resident_bytes()
            nursery.cancel_scope.cancel()
        return (after - before) / count

    return trio.run(main)


def crash_restart(count: int) -> float:
    async def main() -> float:
        async with open_supervisor([child_spec(Counter)], max_restarts=MOST_RESTARTS) as supervisor:
            ref = supervisor.child("Counter", Counter)
            watch = Stopwatch(count)
            for _ in range(count):
                ref.cast_nowait(Counter.crash())
                while True:
                    try:
                        assert await ref.call(Counter.increment(1)) == 1
                    except ServerError:
                        continue
                    break
            return watch.each

    return trio.run(main)


def keyed(count: int) -> float:
    async def main() -> float:
        async with open_supervisor([child_spec(Counter).replace(id=n) for n in range(8)]) as supervisor:
            pool = KeyedPool(supervisor.child(n, Counter) for n in range(8))
            keys = [f"list {n}" for n in range(count)]
            watch = Stopwatch(count)
            for key in keys:
                await pool.worker_for(key).call(Counter.increment(1))
            return watch.each

    return trio.run(main)
