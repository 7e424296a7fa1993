"""Search for damage in every shard of a folder that no process has open.

Each shard is checked by itself: one that cannot be opened is a finding, and the others are still read.
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
    """The result of `check` for one shard.

    Attributes:
      path: its file.
      problems: the damage that was found, in words; empty if there is none.
      unchecked: the reason why the shard could not be read, or not completely: no space for a copy, a missing
        permission, a file of a newer version. That is not damage. None: the shard was read completely.
    """

    path: Path
    problems: list[str]
    unchecked: str | None = None

    @property
    def good(self) -> bool:
        """Whether the shard was read completely and has no damage."""
        return not self.problems and self.unchecked is None


class FolderReport(NamedTuple):
    """The result of `check` for a folder.

    Attributes:
      shards: one report for each shard, in order.
      unused: folders of shards that nothing refers to, and that no command deletes: set aside by a restore,
        or left behind by a reshard or a backup that was killed.
    """

    shards: list[ShardReport]
    unused: list[Path]


def check(path: str | os.PathLike[str]) -> FolderReport:
    """Read all shards of the folder at `path`, which nothing has open.

    Raises:
      NotAFolder: the folder does not exist.
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
