"""`Shard`, one SQLite file with the lists that hash to it. Synchronous, for one thread at a time.

A change writes only its own rows, whatever the size of the list. A batch of operations is one transaction,
see `todo.batch`; for queries, see `todo.shard_queries`.

`synchronous=FULL` with a write-ahead log syncs the log at each commit; when `Shard.apply` has returned, the
batch survives the death of the process and of the machine. What is lost at ``NORMAL`` is shown by the
power-loss tests.
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from sqlite_utils import Database

from . import schema
from .batch import BatchWriter
from .before_opening import check_permission, look_before
from .beside import refuse_log_alone
from .description import sync
from .errors import NotADatabase, StorageError, StorageFailed, WrongShard, shortened
from .list import TodoList
from .operations import Operation
from .rows import QUALIFIED, any_text, entry_of, is_text, next_id_of
from .shard_files import PART
from .shard_queries import Found, ListSummary, ShardQueries
from .sqlite_errors import failure, is_of_the_file

__all__ = ["Found", "ListSummary", "Shard"]

BUSY_SECONDS: Final = 5.0
"""How long to wait for another process that holds the file locked, such as a SQLite shell."""


class Shard:
    """An open shard. Made by `Shard.open`; a context manager that closes it.

    Attributes:
      path: the file.
      database: sqlite-utils' view of the connection.
      on_close: called when it is closed.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.database = Database(connection)
        self._connection = connection
        self._writer = BatchWriter(connection, path)
        self._queries = ShardQueries(connection, path)
        self.on_close: Callable[[], object] = _nothing

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        identity: str | None = None,
        create: bool = False,
        busy_seconds: float = BUSY_SECONDS,
    ) -> Shard:
        """Open a file, bring it to the present schema, and finish what a crash left behind.

        Args:
          path: the file; ``":memory:"`` for none.
          identity: the identity that the file must have; written into a new one. None: any.
          create: create the file if it does not exist.
          busy_seconds: how long to wait for another process that holds it locked.

        Raises:
          NotADatabase: the file is not a database, or is damaged.
          WrongShard: the file is missing, empty, or another shard.
          NewerVersion: a newer version of this program wrote it.
          StorageFailed: the operating system refuses.
        """
        if str(path) != ":memory:":
            cls.look(path, identity=identity, create=create, busy_seconds=busy_seconds)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                path,
                timeout=busy_seconds,
                isolation_level=None,  # transactions are begun and ended here, by name
                check_same_thread=False,  # one at a time is the worker's business
            )
            shard = cls(path, connection)
            shard._prepare(identity, create=create)
        except sqlite3.Error as error:
            if connection is not None:
                _close_quietly(connection)
            raise failure(path, "opening the database", error) from error
        except BaseException:
            if connection is not None:
                _close_quietly(connection)
            raise
        return shard

    @classmethod
    def look(
        cls,
        path: Path,
        *,
        identity: str | None = None,
        create: bool = False,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        """Raise as `open` does if the file is not what is meant; it is not changed."""
        refuse_log_alone(path)
        if not path.exists():
            if create:
                return
            raise WrongShard(path, "the file is missing")
        if path.is_dir():
            raise NotADatabase(path, "it is a folder")
        check_permission(path)
        look_before(
            path,
            lambda connection: cls(path, connection).check_what_it_is(identity, create=create),
            busy_seconds,
        )

    def _prepare(self, identity: str | None, *, create: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        # An unknown file must not be changed, not even to WAL mode. The first statement that reads it finds
        # out whether it is a database at all.
        self.check_what_it_is(identity, create=create)
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        execute("PRAGMA synchronous = FULL")
        schema.migrate(self.database)
        if str(self.path) != ":memory:":
            if mode != "wal":
                raise StorageFailed(
                    self.path,
                    "switching to a write-ahead log",
                    OSError(f"SQLite stays in journal mode {mode!r}"),
                    advice="the file system may not support shared memory; use a local one",
                )
            # Write what a crash left in the log into the file, and empty the log. If a sync failed before the
            # crash, the system may believe that pages are on disk that are not; this writes them again.
            busy, _, _ = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                execute("PRAGMA wal_checkpoint(PASSIVE)")
        if identity is not None and self.identity() is None:
            self.database.table("shard").insert({"key": "identity", "value": identity})

    def check_what_it_is(self, identity: str | None, *, create: bool = False) -> None:
        """Raise unless it is a shard, and the one that is meant; reads only.

        Args:
          identity: the identity that it must have; None: any.
          create: one that has no tables yet will do, too.
        """
        schema.check(self.database, self.path)
        if schema.version_of(self.database) == 0:
            if create:
                return
            # Shards are named nowhere before their tables are made, so what was in this one is lost.
            raise WrongShard(self.path, "the file is empty")
        found = self.identity()
        if identity is not None and found is not None and found != identity:
            raise WrongShard(self.path, f"it is {found}, and {identity} was expected")

    def identity(self) -> str | None:
        """The identity that the file stores; None if it stores none."""
        if "shard" not in self.database.table_names():
            return None
        row = self._connection.execute("SELECT value FROM shard WHERE key = 'identity'").fetchone()
        return None if row is None else str(row[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what is in the log goes into the file. Closing twice does nothing."""
        _close_quietly(self._connection)
        self.on_close()

    # Changes.

    def apply(self, operations: Sequence[Operation]) -> list[StorageError | None]:
        """Do all of `operations`, in their order, in one transaction; when it returns they are on disk.

        Returns:
          for each operation None if it was done, or why it was refused. Those refused changed nothing.

        Raises:
          StorageFailed: nothing of the batch counts as done. After a failed sync some of it may yet turn up
            when the file is opened again; after a full disk, nothing will.
        """
        try:
            return self._writer.write(operations)
        except sqlite3.Error as error:
            raise failure(self.path, f"writing {len(operations)} operations", error) from error

    def restore(self, lists: Iterable[tuple[str, TodoList]]) -> int:
        """Write whole lists, which the shard has not, in one transaction.

        Returns:
          how many entries.
        """
        try:
            return self._writer.write_lists(lists)
        except sqlite3.Error as error:
            raise failure(self.path, "writing lists", error) from error

    def checkpoint(self) -> None:
        """Write what is in the log into the file itself.

        Raises:
          StorageFailed: it could not be done; the log is as it was.
        """
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise failure(self.path, "emptying the log", error) from error

    # Questions.

    def load(self, name: str) -> TodoList:
        """See `ShardQueries.load`."""
        return self._queries.load(name)

    def next_id(self, name: str) -> int:
        """See `ShardQueries.next_id`."""
        return self._queries.next_id(name)

    def lists(self) -> list[ListSummary]:
        """See `ShardQueries.lists`."""
        return self._queries.lists()

    def search(self, words: str, limit: int = 100) -> list[Found]:
        """See `ShardQueries.search`."""
        return self._queries.search(words, limit)

    def between(self, first: datetime.date, last: datetime.date) -> list[Found]:
        """See `ShardQueries.between`."""
        return self._queries.between(first, last)

    def has_list(self, name: str) -> bool:
        """See `ShardQueries.has_list`."""
        return self._queries.has_list(name)

    def name_like(self, name: str) -> str | None:
        """See `ShardQueries.name_like`."""
        return self._queries.name_like(name)

    def unreachable(self, index: int, workers: int) -> list[str]:
        """See `ShardQueries.unreachable`."""
        return self._queries.unreachable(index, workers)

    def check(self, *, index: bool = True) -> list[str]:
        """The damage in the file, in words; empty if there is none. Reads the whole file.

        Args:
          index: check the search index, too.

        Raises:
          StorageFailed: the machine did not let it be read: no room, no right, no memory.
        """
        problems: list[str] = []
        text_factory = self._connection.text_factory
        any_text(self._connection)
        try:
            for (text,) in self._connection.execute("PRAGMA integrity_check"):
                if text != "ok":
                    problems.append(f"SQLite: {text}")
            for table, key, parent, _ in self._connection.execute("PRAGMA foreign_key_check"):
                problems.append(f"row {key} of {table} refers to a row of {parent} that does not exist")
            problems += self._check_index() if index else []
            for key, name, next_id in self._connection.execute("SELECT id, name, next_entry_id FROM lists"):
                try:
                    if not is_text(name):
                        raise TypeError(f"its name must be UTF-8 text, not {shortened(name)}")
                    next_id_of(next_id, None)
                except (ValueError, TypeError) as error:
                    problems.append(f"row {key} of lists is not a list: {error}")
            for key, *row in self._connection.execute(f"SELECT key, {QUALIFIED} FROM entries"):
                try:
                    entry_of(row)
                except (ValueError, TypeError) as error:
                    problems.append(f"row {key} of entries is not an entry: {error}")
        except sqlite3.Error as error:
            if not is_of_the_file(error):
                raise failure(self.path, "checking", error) from error
            problems.append(f"it cannot be read completely: {error}")
        finally:
            self._connection.text_factory = text_factory
        return problems

    def _check_index(self) -> list[str]:
        ask = "INSERT INTO entries_fts (entries_fts, rank) VALUES ('integrity-check', 1)"
        try:
            try:
                self._connection.execute(ask)
            except sqlite3.OperationalError:
                # It changes nothing, and yet needs the right to write, and room. Neither says anything about
                # the index.
                with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                    self._connection.backup(copy)
                    copy.execute(ask)
        except sqlite3.DatabaseError as error:
            if not is_of_the_file(error):
                raise
            return [f"the search index does not match the entries: {error}"]
        return []

    def backup(self, target: Path) -> None:
        """Write a copy, as of one moment, to `target`, which must not exist; others may go on writing
        meanwhile.

        Raises:
          StorageFailed: it could not be written; nothing is left at `target`.
        """
        if target.exists():
            raise StorageFailed(target, "writing a backup", FileExistsError("the file exists already"))
        # Under another name until it is whole: a copy that was killed is not to be taken for a shard.
        part = target.with_name(f"{target.name}{PART}")
        try:
            part.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy, pages=1000)
                copy.execute("PRAGMA journal_mode = DELETE")
            sync(part)
            part.rename(target)
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageFailed(target, "writing a backup", error) from error

    def dump(self) -> Iterator[tuple[str, TodoList]]:
        """All lists, one after the other, whole: for rewriting a folder."""
        for summary in self.lists():
            yield summary.name, self.load(summary.name)


def _nothing() -> None:
    pass


def _close_quietly(connection: sqlite3.Connection) -> None:
    # Closing writes the log into the file. If that fails, the log stays, and the next opening does it.
    with contextlib.suppress(sqlite3.Error):
        connection.close()
