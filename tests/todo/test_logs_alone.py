"""A log beside a shard that is missing or empty may hold entries, and SQLite deletes it when it opens the
file: no command lets it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.todo.folder_states import files_of, make, with_logs
from todo import Entry, WrongShard
from todo.cli import main
from todo.folder import Folder
from todo.operations import AddEntries
from todo.reading import open_for_reading
from todo.shard import Shard
from todo.shard_files import find_shard_folders, look_at

COMMANDS = {
    "list": ["list", "list 1"],
    "lists": ["lists"],
    "search": ["search", "precious"],
    "export": ["export"],
    "check": ["check"],
    "backup": ["backup", "TARGET"],
    "add": ["add", "list 2", "new"],
    "done": ["done", "list 3", "1"],
    "reshard": ["reshard", "--workers", "4"],
    "restore": ["restore"],
    "dry": ["restore", "--dry-run"],
    "accept": ["restore", "--accept-missing"],
}
DESCRIPTIONS = ["as it is", "missing", "damaged"]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("logged")
    make(base / "made")
    with_logs(base / "made", base / "logged")
    return base / "logged"


def journal_of(path: Path) -> bytes:
    """The rollback journal of a transaction on a copy of this shard that never came to its end."""
    work = path.with_name("work.db")
    shutil.copyfile(path, work)
    connection = sqlite3.connect(work, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE entries SET title = hex(zeroblob(9000))")
    content = work.with_name("work.db-journal").read_bytes()
    connection.close()
    work.unlink()
    assert len(content) > 512
    return content


def todo(place: Path, words: list[str]) -> Result:
    target = place.with_name("target")
    words = [str(target) if word == "TARGET" else word for word in words]
    result = CliRunner().invoke(main, ["--folder", str(place), *words])
    shutil.rmtree(target, ignore_errors=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lose(place: Path, what: str, kind: str) -> bytes:
    """Have the first shard lost, and its log left; returns what is in the log."""
    shard = place / "shards-1" / "0.db"
    log = shard.with_name(f"0.db{kind}")
    if kind == "-journal":
        shard.with_name("0.db-wal").unlink()
        log.write_bytes(journal_of(shard))
    if what == "missing":
        shard.unlink()
    else:
        shard.write_bytes(b"")
    return log.read_bytes()


@pytest.mark.parametrize("kind", ["-wal", "-journal"])
@pytest.mark.parametrize("what", ["missing", "emptied"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_deletes_a_log_whose_file_is_lost(
    logged: Path, tmp_path: Path, command: str, what: str, kind: str
) -> None:
    for description in DESCRIPTIONS:
        place = shutil.copytree(logged, tmp_path / description)
        content = lose(place, what, kind)
        if description == "missing":
            (place / "todo.json").unlink()
        elif description == "damaged":
            (place / "todo.json").write_text("{")
        before = files_of(place)
        result = todo(place, COMMANDS[command])
        kept = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
        assert content in kept, (description, result.output)
        if result.exit_code:
            assert files_of(place) == before, (description, result.output)


@pytest.mark.parametrize("kind", ["-wal", "-journal"])
@pytest.mark.parametrize("what", ["missing", "emptied"])
def test_giving_up_a_shard_sets_its_log_aside(logged: Path, tmp_path: Path, what: str, kind: str) -> None:
    place = shutil.copytree(logged, tmp_path / "db")
    content = lose(place, what, kind)
    (place / "todo.json").unlink()
    refused = todo(place, ["restore"])
    assert refused.exit_code == 2
    assert "1 log without the file" in refused.output
    done = todo(place, ["restore", "--accept-missing"])
    assert done.exit_code == 0, done.output
    aside = place / "shards-1" / f"0.db{kind}.1.aside"
    assert str(aside) in done.output
    assert aside.read_bytes() == content
    assert todo(place, ["check"]).exit_code == 0


def test_logs_alone_are_no_empty_folder(logged: Path, tmp_path: Path) -> None:
    """Making a folder removes what a killed making has left, which is nothing that has a log."""
    place = shutil.copytree(logged, tmp_path / "db")
    (place / "todo.json").unlink()
    for shard in list(place.glob("shards-1/*.db")):
        shard.unlink()
    before = files_of(place)
    assert len(before) == 2
    assert todo(place, ["add", "list 2", "new"]).exit_code == 2
    assert files_of(place) == before
    (shards,) = find_shard_folders(place)
    assert look_at(shards).text == "shards-1 with 0 files, 0 entries, 2 logs without the file"


@pytest.mark.parametrize("what", ["missing", "emptied"])
def test_a_shard_that_is_only_a_log_is_not_opened(logged: Path, tmp_path: Path, what: str) -> None:
    place = shutil.copytree(logged, tmp_path / "db")
    lose(place, what, "-wal")
    path = place / "shards-1" / "0.db"
    before = files_of(place)
    with pytest.raises(WrongShard, match=r"its log 0\.db-wal is not"):
        Shard.open(path, create=True)
    with pytest.raises(WrongShard, match=r"its log 0\.db-wal is not"):
        open_for_reading(path)
    assert files_of(place) == before


def test_a_journal_is_not_rolled_back_in_a_file_that_is_refused(logged: Path, tmp_path: Path) -> None:
    place = shutil.copytree(logged, tmp_path / "db")
    path = place / "shards-1" / "0.db"
    path.with_name("0.db-wal").unlink()
    path.with_name("0.db-journal").write_bytes(journal_of(path))
    before = {child.name: child.read_bytes() for child in path.parent.iterdir()}
    with pytest.raises(WrongShard, match="was expected"):
        Shard.open(path, identity="shard 0 of 2, generation 1, folder another")
    summary = look_at(find_shard_folders(place)[0])
    assert [file.problem for file in summary.files] == [None, None]
    assert {child.name: child.read_bytes() for child in path.parent.iterdir()} == before


def test_a_reshard_deletes_no_shard_that_it_did_not_copy(logged: Path, tmp_path: Path) -> None:
    place = shutil.copytree(logged, tmp_path / "db")
    stray = place / "shards-1" / "7.db"
    with Shard.open(stray, create=True) as shard:
        shard.apply([AddEntries("stray", (Entry(id=1, title="kept"),))])
    content = stray.read_bytes()
    assert todo(place, ["reshard", "--workers", "3"]).exit_code == 0
    assert stray.read_bytes() == content
    assert [path.name for path in stray.parent.iterdir()] == ["7.db"]
    with Folder.open(place) as folder:
        assert folder.description.workers == 3
