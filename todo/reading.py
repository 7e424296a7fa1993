"""Reading a shard without changing it, whatever state a crash, a copy or a full disk has left it in.

SQLite recovers a file when it opens it, and tidies up when it closes it: it writes the log into the file,
and throws a log away that does not fit. That is right for the one who is about to write. Whoever only wants
to look must leave the evidence as it is, and must not need the right to write, nor room on the disk.

So a file without a log is opened as one that nobody changes (``immutable``), which touches nothing; the lock
of the folder keeps others away. A file with a log, or of an older schema, is copied to a place of its own
together with what lies beside it, and the copy is recovered.
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

_ROOM: Final = (
    "what a crash left beside it is put together in a copy of it; set TMPDIR to a folder with room for it"
)


def open_for_reading(path: Path, *, identity: str | None = None) -> Shard:
    """Open a shard to read from it. No file is changed, and none is made beside it.

    Args:
      path: the file, which no other process has open for writing.
      identity: what the file must say that it is; None: anything.

    Raises:
      NotADatabase: it is none, or damaged.
      WrongShard: there is none, or it is empty, or another one.
      NewerVersion: a newer version of this program wrote it.
      StorageFailed: the system does not let us.
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
        raise NotADatabase(path, f"it has {size} bytes, which is none")
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
            raise StorageFailed(path, "putting a copy of it together to read", cause, advice=_ROOM) from cause
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
