"""trio_genserver against Trio written by hand, and against its peers: `make bench`.

Every measurement is one function that returns the cost of one operation; `harness.interleave` takes them
in turns. Our code without its instrument hooks, for the row that asks what the hooks cost, is our code with
the tests for them cut out of its syntax tree, in a process of its own (`without_hooks`).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.testing

from trio_genserver import (
    ChildSpec,
    GenServer,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
    wait_all,
)

from . import by_hand, peers
from .harness import Row, interleave, machine, markdown, svg

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
DEPTH = 100


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


async def call(sync: bool, clients: int, calls: int) -> float:
    """Microseconds a call, a new message each time."""
    build = Counter.increment if sync else Counter.increment_async

    async def client(counter: ServerRef[Counter]) -> None:
        for _ in range(calls // clients):
            await counter.call(build(1))

    async with open_server(Counter) as counter:
        begin = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(client, counter)
        took = time.perf_counter() - begin
        assert await counter.call(Counter.increment(0)) == calls
    return took / calls * 1e6


async def in_flight(calls: int) -> float:
    """Microseconds a call, `DEPTH` of them in flight."""
    async with open_server(Counter) as counter:
        begin = time.perf_counter()
        for _ in range(calls // DEPTH):
            await wait_all([counter.send_request(Counter.increment(1)) for _ in range(DEPTH)])
        took = time.perf_counter() - begin
        assert await counter.call(Counter.increment(0)) == calls
    return took / calls * 1e6


def unbounded() -> ChildSpec[Counter]:
    return child_spec(Counter).replace(mailbox_size=math.inf)


async def one_way(messages: int) -> float:
    """Microseconds a cast, until it is handled; `send_nowait` in bursts of 500 as in `by_hand.one_way`."""
    async with open_server(unbounded()) as counter:
        begin = time.perf_counter()
        for start in range(0, messages, 500):
            for _ in range(start, start + 500):
                counter.cast_nowait(Counter.add(1))
            await trio.lowlevel.checkpoint()
        assert await counter.call(Counter.increment(0)) == messages
        took = time.perf_counter() - begin
    return took / messages * 1e6


async def spawn_stop(servers: int) -> float:
    """Microseconds a server, from nothing to nothing: started, ready, stopped."""
    begin = time.perf_counter()
    async with trio.open_nursery() as nursery:
        refs = [await start_server(nursery, Counter) for _ in range(servers)]
        async with trio.open_nursery() as stopping:
            for ref in refs:
                stopping.start_soon(ref.stop)
    return (time.perf_counter() - begin) / servers * 1e6


async def memory(servers: int) -> float:
    """Bytes a server that has started and waits, as tracemalloc counts them."""
    async with trio.open_nursery() as nursery:
        refs = [await start_server(nursery, Counter)]
        async with Traced(servers) as bytes_each:
            refs += [await start_server(nursery, Counter) for _ in range(servers)]
        nursery.cancel_scope.cancel()
    return bytes_each[0]


async def memory_by_hand(servers: int) -> float:
    """Bytes a task with a memory channel that has started and waits."""

    async def server(receive: trio.MemoryReceiveChannel[by_hand.Message]) -> None:
        value = 0
        async for by, reply in receive:
            value += by
            reply.send_nowait(value)

    async with trio.open_nursery() as nursery:
        sends: list[trio.MemorySendChannel[by_hand.Message]] = []
        async with Traced(servers) as bytes_each:
            for _ in range(servers):
                send, receive = trio.open_memory_channel[by_hand.Message](1000)
                nursery.start_soon(server, receive)
                sends.append(send)
        nursery.cancel_scope.cancel()
    return bytes_each[0]


class Traced:
    """Counts what the block allocates and keeps, for each of `servers`."""

    def __init__(self, servers: int) -> None:
        self.servers = servers
        self.bytes_each: list[float] = []
        self.before = 0

    async def __aenter__(self) -> list[float]:
        tracemalloc.start()
        self.before = tracemalloc.get_traced_memory()[0]
        return self.bytes_each

    async def __aexit__(self, *_: object) -> None:
        await trio.testing.wait_all_tasks_blocked()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        self.bytes_each.append((after - self.before) / self.servers)


def run(async_fn: Callable[..., Awaitable[float]], *args: Any) -> Callable[[], float]:
    return partial(trio.run, async_fn, *args)


def rows(repeats: int, calls: int, servers: int, with_peers: bool) -> list[Row]:
    """Measure everything."""
    ours, hand, lean, tutorial = "trio_genserver", "two channels", "nowait", "channel a call"
    table: list[Row] = []
    others = peers.installed() if with_peers else {}
    for clients, targets in ((1, (0.30, 0.80)), (100, (0.20, 0.35))):
        columns = {
            f"{ours} sync": run(call, True, clients, calls),
            f"{ours} async": run(call, False, clients, calls),
            hand: run(by_hand.call, clients, calls),
            lean: run(by_hand.call_nowait, clients, calls),
            tutorial: run(by_hand.call_with_timeout, clients, calls),
        }
        columns |= {name: partial(peer.call, clients, calls) for name, peer in others.items()}
        samples = interleave(columns, repeats, progress=f"call, {clients} client(s)")
        who = "1 client" if clients == 1 else f"{clients} clients"
        for kind, target in zip(("sync", "async"), targets, strict=True):
            shown = {ours: samples[f"{ours} {kind}"]} | {
                name: values for name, values in samples.items() if not name.startswith(ours)
            }
            table.append(Row(f"call, {kind} handler, {who}", "us", shown, ours, hand, target))
    columns = {ours: run(in_flight, calls), hand: run(by_hand.call, 1, calls)}
    table.append(Row(f"call in flight, depth {DEPTH}", "us", interleave(columns, repeats), ours, hand, 0.08))
    columns = {ours: run(one_way, calls), hand: run(by_hand.one_way, calls)}
    columns |= {name: partial(peer.cast, calls) for name, peer in others.items() if peer.has("cast")}
    table.append(
        Row("cast, one way, handled", "us", interleave(columns, repeats, progress="cast"), ours, hand, 1.2)
    )
    columns = {ours: run(spawn_stop, servers), hand: run(by_hand.spawn_stop, servers)}
    columns |= {name: partial(peer.spawn, servers) for name, peer in others.items() if peer.has("spawn")}
    table.append(
        Row(
            f"spawn and stop {servers}", "us", interleave(columns, repeats, progress="spawn"), ours, hand, 1.5
        )
    )
    columns = {ours: run(memory, servers // 5), hand: run(memory_by_hand, servers // 5)}
    table.append(Row("memory a server", "bytes", interleave(columns, 3), ours, hand, 1.3))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--no-peers", action="store_true", help="only against Trio by hand")
    parser.add_argument("--json", action="store_true", help="print the samples, write nothing")
    arguments = parser.parse_args()
    table = rows(arguments.repeats, arguments.calls, arguments.servers, not arguments.no_peers)
    if arguments.json:
        json.dump([{"row": row.name, "samples": row.samples} for row in table], sys.stdout)
        return
    text = markdown(table)
    print(text)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "bench_genserver.svg").write_text(
        svg(table, "trio_genserver / Trio written by hand"), encoding="utf-8"
    )
    (DOCS / "bench_genserver.md").write_text(
        "# trio_genserver, measured\n\n"
        f"{machine()}; medians of {arguments.repeats} interleaved turns, "
        f"{statistics.median([arguments.calls]):,} calls each. `make bench` measures again.\n\n"
        "![The ratios as bars](bench_genserver.svg)\n\n" + text,
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
