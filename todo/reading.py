"""Read a shard without changing it, whatever state a crash, a copy or a full disk has left it in.

SQLite recovers a file when it opens it, and tidies up when it closes it: it writes the log into the file, and
deletes a log that does not match. That is right before writing. Reading must leave the evidence unchanged,
and must need neither write permission nor disk space.

So a file without a log is opened as ``immutable``, which touches nothing; the lock of the folder keeps
writers away. A file with a log, or of an older schema, is copied with its logs into a temporary folder, and
the copy is recovered.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from . import schema
from .beside import logs_beside, private_copy, refuse_log_alone
from .errors import NotADatabase, StorageFailed, WrongShard
from .shard import Shard
from .sqlite_errors import failure

__all__ = ["SMALLEST", "open_for_reading"]

SMALLEST: Final = 512
"""No SQLite database with a table is shorter, in bytes."""

_ROOM: Final = "reading it after a crash needs a temporary copy; set TMPDIR to a folder with enough space"


def open_for_reading(path: Path, *, identity: str | None = None) -> Shard:
    """Open a shard for reading. No file is changed, and none is created beside it.

    Args:
      path: the file, which no other process has open for writing.
      identity: the identity that the file must have; None: any.

    Raises:
      NotADatabase: the file is not a database, or is damaged.
      WrongShard: the file is missing, empty, or another shard.
      NewerVersion: a newer version of this program wrote it.
      StorageFailed: the operating system refuses.
    """
    try:
        refuse_log_alone(path)
        size = path.stat().st_size
        logs = logs_beside(path)
    except FileNotFoundError:
        raise WrongShard(path, "the file is missing") from None
    except OSError as error:
        raise StorageFailed(path, "opening to read", error) from error
    if path.is_dir():
        raise NotADatabase(path, "it is a folder")
    if not size:
        raise WrongShard(path, "the file is empty")
    if size < SMALLEST:
        raise NotADatabase(path, f"it has {size} bytes, too few for a database")
    if logs or _is_old(path):
        return _open_copy(path, identity)
    try:
        shard = Shard(path, _connect(path))
    except sqlite3.Error as error:
        raise failure(path, "opening to read", error) from error
    return _checked(shard, identity)


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _is_old(path: Path) -> bool:
    """Whether a file has to be brought up before it can be read; with damage, another will deal."""
    try:
        connection = _connect(path)
    except sqlite3.Error as error:
        raise failure(path, "opening to read", error) from error
    try:
        database = Database(connection)
        schema.check(database, path)
        return 0 < schema.version_of(database) < schema.SCHEMA_VERSION
    except sqlite3.Error as error:
        raise failure(path, "opening to read", error) from error
    finally:
        connection.close()


def _open_copy(path: Path, identity: str | None) -> Shard:
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(path))
        except OSError as error:
            raise StorageFailed(path, "copying it to read", error, advice=_ROOM) from error
        try:
            # As SQLite recovers it: the copy is ours.
            shard = Shard.open(copy, identity=identity)
        except WrongShard as error:
            raise WrongShard(path, error.why) from None
        except NotADatabase as error:
            raise NotADatabase(path, error.why) from None
        except StorageFailed as error:
            cause = error.__cause__ or error
            raise StorageFailed(path, "recovering a copy to read", cause, advice=_ROOM) from cause
        shard.path = path
        shard.database.conn.execute("PRAGMA query_only = ON")
        shard.on_close = stack.pop_all().close
        return shard


def _checked(shard: Shard, identity: str | None) -> Shard:
    try:
        shard.check_what_it_is(identity)
    except BaseException as error:
        shard.close()
        if isinstance(error, sqlite3.Error):
            raise failure(shard.path, "opening to read", error) from error
        raise
    return shard
