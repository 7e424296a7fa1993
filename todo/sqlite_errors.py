"""Turn errors of SQLite into errors of this package, with the action, the file, and the remedy."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from .errors import NotADatabase, OperationRefused, StorageError, StorageFailed

__all__ = ["failure", "is_of_the_file", "needs_reopening"]

# Primary result codes of a failed write after which opening the file anew would not help: a full disk and a
# lock pass, and a damaged page stays what it is; the transaction was rolled back, and the rest of the file
# is good.
_REOPENING_DOES_NOT_HELP: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CORRUPT}
)

# The storage medium does not return what was written to it.
_OF_ITS_MEDIUM: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)
# Caused by the machine or by another program. The file itself may be sound.
_OF_OTHERS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_NOLFS,
    }
)

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "nothing was written; free some space on the disk and try again",
    sqlite3.SQLITE_BUSY: "nothing was written, as another program has locked the file; close that program",
    sqlite3.SQLITE_IOERR: "the change may or may not be on disk; check the disk and the system log",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; run `todo check`, and restore a backup",
    sqlite3.SQLITE_CANTOPEN: "check that this user can read and write the file and its folder",
    sqlite3.SQLITE_READONLY: "check that this user can write the file and its folder",
}


def failure(path: Path, action: str, error: sqlite3.Error) -> StorageError:
    """The error to raise for an `action` that failed on the file at `path` because of `error`."""
    code = _code(error)
    if code == sqlite3.SQLITE_NOTADB:
        wrong = NotADatabase(path, str(error))
        wrong.__cause__ = error
        return wrong
    return StorageFailed(path, action, error, advice=_ADVICE.get(code, ""))


def needs_reopening(error: StorageError) -> bool:
    """Whether to open the file anew after a write that failed with `error`."""
    if isinstance(error, OperationRefused):
        return False
    cause = error.__cause__
    return not (isinstance(cause, sqlite3.Error) and _code(cause) in _REOPENING_DOES_NOT_HELP)


def is_of_the_file(error: BaseException) -> bool:
    """Whether what failed while a file was read says something about the file, and not only about the
    machine: a full disk, a lock, a right that is missing, too little memory."""
    if isinstance(error, OSError):
        return error.errno == errno.EIO
    if not isinstance(error, sqlite3.Error):
        return not isinstance(error, MemoryError)
    return getattr(error, "sqlite_errorcode", 0) in _OF_ITS_MEDIUM or _code(error) not in _OF_OTHERS


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
