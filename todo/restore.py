"""Rewrite `todo.json` from the shards, after it was lost or replaced by an old one.

Nothing is deleted. Folders of shards that were not chosen are set aside, under another name.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .beside import logs_beside
from .description import (
    DESCRIPTION,
    MAX_WORKERS,
    Description,
    ForeignDescription,
    read_description,
    write_description,
)
from .errors import InconsistentFolder, NotAFolder, StorageError, StorageFailed
from .folder_lock import lock_folder, lock_for_reading, unlock_folder
from .shard import Shard
from .shard_files import SET_ASIDE, ShardFile, Summary, find_shard_folders, look_at

__all__ = ["Restored", "restore"]


class Restored(NamedTuple):
    """The result of `restore`.

    Attributes:
      shards: the folder of shards that counts now.
      entries: how many entries are in it.
      missing: shards that were not there; empty ones take their place.
      set_aside: other folders of shards, logs of shards that were not there, and a `todo.json` that is
        not ours, by the names that they have now.
    """

    shards: Path
    entries: int
    missing: list[Path]
    set_aside: list[Path]


class _Candidate(NamedTuple):
    summary: Summary
    description: Description
    missing: list[int]


def restore(
    path: str | os.PathLike[str],
    *,
    shards: str | None = None,
    accept_missing: bool = False,
    dry_run: bool = False,
) -> Restored:
    """Write the description of the folder at `path` anew, while nothing has it open.

    Args:
      shards: the name of the folder of shards that shall count, if several could.
      accept_missing: put empty shards in the place of those that are not there; the lists that were in them
        are lost.
      dry_run: change nothing.

    Returns:
      what was done.

    Raises:
      NotAFolder: the folder does not exist.
      FolderInUse: another process has it open.
      InconsistentFolder: no folder of shards can count, or several could; nothing was changed.
      StorageFailed: the system does not let us write.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise NotAFolder(folder, "it does not exist", advice="Name the folder that contains the shards")
    try:
        lock = lock_for_reading(folder) if dry_run else lock_folder(folder)
    except OSError as error:
        raise StorageFailed(folder, "locking the folder", error) from error
    try:
        return _restore(folder, shards, accept_missing=accept_missing, dry_run=dry_run)
    except OSError as error:
        raise StorageFailed(folder, "restoring the folder", error) from error
    finally:
        if lock is not None:
            unlock_folder(lock)


def _restore(folder: Path, wanted: str | None, *, accept_missing: bool, dry_run: bool) -> Restored:
    looked = [look_at(shards) for shards in find_shard_folders(folder)]
    chosen = _choose(folder, looked, wanted, accept_missing=accept_missing)
    counts = folder / f"shards-{chosen.description.generation}"
    others = [shards for shards in looked if shards.folder.path != chosen.summary.folder.path]
    aside = [_aside(shards.folder.path) for shards in others]
    missing = [counts / f"{index}.db" for index in chosen.missing]
    # SQLite would delete them.
    logs = [
        (counts / log.name, _aside(log))
        for index in chosen.missing
        for log in logs_beside(chosen.summary.folder.path / f"{index}.db")
    ]
    logs = [(log, counts / name.name) for log, name in logs]
    described = folder / DESCRIPTION
    strange = [(described, _aside(described))] if _is_foreign(folder) else []
    if not dry_run:
        for path, name in strange:
            path.rename(name)
        for shards, name in zip(others, aside, strict=True):
            shards.folder.path.rename(name)
        if chosen.summary.folder.path != counts:
            chosen.summary.folder.path.rename(counts)
        for log, name in logs:
            log.rename(name)
        for index, file in zip(chosen.missing, missing, strict=True):
            Shard.open(file, identity=chosen.description.identity(index), create=True).close()
        write_description(folder, chosen.description)
    return Restored(counts, chosen.summary.entries, missing, aside + [name for _, name in logs + strange])


def _choose(
    folder: Path, looked: Sequence[Summary], wanted: str | None, *, accept_missing: bool
) -> _Candidate:
    found = [summary.text for summary in looked]
    reasons: list[str] = []
    candidates: list[_Candidate] = []
    for summary in looked:
        if wanted is not None and summary.folder.path.name != wanted:
            continue
        candidate = _candidate(summary)
        if isinstance(candidate, str):
            reasons.append(f"{summary.folder.path.name}: {candidate}")
        elif candidate.missing and not accept_missing:
            numbers = ", ".join(f"{index}.db" for index in candidate.missing)
            reasons.append(f"{summary.folder.path.name} lacks {numbers}")
        else:
            candidates.append(candidate)
    # An unfinished folder is a copy of a finished one, which is better if it is there.
    finished = [candidate for candidate in candidates if not candidate.summary.folder.unfinished]
    candidates = finished or candidates
    if len(candidates) == 1:
        return candidates[0]
    command = f"todo --folder {shlex.quote(str(folder))} restore"
    if candidates:
        raise InconsistentFolder(
            folder,
            "several folders of shards could be the current one",
            found,
            f"choose one with `{command} --shards NAME`; the others are set aside, not deleted",
        )
    why = "; ".join(reasons) or "there are no shards" + ("" if wanted is None else f" called {wanted}")
    advice = "put the missing files back, from the original or from a backup"
    if any("lacks" in reason for reason in reasons):
        advice += f"; or `{command} --accept-missing` gives up the lists that were in them"
    raise InconsistentFolder(folder, f"nothing can be restored ({why})", found, advice)


def _candidate(summary: Summary) -> _Candidate | str:
    """The description for these shards; or the reason why they cannot be the current ones."""
    speaking = [file for file in summary.files if file.number is not None]
    says = {(file.workers, file.generation, file.folder_id) for file in speaking}
    if not says and summary.folder.parts:
        return "it is an unfinished backup, and none of its files is complete"
    if not says:
        return "none of its files says where it belongs"
    if len(says) > 1:
        return "its files belong to different folders or generations"
    ((workers, generation, folder_id),) = says
    if workers is None or generation is None or folder_id is None or not 1 <= workers <= MAX_WORKERS:
        return "its files name an impossible number of workers"
    if generation != summary.folder.generation:
        return f"its files say that they are of generation {generation}"
    for file in speaking:
        if file.number != int(file.path.stem):
            return f"{file.path.name} says that it is number {file.number}"
    there = {file.number for file in speaking} | {
        int(file.path.stem) for file in summary.files if _takes_its_place(file)
    }
    missing = [index for index in range(workers) if index not in there]
    return _Candidate(summary, Description(workers, generation, folder_id), missing)


def _takes_its_place(file: ShardFile) -> bool:
    """Whether a file that does not say where it belongs stays where it is: it is damaged, and holds who
    knows what, which its worker or `todo check` will tell."""
    return file.number is None and not file.holds_nothing and not file.log_alone


def _is_foreign(folder: Path) -> bool:
    """Whether there is a description that this program has not made."""
    try:
        read_description(folder)
    except ForeignDescription:
        return True
    except StorageError:
        pass
    return False


def _aside(path: Path) -> Path:
    """A name under which a folder of shards, or a log, counts for nothing, that nothing has yet."""
    number = 1
    while True:
        name = path.with_name(f"{path.name}.{number}{SET_ASIDE}")
        if not name.exists():
            return name
        number += 1
