"""The folder that holds the database: what it says about itself, its lock, and its shard files.

::

    FOLDER/todo.json          how many workers, which hash, which shard files count
    FOLDER/lock               held (flock) by the process that has the folder open; its id is inside
    FOLDER/shards-1/0.db      the shards, one SQLite file a worker
                    1.db ...

The worker count is fixed when the folder is made: a key belongs to the shard that its hash says, and with
another count it would be looked for in another file. `todo.json` is the one switch: shards are written
completely into ``shards-N.new``, synced, and only then named in it, by a rename; after that their folder
loses its ending. So a process killed anywhere, also while it makes or reshards a folder, leaves the old
state or the new one, and possibly a folder of shards that nothing refers to.

Opening deletes no shards. Only a reshard does: those of which it has just written and compared a copy. If
`todo.json` is missing, or older than the shards beside it, that is an `InconsistentFolder`, which says what
is there; `todo.restore` mends it.

The lock is the operating system's, so it goes with the process that held it: nothing stale to clean up
after a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shlex
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self, cast

from trio_genserver import STABLE_HASH

from .errors import (
    BadFolder,
    BadInput,
    FolderInUse,
    InconsistentFolder,
    NewerVersion,
    NotAFolder,
    StorageFailed,
    WrongWorkerCount,
)
from .list import TodoList
from .shard import Shard
from .shard_files import (
    COPYING,
    UNFINISHED,
    ShardFolder,
    find_shard_folders,
    identity_of,
    is_shard_folder,
    look_at,
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

DESCRIPTION: Final = "todo.json"
LOCK: Final = "lock"
FORMAT: Final = "todo folder"
VERSION: Final = 1
HASH: Final = STABLE_HASH
DEFAULT_WORKERS: Final = 3
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


class Folder:
    """A database folder that this process has open, and nobody else. Made by `Folder.open`; closing lets go
    of it.

    Attributes:
      path: the folder, absolute.
      description: what it says about itself.
    """

    def __init__(self, path: Path, description: Description, lock: int) -> None:
        self.path = path
        self.description = description
        self._lock: int | None = lock

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, workers: int | None = None, create: bool = True) -> Folder:
        """Take the folder for this process.

        Args:
          path: the folder; its parents must be there.
          workers: how many workers a new folder is made with, and an existing one must have been made with;
            None: `DEFAULT_WORKERS`, and any number.
          create: make the folder, with empty shards, if there is none.

        Raises:
          BadInput: `workers` is no whole number from 1 to `MAX_WORKERS`.
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
                raise NotAFolder(folder, "it is not there", advice="`todo add` makes it with its first entry")
            # Before the lock file is made in it: it must be ours, or empty.
            found = read_description(folder)
            if found is None:
                _refuse_foreign(folder)
                if not create:
                    _refuse_missing_description(folder)
                    raise NotAFolder(
                        folder, "no lists are in it", advice="`todo add` makes it with its first entry"
                    )
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
                _check_shards(folder, found)
        except OSError as error:
            os.close(lock)
            raise StorageFailed(folder, "opening the folder", error) from error
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, found, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Closing twice does nothing."""
        if self._lock is not None:
            unlock_folder(self._lock)
            self._lock = None

    @property
    def unused(self) -> list[Path]:
        """Folders of shards that do not count: set aside, or left behind by a reshard that was killed."""
        counts = _shards(self.path, self.description.generation)
        return sorted(child for child in self.path.iterdir() if is_shard_folder(child) and child != counts)

    def shard_path(self, index: int) -> Path:
        """The file of shard number `index`, from 0."""
        return _shards(self.path, self.description.generation) / f"{index}.db"

    def open_shard(self, index: int) -> Shard:
        """Open shard number `index`, from 0. Raises as `Shard.open`."""
        return Shard.open(self.shard_path(index), identity=self.description.identity(index))

    def begin_backup(self, target: Path) -> Backup:
        """Make a new folder for a copy of this one.

        Raises:
          StorageFailed: there is something at `target` already, or we may not.
        """
        try:
            target.mkdir()
            _copying(target, self.description.generation).mkdir()
        except OSError as error:
            advice = "name a folder that is not there yet, in one that you may write to"
            raise StorageFailed(target, "making a backup", error, advice=advice) from error
        return Backup(target, self.description)

    def begin_rewrite(self, workers: int) -> Description:
        """What the folder would say if its shards were rewritten for so many workers."""
        check_worker_count(workers)
        return dataclasses.replace(
            self.description,
            workers=workers,
            generation=self.description.generation + 1,
            hash=HASH,
        )

    def write_shards(
        self, description: Description, contents: Iterable[Iterable[tuple[str, TodoList]]]
    ) -> None:
        """Write the shards of `description` beside those that count, and sync them."""
        _write_shards(self.path, description, contents)

    def open_rewritten(self, description: Description, index: int) -> Shard:
        """Open shard number `index` of those that `write_shards` has written."""
        path = _unfinished(self.path, description.generation) / f"{index}.db"
        return Shard.open(path, identity=description.identity(index))

    def commit_rewrite(self, description: Description) -> None:
        """Have the shards of `description` count from now on, and remove those that they replace.

        Only after the new ones were compared with the old ones.
        """
        before = _shards(self.path, self.description.generation)
        _put_in_force(self.path, description, _unfinished(self.path, description.generation))
        self.description = description
        remove_shards(before)


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
        return _copying(self.path, self.description.generation) / f"{index}.db"

    def finish(self) -> None:
        """All shards are written: let the copy be a folder."""
        shards = _copying(self.path, self.description.generation)
        _sync(shards)
        _put_in_force(self.path, self.description, shards)


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
    """What the folder says about itself, or None: nothing."""
    path = folder / DESCRIPTION
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BadFolder(folder, f"{DESCRIPTION} in it is damaged ({error})") from error
    try:
        loaded: object = json.loads(text)
    except ValueError as error:
        raise BadFolder(folder, f"{DESCRIPTION} in it is damaged ({error})") from error
    if not isinstance(loaded, dict):
        raise BadFolder(folder, f"{DESCRIPTION} in it is of another program")
    fields = cast("dict[str, Any]", loaded)
    if fields.get("format") != FORMAT:
        raise BadFolder(folder, f"{DESCRIPTION} in it is of another program")
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
    except (KeyError, TypeError, ValueError) as error:
        raise BadFolder(folder, f"{DESCRIPTION} in it is damaged ({error!r})") from error
    if description.hash != HASH:
        # A key would be looked for in another shard than it was put into.
        raise NewerVersion(path, f"{description.hash!r} (its hash)", HASH)
    return description


def _refuse_foreign(folder: Path) -> None:
    """Raise if there is something in it that we did not put there."""
    for child in sorted(folder.iterdir()):
        if child.name not in (LOCK, f"{DESCRIPTION}.new") and not is_shard_folder(child):
            raise BadFolder(folder, f"it has no {DESCRIPTION}, but there is {child.name!r} in it")


def _refuse_missing_description(folder: Path) -> None:
    """Raise if there are shards in a folder without a description, unless they certainly hold nothing."""
    found = [look_at(shards) for shards in find_shard_folders(folder)]
    if not all(
        file.holds_nothing or (file.problem is not None and _was_being_made(summary.folder))
        for summary in found
        for file in summary.files
    ):
        raise _inconsistent(folder, f"there are shards in it, but no {DESCRIPTION}")


def _was_being_made(shards: ShardFolder) -> bool:
    """Whether the first shards of a folder were being made there, which never had an entry. Power that fails
    may leave them unreadable. A reshard writes a later generation, a backup has another ending."""
    return shards.generation == 1 and shards.ending == UNFINISHED


def _check_shards(folder: Path, description: Description) -> None:
    """Raise if the description does not fit the shards that are there; finish what a kill interrupted."""
    counts = _shards(folder, description.generation)
    for written in (_unfinished(folder, description.generation), _copying(folder, description.generation)):
        if written.is_dir() and not counts.exists():
            # Killed right after the description had been written.
            written.rename(counts)
            _sync(folder)
    if not counts.is_dir():
        raise _inconsistent(folder, f"{DESCRIPTION} names {counts.name}, which is not there")
    for shards in find_shard_folders(folder):
        if shards.generation > description.generation and not shards.unfinished:
            raise _inconsistent(
                folder, f"{DESCRIPTION} is older than the shards: it names {counts.name}, not the latest"
            )


def _inconsistent(folder: Path, why: str) -> InconsistentFolder:
    found = [look_at(shards) for shards in find_shard_folders(folder)]
    if found:
        advice = (
            f"see what can be had with `todo --folder {shlex.quote(str(folder))} restore --dry-run`, "
            "or put the missing file back"
        )
    else:
        advice = "put the shards back, from the original or from a backup"
    return InconsistentFolder(folder, why, [summary.text for summary in found], advice)


def lock_folder(folder: Path) -> int:
    """A descriptor of the lock file, locked. Whoever closes it, or dies, unlocks it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid: int | None = None
        with contextlib.suppress(ValueError):
            pid = int(os.read(descriptor, 20))
        os.close(descriptor)
        raise FolderInUse(folder, pid) from None
    except BaseException:
        os.close(descriptor)
        raise
    try:
        # Only for the message that the next one gets; the lock itself is in the operating system.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:  # a full disk, say: then the message has no number
        pass
    return descriptor


def unlock_folder(lock: int) -> None:
    """Let go of what `lock_folder` has returned."""
    os.close(lock)


def _make(folder: Path, workers: int) -> Description:
    description = Description(workers=workers, generation=1, folder_id=uuid.uuid4().hex)
    _refuse_missing_description(folder)
    # What an earlier attempt left behind, killed before it was named in a description: it holds nothing.
    for shards in find_shard_folders(folder):
        remove_shards(shards.path)
    _write_shards(folder, description, [() for _ in range(workers)])
    _put_in_force(folder, description, _unfinished(folder, description.generation))
    return description


def _write_shards(
    folder: Path, description: Description, contents: Iterable[Iterable[tuple[str, TodoList]]]
) -> None:
    directory = _unfinished(folder, description.generation)
    if directory.exists():
        # A rewrite that was killed: these are copies from the shards that count, and were never in force.
        remove_shards(directory)
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
    """Name shards that are written and synced in the description, and only then call them finished: whoever
    is killed in between leaves what the next opening can finish."""
    write_description(folder, description)
    shards.rename(_shards(folder, description.generation))
    _sync(folder)


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
    _sync(folder)


def _shards(folder: Path, generation: int) -> Path:
    return folder / f"shards-{generation}"


def _unfinished(folder: Path, generation: int) -> Path:
    return folder / f"shards-{generation}{UNFINISHED}"


def _copying(folder: Path, generation: int) -> Path:
    return folder / f"shards-{generation}{COPYING}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
