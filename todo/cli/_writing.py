"""Writing a file whole or not at all, and text that is a file to standard output."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from todo.description import DESCRIPTION

__all__ = ["is_of_a_database", "write_file", "write_to_standard_output"]

_SQLITE: Final = b"SQLite format 3\0"


def is_of_a_database(path: Path, folder: Path) -> bool:
    """Whether a file is, or would be, one of a database: of the folder that is used, of another one, or a
    database of SQLite. To replace it by something else would lose what is in there.
    """
    path, folder = path.resolve(), folder.resolve()
    if path.is_relative_to(folder):
        return True
    place = path.parent.parent if path.parent.name.startswith("shards-") else path.parent
    if (place / DESCRIPTION).exists():
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # writing to it raises the error


def write_file(path: Path, text: str) -> None:
    """Write `text`, as UTF-8, beside the file, and rename it when it is whole and on the disk. What is no
    ordinary file, a device or a pipe, is written to.

    Raises:
      OSError: it could not be written; an ordinary file is as it was.
    """
    try:
        mode: int | None = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with path.open("wb") as stream:
            stream.write(text.encode())
        return
    # Replace the target of a symbolic link, not the link.
    path = path.resolve() if path.is_symlink() else path
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fchmod(descriptor, _usual_mode() if mode is None else stat.S_IMODE(mode))
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_to_standard_output(text: str) -> None:
    """The bytes of a file: in UTF-8, whatever the terminal has."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _usual_mode() -> int:
    """That of a new file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
