"""The logs that SQLite keeps beside a file, and a way to read such a file without changing it.

A write-ahead log or a rollback journal belongs to its file: the newest changes may be in it alone. SQLite
processes them when it opens the file, and deletes them if the file is missing or empty: their content is then
lost. So a file is opened in place only after a check that it is not empty.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

from .errors import WrongShard

__all__ = ["JOURNAL", "WAL", "logs_beside", "private_copy", "refuse_log_alone", "size_of"]

WAL: Final = "-wal"
JOURNAL: Final = "-journal"


def size_of(path: Path) -> int:
    """In bytes; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def logs_beside(path: Path) -> list[Path]:
    """The logs of a file that have something in them, whether or not the file is there."""
    beside = (path.with_name(f"{path.name}{ending}") for ending in (WAL, JOURNAL))
    return [log for log in beside if size_of(log)]


def refuse_log_alone(path: Path) -> None:
    """Raise `WrongShard` if SQLite would delete the log of `path`, as there is nothing else."""
    if size_of(path):
        return
    for log in logs_beside(path):
        state = "empty" if path.exists() else "missing"
        raise WrongShard(path, f"the file is {state}, and its log {log.name} is not")


@contextlib.contextmanager
def private_copy(path: Path) -> Generator[Path]:
    """A copy of a file and its logs, in a folder of its own that goes when the block ends: SQLite may do
    with it what it likes.

    Raises:
      OSError: there is no space for it, or no permission.
    """
    with tempfile.TemporaryDirectory(prefix="todo-", ignore_cleanup_errors=True) as place:
        for original in (path, *logs_beside(path)):
            shutil.copyfile(original, Path(place) / original.name)
        yield Path(place) / path.name
