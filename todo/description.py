"""`todo.json`, in which a folder says what it is: how it is read, and how it is replaced.

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
    """What a folder says about itself, in `todo.json`.

    Attributes:
      workers: how many shards, each with a worker of its own.
      generation: which `shards-` folder counts; one higher after each reshard.
      folder_id: told apart from every other folder; each shard repeats it, so that files cannot be mixed up.
      hash: the name and version of the hash that chooses a key's shard.
      version: of this description.
    """

    workers: int
    generation: int
    folder_id: str
    hash: str = HASH
    version: int = VERSION

    def identity(self, index: int) -> str:
        """What shard number `index` says that it is."""
        return identity_of(index, self.workers, self.generation, self.folder_id)


def check_worker_count(workers: object) -> int:
    """`workers`, if a folder can have so many.

    Raises:
      BadInput: it cannot.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise BadInput(
            f"the number of workers must be a whole number from 1 to {MAX_WORKERS}, not {workers!r}"
        )
    return workers


def read_description(folder: Path) -> Description | None:
    """What the folder says about itself, or None: nothing.

    Raises:
      ForeignDescription: it is another program's, or no file.
      BadFolder: it is damaged.
      NewerVersion: a newer version of this program wrote it.
    """
    path = folder / DESCRIPTION
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _foreign(folder, "a folder" if stat.S_ISDIR(mode) else "no file")
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
    """There is something of the name of the description that this program has not made."""


def _foreign(folder: Path, what: str = "of another program") -> ForeignDescription:
    if not find_shard_folders(folder):
        return ForeignDescription(folder, f"{DESCRIPTION} in it is {what}")
    advice = f"There are shards in it: {_restore(folder)}, and sets this one aside"
    return ForeignDescription(folder, f"{DESCRIPTION} in it is {what}", advice=advice)


def _damaged(folder: Path, why: str) -> BadFolder:
    return BadFolder(folder, f"{DESCRIPTION} in it is damaged ({why})", advice=_restore(folder))


def _restore(folder: Path) -> str:
    command = f"todo --folder {shlex.quote(str(folder))} restore"
    return f"`{command} --dry-run` says whether it can be written anew from the shards, `{command}` does it"


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
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
