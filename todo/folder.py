"""The database folder: its description, its lock, and its shard files.

::

    FOLDER/todo.json          how many workers, which hash, which shard files count
    FOLDER/lock               held (flock) by the process that has the folder open; its id is inside
    FOLDER/shards-1/0.db      the shards, one SQLite file a worker
                    1.db ...

The number of workers is fixed when the folder is created: the hash of a list's name selects its shard, and
another number would select another file. `todo.json` is the only switch. Shards are written completely into
``shards-N.new`` and synced; then `todo.json` is replaced by a rename so that it names them; then their folder
loses its ending. So a process that is killed at any moment leaves the old state or the new one, and possibly
a folder of shards that nothing refers to.

Opening deletes no shards. A reshard deletes those that it has just copied and compared, and its own
unfinished copy. If `todo.json` is missing, or older than the shards beside it, that is an
`InconsistentFolder`, which lists the shards; `todo.restore` repairs the folder.

The operating system releases the lock with the process that holds it, so nothing stale remains after a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from trio_genserver.pools import stable_hash

from .description import (
    DESCRIPTION,
    HASH,
    MAX_WORKERS,
    Description,
    check_worker_count,
    read_description,
    sync,
    write_description,
)
from .errors import (
    NotAFolder,
    StorageError,
    StorageFailed,
    WrongWorkerCount,
)
from .folder_consistency import (
    MAKE,
    check_shards,
    copying,
    finished,
    refuse_foreign,
    refuse_missing_description,
    refuse_unmade,
    that_count,
    unfinished,
)
from .folder_lock import lock_folder, lock_for_reading, unlock_folder
from .list import TodoList
from .reading import open_for_reading
from .shard import Shard
from .shard_files import (
    find_shard_folders,
    is_shard_folder,
    remove_shards,
)

__all__ = [
    "DEFAULT_WORKERS",
    "DESCRIPTION",
    "MAX_WORKERS",
    "Backup",
    "Description",
    "Folder",
    "check_worker_count",
    "lock_folder",
    "read_description",
    "unlock_folder",
    "write_description",
]

DEFAULT_WORKERS: Final = 3
_sync = sync  # under a name of this module, so that a test can stop it at each


class Folder:
    """A database folder that this process has open exclusively. Made by `Folder.open`; closing unlocks it.

    Attributes:
      path: the folder, absolute.
      description: the content of its `todo.json`.
      read_only: whether it was opened by `open_for_reading`.
    """

    def __init__(
        self, path: Path, description: Description, lock: int | None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self.description = description
        self.read_only = read_only
        self._lock = lock

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, workers: int | None = None, create: bool = True) -> Folder:
        """Take the folder for this process.

        Args:
          path: the folder; its parents must be there.
          workers: how many workers a new folder is made with, and an existing one must have been made with;
            None: `DEFAULT_WORKERS`, and any number.
          create: create the folder, with empty shards, if it does not exist.

        Raises:
          BadInput: `workers` is not a whole number from 1 to `MAX_WORKERS`.
          NotAFolder: it is a file, or we may not, or it is not there and `create` is false.
          BadFolder: it holds something else, or its description is damaged.
          InconsistentFolder: its description is missing, or does not fit the shards that are there.
          NewerVersion: a newer version of this program made it.
          WrongWorkerCount: it was made with another number of workers.
          FolderInUse: another process, or another system of this one, has it open.
        """
        if workers is not None:
            check_worker_count(workers)
        folder = Path(path).absolute()
        try:
            if create:
                folder.mkdir(exist_ok=True)
            elif not folder.exists():
                raise NotAFolder(folder, "it does not exist", advice=MAKE)
            # Before the lock file is made in it: it must be ours, or empty.
            if not create:
                refuse_unmade(folder)
            elif read_description(folder) is None and not find_shard_folders(folder):
                refuse_foreign(folder)
            lock = lock_folder(folder)
        except FileExistsError:
            raise NotAFolder(folder, "it is a file") from None
        except OSError as error:
            raise NotAFolder(folder, error.strerror or str(error)) from error
        try:
            # Again, now that nobody else can change it.
            found = read_description(folder)
            if found is not None and workers is not None and found.workers != workers:
                raise WrongWorkerCount(folder, found.workers, workers)
            if found is None:
                found = _make(folder, DEFAULT_WORKERS if workers is None else workers)
            else:
                check_shards(folder, found)
                _finish(folder, found)
        except OSError as error:
            os.close(lock)
            raise StorageFailed(folder, "opening the folder", error) from error
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, found, lock)

    @classmethod
    def open_for_reading(cls, path: str | os.PathLike[str], *, workers: int | None = None) -> Self:
        """Take the folder to read from it, together with others that do. Nothing in it is changed, and
        nothing is made; it may be on a full disk, or one that nobody can write to.

        Args:
          path: the folder.
          workers: how many workers it must have been made with; None: any number.

        Raises:
          NotAFolder: it does not exist, contains no lists, or this user has no permission.
          BadInput, BadFolder, InconsistentFolder, NewerVersion, WrongWorkerCount, FolderInUse: as `open`.
        """
        if workers is not None:
            check_worker_count(workers)
        folder = Path(path).absolute()
        try:
            if not folder.is_dir():
                if folder.exists():
                    raise NotAFolder(folder, "it is a file")
                raise NotAFolder(folder, "it does not exist", advice=MAKE)
            refuse_unmade(folder)
            lock = lock_for_reading(folder)
            try:
                # Again, now that nobody changes it.
                found = refuse_unmade(folder)
                check_shards(folder, found)
                if workers is not None and found.workers != workers:
                    raise WrongWorkerCount(folder, found.workers, workers)
            except BaseException:
                if lock is not None:
                    unlock_folder(lock)
                raise
        except OSError as error:
            raise NotAFolder(folder, error.strerror or str(error)) from error
        return cls(folder, found, lock, read_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock the folder. Closing twice does nothing."""
        if self._lock is not None:
            unlock_folder(self._lock)
            self._lock = None

    @property
    def unused(self) -> list[Path]:
        """Folders of shards that do not count: set aside, or left behind by a reshard that was killed."""
        counts = self._counts
        return sorted(child for child in self.path.iterdir() if is_shard_folder(child) and child != counts)

    @property
    def _counts(self) -> Path:
        return that_count(self.path, self.description.generation)

    def shard_path(self, index: int) -> Path:
        """The file of shard number `index`, from 0."""
        return self._counts / f"{index}.db"

    def open_shard(self, index: int) -> Shard:
        """Open shard number `index`, from 0. Raises as `Shard.open`."""
        path, identity = self.shard_path(index), self.description.identity(index)
        if self.read_only:
            return open_for_reading(path, identity=identity)
        return Shard.open(path, identity=identity)

    def read_shard(self, index: int) -> Shard:
        """Open shard number `index` only to read from it, also if the folder may be written to."""
        return open_for_reading(self.shard_path(index), identity=self.description.identity(index))

    def look_at_shards(self, name: str | None = None) -> None:
        """See whether there is a shard that can be used; changes nothing. The first that can ends the search.

        Args:
          name: of a list; its shard is looked at before the others. None: shard 0 is.

        Raises:
          StorageError: no shard can be used; this is the error of shard 0.
        """
        count = self.description.workers
        begin = 0 if name is None else stable_hash(name) % count
        errors: dict[int, StorageError] = {}
        for index in (begin, *range(begin), *range(begin + 1, count)):
            path, identity = self.shard_path(index), self.description.identity(index)
            try:
                if self.read_only:
                    open_for_reading(path, identity=identity).close()
                else:
                    Shard.look(path, identity=identity)
            except StorageError as error:
                errors[index] = error
            else:
                return
        raise errors[0]

    def begin_backup(self, target: Path) -> Backup:
        """Make a new folder for a copy of this one.

        Raises:
          StorageFailed: there is something at `target` already, or we may not.
        """
        try:
            target.mkdir()
            copying(target, self.description.generation).mkdir()
        except OSError as error:
            advice = "choose a folder that does not exist yet, in a place that you can write to"
            raise StorageFailed(target, "making a backup", error, advice=advice) from error
        return Backup(target, self.description)

    def begin_rewrite(self, workers: int) -> Description:
        """The description of the folder after a rewrite for `workers` workers."""
        check_worker_count(workers)
        return dataclasses.replace(
            self.description,
            workers=workers,
            # Also above what an interrupted rewriting has left: that stays where it is.
            generation=max(shards.generation for shards in find_shard_folders(self.path)) + 1,
            hash=HASH,
        )

    def write_shards(
        self, description: Description, contents: Iterable[Iterable[tuple[str, TodoList]]]
    ) -> None:
        """Write the shards of `description` beside those that count, and sync them."""
        _write_shards(self.path, description, contents)

    def open_rewritten(self, description: Description, index: int) -> Shard:
        """Open shard number `index` of those that `write_shards` has written."""
        path = unfinished(self.path, description.generation) / f"{index}.db"
        return Shard.open(path, identity=description.identity(index))

    def put_in_force(self, description: Description) -> None:
        """Have the shards of `description` count from now on.

        Only after they were compared with those that they replace.
        """
        _put_in_force(self.path, description, unfinished(self.path, description.generation))
        self.description = description

    def remove_replaced(self, generation: int, workers: int) -> None:
        """Delete the shards of a generation that a verified copy has replaced."""
        remove_shards(finished(self.path, generation), workers)

    def is_as_described(self) -> bool:
        """Whether `todo.json` is certainly as it was when this folder was opened."""
        try:
            return read_description(self.path) == self.description
        except (OSError, StorageError):
            return False

    def discard_rewrite(self, description: Description) -> Path | None:
        """Delete the shards that `write_shards` has written and that do not count.

        Returns:
          what could not be deleted; None: all could.
        """
        shards = unfinished(self.path, description.generation)
        try:
            if shards.exists():
                remove_shards(shards)
            return shards if shards.exists() else None
        except OSError:
            return shards


class Backup:
    """A copy of a folder that is being made. It counts as a folder only after `finish`.

    Args:
      path: the new folder.
      description: of the original.
    """

    def __init__(self, path: Path, description: Description) -> None:
        self.path = path
        self.description = description

    def shard_path(self, index: int) -> Path:
        """Where the copy of shard number `index` goes."""
        return copying(self.path, self.description.generation) / f"{index}.db"

    def discard(self) -> None:
        """Remove what was copied. What somebody else has put there stays."""
        shards = copying(self.path, self.description.generation)
        remove_shards(shards)
        # Not if it is not empty.
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def finish(self) -> None:
        """All shards are written: let the copy be a folder."""
        shards = copying(self.path, self.description.generation)
        _sync(shards)
        _put_in_force(self.path, self.description, shards)


def _finish(folder: Path, description: Description) -> None:
    """Finish a rename that was interrupted after the description had been written."""
    counts = that_count(folder, description.generation)
    if counts != finished(folder, description.generation):
        counts.rename(finished(folder, description.generation))
        _sync(folder)


def _make(folder: Path, workers: int) -> Description:
    description = Description(workers=workers, generation=1, folder_id=uuid.uuid4().hex)
    refuse_missing_description(folder)
    refuse_foreign(folder)
    # Left behind by an earlier attempt that was killed before a description named it: it holds no entries.
    for shards in find_shard_folders(folder):
        remove_shards(shards.path)
    _write_shards(folder, description, [() for _ in range(workers)])
    _put_in_force(folder, description, unfinished(folder, description.generation))
    return description


def _write_shards(
    folder: Path, description: Description, contents: Iterable[Iterable[tuple[str, TodoList]]]
) -> None:
    directory = unfinished(folder, description.generation)
    directory.mkdir(exist_ok=True)
    for index, lists in enumerate(contents):
        path = directory / f"{index}.db"
        with Shard.open(path, identity=description.identity(index), create=True) as shard:
            shard.restore(lists)
            shard.checkpoint()
        _sync(path)
    _sync(directory)
    _sync(folder)


def _put_in_force(folder: Path, description: Description, shards: Path) -> None:
    """Name shards that are written and synced in the description, and only then rename their folder: if the
    process is killed in between, the next opening finishes the rename."""
    write_description(folder, description)
    shards.rename(finished(folder, description.generation))
    _sync(folder)
