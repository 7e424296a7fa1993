"""Whether what lies in a folder fits together: its description, the folders of shards, and nothing foreign.

Nothing here changes anything. A folder that does not fit is an error that says what is there and what helps.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from .description import DESCRIPTION, Description, read_description
from .errors import BadFolder, InconsistentFolder, NotAFolder, StorageError
from .folder_lock import LOCK
from .shard_files import (
    COPYING,
    UNFINISHED,
    ShardFolder,
    find_shard_folders,
    is_shard_folder,
    look_at,
)

__all__ = [
    "MAKE",
    "check_shards",
    "copying",
    "finished",
    "refuse_foreign",
    "refuse_missing_description",
    "refuse_unmade",
    "that_count",
    "unfinished",
]

MAKE: Final = "`todo add` creates it with the first entry"


def refuse_foreign(folder: Path) -> None:
    """Raise if the folder contains a file of another program."""
    for child in sorted(folder.iterdir()):
        if child.name not in (LOCK, DESCRIPTION, f"{DESCRIPTION}.new") and not is_shard_folder(child):
            raise BadFolder(folder, f"it has no {DESCRIPTION}, but contains {child.name!r}")


def refuse_missing_description(folder: Path) -> None:
    """Raise if there are shards in a folder without a description, unless they were being made there.

    A folder of shards gets its last name after it was named in the description, so without one it is what is
    left of something: a copy that was not finished, a file that was lost. How little there is says nothing
    of what there was: the entries may be in the shards that did not arrive.
    """
    found = [look_at(shards) for shards in find_shard_folders(folder)]
    if all(
        _was_being_made(summary.folder) and all(file.holds_nothing or file.problem for file in summary.files)
        for summary in found
    ):
        return
    copies = [summary.folder for summary in found if summary.folder.ending == COPYING]
    if copies and len(copies) == len(found):
        raise InconsistentFolder(
            folder,
            f"it contains an unfinished backup, and so no {DESCRIPTION}",
            [summary.text for summary in found],
            f"delete it and make the backup again; {_see_what_can_be_had(folder)}",
        )
    raise _inconsistent(folder, f"it contains shards, but no {DESCRIPTION}")


def _was_being_made(shards: ShardFolder) -> bool:
    """Whether the first shards of a folder were being made there, which never had an entry. Power that fails
    may leave them unreadable. A reshard writes a later generation, a backup has another ending."""
    return shards.generation == 1 and shards.ending == UNFINISHED and not shards.parts


def refuse_unmade(folder: Path) -> Description:
    """The description of the folder; raise if it has none, or belongs to another program."""
    found = read_description(folder)
    if found is not None:
        return found
    try:
        # Shards first: whatever else lies beside them, they say what it is and what helps.
        refuse_missing_description(folder)
        refuse_foreign(folder)
    except StorageError:
        # Unless somebody has just now made it.
        found = read_description(folder)
        if found is None:
            raise
        return found
    raise NotAFolder(folder, "it contains no lists", advice=MAKE)


def check_shards(folder: Path, description: Description) -> None:
    """Raise if the description does not fit the shards that are there."""
    counts = that_count(folder, description.generation)
    if not counts.is_dir():
        raise _inconsistent(folder, f"{DESCRIPTION} names {counts.name}, which does not exist")
    for shards in find_shard_folders(folder):
        if shards.generation > description.generation and not shards.unfinished:
            raise _inconsistent(
                folder, f"{DESCRIPTION} is older than the shards: it names {counts.name}, not the latest"
            )


def _inconsistent(folder: Path, why: str) -> InconsistentFolder:
    found = [look_at(shards) for shards in find_shard_folders(folder)]
    if found:
        advice = f"{_see_what_can_be_had(folder)}, or put the missing file back"
    else:
        advice = "put the shards back, from the original or from a backup"
    return InconsistentFolder(folder, why, [summary.text for summary in found], advice)


def _see_what_can_be_had(folder: Path) -> str:
    return f"`todo --folder {shlex.quote(str(folder))} restore --dry-run` shows what can be restored"


def finished(folder: Path, generation: int) -> Path:
    """The shards of a generation under their last name."""
    return folder / f"shards-{generation}"


def that_count(folder: Path, generation: int) -> Path:
    """The shards of a generation that is in force, also if they have not got their last name yet."""
    counts = finished(folder, generation)
    written = (unfinished(folder, generation), copying(folder, generation))
    return counts if counts.exists() else next((path for path in written if path.is_dir()), counts)


def unfinished(folder: Path, generation: int) -> Path:
    """The shards of a generation while they are written."""
    return folder / f"shards-{generation}{UNFINISHED}"


def copying(folder: Path, generation: int) -> Path:
    """The shards of a generation while a backup writes them."""
    return folder / f"shards-{generation}{COPYING}"
