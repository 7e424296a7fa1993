"""Looking for damage: every shard of a folder that nothing has open, each for itself.

The running system opens all shards or none. Here, one that cannot even be opened is a finding, and the others
are read all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .errors import FolderInUse, NewerVersion, StorageError, StorageFailed
from .folder import Folder
from .sqlite_errors import is_of_the_file

__all__ = ["FolderReport", "ShardReport", "check"]


class ShardReport(NamedTuple):
    """What `check` found out about a shard.

    Attributes:
      path: its file.
      problems: what is wrong with it, in words; empty if nothing was found.
      unchecked: why it could not be looked at, or not to its end: no room for a copy of it, a right that is
        missing, a newer version's file. That is no damage. None: it was.
    """

    path: Path
    problems: list[str]
    unchecked: str | None = None

    @property
    def good(self) -> bool:
        """Whether all of it was looked at, and nothing is wrong."""
        return not self.problems and self.unchecked is None


class FolderReport(NamedTuple):
    """What `check` found out about a folder.

    Attributes:
      shards: for each shard, in their order, what is wrong with it.
      unused: folders of shards that nothing refers to, and that no command deletes: set aside by a restore,
        or left behind by a reshard or a backup that was killed.
    """

    shards: list[ShardReport]
    unused: list[Path]


def check(path: str | os.PathLike[str]) -> FolderReport:
    """Read all shards of the folder at `path`, which nothing has open.

    Raises:
      NotAFolder: there is no folder.
      StorageError: the folder itself cannot be opened; which class it is says why.
    """
    with Folder.open_for_reading(path) as folder:
        shards = [_look_at(folder, index) for index in range(folder.description.workers)]
        return FolderReport(shards, folder.unused)


def _look_at(folder: Folder, index: int) -> ShardReport:
    path, workers = folder.shard_path(index), folder.description.workers
    problems: list[str] = []
    try:
        with folder.open_shard(index) as shard:
            problems += shard.check()
            problems += shard.unreachable(index, workers)
    except (NewerVersion, FolderInUse) as error:
        return ShardReport(path, problems, str(error))
    except StorageFailed as error:
        if error.__cause__ is not None and not is_of_the_file(error.__cause__):
            return ShardReport(path, problems, str(error))
        problems.append(str(error))
    except StorageError as error:
        problems.append(str(error))
    return ShardReport(path, problems)
