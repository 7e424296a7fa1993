"""Rewrite a folder for another number of workers: offline, and safe against a kill at any moment.

The new shards are written beside the old ones, synced, and compared with them list by list. Then a rename
replaces the description of the folder: from that moment the new shards are in force, and the old ones are
deleted. A reshard that fails before that moment deletes its copy. One that is killed before it leaves the
folder as it was, with an unfinished copy (`todo check` names it; the next reshard uses another name).

`Shard.load` does not reach everything: entries of a deleted list, tables and columns of other programs. They
would not be copied, and would be deleted with the old file. So a shard with damage is refused, and the rows
of the tables are counted and compared, too.
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

# The tables that are copied list by list; notes are copied by `copy_notes`.
_TABLES: Final = ("lists", "entries")


def reshard(path: str | os.PathLike[str], workers: int) -> tuple[int, int]:
    """Rewrite the folder at `path`, which nothing has open, for so many workers.

    Lists are read and written one at a time, so memory is that of the longest list.

    Returns:
      how many workers it had, and how many entries it has.

    Raises:
      BadInput: `workers` is not a valid number of workers.
      NotAFolder: the folder does not exist.
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
            f"{shard.path} is damaged ({problems[0]}{more}), and a reshard would lose what is damaged; "
            "`todo check` names every problem. Repair it with any SQLite tool, or restore a backup",
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
                    raise ReshardFailed(
                        folder.path, f"the copy of the list {summary.name!r} differs from the original"
                    )
        for shard in old:
            strange = sorted(_schema(shard) - _schema(new[0]))
            if strange:
                why = f"{shard.path} has a column {strange[0]} of another program, which would not be copied"
                raise ReshardFailed(folder.path, why)
        for table in _TABLES:
            expected, written = _count(old, table), _count(new, table)
            if expected != written:
                why = f"it had {expected} rows in {table}, but the new shards have {written}"
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
