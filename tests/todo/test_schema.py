"""Files of every released version become files of this one, and keep what is in them."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from todo import schema
from todo.shard import Shard

NAMES = [migration.name for migration in schema.MIGRATIONS._migrations]


def old_file(path: Path, version: int) -> None:
    """A file as the program of that version made it, with two entries."""
    database = Database(path)
    database.conn.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    schema.MIGRATIONS.apply(database, stop_before=NAMES[version] if version < len(NAMES) else None)
    assert schema.version_of(database) == version
    with database.atomic():
        database.table("lists").insert({"id": 1, "name": "bob", "next_entry_id": 7})
        entries: list[dict[str, Any]] = [
            {"list_id": 1, "id": 1, "title": "Dentist", "date": "2023-12-19", "done": 0},
            {"list_id": 1, "id": 4, "title": "Shopping", "date": None, "done": 1},
        ]
        database.table("entries").insert_all(entries)
    database.close()


def test_the_version_is_that_of_the_last_migration() -> None:
    assert len(NAMES) == schema.SCHEMA_VERSION


@pytest.mark.parametrize("version", range(1, schema.SCHEMA_VERSION + 1))
def test_a_file_of_each_version_is_brought_up_with_all_that_is_in_it(tmp_path: Path, version: int) -> None:
    old_file(tmp_path / "0.db", version)
    with Shard.open(tmp_path / "0.db") as shard:
        assert schema.version_of(shard.database) == schema.SCHEMA_VERSION
        loaded = shard.load("bob")
        assert [(entry.id, entry.title, entry.done) for entry in loaded] == [
            (1, "Dentist", False),
            (4, "Shopping", True),
        ]
        assert loaded.next_id == 7
        assert [found.entry.id for found in shard.search("shop")] == [4]
        assert shard.check() == []


def test_old_and_new_files_have_the_same_tables(tmp_path: Path) -> None:
    old_file(tmp_path / "old.db", 1)
    with Shard.open(tmp_path / "old.db") as old, Shard.open(tmp_path / "new.db", create=True) as new:
        assert old.database.schema == new.database.schema


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_file(tmp_path / "0.db", 1)

    def fail(db: Database) -> None:
        db.table("half").create({"x": int})
        raise OSError("lights out")

    monkeypatch.setattr(schema.MIGRATIONS._migrations[1], "fn", fail)
    with pytest.raises(OSError, match="lights out"):
        Shard.open(tmp_path / "0.db")
    monkeypatch.undo()
    with Shard.open(tmp_path / "0.db") as shard:
        assert not shard.database.table("half").exists()
        assert len(shard.load("bob")) == 2


# Brings copies of an old file up, each in a process that is killed: before its first statement, before its
# second, and so on. Prints how many were.
KILLED = """
import itertools, os, shutil, signal, sqlite3, sys
from pathlib import Path
from todo.shard import Shard

connect = sqlite3.connect

def dying(step):
    def connected(*args, **kwargs):
        statements = itertools.count()

        def trace(statement):
            if next(statements) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        connection = connect(*args, **kwargs)
        connection.set_trace_callback(trace)
        return connection

    return connected

folder = Path(sys.argv[1])
for step in itertools.count():
    copy = folder / f"{step}.db"
    shutil.copy(folder / "old.db", copy)
    child = os.fork()
    if not child:
        sqlite3.connect = dying(step)
        Shard.open(copy)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        print(step)
        break
"""


def test_killed_before_any_of_its_statements_a_file_is_brought_up_by_the_next_program(tmp_path: Path) -> None:
    old_file(tmp_path / "old.db", 1)
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    versions: list[int] = []
    for step in range(killed):
        with contextlib.closing(sqlite3.connect(tmp_path / f"{step}.db")) as left:
            versions.append(left.execute("PRAGMA user_version").fetchone()[0])
        with Shard.open(tmp_path / f"{step}.db") as shard:
            assert [entry.title for entry in shard.load("bob")] == ["Dentist", "Shopping"]
            assert [found.entry.id for found in shard.search("shop")] == [4]
            assert shard.check() == []
    # Some before the version was there, and some after.
    assert versions == sorted(versions)
    assert {versions[0], versions[-1]} == {1, schema.SCHEMA_VERSION}


def test_a_person_can_read_the_file_with_any_sqlite_tool(tmp_path: Path) -> None:
    old_file(tmp_path / "0.db", schema.SCHEMA_VERSION)
    plain = sqlite3.connect(tmp_path / "0.db")
    rows = plain.execute(
        "SELECT lists.name, entries.title, entries.date, entries.done"
        " FROM entries JOIN lists ON lists.id = entries.list_id ORDER BY entries.id"
    )
    assert rows.fetchall() == [("bob", "Dentist", "2023-12-19", 0), ("bob", "Shopping", None, 1)]
    plain.close()
