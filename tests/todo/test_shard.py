"""One SQLite file: rows, transactions, and what it does not accept."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from todo import Entry, NewerVersion, NotADatabase, StorageFailed, TodoList, WrongShard
from todo.operations import AddEntries, DeleteEntry, ReplaceEntry
from todo.schema import SCHEMA_VERSION
from todo.shard import Shard
from todo.sqlite_errors import needs_reopening

DAY = datetime.date(2023, 12, 19)
FULL = Entry(
    id=1,
    title="Zahnärztin +teeth @town",
    date=DAY,
    done=True,
    priority="B",
    created_on=DAY,
    completed_on=datetime.date(2023, 12, 20),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.db"


@pytest.fixture
def shard(path: Path) -> Iterator[Shard]:
    with Shard.open(path, identity="shard 0", create=True) as shard:
        yield shard


def add(name: str, *numbers: int, title: str = "Dentist") -> AddEntries:
    return AddEntries(
        name, tuple(Entry(id=number, title=f"{title} {number}", date=DAY) for number in numbers)
    )


def test_every_field_of_an_entry_comes_back(shard: Shard, path: Path) -> None:
    assert shard.apply([AddEntries("bob", (FULL, Entry(id=2, title="bare")))]) == [None]
    shard.close()
    with Shard.open(path, identity="shard 0") as again:
        assert again.load("bob") == TodoList.restore([FULL, Entry(id=2, title="bare")])
        assert again.load("nobody") == TodoList.new()


def test_a_change_writes_its_own_row_only(shard: Shard) -> None:
    """What a change costs does not depend on how long the list is."""
    shard.apply([add("bob", *range(1, 2001))])
    connection = shard.database.conn
    for operation in (
        add("bob", 2001),
        ReplaceEntry("bob", Entry(id=1000, title="changed")),
        DeleteEntry("bob", 7),
    ):
        before = connection.total_changes
        assert shard.apply([operation]) == [None]
        rows = connection.total_changes - before
        # The row itself and what the search index makes of it; deleting notes the id as well.
        assert rows <= 12


def test_loading_a_list_is_one_query(shard: Shard) -> None:
    shard.apply([add("bob", *range(1, 101))])
    statements: list[str] = []
    shard.database.conn.set_trace_callback(statements.append)
    assert len(shard.load("bob")) == 100
    assert len(statements) == 1


def test_titles_are_found_by_the_beginnings_of_words_without_case_and_accents(shard: Shard) -> None:
    shard.apply([AddEntries("bob", (FULL,)), add("ann", 1, title="Dentist, urgent")])
    assert [found.list for found in shard.search("zahnarz TOWN")] == ["bob"]
    assert [found.entry.id for found in shard.search("dent")] == [1]
    assert shard.search("dentist town") == []
    for odd in ('"', "*", "AND", "a:b", "(", "-", "^x", "\0", "", "dent* OR x", "NEAR(a b)"):
        shard.search(odd)
    shard.apply([ReplaceEntry("ann", Entry(id=1, title="Doctor")), DeleteEntry("bob", 1)])
    assert shard.search("dent") == []
    assert shard.search("zahn") == []
    assert len(shard.search("doctor")) == 1


TYPED = 'Say "hello" to C++ & naïve +friends @Zürich: 買い物 (50% off) e-mail it\'s'


@pytest.mark.parametrize(
    ("words", "found"),
    [
        *((words, 1) for words in ("hello", '"hello"', '"hel', "c++", "NAIVE", "naï", "+friends", "@zur")),
        *(
            (words, 1)
            for words in ("zürich:", "zu\u0308rich", "買い物", "買い", "50%", "(50%", "e-mail", "mail")
        ),
        *((words, 1) for words in ("it's", "say C++ 買い物", "off)", "  hello \t say ")),
        *((words, 0) for words in ("goodbye", "hello goodbye", "NOT hello", "hello OR goodbye", "title:x")),
        *((words, 0) for words in ("hello*bye", "NEAR(hello bye)", "mail-e", "\U0001f600 goodbye")),
    ],
)
def test_search_accepts_any_text_as_words(shard: Shard, words: str, found: int) -> None:
    shard.apply([AddEntries("bob", (Entry(id=1, title=TYPED),))])
    assert len(shard.search(words)) == found


@pytest.mark.parametrize("words", ['"', "*", "()", "-", "'", "^", "\\", "%", '""""', ":", "{}", "\0", " "])
def test_search_for_nothing_but_punctuation_finds_nothing(shard: Shard, words: str) -> None:
    shard.apply([AddEntries("bob", (Entry(id=1, title=TYPED),))])
    assert shard.search(words) == []


def test_entries_of_a_range_of_days(shard: Shard) -> None:
    days = [datetime.date(2023, 12, day) for day in (18, 19, 20)]
    shard.apply([AddEntries("bob", tuple(Entry(id=i, title="x", date=d) for i, d in enumerate(days, 1)))])
    shard.apply([AddEntries("ann", (Entry(id=1, title="y", date=days[1]), Entry(id=2, title="no day")))])
    found = shard.between(days[1], days[2])
    assert [(f.list, f.entry.id) for f in found] == [("ann", 1), ("bob", 2), ("bob", 3)]


def test_a_file_that_is_not_a_database_is_refused_and_unchanged(path: Path) -> None:
    for content in (
        b"not a database, but long enough to be looked at" * 10,
        b"SQLite format 3\0" + b"?" * 500,
    ):
        path.write_bytes(content)
        with pytest.raises((NotADatabase, StorageFailed), match=path.name):
            Shard.open(path)
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    with pytest.raises(NotADatabase, match="folder"):
        Shard.open(path)


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE lists (x)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(NotADatabase, match="another program"):
        Shard.open(path)
    assert path.read_bytes() == content


def test_a_missing_file_an_empty_one_and_a_swapped_one_are_refused(path: Path, shard: Shard) -> None:
    shard.close()
    with pytest.raises(WrongShard, match="shard 0, and shard 1 was expected"):
        Shard.open(path, identity="shard 1")
    path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(WrongShard, match="empty"):
            Shard.open(path, identity="shard 0")
    assert path.read_bytes() == b""
    path.unlink()
    with pytest.raises(WrongShard, match="missing"):
        Shard.open(path, identity="shard 0")
    assert not path.exists()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path, shard: Shard) -> None:
    shard.database.conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    shard.close()
    content = path.read_bytes()
    with pytest.raises(NewerVersion, match=f"version {SCHEMA_VERSION + 1}") as caught:
        Shard.open(path, identity="shard 0")
    assert caught.value.found == SCHEMA_VERSION + 1
    assert path.read_bytes() == content


def test_a_file_that_another_program_holds_locked_is_an_error_that_passes(path: Path, shard: Shard) -> None:
    shard.database.conn.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed, match="locked") as caught:
        shard.apply([add("bob", 1)])
    assert not needs_reopening(caught.value)
    other.execute("ROLLBACK")
    other.close()
    assert shard.apply([add("bob", 1)]) == [None]


def test_a_full_disk_fails_the_batch_whole_and_passes(shard: Shard) -> None:
    shard.apply([add("bob", 1)])
    (pages,) = shard.database.conn.execute("PRAGMA page_count").fetchone()
    shard.database.conn.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFailed, match="full") as caught:
        shard.apply([add("bob", 2), add("bob", *range(3, 2000))])
    assert not needs_reopening(caught.value)
    assert len(shard.load("bob")) == 1
    shard.database.conn.execute("PRAGMA max_page_count = 1000000")
    assert shard.apply([add("bob", 2)]) == [None]


def test_check_finds_no_problem_in_a_sound_file_and_names_damage(path: Path, shard: Shard) -> None:
    shard.apply([add("bob", *range(1, 200))])
    assert shard.check() == []
    shard.database.conn.execute("UPDATE entries SET date = 'soon' WHERE id = 5")
    assert any("soon" in problem for problem in shard.check())
    shard.database.conn.execute("UPDATE entries SET date = NULL WHERE id = 5")
    shard.close()
    with path.open("r+b") as file:
        file.seek(4096 * 8 + 200)
        file.write(b"\xff" * 2000)
    with Shard.open(path) as damaged:
        assert damaged.check() != []


def test_a_backup_is_a_whole_copy_and_overwrites_nothing(tmp_path: Path, shard: Shard) -> None:
    shard.apply([add("bob", *range(1, 500))])
    target = tmp_path / "copy.db"
    shard.backup(target)
    shard.apply([add("bob", 500)])
    with Shard.open(target, identity="shard 0") as copy:
        assert len(copy.load("bob")) == 499
        assert copy.check() == []
    with pytest.raises(StorageFailed, match="already"):
        shard.backup(target)


def test_synchronous_is_full_and_the_log_is_a_write_ahead_log(shard: Shard) -> None:
    (synchronous,) = shard.database.conn.execute("PRAGMA synchronous").fetchone()
    (journal,) = shard.database.conn.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, journal) == (2, "wal")
