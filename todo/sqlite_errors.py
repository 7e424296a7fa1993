"""SQLite's errors as ours: what was being done, to which file, and what helps."""

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

# A medium that does not give what was written to it.
_OF_ITS_MEDIUM: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)
# What the machine or another program is the cause of. The file may be sound.
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
    sqlite3.SQLITE_FULL: "nothing of it was written; make room on the disk and try again",
    sqlite3.SQLITE_BUSY: "another program holds the file locked, so nothing was written; end that",
    sqlite3.SQLITE_IOERR: "it may be written or not; look at the disk and at the system's log",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; see `todo check`, and put a backup in its place",
    sqlite3.SQLITE_CANTOPEN: "may this user read and write the file and its folder?",
    sqlite3.SQLITE_READONLY: "may this user write the file and its folder?",
}


def failure(path: Path, action: str, error: sqlite3.Error) -> StorageError:
    """What to tell the caller of `action` on the file at `path`; `error` is its cause."""
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
