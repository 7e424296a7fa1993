"""Rewriting a folder for another number of workers: offline, and safe at every moment.

The new shards are written beside the old ones, synced, and compared with them list by list; then the
description of the folder is replaced by a rename, and that is the moment from which they count. Only then
are the old ones deleted. Killed before it, the folder is as it was, and the next reshard writes over what was
begun; killed after it, the folder is as it shall be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

from trio_genserver import stable_hash

from .errors import ReshardFailed, StorageError
from .folder import Description, Folder
from .import_notes import copy_notes
from .list import TodoList
from .shard import Shard

__all__ = ["reshard"]


def reshard(path: str | os.PathLike[str], workers: int) -> tuple[int, int]:
    """Rewrite the folder at `path`, which nothing has open, for so many workers.

    Lists are read and written one at a time, so memory is that of the longest list.

    Returns:
      how many workers it had, and how many entries it has.

    Raises:
      BadInput: `workers` is no number of workers.
      NotAFolder: there is no folder.
      ReshardFailed: a shard could not be read or written, or entries were missing after it; the folder is
        as it was.
      StorageError: the folder cannot be opened; which class it is says why.
    """
    with Folder.open(path, create=False) as folder:
        before = folder.description.workers
        description = folder.begin_rewrite(workers)
        try:
            with ExitStack() as stack:
                # Only to be read: whatever comes of it, they stay as they are.
                old = [stack.enter_context(folder.read_shard(index)) for index in range(before)]
                folder.write_shards(description, [_lists_of(old, index, workers) for index in range(workers)])
                written = _compare(folder, description, old)
        except (StorageError, OSError) as error:
            raise ReshardFailed(folder.path, str(error)) from error
        folder.commit_rewrite(description)
    return before, written


def _compare(folder: Folder, description: Description, old: list[Shard]) -> int:
    """Read every list back from the new shards, and have them know of unfinished imports.

    Returns:
      how many entries there are.

    Raises:
      ReshardFailed: a list is not there as it was.
    """
    entries = expected = 0
    with ExitStack() as stack:
        new = [
            stack.enter_context(folder.open_rewritten(description, index))
            for index in range(description.workers)
        ]
        copy_notes(old, new)
        for shard in old:
            for summary in shard.lists():
                copy = new[stable_hash(summary.name) % description.workers]
                if copy.load(summary.name) != shard.load(summary.name):
                    raise ReshardFailed(folder.path, f"the copy of the list {summary.name!r} is another one")
                expected += summary.entries
        entries = sum(summary.entries for shard in new for summary in shard.lists())
    if entries != expected:
        raise ReshardFailed(folder.path, f"it had {expected} entries, the new shards have {entries}")
    return entries


def _lists_of(shards: list[Shard], index: int, workers: int) -> Iterator[tuple[str, TodoList]]:
    """The lists that belong to shard number `index` of so many."""
    for shard in shards:
        for summary in shard.lists():
            if stable_hash(summary.name) % workers == index:
                yield summary.name, shard.load(summary.name)
