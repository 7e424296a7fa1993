"""The lock of a folder: one process that writes, or several that read.

It is the operating system's (flock), so it goes with the process that held it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from .errors import FolderInUse

__all__ = ["LOCK", "lock_folder", "lock_for_reading", "unlock_folder"]

LOCK: Final = "lock"


def lock_folder(folder: Path) -> int:
    """Lock the folder for writing.

    Returns:
      a descriptor of the lock file. Closing it, or the end of the process, unlocks the folder.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _take(descriptor, fcntl.LOCK_EX, folder)
    try:
        # Only for the error message of the next process; the lock itself is in the operating system.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:  # a full disk, say: then the message has no number
        pass
    return descriptor


def unlock_folder(lock: int) -> None:
    """Unlock a folder: close the descriptor that `lock_folder` or `lock_for_reading` has returned."""
    os.close(lock)


def lock_for_reading(folder: Path) -> int | None:
    """Lock the folder together with other readers.

    Returns:
      a descriptor of the lock file; None if there is no such file, and so no writer.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # A copy without a lock file, or a file that we cannot read. A process that can write creates it.
        return None
    _take(descriptor, fcntl.LOCK_SH, folder)
    return descriptor


def _take(descriptor: int, how: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        pid: int | None = None
        with contextlib.suppress(ValueError):
            pid = int(os.pread(descriptor, 20, 0))
        os.close(descriptor)
        raise FolderInUse(folder, pid if pid is not None and _running(pid) else None) from None
    except BaseException:
        os.close(descriptor)
        raise


def _running(pid: int) -> bool:
    """Whether this process runs: the number in a lock file may be of one that ended long ago."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0
