"""Rewriting a folder for another number of workers: offline, and safe at every moment.

The new shards are written beside the old ones, synced, and compared with them list by list; then the
description of the folder is replaced by a rename, and that is the moment from which they count. Only then
are the old ones deleted. If it fails before that moment, what it has written is deleted; killed before it,
the folder is as it was, and what was begun stays until somebody deletes it (`todo check` names it; the next
reshard takes another name). Killed after it, the folder is as it shall be.

What `Shard.load` cannot reach would not be copied, and is as good as deleted with its file: entries of a list
that is gone, tables and columns that somebody else has added. So a shard in which `todo check` finds damage
is not rewritten, and what the tables themselves hold is counted and compared, not only what the lists say.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from trio_genserver.pools import stable_hash

from .errors import ReshardFailed, StorageError, StorageFailed
from .folder import Description, Folder
from .import_notes import copy_notes
from .list import TodoList
from .schema import MIGRATIONS
from .shard import Shard
from .sqlite_errors import failure

__all__ = ["reshard"]

# What is copied list by list; notes are copied by `copy_notes`.
_TABLES: Final = ("lists", "entries")


def reshard(path: str | os.PathLike[str], workers: int) -> tuple[int, int]:
    """Rewrite the folder at `path`, which nothing has open, for so many workers.

    Lists are read and written one at a time, so memory is that of the longest list.

    Returns:
      how many workers it had, and how many entries it has.

    Raises:
      BadInput: `workers` is no number of workers.
      NotAFolder: there is no folder.
      ReshardFailed: a shard is damaged, or holds what would not be copied, or could not be read or written;
        the folder is as it was, and what was copied is deleted again.
      StorageFailed: the new shards count, and the old ones could not be deleted.
      StorageError: the folder cannot be opened; which class it is says why.
    """
    with Folder.open(path, create=False) as folder:
        before = folder.description.workers
        before_generation = folder.description.generation
        description = folder.begin_rewrite(workers)
        try:
            written = _copy(folder, description)
            folder.put_in_force(description)
        except BaseException as error:
            if not folder.is_as_described():
                # The description names the new shards, so they count, and the old ones are not deleted.
                raise _not_finished(folder, workers, error) from error
            left = folder.discard_rewrite(description)
            if isinstance(error, ReshardFailed):
                raise ReshardFailed(folder.path, error.why, left=left) from error.__cause__
            if isinstance(error, StorageError | OSError):
                raise ReshardFailed(folder.path, str(error), left=left) from error
            raise
        try:
            folder.remove_replaced(before_generation, before)
        except OSError as error:
            raise _not_finished(folder, workers, error) from error
    return before, written


def _not_finished(folder: Folder, workers: int, error: BaseException) -> StorageFailed:
    advice = (
        f"the folder has {workers} workers now, and all entries; "
        "`todo check` names the shards that it had before, which can be deleted"
    )
    return StorageFailed(folder.path, "finishing the reshard", error, advice=advice)


def _copy(folder: Folder, description: Description) -> int:
    """Write the shards of `description` and compare them with those that count.

    Returns:
      how many entries there are.
    """
    with ExitStack() as stack:
        # Only to be read: whatever comes of it, they stay as they are.
        old = [stack.enter_context(folder.read_shard(index)) for index in range(folder.description.workers)]
        for shard in old:
            _refuse_damage(folder, shard)
        workers = description.workers
        folder.write_shards(description, [_lists_of(old, index, workers) for index in range(workers)])
        return _compare(folder, description, old)


def _refuse_damage(folder: Folder, shard: Shard) -> None:
    """Raise `ReshardFailed` if something of a shard might not be copied. Its search index is written anew
    from the entries, so it may be as it likes."""
    problems = shard.check(index=False)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ReshardFailed(
            folder.path,
            f"{shard.path} is damaged ({problems[0]}{more}), and what is damaged would not be copied; "
            "`todo check` names all of it. Mend it with any SQLite tool, or put a backup in its place",
        )


def _compare(folder: Folder, description: Description, old: list[Shard]) -> int:
    """Read every list back from the new shards, and have them know of unfinished imports.

    Returns:
      how many entries there are.

    Raises:
      ReshardFailed: a list is not there as it was.
    """
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
        for shard in old:
            strange = sorted(_schema(shard) - _schema(new[0]))
            if strange:
                why = f"{shard.path} has a column {strange[0]}, which is not ours and would not be copied"
                raise ReshardFailed(folder.path, why)
        for table in _TABLES:
            expected, written = _count(old, table), _count(new, table)
            if expected != written:
                why = f"it had {expected} rows of {table}, the new shards have {written}"
                raise ReshardFailed(folder.path, why)
        return _count(new, "entries")


def _count(shards: list[Shard], table: str) -> int:
    """How many rows there are, whatever refers to them."""
    found = 0
    for shard in shards:
        try:
            (rows,) = shard.database.conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        except sqlite3.Error as error:
            raise failure(shard.path, f"counting the rows of {table}", error) from error
        found += rows
    return found


def _schema(shard: Shard) -> set[str]:
    """The tables of a shard, and their columns, in words; without SQLite's own and the search index."""
    try:
        rows = shard.database.conn.execute(
            "SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table'"
        ).fetchall()
    except sqlite3.Error as error:
        raise failure(shard.path, "reading what tables there are", error) from error
    return {
        f"{table}.{column}"
        for table, column in rows
        if not table.startswith(("sqlite_", "entries_fts")) and table != MIGRATIONS.migrations_table
    }


def _lists_of(shards: list[Shard], index: int, workers: int) -> Iterator[tuple[str, TodoList]]:
    """The lists that belong to shard number `index` of so many."""
    for shard in shards:
        for summary in shard.lists():
            if stable_hash(summary.name) % workers == index:
                yield summary.name, shard.load(summary.name)
