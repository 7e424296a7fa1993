"""Another number of workers: everything is there afterwards, and a kill anywhere leaves the old or the new
folder."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.todo.folder_states import files_of
from todo import BadInput, Entry, FolderInUse, ReshardFailed, StorageFailed, TodoList
from todo import folder as folder_module
from todo.check import check
from todo.description import read_description
from todo.folder import Folder
from todo.operations import AddEntries, DeleteEntry
from todo.reshard import reshard
from todo.shard import Shard
from trio_genserver.pools import stable_hash

NAMES = [f"list {number}" for number in range(40)]


def fill(place: Path, workers: int) -> dict[str, TodoList]:
    """A folder with lists of several sizes, one of them empty but not forgotten."""
    with Folder.open(place, workers=workers) as folder:
        for number, name in enumerate(NAMES):
            entries = tuple(Entry(id=i, title=f"{name}, entry {i}") for i in range(1, number % 7 + 2))
            with folder.open_shard(stable_hash(name) % workers) as shard:
                assert shard.apply([AddEntries(name, entries)]) == [None]
                if number == 0:
                    assert shard.apply([DeleteEntry(name, 1)]) == [None]
    return contents(place)


def contents(place: Path) -> dict[str, TodoList]:
    """All lists, each found in the shard that its hash says."""
    found: dict[str, TodoList] = {}
    with Folder.open(place) as folder:
        workers = folder.description.workers
        for index in range(workers):
            with folder.open_shard(index) as shard:
                assert shard.check() == []
                for name, todo_list in shard.dump():
                    assert stable_hash(name) % workers == index
                    assert name not in found
                    found[name] = todo_list
    return found


@pytest.mark.parametrize("workers", [1, 2, 5, 8])
def test_everything_is_there_afterwards_in_the_shard_where_it_is_looked_for(
    tmp_path: Path, workers: int
) -> None:
    before = fill(tmp_path / "db", 3)
    assert reshard(tmp_path / "db", workers) == (3, sum(map(len, before.values())))
    assert contents(tmp_path / "db") == before
    with Folder.open(tmp_path / "db") as folder:
        assert folder.description.workers == workers
    assert sorted(path.name for path in (tmp_path / "db").iterdir()) == ["lock", "shards-2", "todo.json"]


def test_the_same_number_keeps_everything(tmp_path: Path) -> None:
    before = fill(tmp_path / "db", 3)
    assert reshard(tmp_path / "db", 3) == (3, sum(map(len, before.values())))
    assert contents(tmp_path / "db") == before


def test_a_folder_in_use_and_a_number_that_cannot_be_are_refused(tmp_path: Path) -> None:
    before = fill(tmp_path / "db", 2)
    with Folder.open(tmp_path / "db"), pytest.raises(FolderInUse):
        reshard(tmp_path / "db", 3)
    with pytest.raises(BadInput):
        reshard(tmp_path / "db", 0)
    assert contents(tmp_path / "db") == before


def orphans(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM lists WHERE id = (SELECT min(list_id) FROM entries)")


def orphans_of_another_kind(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET list_id = 99999 WHERE key = (SELECT max(key) FROM entries)")


def no_entry(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET date = 'soon' WHERE key = (SELECT max(key) FROM entries)")


def no_name(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE lists SET name = CAST(name AS BLOB)")


def a_table_of_their_own(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.execute("INSERT INTO notes VALUES ('mine')")


def a_column_of_their_own(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE entries ADD COLUMN colour TEXT DEFAULT 'red'")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (orphans, "refers to a row of lists that does not exist"),
        (orphans_of_another_kind, "refers to a row of lists that does not exist"),
        (no_entry, "is not an entry"),
        (no_name, "is not a list"),
        (a_table_of_their_own, r"notes\.text"),
        (a_column_of_their_own, r"entries\.colour"),
    ],
)
def test_reshard_refuses_a_shard_that_it_could_not_copy_completely(
    tmp_path: Path, act: Callable[[sqlite3.Connection], None], says: str
) -> None:
    fill(tmp_path / "db", 3)
    for path in (tmp_path / "db" / "shards-1").glob("*.db"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            act(connection)
    before = files_of(tmp_path / "db")
    with pytest.raises(ReshardFailed, match=says) as caught:
        reshard(tmp_path / "db", 2)
    assert str(caught.value).count("is unchanged") == 1
    assert before.items() <= files_of(tmp_path / "db").items()
    with Folder.open(tmp_path / "db", create=False) as folder:
        assert folder.description.workers == 3


def test_rows_that_are_not_in_the_copy_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "db", 3)
    for path in (tmp_path / "db" / "shards-1").glob("*.db"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            orphans(connection)

    def finds_nothing(*_: object, **__: object) -> list[str]:
        return []

    # Whatever `check` may overlook.
    monkeypatch.setattr(Shard, "check", finds_nothing)
    with pytest.raises(ReshardFailed, match=r"it had \d+ rows in entries, but the new shards have \d+"):
        reshard(tmp_path / "db", 2)
    assert (tmp_path / "db" / "shards-1" / "2.db").exists()


def test_an_index_that_does_not_fit_is_made_anew(tmp_path: Path) -> None:
    before = fill(tmp_path / "db", 1)
    with closing(sqlite3.connect(tmp_path / "db" / "shards-1" / "0.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO entries_fts (entries_fts) VALUES ('delete-all')")
    assert "index" in check(tmp_path / "db").shards[0].problems[0]
    reshard(tmp_path / "db", 2)
    assert contents(tmp_path / "db") == before


def failing_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Have the given call of what changes the disk fail."""
    left = step

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (folder_module, "_sync"),
        (folder_module, "write_description"),
        (folder_module, "remove_shards"),
        (Path, "rename"),
        (Path, "mkdir"),
        (Path, "replace"),
        (Shard, "restore"),
        (Shard, "checkpoint"),
        (os, "fsync"),
    ):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.torture)])
def test_where_a_step_fails_the_folder_is_as_it_was_or_rewritten_and_the_error_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    whole = fill(tmp_path / "db", 2)
    before = files_of(tmp_path / "db")
    outcomes: list[str] = []
    for step in range(0, STEPS, stride):
        place = tmp_path / f"db {step}"
        shutil.copytree(tmp_path / "db", place)
        with monkeypatch.context() as patch:
            failing_at(patch, step)
            try:
                reshard(place, 4)
            except ReshardFailed:
                outcomes.append("failed")
            except StorageFailed as error:
                outcomes.append("not finished" if "has 4 workers now" in str(error) else str(error))
            else:
                outcomes.append("done")
        if outcomes[-1] == "failed":
            assert files_of(place) == before
        else:
            assert read_description(place) != read_description(tmp_path / "db")
        assert contents(place) == whole
        # The next one copes, and leaves nothing behind that it has made.
        reshard(place, 3)
        assert contents(place) == whole
        assert len(check(place).unused) == (outcomes[-1] == "not finished")
        if outcomes[-1] == "done":
            break
    assert set(outcomes) <= {"failed", "not finished", "done"}
    assert (outcomes[0], outcomes[-1]) == ("failed", "done")
    if stride == 1:
        assert "not finished" in outcomes


def test_the_error_names_a_copy_that_could_not_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "db", 2)

    def fails(*_: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Shard, "checkpoint", fails)
    monkeypatch.setattr(folder_module, "remove_shards", fails)
    with pytest.raises(ReshardFailed, match=r"Delete .*shards-2\.new") as caught:
        reshard(tmp_path / "db", 4)
    assert caught.value.left == tmp_path / "db" / "shards-2.new"
    assert check(tmp_path / "db").unused == [caught.value.left]


# Ends the process, as a kill does, at the given call of a function that changes what is on disk.
KILLED = """
import os, sys
from todo import folder
from todo.reshard import reshard
from todo.shard import Shard
left = int(sys.argv[2])
def deadly(function):
    def call(*args, **kwargs):
        global left
        if left == 0:
            os._exit(77)
        left -= 1
        return function(*args, **kwargs)
    return call
folder._sync = deadly(folder._sync)
folder.write_description = deadly(folder.write_description)
folder.remove_shards = deadly(folder.remove_shards)
folder.Path.rename = deadly(folder.Path.rename)
folder.Path.unlink = deadly(folder.Path.unlink)
Shard.restore = deadly(Shard.restore)
Shard.checkpoint = deadly(Shard.checkpoint)
os.fsync = deadly(os.fsync)
reshard(sys.argv[1], 4)
"""


STEPS = 50
"""More than a reshard from 2 to 4 has."""


def kill_at(tmp_path: Path, steps: range) -> list[int]:
    """Kill a reshard of a copy of the same folder at each of `steps`; returns how each ended."""
    before = fill(tmp_path / "db", 2)
    codes: list[int] = []
    for step in steps:
        place = tmp_path / f"db {step}"
        shutil.copytree(tmp_path / "db", place)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(place), str(step)], check=False)
        assert contents(place) == before
        codes.append(ended.returncode)
    return codes


def test_killed_at_some_steps_the_old_or_the_new_folder_is_whole(tmp_path: Path) -> None:
    codes = kill_at(tmp_path, range(1, STEPS, 8))
    assert (codes[0], codes[-1]) == (77, 0)


@pytest.mark.torture
def test_killed_at_each_step_the_old_or_the_new_folder_is_whole(tmp_path: Path) -> None:
    codes = kill_at(tmp_path, range(STEPS))
    deadly = codes.index(0)
    assert deadly > 15
    assert codes == [77] * deadly + [0] * (STEPS - deadly)
