"""Rewriting a folder for another number of workers: offline, and safe at every moment.

The new shards are written beside the old ones and synced; then the description of the folder is replaced by
a rename, and that is the moment from which they count. Killed before it, the folder is as it was, and the
next that opens it removes what was begun; killed after it, the folder is as it shall be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from trio_genserver import stable_hash

from .errors import NotAFolder, ReshardFailed, StorageError
from .folder import Folder
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
    if not Path(path).is_dir():
        raise NotAFolder(Path(path), "it is not there")
    with Folder.open(path) as folder:
        before = folder.description.workers
        description = folder.begin_rewrite(workers)
        try:
            with ExitStack() as stack:
                old = [stack.enter_context(folder.open_shard(index)) for index in range(before)]
                folder.write_shards(description, [_lists_of(old, index, workers) for index in range(workers)])
                expected = sum(summary.entries for shard in old for summary in shard.lists())
            written = folder.count_entries(description)
        except (StorageError, OSError) as error:
            raise ReshardFailed(folder.path, str(error)) from error
        if written != expected:
            raise ReshardFailed(folder.path, f"it had {expected} entries, the new shards have {written}")
        folder.commit_rewrite(description)
    return before, written


def _lists_of(shards: list[Shard], index: int, workers: int) -> Iterator[tuple[str, TodoList]]:
    """The lists that belong to shard number `index` of so many."""
    for shard in shards:
        for summary in shard.lists():
            if stable_hash(summary.name) % workers == index:
                yield summary.name, shard.load(summary.name)
