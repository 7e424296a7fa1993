"""Damage is found, named by its file, and keeps nobody from reading the other shards."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from todo import Entry, FolderInUse, NotAFolder
from todo.check import check
from todo.cli import main
from todo.folder import Folder
from todo.operations import AddEntries
from todo.shard import Shard
from todo.sqlite_errors import failure
from trio_genserver.pools import stable_hash

WORKERS = 3


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with lists in each shard."""
    with Folder.open(tmp_path / "db", workers=WORKERS) as folder:
        for number in range(12):
            name = f"list {number}"
            entries = tuple(Entry(id=i, title=f"entry {i} {'x' * 200}") for i in range(1, 11))
            with folder.open_shard(stable_hash(name) % WORKERS) as shard:
                shard.apply([AddEntries(name, entries)])
    return tmp_path / "db"


def shard_file(place: Path, index: int) -> Path:
    return place / "shards-1" / f"{index}.db"


def problems(place: Path) -> list[list[str]]:
    reports = check(place).shards
    assert [report.path for report in reports] == [shard_file(place, index) for index in range(WORKERS)]
    return [report.problems for report in reports]


def test_nothing_is_wrong_with_a_sound_folder(place: Path) -> None:
    assert problems(place) == [[], [], []]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"no database " * 1000, "not a database"), (None, "missing")],
    ids=["emptied", "overwritten", "deleted"],
)
def test_a_shard_that_cannot_be_opened_is_named_and_the_others_are_read(
    place: Path, content: bytes | None, says: str
) -> None:
    if content is None:
        shard_file(place, 1).unlink()
    else:
        shard_file(place, 1).write_bytes(content)
    first, second, third = problems(place)
    assert (first, third) == ([], [])
    assert says in second[0]
    assert "1.db" in second[0]
    # It was only looked at.
    assert content is None or shard_file(place, 1).read_bytes() == content


def test_damaged_pages_are_found_wherever_they_are(place: Path) -> None:
    whole = shard_file(place, 2).read_bytes()
    pages = len(whole) // 4096
    assert pages > 12
    unnoticed: list[int] = []
    for page in range(pages):
        content = bytearray(whole)
        content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
        shard_file(place, 2).write_bytes(content)
        first, second, damage = problems(place)
        assert (first, second) == ([], [])
        if not damage:
            unnoticed.append(page)
    # Nothing is in a page that is free.
    shard_file(place, 2).write_bytes(whole)
    connection = sqlite3.connect(shard_file(place, 2))
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.close()
    assert len(unnoticed) <= free


def test_a_list_that_would_never_be_found_is_told(place: Path) -> None:
    stray = next(f"stray {n}" for n in range(100) if stable_hash(f"stray {n}") % WORKERS == 2)
    with Folder.open(place) as folder, folder.open_shard(0) as shard:
        shard.apply([AddEntries(stray, (Entry(id=1, title="lost"),))])
    first, second, third = problems(place)
    assert (second, third) == ([], [])
    assert stray in first[0]
    assert "number 2" in first[0]


def leave_a_log(place: Path, index: int) -> None:
    """As a kill does: what was written last is in the log alone."""
    path = shard_file(place, index)
    name = next(f"list {n}" for n in range(12) if stable_hash(f"list {n}") % WORKERS == index)
    with Folder.open(place) as folder, folder.open_shard(index) as shard:
        assert shard.apply([AddEntries(name, (Entry(id=99, title="in the log"),))]) == [None]
        log = path.with_name(f"{path.name}-wal").read_bytes()
        content = path.read_bytes()
    path.write_bytes(content)
    path.with_name(f"{path.name}-wal").write_bytes(log)


def no_space(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(*_: object, **__: object) -> NoReturn:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise failure(Path("copy"), "opening the database", error) from error


@pytest.mark.parametrize(
    ("replaced", "by"),
    [("shutil.copyfile", no_space), ("tempfile.mkdtemp", no_space), ("todo.reading.Shard.open", full)],
)
def test_a_shard_of_which_no_copy_can_be_made_is_not_damaged(
    place: Path, monkeypatch: pytest.MonkeyPatch, replaced: str, by: Callable[..., NoReturn]
) -> None:
    leave_a_log(place, 1)
    with monkeypatch.context() as patch:
        patch.setattr(replaced, by)
        first, second, third = check(place).shards
        assert (first.good, second.good, third.good) == (True, False, True)
        assert second.problems == []
        assert second.unchecked is not None
        assert "TMPDIR" in second.unchecked
        assert str(shard_file(place, 1)) in second.unchecked
        told = CliRunner().invoke(main, ["--folder", str(place), "check"])
        assert (told.exit_code, "could not be checked" in told.stdout) == (1, True)
        assert "damaged" not in told.stdout
        (said,) = [
            shard
            for shard in json.loads(
                CliRunner().invoke(main, ["--folder", str(place), "check", "--json"]).stdout
            )
            if "unchecked" in shard
        ]
        assert said["problems"] == []
    assert problems(place) == [[], [], []]


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN]
)
def test_too_little_space_for_a_check_is_not_reported_as_damage(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(_: Shard) -> list[str]:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(Shard, "_check_index", fails)
    for report in check(place).shards:
        assert (report.problems, report.good) == ([], False)


def test_a_shard_of_a_newer_version_is_not_damaged(place: Path) -> None:
    with closing(sqlite3.connect(shard_file(place, 0))) as connection:
        connection.execute("PRAGMA user_version = 99")
    first, second, third = check(place).shards
    assert (first.problems, second.good, third.good) == ([], True, True)
    assert first.unchecked is not None
    assert "version 99" in first.unchecked


def test_a_folder_that_is_not_there_or_open_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAFolder):
        check(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with Folder.open(place), pytest.raises(FolderInUse):
        check(place)
