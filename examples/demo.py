"""The main job, end to end: ``python -m examples.demo [FILE]``, or ``make demo FILE=path``.

A to-do file (todo.txt, CSV or JSON) is imported by many clients at once, spread over several lists; the
system is stopped and started again, and what comes back is compared with the file, entry by entry. Then the
same system runs under the simulator: as it is, and with a mistake built into its cache. Every figure is
measured here and now; if anything is not as it should be, the exit code is 1.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import trio

import sim
from examples.todo_cache import broken_cache, right_cache
from sim.report import describe_failure, describe_result
from todo import BadInput, BadLine, Entry, TodoServer, check_list_name, open_system
from todo.formats import DEFAULT_LIST, READERS, format_of

EXAMPLE = Path(__file__).with_name("todo.txt")
WORKERS = 3
CLIENTS = 50
SAMPLES = 500
TRACES = 500

Listed = tuple[str, Entry]


class DemoFailed(Exception):
    """Something was not as this program says it is."""


def read(path: Path) -> list[Listed]:
    """The entries of a file, each with its list: as it says, else its project, its context, the inbox."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    found: list[Listed] = []
    for item in READERS[format_of(str(path))](text, str(path)):
        if isinstance(item, BadLine):
            print(f"  skipped: {item}")
            continue
        entry = item.entry
        name = item.list or next(iter(entry.projects + entry.contexts), DEFAULT_LIST)
        found.append((check_list_name(name), entry))
    if not found:
        raise BadInput(f"there is no entry in {path}")
    return found


async def import_all(folder: Path, listed: list[Listed]) -> float:
    """Add everything, `CLIENTS` at a time. Returns the seconds that the adding took, opening not counted."""
    async with open_system(folder, workers=WORKERS) as system:
        send, receive = trio.open_memory_channel[Listed](0)

        async def client(jobs: trio.MemoryReceiveChannel[Listed]) -> None:
            async with jobs:
                async for name, entry in jobs:
                    todo_list = await system.cache.server(name)
                    await todo_list.call(TodoServer.add_entry(entry))

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(client, receive.clone())
            receive.close()
            async with send:
                for job in listed:
                    await send.send(job)
        return time.perf_counter() - began


async def read_back(folder: Path, names: list[str]) -> list[Listed]:
    """Everything in these lists, after a start from the disk; no other list may be there."""
    async with open_system(folder) as system:
        stored = [summary.name for summary in await system.database.lists()]
        if stored != names:
            raise DemoFailed(f"the database has the lists {stored}, the file has {names}")
        found: list[Listed] = []
        for name in names:
            todo_list = await system.cache.server(name)
            found += [(name, entry) for entry in await todo_list.call(TodoServer.entries())]
        return found


def store_and_restart(path: Path, folder: Path) -> None:
    """The first half: a file into the database, and back out of it."""
    listed = read(path)
    names = sorted({name for name, _ in listed})
    print(f"1. {path}: {len(listed)} entries for {len(names)} lists: {', '.join(names)}")
    seconds = trio.run(partial(import_all, folder, listed))
    print(
        f"2. {CLIENTS} concurrent clients added them in {seconds:.2f} s, "
        f"{len(listed) / seconds:,.0f} a second, each on disk before its client went on; "
        f"{WORKERS} workers, then everything was stopped"
    )
    back = trio.run(read_back, folder, names)
    # The lists have numbered them; apart from that, each must be what it was in the file.
    missing = Counter(listed) - Counter((name, entry.with_id(0)) for name, entry in back)
    added = Counter((name, entry.with_id(0)) for name, entry in back) - Counter(listed)
    if missing or added:
        raise DemoFailed(f"missing after the restart: {list(missing)}; not in the file: {list(added)}")
    print(f"3. started again from disk: {len(back)} of {len(listed)} entries came back, every one as it was")
    for name, entry in back[:3]:
        print(f"     {name} {entry.id}: {entry.title}")


def explore_both() -> None:
    """The second half: the system under the simulator, right and broken."""
    print("\n4. the same system under the simulator: two clients open one new list at once")
    for strategy, most in (("random", SAMPLES), ("dpor", TRACES)):
        result = sim.explore(right_cache, strategy, max_executions=most)
        print(f"     {describe_result(result)}")
        if result.failures:
            raise DemoFailed(f"the right cache failed: {describe_failure(result.failures[0])}")

    print("\n5. with a mistake: a cache that awaits between looking a name up and registering it")
    result = sim.explore(broken_cache, "random", max_executions=SAMPLES)
    print(f"     {describe_result(result)}")
    if not result.failures:
        raise DemoFailed("the broken cache was not found")
    failure = result.failures[0]
    print(describe_failure(failure))

    replayed = sim.replay(broken_cache, failure.token).failures
    if not replayed or str(replayed[0].error) != str(failure.error):
        raise DemoFailed(f"the token {failure.token} did not replay to the same error")
    print(f"\n6. replayed from its token {failure.token}: the same error again")
    print(f"     {type(replayed[0].error).__name__}: {replayed[0].error}")
    print(f"     see it yourself: sim replay examples.todo_cache:broken_cache {failure.token}")


def main(arguments: list[str]) -> int:
    """Run it all. Returns the exit code: 0 all is well, 1 it is not, 2 the file cannot be used."""
    path = Path(arguments[0]) if arguments and arguments[0] else EXAMPLE
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            store_and_restart(path, Path(folder) / "database")
        explore_both()
    except BadInput as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except DemoFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\nall of this took {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    # The broken system's own warnings are expected, and would come between the lines.
    for name in ("todo", "trio_genserver"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.exit(main(sys.argv[1:]))
