"""What durable writes and reads of the to-do system cost, against SQLite used by hand.

The targets and what they are held against:

- 100 clients on 100 lists, 4 workers, against (a) plain ``sqlite3`` in one thread that commits each write,
  and (b) one that commits each hundred. The plain programs write the same rows into the same tables, with
  the same indexes and the same durability (WAL, ``synchronous=FULL``).
- (b) again into a bare table without any index: no target, but what the search index and the order cost is
  seen.
- one client alone, against (a); reads, against aiosqlite on the same rows.
- the cost of saving one entry into a list of 10,000 against one of 10.
- the same system as its authors wrote it in Elixir, measured once on a machine like this: 1,800 adds a
  second (each wrote the whole list, nothing was synced), 31 us to make a list's server, 5.7 us to find it
  again. These are constants, so the ratios to them say as much of the machine as of the program.

"make" is what a caller waits for the server of a list that is not in use; "make, and load" has each list read
from its shard as well before the next one is asked for, in the same thread of Python.

A commit costs what the disk takes to sync, from 0.1 ms to many. The slower it is, the more the ratio to (a)
flatters group commit and the less anything else shows, so read it beside the columns of (a) and "fdatasync".

All in turns, as `benchmarks.harness` does it; a ratio is the median of ratios between neighbours in time. The
columns are microseconds an operation, so a target of "3 times as many a second" is a ratio of at most 0.33.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import importlib.util
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from todo import Entry, TodoServer, open_system
from todo.shard import Shard

from .harness import Row, interleave, machine, markdown, verdicts

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
DAY = datetime.date(2023, 12, 19)
CLIENTS = 100
# Microseconds; see above.
ELIXIR_ADD, ELIXIR_MAKE, ELIXIR_FIND = 1e6 / 1_800, 31.0, 5.7
INSERT = "INSERT INTO entries (list_id, id, title, date, done) VALUES (?, ?, ?, ?, 0)"


def entry(number: int) -> Entry:
    return Entry(title=f"buy milk, number {number}", date=DAY)


async def adds(folder: Path, clients: int, each: int) -> float:
    """Seconds for one durable add, of `clients` at once, each on a list of its own."""
    async with open_system(folder, workers=4) as system:
        servers = [await system.cache.server(f"list {number}") for number in range(clients)]
        for server in servers:
            await server.call(TodoServer.add_entry(entry(0)))

        async def client(number: int) -> None:
            for turn in range(each):
                await servers[number].call(TodoServer.add_entry(entry(turn)))

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(client, number)
        return (time.perf_counter() - began) / (clients * each)


def plain_adds(path: Path, batch: int, count: int, *, bare: bool = False) -> float:
    """Seconds for one row written by hand, `batch` rows a transaction."""
    if not bare:
        Shard.open(path, create=True).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if bare:
        connection.execute("CREATE TABLE entries (list_id, id, title, date, done)")
    else:
        connection.executemany(
            "INSERT INTO lists (id, name) VALUES (?, ?)", [(n, f"list {n}") for n in range(CLIENTS)]
        )
    began = time.perf_counter()
    for start in range(0, count, batch):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(start, start + batch):
            row = (number % CLIENTS, number, f"buy milk, number {number}", DAY.isoformat())
            connection.execute(INSERT, row)
        connection.execute("COMMIT")
    seconds = (time.perf_counter() - began) / count
    connection.close()
    return seconds


async def gets(folder: Path, each: int) -> float:
    """Seconds for reading the ten entries of a list, of 100 clients at once."""
    async with open_system(folder, workers=4) as system:
        servers = [await system.cache.server(f"list {number}") for number in range(CLIENTS)]
        for server in servers:
            await server.call(TodoServer.add_entries([entry(n) for n in range(10)]))

        async def client(number: int) -> None:
            for _ in range(each):
                assert len(await servers[number].call(TodoServer.entries(DAY))) == 10

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(client, number)
        return (time.perf_counter() - began) / (CLIENTS * each)


async def aiosqlite_gets(path: Path, each: int) -> float:
    """The same rows, read through aiosqlite by 100 asyncio tasks."""
    import aiosqlite

    query = "SELECT id, title, date, done FROM entries WHERE list_id = ? AND date = ? ORDER BY id"
    async with aiosqlite.connect(path) as connection:

        async def client(number: int) -> None:
            for _ in range(each):
                async with connection.execute(query, (number, DAY.isoformat())) as cursor:
                    assert len(list(await cursor.fetchall())) == 10

        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        return (time.perf_counter() - began) / (CLIENTS * each)


def run_aiosqlite_gets(path: Path, each: int) -> float:
    with Shard.open(path, create=True) as shard:
        connection = shard.database.conn
        connection.execute("BEGIN")
        for number in range(CLIENTS):
            connection.execute("INSERT INTO lists (id, name) VALUES (?, ?)", (number, f"list {number}"))
            connection.executemany(
                INSERT, [(number, n, f"buy milk, number {n}", DAY.isoformat()) for n in range(10)]
            )
        connection.execute("COMMIT")
    return asyncio.run(aiosqlite_gets(path, each))


async def add_to(folder: Path, size: int, count: int) -> float:
    """Seconds for one add to a list that has `size` entries already."""
    async with open_system(folder, workers=1) as system:
        server = await system.cache.server("bob")
        await server.call(TodoServer.add_entries([entry(n) for n in range(size)]))
        began = time.perf_counter()
        for number in range(count):
            await server.call(TodoServer.add_entry(entry(number)))
        return (time.perf_counter() - began) / count


async def find_servers(folder: Path, count: int) -> float:
    """Seconds for finding a list's server when it runs."""
    async with open_system(folder, workers=4) as system:
        for number in range(count):
            await system.cache.server(f"list {number}")
        began = time.perf_counter()
        for number in range(count):
            await system.cache.server(f"list {number}")
        return (time.perf_counter() - began) / count


async def make_servers(folder: Path, count: int, *, load: bool) -> float:
    """Seconds for making a list's server; with `load`, until it has read its list."""
    async with open_system(folder, workers=4) as system:
        seconds = 0.0
        for number in range(count):
            began = time.perf_counter()
            server = await system.cache.server(f"list {number}")
            if not load:
                seconds += time.perf_counter() - began
            await server.call(TodoServer.size())
            if load:
                seconds += time.perf_counter() - began
        return seconds / count


def syncs(path: Path, count: int) -> float:
    """Seconds for writing a page at the end of a file and having it on the disk."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        began = time.perf_counter()
        for _ in range(count):
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
        return (time.perf_counter() - began) / count
    finally:
        os.close(descriptor)


def measured(function: Callable[[Path], float]) -> Callable[[], float]:
    """`function` with a new place on the disk each time, in microseconds."""

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return function(Path(folder) / "place") * 1e6

    return measure


def in_trio(function: Callable[..., Awaitable[float]], *arguments: object) -> Callable[[Path], float]:
    def run(place: Path) -> float:
        return trio.run(partial(function, place, *arguments))

    return run


def rows(repeats: int) -> list[Row]:
    """All measurements."""
    writes = interleave(
        {
            "todo, 100 clients": measured(in_trio(adds, CLIENTS, 30)),
            "todo, 1 client": measured(in_trio(adds, 1, 500)),
            "sqlite3, 1 a commit": measured(partial(plain_adds, batch=1, count=500)),
            "sqlite3, 100 a commit": measured(partial(plain_adds, batch=100, count=5_000)),
            "bare table, 100 a commit": measured(partial(plain_adds, batch=100, count=5_000, bare=True)),
            "fdatasync": measured(partial(syncs, count=300)),
            "Elixir": lambda: ELIXIR_ADD,
        },
        repeats,
        progress="writes",
    )
    found = [
        Row(
            "add, 100 clients, against one a commit",
            "us",
            writes,
            "todo, 100 clients",
            "sqlite3, 1 a commit",
            1 / 3,
        ),
        Row(
            "add, 100 clients, against 100 a commit",
            "us",
            writes,
            "todo, 100 clients",
            "sqlite3, 100 a commit",
            5,
        ),
        Row(
            "the same, against a bare table",
            "us",
            writes,
            "todo, 100 clients",
            "bare table, 100 a commit",
        ),
        Row("add, 100 clients, against Elixir's", "us", writes, "todo, 100 clients", "Elixir", 1 / 5),
        Row("add, one client", "us", writes, "todo, 1 client", "sqlite3, 1 a commit", 1 / 0.6),
    ]
    if importlib.util.find_spec("aiosqlite") is None:
        print("aiosqlite is not installed: the reads are left out", file=sys.stderr)
    else:
        reads = interleave(
            {
                "todo": measured(in_trio(gets, 50)),
                "aiosqlite": measured(partial(run_aiosqlite_gets, each=10)),
            },
            repeats,
            progress="reads",
        )
        found.append(Row("get, 100 clients", "us", reads, "todo", "aiosqlite", 1 / 3))
    growth = interleave(
        {
            "10,000th entry": measured(in_trio(add_to, 10_000, 300)),
            "10th entry": measured(in_trio(add_to, 10, 300)),
        },
        repeats,
        progress="growth",
    )
    found.append(
        Row("add to a list of 10,000, against one of 10", "us", growth, "10,000th entry", "10th entry", 1.5)
    )
    lists = interleave(
        {
            "find again": measured(in_trio(find_servers, 2_000)),
            "make": measured(in_trio(partial(make_servers, load=False), 1_000)),
            "make, and load": measured(in_trio(partial(make_servers, load=True), 1_000)),
            "Elixir finds": lambda: ELIXIR_FIND,
            "Elixir makes": lambda: ELIXIR_MAKE,
        },
        repeats,
        progress="servers",
    )
    found.append(Row("find a list's server again", "us", lists, "find again", "Elixir finds", 3))
    found.append(Row("make a list's server", "us", lists, "make", "Elixir makes", 3))
    found.append(Row("make a list's server, and load it", "us", lists, "make, and load", "Elixir makes"))
    return found


def main(arguments: list[str]) -> int:
    """Measure and write the table. Returns 0; a target that is not reached is said, and no error."""
    parser = argparse.ArgumentParser(prog="bench_todo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns; the median counts")
    parser.add_argument("--json", action="store_true", help="print JSON, and write nothing")
    options = parser.parse_args(arguments)
    measured_rows = rows(options.repeats)
    if options.json:
        print(
            json.dumps(
                [
                    {"name": row.name, "ratio": row.ratio, "at_most": row.at_most, "samples": row.samples}
                    for row in measured_rows
                ],
                indent=2,
            )
        )
        return 0
    text = f"# The to-do system against SQLite by hand\n\n{(__doc__ or '').partition(chr(10))[2].strip()}\n\n"
    text += f"{machine()}; {options.repeats} turns. {verdicts(measured_rows)}\n{markdown(measured_rows)}"
    (DOCS / "bench_todo.md").write_text(text, encoding="utf-8")
    print(markdown(measured_rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
