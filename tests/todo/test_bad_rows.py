"""Whatever another program has put into one row concerns that row: all other lists are read as before, and
what cannot be read is said, never left out in silence.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from todo import Entry, StorageError, StorageFailed, TodoServer, open_system
from todo.check import check
from todo.formats import Listed
from todo.import_export import export_lists, import_listed
from todo.reshard import reshard
from todo.shard import Shard
from trio_genserver.pools import stable_hash

pytestmark = pytest.mark.trio

DAY = datetime.date(2026, 1, 2)
WORKERS = 2
GOOD = ("good", "also good", "good too", "a fourth")
NOT_UTF_8 = "CAST(x'ff41' AS TEXT)"
STRANGE = {
    "not UTF-8": NOT_UTF_8,
    "a surrogate": "CAST(x'eda080' AS TEXT)",
    "a blob": "x'ff41'",
    "a float": "1.5",
    "negative": "-1",
    "a word": "'soon'",
    "empty": "''",
    "a zero byte": "char(65, 0, 66)",
    "two lines": "char(65, 10, 66)",
    "turned around": "char(8238) || 'x'",
    "long": "printf('%.*c', 3000, 'x')",
    "infinite": "9e999",
    "the highest": str(2**63 - 1),
}


def shards(place: Path) -> Iterator[sqlite3.Connection]:
    for path in sorted(place.glob("shards-*/*.db")):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection


def change(place: Path, statement: str) -> None:
    """Do to the row of one list what another program might."""
    changed = 0
    for connection in shards(place):
        # Some SQLite refuses by itself.
        with contextlib.suppress(sqlite3.IntegrityError):
            changed += connection.execute(statement).rowcount
    assert changed <= 1


@pytest.fixture
async def place(tmp_path: Path) -> Path:
    async with open_system(tmp_path / "db", workers=WORKERS) as system:
        for name in (*STRANGE, *GOOD):
            await system.call(name, TodoServer.add_entry(Entry(title=f"牛乳 milk of {name}", date=DAY)))
    return tmp_path / "db"


def unfinished(place: Path) -> list[Path]:
    return list(place.glob("*.new"))


async def others_are_read(place: Path, values: Sequence[str]) -> None:
    """All that concerns the other lists, and a new one, works as if nothing were wrong."""
    async with open_system(place) as system:
        for name in GOOD:
            (entry,) = await system.call(name, TodoServer.entries())
            assert entry.title == f"牛乳 milk of {name}"
        for found in (
            await system.database.search("milk"),
            await system.database.search("牛乳"),
            await system.database.between(DAY, DAY),
        ):
            assert {one.list for one in found} >= set(GOOD)
        assert {summary.name for summary in await system.database.lists()} >= set(GOOD)
        # A name with several forms is compared with all that are stored.
        assert (await system.call("caf\u00e9", TodoServer.add_entry(Entry(title="x")))).id == 1
        failed: list[StorageError] = []
        listed = await export_lists(system, failed=failed)
        assert {one.list for one in listed} >= {*GOOD, "caf\u00e9"}
        for name in values:
            whole = any(name == one.list or one.entry.title.endswith(name) for one in listed)
            assert whole or failed, f"the list {name} was left out of an export of all, and nobody was told"
        if failed:
            with pytest.raises(StorageError):
                await export_lists(system)


# All at once; and each for itself, which takes minutes.
VALUES = [
    pytest.param(tuple(STRANGE), id="all"),
    *(pytest.param((value,), id=value, marks=pytest.mark.torture) for value in STRANGE),
]


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("column", ["id", "title", "date", "done", "priority", "created_on", "list_id"])
async def test_a_strange_value_of_an_entry_concerns_its_list(
    place: Path, column: str, values: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for value in values:
        its = f"list_id = (SELECT id FROM lists WHERE name = '{value}')"
        change(place, f"UPDATE entries SET {column} = {STRANGE[value]} WHERE {its}")
    await others_are_read(place, values)
    async with open_system(place, read_only=True) as system:
        before: dict[str, tuple[Entry, ...]] = {}
        for name in values:
            with contextlib.suppress(StorageFailed):
                before[name] = await system.call(name, TodoServer.entries())
    # What cannot be read is named, and not lost with a reshard.
    whole = len(before) == len(values) and all(before.values())
    assert whole == all(report.good for report in check(place).shards)
    if whole:
        assert reshard(place, 3)[1] == len(GOOD) + len(STRANGE) + 1
        async with open_system(place) as system:
            for name, entries in before.items():
                assert await system.call(name, TodoServer.entries()) == entries
    else:
        with pytest.raises(StorageError):
            reshard(place, 3)
        assert not unfinished(place)


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("column", ["name", "next_entry_id"])
async def test_a_strange_value_of_a_list_concerns_that_list(
    place: Path, column: str, values: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for value in values:
        change(place, f"UPDATE lists SET {column} = {STRANGE[value]} WHERE name = '{value}'")
    await others_are_read(place, values)


@pytest.mark.parametrize("value", [NOT_UTF_8, "x'ff'", "'soon'", "'-1'", "''"])
async def test_an_invalid_note_of_an_import_is_an_error(place: Path, value: str) -> None:
    listed = [Listed("good", Entry(title="new"))]
    async with open_system(place) as system:
        with pytest.raises(_Killed):
            await import_listed(system, listed, tell=_killed)
    for connection in shards(place):
        connection.execute(f"UPDATE shard SET value = {value} WHERE key LIKE 'import %'")
    async with open_system(place) as system:
        with pytest.raises(StorageFailed, match="must be a number or 'yes'"):
            await import_listed(system, listed)
        assert len(await system.call("good", TodoServer.entries())) == 2
    with pytest.raises(StorageError, match="must be a number or 'yes'"):
        reshard(place, 3)
    assert not unfinished(place)


class _Killed(Exception):
    pass


def _killed(_: object) -> None:
    raise _Killed


async def test_a_list_in_the_wrong_shard_is_said_where_all_are_asked_for(place: Path) -> None:
    stray = next(f"stray {n}" for n in range(99) if stable_hash(f"stray {n}") % WORKERS == 1)
    with Shard.open(place / "shards-1" / "0.db") as shard:
        shard.database.conn.execute("UPDATE lists SET name = ? WHERE id = 1", (stray,))
    async with open_system(place) as system:
        failed: list[StorageError] = []
        await export_lists(system, failed=failed)
        (error,) = failed
        assert stray in str(error)
        assert error.path.name == "0.db"
