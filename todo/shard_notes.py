"""Notes in a shard: how far an import has come, so that it can be resumed.

Notes are rows of the table `shard`, beside what the shard says that it is. A version that does not know them
passes over them.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Generator, Iterable
from typing import Final

from .batch import PUT_NOTE
from .errors import StorageFailed, shortened
from .operations import Note
from .rows import any_text, is_text
from .shard import Shard
from .sqlite_errors import failure

__all__ = ["FINISHED", "forget_notes", "read_notes", "take_notes"]

FINISHED: Final = "yes"
"""The note of an import that is whole; while it is not, notes are numbers."""

_VALUE: Final = re.compile(rf"{FINISHED}|[0-9]{{1,18}}")
_BAD_NOTE: Final = (
    "delete that row of the table shard with any SQLite tool; its import then starts from the beginning"
)
_BEGINS = "substr(key, 1, length(:prefix)) = :prefix"


def read_notes(shard: Shard, prefix: str) -> dict[str, str]:
    """What is noted under keys that begin with `prefix`, by key: numbers, or `FINISHED`.

    Raises:
      StorageError: the file cannot be read, or another program has written a note that is neither.
    """
    connection = shard.database.conn
    text_factory = connection.text_factory
    any_text(connection)
    try:
        with _doing(shard, "reading notes"):
            rows = connection.execute(
                f"SELECT key, value FROM shard WHERE {_BEGINS}", {"prefix": prefix}
            ).fetchall()
    finally:
        connection.text_factory = text_factory
    for key, value in rows:
        if not (is_text(key) and is_text(value) and _VALUE.fullmatch(value)):
            wrong = ValueError(
                f"the note {shortened(key)} must be a number or {FINISHED!r}, not {shortened(value)}"
            )
            raise StorageFailed(shard.path, "reading notes", wrong, advice=_BAD_NOTE)
    return dict(rows)


def take_notes(shard: Shard, notes: Iterable[Note]) -> None:
    """Have these remembered; when it returns they are on disk.

    Raises:
      StorageError: one could not be written; those before it may be.
    """
    with _doing(shard, "noting"):
        for note in notes:
            shard.database.conn.execute(PUT_NOTE, note)


def forget_notes(shard: Shard, prefix: str) -> None:
    """Forget what is noted under keys that begin with `prefix`.

    Raises:
      StorageError: it could not be written; nothing is forgotten.
    """
    if read_notes(shard, prefix):
        with _doing(shard, "forgetting notes"):
            shard.database.conn.execute(f"DELETE FROM shard WHERE {_BEGINS}", {"prefix": prefix})


@contextlib.contextmanager
def _doing(shard: Shard, action: str) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise failure(shard.path, action, error) from error
