"""The to-do system's own promise, explored: one live server a list, however many ask at once.

These run the real thing: the supervision tree, the cache, the servers, the database worker, SQLite itself.
Only the disk is left out: the shard is a database in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import trio

import sim
from todo import DatabaseWorker, Entry, TodoCache, TodoServer
from todo.cache import Index
from todo.shard import Shard
from todo.system import Tree, open_tree
from trio_genserver import ServerRef, child_spec, handle_call

__all__ = ["TwoServers", "broken_cache", "clients_that_give_up", "right_cache"]

TITLES = ("Dentist", "Shopping")


class TwoServers(AssertionError):
    """Two clients that asked for the list of one name were given two servers."""


class SharedIndex(Index):
    """The index as a cell that the simulator watches: servers write it and clients read it."""

    def __init__(self) -> None:
        super().__init__()
        self._names = sim.Shared(0)

    def running(self, name: str) -> ServerRef[TodoServer] | None:
        """As in its base."""
        self._names.get()
        return super().running(name)

    def register(self, name: str, server: ServerRef[TodoServer]) -> None:
        """As in its base."""
        self._names.set(self._names.get() + 1)
        super().register(name, server)


class BrokenCache(TodoCache):
    """A cache with the classic mistake: it awaits between looking a name up and registering what it started.

    Its handler runs in child tasks, so that slow starts hold up nobody: the second request looks the
    name up while the first is still starting the server. And it trusts its own index alone: its servers are
    anonymous to their supervisor, which therefore cannot refuse the second.
    """

    @handle_call(child=True)
    async def start(self, name: str) -> ServerRef[TodoServer]:
        """The server of that name, or so it seems."""
        server = self._index.running(name)
        if server is None:
            server = await self.start_server(name)
            self._index.register(name, server)
        return server

    async def start_server(self, name: str) -> ServerRef[TodoServer]:
        """Start one, under an id of its own."""
        worker = self._workers.worker_for(name)
        spec = child_spec(TodoServer, name, worker, self._index.last_used)
        return await self._supervisor.start_child(spec.replace(id=object(), name=f"list {name!r}"))


async def right_cache() -> None:
    """Two clients add to the same new list at once; both entries are there, in memory and in the database."""
    await _two_clients(TodoCache)


async def broken_cache() -> None:
    """The same with a cache that awaits between looking a name up and registering it."""
    await _two_clients(BrokenCache)


async def clients_that_give_up() -> None:
    """Two clients add, each in a cancel scope of its own: what one was told is stored, what is stored known.

    To be explored with faults: a client may be cancelled in the middle of anything.
    """
    told: list[str] = []

    async def client(tree: Tree, title: str) -> None:
        with trio.CancelScope():
            bob = await tree.cache.server("bob")
            await bob.call(TodoServer.add_entry(Entry(title=title)))
            told.append(title)

    async with _tree() as tree:
        async with trio.open_nursery() as nursery:
            for title in TITLES:
                nursery.start_soon(client, tree, title, name=f"client {title}")
        bob = await tree.cache.server("bob")
        in_memory = await bob.call(TodoServer.snapshot())
        stored = await tree.database.worker_for("bob").call(DatabaseWorker.load("bob"))
        assert in_memory == stored, f"{in_memory.entries()} in memory, {stored.entries()} stored"
        lost = set(told) - {entry.title for entry in stored}
        assert not lost, f"{sorted(lost)} were said to be stored"
        added = await bob.call(TodoServer.add_entry(Entry(title="Tax return")))
        assert added.id not in {entry.id for entry in stored}


@asynccontextmanager
async def _tree(cache_class: type[TodoCache] = TodoCache) -> AsyncGenerator[Tree]:
    """What `open_system` runs, with an index that the simulator watches, and perhaps a mistake in it."""
    with mock.patch.multiple("todo.system", Index=SharedIndex, TodoCache=cache_class):
        async with open_tree([_open_in_memory]) as tree:
            yield tree


async def _two_clients(cache_class: type[TodoCache]) -> None:
    given: list[ServerRef[TodoServer]] = []

    async def client(tree: Tree, title: str) -> None:
        bob = await tree.cache.server("bob")
        given.append(bob)
        await bob.call(TodoServer.add_entry(Entry(title=title)))

    async with _tree(cache_class) as tree:
        async with trio.open_nursery() as nursery:
            for title in TITLES:
                nursery.start_soon(client, tree, title, name=f"client {title}")
        if given[0] is not given[1]:
            raise TwoServers(f"'bob' has two servers, {given[0]!r} and {given[1]!r}")
        in_memory = await given[0].call(TodoServer.snapshot())
        stored = await tree.database.worker_for("bob").call(DatabaseWorker.load("bob"))
        assert in_memory == stored, f"{in_memory.entries()} in memory, {stored.entries()} stored"
        assert sorted(entry.title for entry in stored) == sorted(TITLES)


# An empty shard to copy: what its tables cost is paid once, and before any run, since making them draws at
# random, and only the first run would.
_TEMPLATE: Final = Shard.open(Path(":memory:"), create=True).database.conn


def _open_in_memory() -> Shard:
    copy: Any = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _TEMPLATE.backup(copy)
    return Shard(Path(":memory:"), copy)
