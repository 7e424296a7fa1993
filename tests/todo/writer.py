"""A program that uses the real system until it is killed, and says what it does.

Not a test: `test_kill` and `test_power_loss` run it. It prints a line before each request and one after the
reply, each with a single write, so that what was printed before the end is whole lines in the order of
events::

    begin LIST add 3 TITLE        about to ask
    done LIST add 3 TITLE         the reply is there

Modes: ``serve MOMENTS`` is a single-threaded parent that forks one writer for each line on its input, a
folder and a seed (importing everything for each would take far longer than being killed); the writers note
in the file MOMENTS what they are doing, see `tests.todo.moments`. ``once FOLDER SEED OPERATIONS
[careless]`` writes so much and ends.
"""

from __future__ import annotations

import os
import random
import sys
import zlib
from functools import partial
from pathlib import Path

import trio

from tests.todo.moments import note_moments
from todo import Entry, System, TodoServer, open_system
from todo.shard import Shard

LISTS = [f"list {number}" for number in range(8)]
WORKERS = 3


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def title(seed: int, number: int, length: int) -> str:
    """A text that shows when a part of it is missing."""
    text = f"{seed}-{number}-" + "x" * length
    return f"{text}-{zlib.crc32(text.encode()):08x}"


async def client(system: System, name: str, seed: int, operations: float) -> None:
    """Change one list, one request after the other."""
    draw = random.Random(f"{name} {seed}")
    known = [entry.id for entry in await system.call(name, TodoServer.entries())]
    number = 0
    while number < operations:
        number += 1
        text = title(seed, number, draw.choice([0, 10, 100, 1500]))
        kind = draw.choice(["add", "add", "add", "edit", "delete"]) if len(known) > 5 else "add"
        if kind == "add":
            following = (await system.call(name, TodoServer.snapshot())).next_id
            say(f"begin {name}\tadd\t{following}\t{text}")
            added = await system.call(name, TodoServer.add_entry(Entry(title=text)))
            known.append(added.id)
            say(f"done {name}\tadd\t{added.id}\t{added.title}")
        elif kind == "edit":
            chosen = draw.choice(known)
            say(f"begin {name}\tedit\t{chosen}\t{text}")
            await system.call(name, TodoServer.update_entry(chosen, partial(Entry.with_title, title=text)))
            say(f"done {name}\tedit\t{chosen}\t{text}")
        else:
            chosen = known.pop(draw.randrange(len(known)))
            say(f"begin {name}\tdelete\t{chosen}\t")
            await system.call(name, TodoServer.delete_entry(chosen))
            say(f"done {name}\tdelete\t{chosen}\t")


async def write(folder: str, seed: int, operations: float, lists: list[str], workers: int = WORKERS) -> None:
    """All clients at once."""
    async with open_system(folder, workers=workers) as system, trio.open_nursery() as nursery:
        for name in lists:
            nursery.start_soon(client, system, name, seed, operations)


def serve(moments: Path) -> None:
    """Fork a writer for each line of the input; say which process it is, and that it ended."""
    note_moments(moments)
    for line in sys.stdin:
        folder, seed = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            trio.run(write, folder, int(seed), float("inf"), LISTS)
            os._exit(0)
        say(f"started {child}")
        os.waitpid(child, 0)
        say("ended")


def lower_durability() -> None:
    """Have commits not wait for the disk: what the tests must notice."""
    prepare = Shard._prepare

    def careless(self: Shard, identity: str | None, *, create: bool) -> None:
        prepare(self, identity, create=create)
        self.database.conn.execute("PRAGMA synchronous = NORMAL")

    Shard._prepare = careless  # type: ignore[method-assign]  # in this program only


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        if sys.argv[5:] == ["careless"]:
            lower_durability()
        trio.run(write, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), LISTS[:2], 1)
