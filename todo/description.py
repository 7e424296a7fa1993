"""Read and replace `todo.json`, the description of a folder.

It is the one switch of a folder: shards are written completely, synced, and only then named in it, by a
rename. So there is the old description or the new one, and never a part of one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import stat
from pathlib import Path
from typing import Any, Final, cast

from trio_genserver.pools import STABLE_HASH

from .errors import BadFolder, BadInput, NewerVersion
from .shard_files import find_shard_folders, identity_of

__all__ = [
    "DESCRIPTION",
    "HASH",
    "MAX_WORKERS",
    "Description",
    "ForeignDescription",
    "check_worker_count",
    "read_description",
    "sync",
    "write_description",
]

DESCRIPTION: Final = "todo.json"
FORMAT: Final = "todo folder"
VERSION: Final = 1
HASH: Final = STABLE_HASH
MAX_WORKERS: Final = 256


@dataclasses.dataclass(frozen=True)
class Description:
    """The content of `todo.json`.

    Attributes:
      workers: the number of shards, each with a worker of its own.
      generation: the number of the current `shards-` folder; each reshard raises it.
      folder_id: unique to this folder. Each shard stores it, so that files of two folders cannot be mixed up.
      hash: the name and version of the hash that maps a list to its shard.
      version: of this description.
    """

    workers: int
    generation: int
    folder_id: str
    hash: str = HASH
    version: int = VERSION

    def identity(self, index: int) -> str:
        """The identity that shard number `index` stores."""
        return identity_of(index, self.workers, self.generation, self.folder_id)


def check_worker_count(workers: object) -> int:
    """Return `workers` if it is a valid number of workers.

    Raises:
      BadInput: it is not.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise BadInput(
            f"the number of workers must be a whole number from 1 to {MAX_WORKERS}, not {workers!r}"
        )
    return workers


def read_description(folder: Path) -> Description | None:
    """The description of the folder; None if it has none.

    Raises:
      ForeignDescription: it belongs to another program, or is not a file.
      BadFolder: it is damaged.
      NewerVersion: a newer version of this program wrote it.
    """
    path = folder / DESCRIPTION
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _foreign(folder, "is a folder" if stat.S_ISDIR(mode) else "is not a regular file")
        text = path.read_text(encoding="utf-8")
        loaded: object = json.loads(text)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, str(error)) from error
    fields = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    if fields.get("format") != FORMAT:
        raise _foreign(folder)
    version = fields.get("version")
    if isinstance(version, int) and version > VERSION:
        raise NewerVersion(path, version, VERSION)
    try:
        description = Description(
            workers=check_worker_count(fields["workers"]),
            generation=int(fields["generation"]),
            folder_id=str(fields["folder_id"]),
            hash=str(fields["hash"]),
            version=int(fields["version"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(folder, repr(error)) from error
    if description.generation < 1:
        raise _damaged(folder, f"generation {description.generation}")
    if description.hash != HASH:
        # A key would be looked for in another shard than it was put into.
        raise NewerVersion(path, f"{description.hash!r} (its hash)", HASH)
    return description


class ForeignDescription(BadFolder):
    """A file or folder with the name of the description that this program did not create."""


def _foreign(folder: Path, what: str = "belongs to another program") -> ForeignDescription:
    if not find_shard_folders(folder):
        return ForeignDescription(folder, f"its {DESCRIPTION} {what}")
    advice = f"The folder contains shards: {_restore(folder)} and sets this file aside"
    return ForeignDescription(folder, f"its {DESCRIPTION} {what}", advice=advice)


def _damaged(folder: Path, why: str) -> BadFolder:
    return BadFolder(folder, f"its {DESCRIPTION} is damaged ({why})", advice=_restore(folder))


def _restore(folder: Path) -> str:
    command = f"todo --folder {shlex.quote(str(folder))} restore"
    return f"`{command} --dry-run` shows whether it can be rewritten from the shards; `{command}` rewrites it"


def write_description(folder: Path, description: Description) -> None:
    """Replace the description by a rename, so that there is always the old one or the new one."""
    new = folder / f"{DESCRIPTION}.new"
    fields = {"format": FORMAT, **dataclasses.asdict(description)}
    with new.open("w", encoding="utf-8") as file:
        json.dump(fields, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / DESCRIPTION)
    sync(folder)


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
