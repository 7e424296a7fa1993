"""What a shard remembers besides its lists: how far an import has come, so that it can be taken up again.

Notes are rows of the table `shard`, beside what the shard says that it is. A version that does not know them
passes over them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable

from .batch import PUT_NOTE
from .operations import Note
from .shard import Shard
from .sqlite_errors import failure

__all__ = ["forget_notes", "read_notes", "take_notes"]

_BEGINS = "substr(key, 1, length(:prefix)) = :prefix"


def read_notes(shard: Shard, prefix: str) -> dict[str, str]:
    """What is noted under keys that begin with `prefix`, by key.

    Raises:
      StorageError: the file cannot be read.
    """
    with _doing(shard, "reading notes"):
        rows = shard.database.conn.execute(
            f"SELECT key, value FROM shard WHERE {_BEGINS}", {"prefix": prefix}
        )
        return {str(key): str(value) for key, value in rows}


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
