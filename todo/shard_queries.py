"""`ShardQueries`, what is asked of one shard: lists whole, and entries of all lists by words or by day."""

from __future__ import annotations

import contextlib
import datetime
import logging
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from .entry import Entry
from .errors import StorageFailed
from .list import TodoList
from .rows import QUALIFIED, entry_of
from .sqlite_errors import failure
from .text import compared, is_found_inside, matches_inside, searched_words

__all__ = ["Found", "ListSummary", "ShardQueries"]

logger = logging.getLogger("todo.shard")

_BAD_ROW: Final = "`todo check` names the row; mend it with any SQLite tool, or put a backup in its place"


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
    """An entry that was looked for.

    Attributes:
      list: the name of its list.
      entry: the entry.
      rank: how well it matches; lower is better. 0 where nothing was to be matched.
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
        with self._reading("loading a list"):
            rows = self._connection.execute(
                f"SELECT lists.next_entry_id, {QUALIFIED}"
                " FROM lists LEFT JOIN entries ON entries.list_id = lists.id"
                " WHERE lists.name = ? ORDER BY entries.id",
                (name,),
            ).fetchall()
        if not rows:
            return TodoList.new()
        next_id = rows[0][0]
        if rows[0][1] is None:
            return TodoList.restore((), next_id)
        try:
            return TodoList.restore((entry_of(row[1:]) for row in rows), next_id)
        except (ValueError, TypeError) as error:
            action = f"loading the list {name!r}"
            raise StorageFailed(self._path, action, error, advice=_BAD_ROW) from error

    def next_id(self, name: str) -> int:
        """The number that the next entry of that list will get, which `load` says as well. One query, which
        looks at no other entry.
        """
        with self._reading("looking for a list's next number"):
            row = self._connection.execute(
                "SELECT next_entry_id, (SELECT max(id) FROM entries WHERE list_id = lists.id)"
                " FROM lists WHERE name = ?",
                (name,),
            ).fetchone()
        if row is None:
            return 1
        following, last = row
        if not isinstance(following, int) or not (last is None or (isinstance(last, int) and last > 0)):
            action = f"loading the list {name!r}"
            error = ValueError(f"the list's next id is {following!r}, and its last {last!r}")
            raise StorageFailed(self._path, action, error, advice=_BAD_ROW)
        return max(following, 1 if last is None else last + 1)

    def lists(self) -> list[ListSummary]:
        """Every list that was ever added to, in the order of their names."""
        with self._reading("listing the lists"):
            rows = self._connection.execute(
                "SELECT name, count(entries.key), coalesce(sum(done), 0)"
                " FROM lists LEFT JOIN entries ON entries.list_id = lists.id GROUP BY lists.id ORDER BY name"
            ).fetchall()
        return [ListSummary(*row) for row in rows]

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
        conditions = ["entries_fts MATCH ?"] * bool(query) + ["found_inside(entries.title, ?)"] * len(inside)
        source, rank = (
            ("entries_fts JOIN entries ON entries.key = entries_fts.rowid", "entries_fts.rank")
            if query
            else ("entries", "0.0")
        )
        self._connection.create_function("found_inside", 2, matches_inside, deterministic=True)
        with self._reading("searching"):
            rows = self._connection.execute(
                f"SELECT lists.name, {rank}, {QUALIFIED} FROM {source}"
                " JOIN lists ON lists.id = entries.list_id"
                f" WHERE {' AND '.join(conditions)} ORDER BY {rank}, lists.name, entries.id LIMIT ?",
                (*([query] if query else []), *inside, limit),
            ).fetchall()
        return self._found(rows)

    def between(self, first: datetime.date, last: datetime.date) -> list[Found]:
        """Entries of all lists from one day to another, both included: by day, list, id."""
        with self._reading("looking up days"):
            rows = self._connection.execute(
                f"SELECT lists.name, 0.0, {QUALIFIED} FROM entries"
                " JOIN lists ON lists.id = entries.list_id"
                " WHERE date BETWEEN ? AND ? ORDER BY date, lists.name, entries.id",
                (first.isoformat(), last.isoformat()),
            ).fetchall()
        return self._found(rows)

    def has_list(self, name: str) -> bool:
        """Whether there is a list of that name, with entries or without."""
        with self._reading("looking for a list"):
            row = self._connection.execute("SELECT 1 FROM lists WHERE name = ?", (name,)).fetchone()
        return row is not None

    def name_like(self, name: str) -> str | None:
        """The name of a list that is compared as `name` is, in whatever form it was stored."""
        with self._reading("looking for a list"):
            for (stored,) in self._connection.execute("SELECT name FROM lists ORDER BY name"):
                if not stored.isascii() and compared(stored) == name:
                    return str(stored)
        return None

    def _found(self, rows: Iterable[Sequence[Any]]) -> list[Found]:
        """What was found; a row that is no entry is left out, and logged: the others are no worse for it."""
        found: list[Found] = []
        for name, rank, *row in rows:
            try:
                found.append(Found(name, entry_of(row), rank))
            except (ValueError, TypeError) as error:
                logger.warning(
                    "%s: entry %s of the list %r is none: %s; %s", self._path, row[0], name, error, _BAD_ROW
                )
        return found

    @contextlib.contextmanager
    def _reading(self, action: str) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise failure(self._path, action, error) from error
