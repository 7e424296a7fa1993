"""trio_genserver against Trio written by hand, and against itself without its instrument hooks: `make bench`.

Every measurement is one function that returns the cost of one operation; `harness.interleave` takes them
in turns. What the hooks cost is measured by `bench_hooks`, other libraries by `bench_peers`, and supervision
by `bench_supervisor`.
"""

from __future__ import annotations

import argparse
import json
import math
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
    ServerRef,
    child_spec,
    open_server,
    start_server,
    wait_all,
)

from . import bench_hooks, by_hand
from .harness import Row, Samples, interleave, machine, markdown, svg, verdicts
from .peers.ours import Counter

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
DEPTH = 100


async def call(sync: bool, clients: int, calls: int) -> float:
    """Microseconds a call, a new message each time."""
    build = Counter.increment if sync else Counter.increment_async

    async def client(counter: ServerRef[Counter]) -> None:
        for _ in range(calls // clients):
            await counter.call(build(1))

    async with open_server(Counter) as counter:
        begin = time.thread_time()
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(client, counter)
        took = time.thread_time() - begin
        assert await counter.call(Counter.increment(0)) == calls
    return took / calls * 1e6


async def in_flight(calls: int) -> float:
    """Microseconds a call, `DEPTH` of them in flight, a new message each time."""
    build = Counter.increment
    async with open_server(Counter) as counter:
        begin = time.thread_time()
        for _ in range(calls // DEPTH):
            await wait_all([counter.send_request(build(1)) for _ in range(DEPTH)])
        took = time.thread_time() - begin
        assert await counter.call(Counter.increment(0)) == calls
    return took / calls * 1e6


def unbounded() -> ChildSpec[Counter]:
    return child_spec(Counter).replace(mailbox_size=math.inf)


async def one_way(messages: int) -> float:
    """Microseconds a cast, until it is handled; `send_nowait` in bursts of 500 as in `by_hand.one_way`."""
    async with open_server(unbounded()) as counter:
        begin = time.thread_time()
        for start in range(0, messages, 500):
            for _ in range(start, start + 500):
                counter.cast_nowait(Counter.add(1))
            await trio.lowlevel.checkpoint()
        assert await counter.call(Counter.increment(0)) == messages
        took = time.thread_time() - begin
    return took / messages * 1e6


async def spawn_stop(servers: int) -> float:
    """Microseconds a server, from nothing to nothing: started, ready, stopped."""
    begin = time.thread_time()
    async with trio.open_nursery() as nursery:
        refs = [await start_server(nursery, Counter) for _ in range(servers)]
        async with trio.open_nursery() as stopping:
            for ref in refs:
                stopping.start_soon(ref.stop)
    return (time.thread_time() - begin) / servers * 1e6


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


OURS = "trio_genserver"
# The columns: what a Trio programmer writes by hand, the leanest first.
LEAN, BY_HAND = "two channels", "by hand"
UNBOUNDED = "two channels, unbounded, nowait both ways"
TUTORIAL = "a channel and a timeout a call"


def calls_rows(repeats: int, calls: int) -> list[Row]:
    table: list[Row] = []
    for clients, targets in ((1, (0.30, 0.80)), (100, (0.20, 0.35))):
        columns = {
            "sync": run(call, True, clients, calls),
            "async": run(call, False, clients, calls),
            LEAN: run(by_hand.call, clients, calls),
            UNBOUNDED: run(by_hand.call_nowait, clients, calls),
            TUTORIAL: run(by_hand.call_with_timeout, clients, calls),
        }
        samples = interleave(columns, repeats, progress=f"call, {clients} client(s)")
        who = "1 client" if clients == 1 else f"{clients} clients"
        for kind, target in zip(("sync", "async"), targets, strict=True):
            shown = {OURS: samples[kind]} | {name: samples[name] for name in (LEAN, UNBOUNDED, TUTORIAL)}
            table.append(Row(f"call, {kind} handler, {who}", "us", shown, OURS, LEAN, target))
    columns = {
        OURS: run(in_flight, calls),
        LEAN: run(by_hand.call, 1, calls),
        UNBOUNDED: run(by_hand.call_nowait, 1, calls),
        TUTORIAL: run(by_hand.call_with_timeout, 1, calls),
    }
    samples = interleave(columns, repeats, progress="in flight")
    table.append(Row(f"calls in flight, depth {DEPTH}", "us", samples, OURS, LEAN, 0.08, digits=3))
    return table


def other_rows(repeats: int, calls: int, servers: int) -> list[Row]:
    # What takes seconds each time, or comes out the same each time, is not measured as often.
    few = max(3, repeats // 5)
    casts = {OURS: run(one_way, calls), BY_HAND: run(by_hand.one_way, calls)}
    spawns = {OURS: run(spawn_stop, servers), BY_HAND: run(by_hand.spawn_stop, servers)}
    sizes = {OURS: run(memory, servers // 5), BY_HAND: run(memory_by_hand, servers // 5)}

    def row(name: str, unit: str, samples: Samples, target: float) -> Row:
        return Row(name, unit, samples, OURS, BY_HAND, target)

    return [
        row("cast_nowait, until handled", "us", interleave(casts, repeats, progress="casts"), 1.2),
        row(f"start and stop, {servers:,}", "us", interleave(spawns, few, progress="start and stop"), 1.5),
        row("memory a server", "bytes", interleave(sizes, 3, progress="memory"), 1.3),
    ]


def document(parts: list[tuple[str, list[Row]]], repeats: int, calls: int) -> str:
    everything = [row for _, rows in parts for row in rows]
    return (
        "# trio_genserver, measured\n\n"
        "What counts is the ratio: how long ours takes, divided by how long the other takes, in the same "
        "run. "
        "The microseconds are those of one machine, and another one has others: "
        f"{machine()}; medians of {repeats} interleaved turns of {calls:,} calls, of the "
        "processor time of their thread, which nothing outside can hold up. "
        "`make bench` measures again. See also "
        "[other libraries and the BEAM](bench_peers.md) and [supervision](bench_supervisor.md).\n\n"
        "![The ratios as bars](bench_genserver.svg)\n\n"
        f"{verdicts(everything)}\n" + "\n".join(f"{text}\n\n{markdown(rows)}" for text, rows in parts)
    )


CALLS_TEXT = f"""## Calls

Against three ways to ask a task by hand. *{LEAN.capitalize()}*: one to the server and one back that lasts,
both without a buffer. *{UNBOUNDED.capitalize()}*: the least that answers at all, without backpressure.
*{TUTORIAL.capitalize()}*: a new channel for each reply inside `trio.fail_after`."""
OTHERS_TEXT = """## Casts, start and stop, memory

By hand: `send_nowait` into a memory channel and `receive`; a task started in a nursery with a memory channel,
and ended by closing it; the same, waiting."""
HOOKS_TEXT = """## What instruments cost that are not installed

Our code against the same code with its instrument hooks cut out; both are copies, made in the same way. The
package itself should cost what its copy does, and shows what this measurement cannot tell apart."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print the samples, write nothing")
    arguments = parser.parse_args()
    parts = [
        (CALLS_TEXT, calls_rows(arguments.repeats, arguments.calls)),
        (OTHERS_TEXT, other_rows(arguments.repeats, arguments.calls, arguments.servers)),
        (HOOKS_TEXT, bench_hooks.rows()),
    ]
    table = [row for _, rows in parts for row in rows]
    if arguments.json:
        json.dump([{"row": row.name, "samples": row.samples} for row in table], sys.stdout)
        return
    text = document(parts, arguments.repeats, arguments.calls)
    print(text)
    (DOCS / "bench_genserver.svg").write_text(
        svg(table, "trio_genserver / Trio written by hand"), encoding="utf-8"
    )
    (DOCS / "bench_genserver.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
