"""What a process was doing in its database at the moment it was killed.

Each SQLite connection of the process has a byte in a file that is mapped into memory; the byte says which
of `MOMENTS` the connection is in. A killed process cannot say anything any more, but what it put into the
map is there, without a system call that would change the timing. Whoever is to kill it looks at the same map.
"""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

__all__ = ["MOMENTS", "Moments", "note_moments"]

MOMENTS: Final = ("idle", "making tables", "in a transaction", "in a commit", "in a checkpoint")

_IDLE, _TABLES, _TRANSACTION, _COMMIT, _CHECKPOINT = range(len(MOMENTS))
_SIZE: Final = 64


class Moments:
    """A view of the map.

    Args:
      path: the file; made if there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), _SIZE)

    def present(self) -> set[str]:
        """What the connections are doing, or did when their process was killed; idle ones left out."""
        return {MOMENTS[number] for number in set(self.map[:]) - {_IDLE}}

    def clear(self) -> None:
        """Before a new process."""
        self.map[:] = bytes(_SIZE)


class _NotingConnection(sqlite3.Connection):
    """Notes in its byte what it is doing."""

    moments: mmap.mmap
    opened = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._place = _NotingConnection.opened % _SIZE
        _NotingConnection.opened += 1
        super().__init__(*args, **kwargs)
        # Far below the usual thousand pages, so that many a commit goes on to write into the file itself.
        super().execute("PRAGMA wal_autocheckpoint = 40")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.moments[self._place] = _moment_of(sql, self.in_transaction)
        try:
            return super().execute(sql, parameters)
        finally:
            self.moments[self._place] = _TRANSACTION if self.in_transaction else _IDLE

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        self.moments[self._place] = _TRANSACTION
        try:
            return super().executemany(sql, parameters)
        finally:
            self.moments[self._place] = _TRANSACTION if self.in_transaction else _IDLE


def _moment_of(sql: str, in_transaction: bool) -> int:
    head = sql.lstrip()[:30].upper()
    if head.startswith("CREATE"):
        return _TABLES
    if head.startswith("COMMIT") or (head.startswith("INSERT") and not in_transaction):
        # The second is a transaction by itself.
        return _COMMIT
    if head.startswith("PRAGMA WAL_CHECKPOINT"):
        return _CHECKPOINT
    return _TRANSACTION if in_transaction else _IDLE


def note_moments(path: Path) -> None:
    """From now on, the connections of this process and of its forks note what they do."""
    _NotingConnection.moments = Moments(path).map
    noting: Any = partial(sqlite3.connect, factory=_NotingConnection)
    sqlite3.connect = noting
