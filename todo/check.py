"""Looking for damage: every shard of a folder that nothing has open, each for itself.

The running system opens all shards or none. Here, one that cannot even be opened is a finding, and the others
are read all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from trio_genserver import stable_hash

from .errors import StorageError
from .folder import Folder

__all__ = ["FolderReport", "ShardReport", "check"]


class ShardReport(NamedTuple):
    """What `check` found out about a shard.

    Attributes:
      path: its file.
      problems: what is wrong with it, in words; empty if nothing is.
    """

    path: Path
    problems: list[str]


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
        shards = [
            ShardReport(folder.shard_path(index), _problems(folder, index))
            for index in range(folder.description.workers)
        ]
        return FolderReport(shards, folder.unused)


def _problems(folder: Folder, index: int) -> list[str]:
    workers = folder.description.workers
    try:
        with folder.open_shard(index) as shard:
            problems = shard.check()
            for summary in shard.lists():
                belongs = stable_hash(summary.name) % workers
                if belongs != index:
                    problems.append(
                        f"the list {summary.name!r} is in this shard, and is looked for in number {belongs}"
                    )
            return problems
    except StorageError as error:
        return [str(error)]
