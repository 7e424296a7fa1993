"""The tables of one shard, and the migrations from older versions.

A shard is an ordinary SQLite file that any SQLite tool can open and a person can read: a table of lists, a
table of entries, dates as ``YYYY-MM-DD``, an index for searching the titles. Its version is SQLite's own
``user_version``, and ``application_id`` says that it is one of ours.

New migrations are appended to `MIGRATIONS`. A released migration is never changed, because files exist to
which it was applied. Each is a transaction together with the version it leads to, so a process that is killed
in between leaves a file of the old version or of the new one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlite_utils import Migrations

from .errors import NewerVersion, NotADatabase

if TYPE_CHECKING:
    from sqlite_utils.db import Database, Table

__all__ = ["APPLICATION_ID", "MIGRATIONS", "SCHEMA_VERSION", "check", "migrate", "version_of"]

APPLICATION_ID: Final = 0x746F646F
"""``PRAGMA application_id`` of a shard: "todo" in ASCII."""

MIGRATIONS: Final = Migrations("todo")


@MIGRATIONS(name="0001_lists_and_entries")
def lists_and_entries(db: Database) -> None:
    """Version 1."""
    _table(db, "shard").create({"key": str, "value": str}, pk="key", not_null={"value"})
    _table(db, "lists").create(
        {"id": int, "name": str, "next_entry_id": int},
        pk="id",
        not_null={"name", "next_entry_id"},
        defaults={"next_entry_id": 1},
    )
    _table(db, "lists").create_index(["name"], unique=True)
    _table(db, "entries").create(
        {
            # A rowid of its own, which the search index refers to and a VACUUM does not change.
            "key": int,
            "list_id": int,
            "id": int,
            "title": str,
            "date": str,
            "done": int,
            "priority": str,
            "created_on": str,
            "completed_on": str,
        },
        pk="key",
        not_null={"list_id", "id", "title", "done"},
        defaults={"done": 0},
        foreign_keys=[("list_id", "lists", "id")],
    )
    _table(db, "entries").create_index(["list_id", "id"], unique=True)
    _table(db, "entries").create_index(["date"])
    _set_version(db, 1)


@MIGRATIONS(name="0002_search")
def search(db: Database) -> None:
    """Version 2: titles can be searched, without regard to case and accents."""
    _table(db, "entries").enable_fts(
        ["title"], create_triggers=True, tokenize="unicode61 remove_diacritics 2"
    )
    _set_version(db, 2)


SCHEMA_VERSION: Final = 2
"""The version that the last migration leads to."""


def version_of(db: Database) -> int:
    """The version of an open file; 0 for one that is empty."""
    (version,) = db.conn.execute("PRAGMA user_version").fetchone()
    return int(version)


def check(db: Database, path: Path) -> None:
    """Refuse an open file that `migrate` must not touch; reads only.

    Raises:
      NewerVersion: a newer version of this program wrote it.
      NotADatabase: it is a SQLite file with tables, but none of ours.
    """
    version = version_of(db)
    (application,) = db.conn.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID and (application != 0 or version != 0 or db.table_names()):
        raise NotADatabase(path, "it is a SQLite database of another program")
    if version > SCHEMA_VERSION:
        raise NewerVersion(path, version, SCHEMA_VERSION)


def migrate(db: Database) -> None:
    """Bring an open file that passed `check` to `SCHEMA_VERSION`; one that is there already is only read."""
    if version_of(db) < SCHEMA_VERSION:
        db.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        MIGRATIONS.apply(db)


def _set_version(db: Database, version: int) -> None:
    db.conn.execute(f"PRAGMA user_version = {version}")


def _table(db: Database, name: str) -> Table:
    return db.table(name)
