"""Checks before SQLite opens a file for writing, so that a refused file stays unchanged."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from .beside import JOURNAL, private_copy, refuse_log_alone, size_of
from .errors import StorageFailed
from .sqlite_errors import failure

__all__ = ["check_permission", "look_before"]


def check_permission(path: Path) -> None:
    """Raise if this user may not write the file: SQLite would open it for reading, and fail later."""
    ids = os.access in os.supports_effective_ids
    for place, mode, what in (
        (path, os.R_OK, "read the file"),
        (path, os.W_OK, "write the file"),
        (path.parent, os.W_OK, "write to its folder, where SQLite puts its log"),
    ):
        if not os.access(place, mode, effective_ids=ids):
            cause = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise StorageFailed(
                path, "opening to write", cause, advice=f"this user has no permission to {what}"
            )


def look_before(path: Path, check: Callable[[sqlite3.Connection], None], busy_seconds: float) -> None:
    """Raise if the file is not the expected shard, before SQLite can write to it.

    Opening a file for writing recovers it: its log is written into it, or thrown away if the file is empty.
    For a file that is then refused that would be a change.

    Args:
      path: the file; if it is not there, or empty, nothing is read.
      check: raises if what a connection reads is not what is meant.
      busy_seconds: how long to wait for another process that holds it locked.
    """
    refuse_log_alone(path)
    if not size_of(path):
        return
    try:
        with contextlib.ExitStack() as stack:
            place = f"{path.absolute().as_uri()}?mode=ro"
            if size_of(path.with_name(f"{path.name}{JOURNAL}")):
                # It has to be rolled back before it can be read, which is a change.
                place = stack.enter_context(private_copy(path)).as_uri()
            connection = sqlite3.connect(place, uri=True, timeout=busy_seconds, isolation_level=None)
            check(stack.enter_context(contextlib.closing(connection)))
    except (sqlite3.OperationalError, OSError):
        # Locked, or no place for the shared memory or a copy: opening it says so, with what helps.
        return
    except sqlite3.Error as error:
        raise failure(path, "opening the database", error) from error
