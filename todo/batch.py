"""`BatchWriter`: a batch of operations as one transaction (group commit).

The disk sync at the end dominates the cost of a write, and costs the same for one operation as for a hundred.
An operation that contradicts the database fails alone. Each is done completely or not at all.

Next comes Python's own lock: each step of a statement releases it and has to get it back from a busy program.
So neighbouring additions, the most frequent operations, become one statement that takes its rows from one
JSON text: a single step, whatever their number. If one of them contradicts the database, the statement has
changed nothing, and they are tried one by one. A batch of one statement is a transaction by itself. Very many
rows are split into several statements, because Python's lock is held while their JSON is written.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from .errors import OperationRefused, StorageError
from .list import TodoList
from .operations import AddEntries, DeleteEntry, Note, Operation, ReplaceEntry
from .rows import COLUMNS, MAX_ID, row_of

__all__ = ["PUT_NOTE", "BatchWriter"]

PUT_NOTE: Final = "INSERT OR REPLACE INTO shard (key, value) VALUES (?, ?)"
"""Store a note; it replaces the one under the same key."""

_INSERT: Final = (
    f"INSERT INTO entries (list_id, {', '.join(COLUMNS)})"
    f" SELECT {', '.join(f'''json_extract(value, '$[{index}]')''' for index in range(len(COLUMNS) + 1))}"
    " FROM json_each(?)"
)
_UPDATE: Final = (
    f"UPDATE entries SET {', '.join(f'{column} = ?' for column in COLUMNS[1:])} WHERE list_id = ? AND id = ?"
)
_NO_SUCH_ENTRY: Final = "the list has no entry with that id"
_A_STATEMENT: Final = 1000
"""The most rows in one statement, as Python's lock is held while their JSON is written."""
# Errors of an operation, not of the file. The first names the constraint that it violates.
_REFUSALS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)
_REMEMBERED: Final = 50_000
"""The most list ids that are cached. Only a bound: looking one up again takes a few microseconds."""


class BatchWriter:
    """Writes into one shard.

    Args:
      connection: with no transaction open, and none that it opens by itself.
      path: the file, for errors.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._list_ids: dict[str, int] = {}

    def write(self, operations: Sequence[Operation]) -> list[StorageError | None]:
        """Do all of `operations`, in their order, in one transaction; when it returns they are on disk.

        Returns:
          for each operation None if it was done, or why it was refused. Those refused changed nothing.

        Raises:
          sqlite3.Error: nothing of the batch counts as done.
        """
        try:
            if not any(_note_of(operation) for operation in operations) and self._insert(operations):
                return [None] * len(operations)
            with self._transaction():
                return self._write_all(operations)
        except BaseException:
            # It may know lists that were not made after all.
            self._list_ids.clear()
            raise

    def write_lists(self, lists: Iterable[tuple[str, TodoList]]) -> int:
        """Write whole lists, which the shard has not, in one transaction.

        Returns:
          how many entries.

        Raises:
          sqlite3.Error: nothing was written.
        """
        written = 0
        with self._transaction():
            for name, todo_list in lists:
                list_id = self._connection.execute(
                    "INSERT INTO lists (name, next_entry_id) VALUES (?, ?)",
                    # One above the highest number there is has no place, and follows from the entry.
                    (name, min(todo_list.next_id, MAX_ID)),
                ).lastrowid
                self._insert_rows((list_id, *row_of(entry)) for entry in todo_list)
                written += len(todo_list)
        return written

    def _write_all(self, operations: Sequence[Operation]) -> list[StorageError | None]:
        """All, with as many neighbours as possible at once."""
        outcomes: list[StorageError | None] = []
        while len(outcomes) < len(operations):
            begin = end = len(outcomes)
            while end < len(operations) and isinstance(operations[end], AddEntries):
                end += 1
            neighbours = operations[begin:end]
            if len(neighbours) > 1 and self._insert(neighbours):
                self._connection.executemany(PUT_NOTE, filter(None, map(_note_of, neighbours)))
                outcomes += [None] * len(neighbours)
            else:
                outcomes += [
                    self._write_one(operation) for operation in neighbours or operations[begin : end + 1]
                ]
        return outcomes

    def _insert(self, operations: Sequence[Operation]) -> bool:
        """Do `operations` with one statement, if one can do them; if not, nothing has happened."""
        rows: list[tuple[Any, ...]] = []
        for operation in operations:
            if not isinstance(operation, AddEntries):
                return False
            list_id = self._find_list(operation.list)
            if list_id is None:
                return False
            if len(rows) + len(operation.entries) > _A_STATEMENT:
                return False
            rows += [(list_id, *row_of(entry)) for entry in operation.entries]
        try:
            self._insert_rows(rows)
        except _REFUSALS:
            return False
        return True

    def _insert_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """One statement for each `_A_STATEMENT` of `rows`, which are of the list and the columns."""
        iterator = iter(rows)
        while some := list(islice(iterator, _A_STATEMENT)):
            if any(row[1] > MAX_ID for row in some):
                # In JSON, it would become a floating-point number.
                raise OverflowError(f"an id is above {MAX_ID}")
            self._connection.execute(_INSERT, (json.dumps(some, ensure_ascii=False),))

    def _write_one(self, operation: Operation) -> StorageError | None:
        """One operation, whole or not at all."""
        try:
            why: str | None = None
            if isinstance(operation, AddEntries):
                self._add(operation)
            elif isinstance(operation, ReplaceEntry):
                why = self._replace(operation)
            else:
                why = self._delete(operation)
        except sqlite3.IntegrityError as error:
            why = str(error)
        except _REFUSALS as error:
            why = f"it cannot be stored: {error}"
        return None if why is None else OperationRefused(self._path, operation, why)

    def _add(self, operation: AddEntries) -> None:
        list_id = self._find_list(operation.list)
        with self._savepoint():
            if list_id is None:
                list_id = self._connection.execute(
                    "INSERT INTO lists (name) VALUES (?)", (operation.list,)
                ).lastrowid
                assert list_id is not None
            self._insert_rows((list_id, *row_of(entry)) for entry in operation.entries)
            if operation.note is not None:
                self._connection.execute(PUT_NOTE, operation.note)
        self._remember(operation.list, list_id)

    def _replace(self, operation: ReplaceEntry) -> str | None:
        list_id, entry = self._find_list(operation.list), operation.entry
        replaced = self._connection.execute(_UPDATE, (*row_of(entry)[1:], list_id, entry.id)).rowcount
        return None if replaced else _NO_SUCH_ENTRY

    def _delete(self, operation: DeleteEntry) -> str | None:
        execute = self._connection.execute
        list_id = self._find_list(operation.list)
        with self._savepoint():
            deleted = execute(
                "DELETE FROM entries WHERE list_id = ? AND id = ?", (list_id, operation.id)
            ).rowcount
            if deleted:
                # The highest id is not given again, although no entry has it now.
                execute(
                    "UPDATE lists SET next_entry_id = max(next_entry_id, ?) WHERE id = ?",
                    (operation.id + 1, list_id),
                )
        return None if deleted else _NO_SUCH_ENTRY

    def _find_list(self, name: str) -> int | None:
        list_id = self._list_ids.get(name)
        if list_id is None:
            row = self._connection.execute("SELECT id FROM lists WHERE name = ?", (name,)).fetchone()
            if row is not None:
                list_id = int(row[0])
                self._remember(name, list_id)
        return list_id

    def _remember(self, name: str, list_id: int) -> None:
        if len(self._list_ids) >= _REMEMBERED:
            self._list_ids.clear()
        self._list_ids[name] = list_id

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                # The caller gets the original error.
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _savepoint(self) -> Generator[None]:
        execute = self._connection.execute
        execute("SAVEPOINT operation")
        try:
            yield
        except BaseException:
            # A full disk or a failed write has ended the whole transaction already.
            if self._connection.in_transaction:
                execute("ROLLBACK TO operation")
                execute("RELEASE operation")
            raise
        execute("RELEASE operation")


def _note_of(operation: Operation) -> Note | None:
    return operation.note if isinstance(operation, AddEntries) else None
