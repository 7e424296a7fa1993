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
        (sqlite3.SQLITE_FULL, "make room", False),
        (sqlite3.SQLITE_BUSY, "another program", False),
        (sqlite3.SQLITE_LOCKED, "", False),
        (sqlite3.SQLITE_CORRUPT, "backup", False),
        (sqlite3.SQLITE_IOERR, "may be written or not", True),
        # Extended codes have the primary one in their lowest byte.
        (sqlite3.SQLITE_IOERR_FSYNC, "may be written or not", True),
        (sqlite3.SQLITE_CANTOPEN, "may this user", True),
        (sqlite3.SQLITE_READONLY, "may this user", True),
    ],
)
def test_an_error_says_what_failed_where_and_what_helps(code: int, advice: str, reopen: bool) -> None:
    cause = error(code)
    told = failure(Path("shards-1/0.db"), "writing", cause)
    assert isinstance(told, StorageFailed)
    assert "writing" in str(told)
    assert "0.db" in str(told)
    assert "what SQLite says" in str(told)
    assert advice in str(told)
    assert told.__cause__ is cause
    assert needs_reopening(told) is reopen


def test_a_file_that_is_no_database_is_called_that() -> None:
    told = failure(Path("0.db"), "opening", error(sqlite3.SQLITE_NOTADB))
    assert isinstance(told, NotADatabase)


def test_a_refused_operation_is_no_reason_to_open_the_file_anew() -> None:
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
