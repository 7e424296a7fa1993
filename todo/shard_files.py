"""Find the shard files in a folder, and read the identity of each. Nothing is changed, and `todo.json` is not
consulted.

A shard stores where it belongs: its number, the number of shards, the generation and the id of the folder. So
`todo.json` can be compared with the shards, and rewritten from them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from .beside import JOURNAL, WAL, logs_beside, private_copy, size_of
from .schema import MIGRATIONS

__all__ = [
    "COPYING",
    "PART",
    "SET_ASIDE",
    "UNFINISHED",
    "ShardFile",
    "ShardFolder",
    "Summary",
    "find_shard_folders",
    "identity_of",
    "is_shard_folder",
    "look_at",
    "remove_shards",
]

UNFINISHED: Final = ".new"
"""The ending of a folder of shards that are being made or rewritten and that no `todo.json` names yet."""

COPYING: Final = ".copy"
"""The ending of a folder of shards that a backup is still writing."""

PART: Final = ".part"
"""The ending of a shard file that a backup is still writing."""

SET_ASIDE: Final = ".aside"
"""The ending of a folder of shards that `todo restore` did not choose."""

_FOLDER: Final = re.compile(r"shards-([1-9][0-9]{0,17})(\.new|\.copy)?")
_ASIDE: Final = re.compile(r"shards-[0-9]+(\.new|\.copy)?(\.[0-9]+)?\.aside")
_FILE: Final = re.compile(r"(0|[1-9][0-9]{0,3})\.db")
_LOG: Final = re.compile(rf"((?:0|[1-9][0-9]{{0,3}})\.db)(?:{WAL}|{JOURNAL})")
_PART: Final = re.compile(rf"(0|[1-9][0-9]{{0,3}})\.db{re.escape(PART)}")
_OURS: Final = re.compile(r"(0|[1-9][0-9]{0,3})\.db(-wal|-shm|-journal)?")
_OURS_OF_A_BACKUP: Final = re.compile(rf"(0|[1-9][0-9]{{0,3}})\.db({re.escape(PART)})?(-wal|-shm|-journal)?")
_IDENTITY: Final = re.compile(r"shard ([0-9]+) of ([0-9]+), generation ([0-9]+), folder (.+)")


def identity_of(index: int, workers: int, generation: int, folder_id: str) -> str:
    """The identity that shard number `index` of `workers` stores."""
    return f"shard {index} of {workers}, generation {generation}, folder {folder_id}"


class ShardFolder(NamedTuple):
    """One folder of shards.

    Attributes:
      path: the folder.
      generation: the number in its name.
      ending: of its name; "" if it was written to its end.
    """

    path: Path
    generation: int
    ending: str

    @property
    def unfinished(self) -> bool:
        """Whether its name says that it was being written."""
        return self.ending != ""

    @property
    def files(self) -> list[Path]:
        """Its shard files, by number; also those that are missing and have left a log."""
        found = {child for child in self.path.iterdir() if _FILE.fullmatch(child.name)}
        for child in self.path.iterdir():
            match = _LOG.fullmatch(child.name)
            if match and size_of(child):
                found.add(child.with_name(match[1]))
        return sorted(found, key=lambda path: int(path.stem))

    @property
    def parts(self) -> list[Path]:
        """Copies of shards that a backup has begun and not finished: nobody can read them."""
        return sorted(child for child in self.path.iterdir() if _PART.fullmatch(child.name))


class ShardFile(NamedTuple):
    """What one shard file says about itself.

    Attributes:
      path: the file.
      number, workers, generation, folder_id: its identity; None if it stores none.
      lists: how many lists are in it.
      entries: how many entries are in it.
      problem: the reason why it cannot be read; None if it can.
      log_alone: whether the file is missing or empty, and its log has something in it.
    """

    path: Path
    number: int | None = None
    workers: int | None = None
    generation: int | None = None
    folder_id: str | None = None
    lists: int = 0
    entries: int = 0
    problem: str | None = None
    log_alone: bool = False

    @property
    def holds_nothing(self) -> bool:
        """Whether it certainly has no list, so that nothing is lost with it."""
        return self.problem is None and self.lists == 0 and self.entries == 0


class Summary(NamedTuple):
    """A folder of shards, and what its files say together."""

    folder: ShardFolder
    files: list[ShardFile]

    @property
    def entries(self) -> int:
        """How many entries could be counted."""
        return sum(file.entries for file in self.files)

    @property
    def text(self) -> str:
        """For the person who has to decide."""
        alone = sum(file.log_alone for file in self.files)
        number = len(self.files) - alone
        text = f"{self.folder.path.name} with {number} file{'' if number == 1 else 's'}"
        text += f", {self.entries} {'entry' if self.entries == 1 else 'entries'}"
        unreadable = sum(file.problem is not None for file in self.files) - alone
        if self.folder.parts:
            begun = [part.name for part in self.folder.parts]
            text += f", {len(begun)} more of an unfinished backup ({', '.join(begun)})"
        if unreadable:
            text += f", {unreadable} of them unreadable"
        if alone:
            text += f", {alone} {'log' if alone == 1 else 'logs'} without the file"
        return text


def is_shard_folder(path: Path) -> bool:
    """Whether the name is one that this program gives to folders of shards."""
    return bool(_FOLDER.fullmatch(path.name) or _ASIDE.fullmatch(path.name)) and path.is_dir()


def find_shard_folders(folder: Path) -> list[ShardFolder]:
    """The folders of shards in `folder` that could count, by generation; not those set aside."""
    found: list[ShardFolder] = []
    for child in folder.iterdir():
        match = _FOLDER.fullmatch(child.name)
        if match and child.is_dir():
            found.append(ShardFolder(child, int(match[1]), match[2] or ""))
    return sorted(found, key=lambda shards: (shards.generation, shards.ending))


def look_at(shards: ShardFolder) -> Summary:
    """Read what each file says; nothing is changed."""
    return Summary(shards, [_look_at(path) for path in shards.files])


def _look_at(path: Path) -> ShardFile:
    logs = logs_beside(path)
    if not size_of(path):
        if not logs:
            return ShardFile(path)
        why = f"it is missing or empty, and its log {logs[0].name} is not"
        return ShardFile(path, problem=why, log_alone=True)
    try:
        if not logs:
            # There is nothing that SQLite would have to put beside it to read it.
            with closing(sqlite3.connect(_immutable(path), uri=True)) as connection:
                return _read(path, connection)
        with private_copy(path) as copy, closing(sqlite3.connect(copy)) as connection:
            return _read(path, connection)
    except (sqlite3.Error, OSError) as error:
        return ShardFile(path, problem=str(error))


def _immutable(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _read(path: Path, connection: sqlite3.Connection) -> ShardFile:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables <= {MIGRATIONS.migrations_table}:
        # Killed before its tables were made, which is one transaction.
        return ShardFile(path)
    if not {"shard", "lists", "entries"} <= tables:
        return ShardFile(path, problem="it is a SQLite database, but not a shard")
    (lists,) = connection.execute("SELECT count(*) FROM lists").fetchone()
    (entries,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    row = connection.execute("SELECT value FROM shard WHERE key = 'identity'").fetchone()
    match = None if row is None else _IDENTITY.fullmatch(str(row[0]))
    if match is None:
        return ShardFile(path, lists=lists, entries=entries)
    return ShardFile(path, int(match[1]), int(match[2]), int(match[3]), match[4], lists, entries)


def remove_shards(shards: Path, count: int | None = None) -> None:
    """Delete a folder of shards: its shard files and SQLite's own beside them. Other files stay, and with
    them the folder.

    Only for shards that hold nothing, or of which a verified copy is in force.

    Args:
      count: only the first so many: one that lies there and never belonged to them has no copy. None: all.
    """
    for file in list(_ours(shards)):
        if count is None or int(file.name.partition(".")[0]) < count:
            file.unlink()
    if not any(shards.iterdir()):
        shards.rmdir()


def _ours(shards: Path) -> Iterator[Path]:
    ours = _OURS_OF_A_BACKUP if shards.name.endswith(COPYING) else _OURS
    return (child for child in shards.iterdir() if ours.fullmatch(child.name))
