"""SQLite's errors: each says what helps, and whether to open the file anew."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from todo import NotADatabase, OperationRefused, StorageFailed
from todo.sqlite_errors import failure, is_of_the_file, needs_reopening


def error(code: int) -> sqlite3.Error:
    found = sqlite3.OperationalError("what SQLite says")
    found.sqlite_errorcode = code
    return found


@pytest.mark.parametrize(
    ("code", "advice", "reopen"),
    [
        (sqlite3.SQLITE_FULL, "free some space", False),
        (sqlite3.SQLITE_BUSY, "another program", False),
        (sqlite3.SQLITE_LOCKED, "", False),
        (sqlite3.SQLITE_CORRUPT, "backup", False),
        (sqlite3.SQLITE_IOERR, "may or may not be on disk", True),
        # Extended codes have the primary one in their lowest byte.
        (sqlite3.SQLITE_IOERR_FSYNC, "may or may not be on disk", True),
        (sqlite3.SQLITE_CANTOPEN, "check that this user", True),
        (sqlite3.SQLITE_READONLY, "check that this user", True),
    ],
)
def test_an_error_names_the_action_the_file_and_the_remedy(code: int, advice: str, reopen: bool) -> None:
    cause = error(code)
    told = failure(Path("shards-1/0.db"), "writing", cause)
    assert isinstance(told, StorageFailed)
    assert "writing" in str(told)
    assert "0.db" in str(told)
    assert "what SQLite says" in str(told)
    assert advice in str(told)
    assert told.__cause__ is cause
    assert needs_reopening(told) is reopen


def test_a_file_that_is_not_a_database_is_reported_as_such() -> None:
    told = failure(Path("0.db"), "opening", error(sqlite3.SQLITE_NOTADB))
    assert isinstance(told, NotADatabase)


def test_a_refused_operation_does_not_reopen_the_file() -> None:
    assert not needs_reopening(OperationRefused(Path("0.db"), "operation", "no such entry"))


@pytest.mark.parametrize(
    ("code", "of_the_file"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_VTAB, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_IOERR_READ, True),
        (sqlite3.SQLITE_IOERR_SHORT_READ, True),
        (sqlite3.SQLITE_IOERR_WRITE, False),
        (sqlite3.SQLITE_IOERR_NOMEM, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_CANTOPEN, False),
    ],
)
def test_whether_an_error_says_something_about_the_file(code: int, of_the_file: bool) -> None:
    assert is_of_the_file(error(code)) == of_the_file
    assert is_of_the_file(OSError(errno.EIO, "")) != is_of_the_file(OSError(errno.ENOSPC, ""))
