"""`ShardQueries`, the queries of one shard: whole lists, and entries of all lists by words or by day."""

from __future__ import annotations

import datetime
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from trio_genserver.pools import stable_hash

from .entry import Entry
from .errors import StorageFailed, shortened
from .list import TodoList
from .rows import QUALIFIED, any_text, entry_of, is_text, next_id_of, wrong_list_name
from .sqlite_errors import failure
from .text import compared, is_found_inside, matches_inside, searched_words

__all__ = ["BAD_ROW", "Found", "ListSummary", "ShardQueries", "loading_failed"]

logger = logging.getLogger("todo.shard")

BAD_ROW: Final = "`todo check` names the row; repair it with any SQLite tool, or restore a backup"


class ListSummary(NamedTuple):
    """One list, as `Shard.lists` tells of it.

    Attributes:
      name: the name of the list.
      entries: how many entries it has.
      done: how many of them are done.
    """

    name: str
    entries: int
    done: int


class Found(NamedTuple):
    """An entry that a search has found.

    Attributes:
      list: the name of its list.
      entry: the entry.
      rank: how well it matches; lower is better. 0 for a search by day.
    """

    list: str
    entry: Entry
    rank: float


class ShardQueries:
    """Reads from one shard. If the file cannot be read, each method raises a `StorageError`.

    Args:
      connection: to it.
      path: the file, for errors.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def load(self, name: str) -> TodoList:
        """The list of that name; an empty one if nothing was ever stored under it. One query."""
        rows = self._ask(
            "loading a list",
            f"SELECT lists.next_entry_id, {QUALIFIED}"
            " FROM lists LEFT JOIN entries ON entries.list_id = lists.id"
            " WHERE lists.name = ? ORDER BY entries.id",
            (name,),
        )
        if not rows:
            return TodoList.new()
        try:
            next_id = next_id_of(rows[0][0], None)
            if rows[0][1] is None:
                return TodoList.restore((), next_id)
            return TodoList.restore((entry_of(row[1:]) for row in rows), next_id)
        except (ValueError, TypeError) as error:
            raise loading_failed(self._path, name, error) from error

    def next_id(self, name: str) -> int:
        """The number that the next entry of that list will get, which `load` says as well. One query, which
        looks at no other entry.
        """
        rows = self._ask(
            "looking for a list's next number",
            "SELECT next_entry_id, (SELECT max(id) FROM entries WHERE list_id = lists.id)"
            " FROM lists WHERE name = ?",
            (name,),
        )
        try:
            return next_id_of(*rows[0]) if rows else 1
        except ValueError as error:
            raise loading_failed(self._path, name, error) from error

    def lists(self) -> list[ListSummary]:
        """Every list that was ever added to, in the order of their names. One whose name is not text is left
        out, and logged.
        """
        rows = self._ask(
            "listing the lists",
            "SELECT name, count(entries.key), count(CASE done WHEN 1 THEN 1 END)"
            " FROM lists LEFT JOIN entries ON entries.list_id = lists.id GROUP BY lists.id ORDER BY name",
        )
        found: list[ListSummary] = []
        for name, entries, done in rows:
            if is_text(name):
                found.append(ListSummary(name, entries, done))
            else:
                logger.warning(
                    "%s: left out a list whose name is not text: %s; %s", self._path, shortened(name), BAD_ROW
                )
        return found

    def unreachable(self, index: int, workers: int) -> list[str]:
        """What is stored in this shard, and in no list that can be asked for, in words.

        Args:
          index: the number of this shard.
          workers: how many there are.
        """
        problems: list[str] = []
        for key, name in self._ask("listing the lists", "SELECT id, name FROM lists ORDER BY id"):
            wrong = wrong_list_name(name)
            if wrong is not None:
                problems.append(f"row {key} of lists: {wrong}")
            elif (belongs := stable_hash(name) % workers) != index:
                problems.append(f"the list {name!r} is in this shard but belongs in number {belongs}")
        ((lost,),) = self._ask(
            "looking for entries without a list",
            "SELECT count(*) FROM entries WHERE list_id NOT IN (SELECT id FROM lists)",
        )
        if lost:
            entries = "1 entry is" if lost == 1 else f"{lost} entries are"
            problems.append(f"{entries} in no list: the row of lists that they refer to does not exist")
        return problems

    def search(self, words: str, limit: int = 100) -> list[Found]:
        """Entries whose titles have all of `words`, best first.

        Args:
          words: separated by white space; each matches a word of the title or its beginning, without regard
            to case and accents. Those of `todo.text.is_found_inside` are found anywhere, by reading all
            titles. Nothing in it has a special meaning.
          limit: at most so many.
        """
        parts = searched_words(words)
        query = " ".join(f'"{word}"*' for word in parts if not is_found_inside(word))
        inside = [word for word in parts if is_found_inside(word)]
        if not parts:
            return []
        conditions = ["entries_fts MATCH ?"] * bool(query) + [
            "found_inside(CAST(entries.title AS BLOB), ?)"
        ] * len(inside)
        source, rank = (
            ("entries_fts JOIN entries ON entries.key = entries_fts.rowid", "entries_fts.rank")
            if query
            else ("entries", "0.0")
        )
        self._connection.create_function("found_inside", 2, _found_inside, deterministic=True)
        rows = self._ask(
            "searching",
            f"SELECT lists.name, {rank}, {QUALIFIED} FROM {source}"
            " JOIN lists ON lists.id = entries.list_id"
            f" WHERE {' AND '.join(conditions)} ORDER BY {rank}, lists.name, entries.id LIMIT ?",
            (*([query] if query else []), *inside, limit),
        )
        return self._found(rows)

    def between(self, first: datetime.date, last: datetime.date) -> list[Found]:
        """Entries of all lists from one day to another, both included: by day, list, id."""
        rows = self._ask(
            "looking up days",
            f"SELECT lists.name, 0.0, {QUALIFIED} FROM entries"
            " JOIN lists ON lists.id = entries.list_id"
            " WHERE date BETWEEN ? AND ? ORDER BY date, lists.name, entries.id",
            (first.isoformat(), last.isoformat()),
        )
        return self._found(rows)

    def has_list(self, name: str) -> bool:
        """Whether there is a list of that name, with entries or without."""
        return bool(self._ask("looking for a list", "SELECT 1 FROM lists WHERE name = ?", (name,)))

    def name_like(self, name: str) -> str | None:
        """The name of a list that is compared as `name` is, in whatever form it was stored."""
        for (stored,) in self._ask("looking for a list", "SELECT name FROM lists ORDER BY name"):
            if is_text(stored) and not stored.isascii() and compared(stored) == name:
                return stored
        return None

    def _found(self, rows: Iterable[Sequence[Any]]) -> list[Found]:
        """The entries in `rows`. A row that is not an entry is left out, and logged."""
        found: list[Found] = []
        for name, rank, *row in rows:
            try:
                if not is_text(name):
                    raise ValueError("the name of the list is not text")
                found.append(Found(name, entry_of(row), rank))
            except (ValueError, TypeError) as error:
                logger.warning(
                    "%s: left out entry %s of the list %s: %s; %s",
                    self._path,
                    shortened(row[0]),
                    shortened(name),
                    error,
                    BAD_ROW,
                )
        return found

    def _ask(self, action: str, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows that `query` finds.

        Args:
          action: what is being done, for the error.

        Raises:
          StorageError: the file cannot be read.
        """
        execute = self._connection.execute
        try:
            try:
                return execute(query, parameters).fetchall()
            except sqlite3.OperationalError as error:
                # SQLite's own errors have a code. This one is Python's: some row has text that is not UTF-8.
                # The other rows are still good.
                if hasattr(error, "sqlite_errorcode"):
                    raise
            text_factory = self._connection.text_factory
            any_text(self._connection)
            try:
                return execute(query, parameters).fetchall()
            finally:
                self._connection.text_factory = text_factory
        except sqlite3.Error as error:
            raise failure(self._path, action, error) from error


def loading_failed(path: Path, name: str, error: Exception) -> StorageFailed:
    """That a row of the list `name` keeps it from being loaded."""
    return StorageFailed(path, f"loading the list {name!r}", error, advice=BAD_ROW)


def _found_inside(title: bytes | None, word: str) -> bool:
    return title is not None and matches_inside(title.decode("utf-8", "surrogateescape"), word)
