"""`open_system`: everything, started in order, supervised, and ended in order.

::

    System            rest for one: the children started after a failed one are restarted with it
    ├── database      one for one
    │   ├── DatabaseWorker 0 ... N-1
    ├── servers       a TodoServer a list in use; one that fails is started by the next request
    └── TodoCache

Each part is started after the parts that it needs. The folder is locked before the first is started, and
unlocked when the last has ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from trio_genserver import (
    Call,
    ServerError,
    ServerNotRunning,
    ServerRef,
    Supervisor,
    SupervisorRef,
    child_spec,
    open_supervisor,
    supervisor_spec,
)

from .cache import Cache, Index, TodoCache
from .database import Database, database_spec
from .database_worker import OpenShard
from .entry import check_list_name
from .errors import BadInput, InvalidListName, StorageError
from .folder import Backup, Folder
from .server import TodoServer

__all__ = ["DEFAULT_IDLE_SECONDS", "System", "Tree", "open_system", "open_tree"]

DEFAULT_IDLE_SECONDS = 300.0

R = TypeVar("R")


class System:
    """A running to-do system. Made by `open_system`.

    Attributes:
      folder: where the data is.
      database: the database workers, and what concerns all lists.
      cache: the servers of the lists, by name.
      supervisor: the root of the tree.
    """

    def __init__(self, folder: Folder, tree: Tree) -> None:
        self.folder = folder
        self.supervisor = tree.supervisor
        self.database = tree.database
        self.cache = tree.cache
        self._importing: dict[str, trio.Lock] = {}

    @asynccontextmanager
    async def importing(self, digest: str) -> AsyncGenerator[None]:
        """Keep others from the import of that digest while the block lasts."""
        lock = self._importing.setdefault(digest, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._importing.pop(digest, None)

    async def call(self, name: str, message: Call[TodoServer, R]) -> R:
        """``cache.server(name)`` and then ``call(message)``, also if the server expires in between.

        Raises:
          InvalidListName: no list can have that name.
          BadInput, StorageError, ServerError: as the handlers of `TodoServer`.
        """
        while True:
            server = await self.cache.server(name)
            try:
                return await server.call(message)
            except ServerNotRunning as error:
                # It was not sent, so it can be sent again. The cache raises if the system has ended.
                if error.server != server.name:
                    raise

    async def backup(
        self, target: str | os.PathLike[str], *, failed: list[StorageError] | None = None
    ) -> None:
        """Copy the whole database into a new folder, which can be opened like this one; others go on
        meanwhile.

        Each shard is copied as of one moment, not all as of the same.

        Args:
          target: the new folder.
          failed: the errors of shards that cannot be copied are put in here, and the others are copied. In
            the copy these shards are missing: a caller that needs their lists gets an error, and `todo check`
            names them. None: one such error means that no copy is made.

        Raises:
          BadInput: `target` is inside of the folder that is copied.
          StorageError: the folder is there already, or could not be written, or nothing could be copied;
            nothing is left of it.
        """
        copy = await trio.to_thread.run_sync(self._begin_backup, Path(target))
        targets = [copy.shard_path(index) for index in range(len(self.database.workers))]
        errors: list[StorageError] = []
        await self.database.backup(targets, failed=errors)
        if errors and (failed is None or len(errors) == len(targets)):
            await trio.to_thread.run_sync(copy.discard)
            raise errors[0]
        if failed is not None:
            failed += errors
        await trio.to_thread.run_sync(copy.finish)

    def _begin_backup(self, target: Path) -> Backup:
        folder = self.folder.path
        if folder.resolve() in target.resolve().parents:
            raise BadInput(f"{target} is inside {folder}, the folder to be copied; choose another place")
        return self.folder.begin_backup(target)


@asynccontextmanager
async def open_system(
    folder: str | os.PathLike[str],
    workers: int | None = None,
    *,
    create: bool = True,
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
    read_only: bool = False,
    for_list: str | None = None,
) -> AsyncGenerator[System]:
    """Run the to-do system on a folder for as long as the block.

    When the block ends, what was cast to the lists is handled, and everything is stopped. If it raises or
    is cancelled, what was cast and not handled is lost.

    Args:
      folder: where the data is.
      create: create the folder if it does not exist; otherwise that is a `NotAFolder`.
      workers: how many database workers, each with a file and a thread. Fixed when the folder is made; None:
        what it was made with, 3 for a new one.
      idle_seconds: how long a list may go unused before it leaves the memory; ``math.inf``: forever.
      read_only: change nothing, and make nothing; several may read at once, also on a full disk or one that
        nobody can write to. Changes are refused.
      for_list: the name of a list that will be used. If its shard can be used, no other file is looked at
        before it is needed. None: shard 0 is looked at.

    A shard that cannot be used affects only its own lists: requests for them raise a `StorageError`, and all
    others work. Opening fails only if no shard can be used.

    Raises:
      BadInput: `workers` or `idle_seconds` is invalid.
      StorageError: the folder or a file in it cannot be used; which class it is says why, the text what to
        do.
      RestartIntensityExceeded: a part failed again and again; the block is cancelled.
    """
    check_idle_seconds(idle_seconds)
    open_folder = (
        partial(Folder.open_for_reading, folder, workers=workers)
        if read_only
        else partial(Folder.open, folder, workers=workers, create=create)
    )
    opened = await trio.to_thread.run_sync(open_folder)
    try:
        look_first: str | None = None
        if for_list is not None:
            # An invalid name raises where the list is asked for.
            with contextlib.suppress(InvalidListName):
                look_first = check_list_name(for_list)
        await trio.to_thread.run_sync(opened.look_at_shards, look_first)
        open_shards = [partial(opened.open_shard, index) for index in range(opened.description.workers)]
        async with open_tree(open_shards, idle_seconds=idle_seconds) as tree:
            yield System(opened, tree)
    finally:
        opened.close()


@dataclasses.dataclass(frozen=True)
class Tree:
    """The servers that `open_tree` has started.

    Attributes:
      supervisor: the root.
      database: the database workers.
      cache: the servers of the lists, by name.
    """

    supervisor: SupervisorRef
    database: Database
    cache: Cache


@asynccontextmanager
async def open_tree(
    open_shards: Sequence[OpenShard],
    *,
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
) -> AsyncGenerator[Tree]:
    """Run the supervision tree of `open_system`, over shards that need not be in a folder.

    Args:
      open_shards: for each shard the function that opens it, called when the shard is first needed.
      idle_seconds: see `open_system`.
    """
    children = [database_spec(open_shards, lazy=True), supervisor_spec([], id="servers")]
    async with open_supervisor(children, strategy="rest_for_one", name="todo") as root:
        database = Database(_supervisor(root, "database"))
        servers = _supervisor(root, "servers")
        index = Index()
        cache = await root.start_child(child_spec(TodoCache, servers, database.pool, index, idle_seconds))
        yield Tree(root, database, Cache(cache, index))
        await _finish_casts(servers)


def check_idle_seconds(idle_seconds: object) -> None:
    """Raise `BadInput` unless `idle_seconds` is a valid duration."""
    # A bool is an int. NaN is not above 0.
    if isinstance(idle_seconds, bool) or not (isinstance(idle_seconds, int | float) and idle_seconds > 0):
        raise BadInput(f"idle_seconds must be seconds above 0, or math.inf, not {idle_seconds!r}")


def _supervisor(root: SupervisorRef, name: str) -> SupervisorRef:
    ref = root.child(name, Supervisor)
    assert isinstance(ref, SupervisorRef)
    return ref


async def _finish_casts(servers: SupervisorRef) -> None:
    """Stop the lists' servers, each when it has handled what it was sent."""
    async with trio.open_nursery() as nursery:
        for info in servers.which_children():
            nursery.start_soon(_stop, info.ref)


async def _stop(server: ServerRef[Any]) -> None:
    # It may have stopped meanwhile, or crash while it handles the rest; that is logged already.
    with contextlib.suppress(ServerError):
        await server.stop()
