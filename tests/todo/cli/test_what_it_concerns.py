"""One bad row, one list that is not there, one full disk concerns what it concerns, and is said in a line."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from todo import (
    BadInput,
    Entry,
    InvalidEntry,
    InvalidListName,
    StorageFailed,
    TodoServer,
    open_system,
)
from todo.cli import main
from todo.shard import Shard

PROGRAM = "from todo.cli import main; main(prog_name='todo')"


def todo(folder: Path, *words: object) -> Result:
    result = CliRunner().invoke(main, ["--folder", str(folder), *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def run(folder: Path, *words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "--folder", str(folder), *map(str, words)]
    return subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE, **more)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("good", "bad"):
        assert todo(tmp_path / "db", "add", name, f"milk of {name}").exit_code == 0
    return tmp_path / "db"


def spoil(place: Path) -> None:
    for path in place.glob("shards-1/*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE entries SET done = 0, priority = 'low' WHERE title = 'milk of bad'")
        connection.close()


def test_a_bad_row_concerns_its_list(place: Path) -> None:
    spoil(place)
    bad = todo(place, "list", "bad")
    assert (bad.exit_code, "low" in bad.stderr, "todo check" in bad.stderr) == (2, True, True)
    assert "milk of good" in todo(place, "list", "good").stdout
    assert todo(place, "add", "good", "more").exit_code == 0
    found = todo(place, "search", "milk")
    assert "milk of good" in found.stdout
    assert "bad" not in found.stdout
    assert todo(place, "check").exit_code == 1
    assert todo(place, "export").exit_code == 2
    rest = todo(place, "export", "--skip-bad")
    assert (rest.exit_code, "milk of good" in rest.stdout) == (1, True)


async def test_arguments_are_checked_where_they_are_given(place: Path) -> None:
    day = datetime.date(2026, 1, 1)
    async with open_system(place) as system:
        wrongs: list[Any] = [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "2026-01-01", None]
        for wrong in wrongs:
            with pytest.raises(BadInput, match=r"datetime\.date"):
                await system.database.between(wrong, day)
            with pytest.raises(BadInput, match=r"datetime\.date"):
                await system.call("good", TodoServer.entries_between(day, wrong))
        searches: list[tuple[Any, Any]] = [(7, 1), ("milk", 0), ("milk", "1"), ("milk", True)]
        for words, limit in searches:
            with pytest.raises(BadInput):
                await system.database.search(words, limit)
        ids: list[Any] = ["1", None, 1.0, [1]]
        for id_ in ids:
            with pytest.raises(InvalidEntry, match="id"):
                await system.call("good", TodoServer.entry(id_))
            with pytest.raises(InvalidEntry, match="id"):
                await system.call("good", TodoServer.delete_entry(id_))
            with pytest.raises(InvalidEntry, match="id"):
                await system.call("good", TodoServer.update_entry(id_, Entry.as_undone))
            with pytest.raises(InvalidListName):
                name: Any = [id_]
                await system.call(name, TodoServer.entries())
        # Nothing has come down with it.
        assert len(await system.call("good", TodoServer.entries())) == 1
        assert len(await system.database.lists()) == 2


@pytest.mark.parametrize("words", [["list", "none"], ["export", "none"], ["export", "good", "none"]])
def test_a_list_that_is_not_there_is_an_error(place: Path, words: list[str]) -> None:
    result = todo(place, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no list 'none'" in result.stderr
    todo(place, "rm", "good", 1)
    assert todo(place, "list", "good").exit_code == 0  # it is empty, and there


def test_an_output_file_is_replaced_when_it_is_whole_and_a_device_is_written_to(
    place: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    target.write_text("before")
    target.chmod(0o600)
    (tmp_path / "link.txt").symlink_to(target)
    assert todo(place, "export", "none", "-o", target).exit_code == 1
    assert target.read_text() == "before"
    assert todo(place, "export", "good", "-o", tmp_path / "link.txt").exit_code == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert "milk of good" in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "link.txt", "out.txt"]
    os.mkfifo(tmp_path / "pipe.txt")
    reader = os.open(tmp_path / "pipe.txt", os.O_RDONLY | os.O_NONBLOCK)
    assert todo(place, "export", "good", "-o", tmp_path / "pipe.txt").exit_code == 0
    assert b"milk of good" in os.read(reader, 1000)
    os.close(reader)
    assert (tmp_path / "pipe.txt").is_fifo()


def test_a_full_output_is_one_line(place: Path) -> None:
    for words in (
        ["list", "good"],
        ["export"],
        ["export", "--format", "csv", "-o", "/dev/full"],
        ["--help"],
        ["--version"],
        ["list", "--help"],
    ):
        with Path("/dev/full").open("w") as full:
            result = run(place, *words, stdout=full)
        assert result.returncode == 1
        assert "No space left" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert Path("/dev/full").is_char_device()


def test_a_closed_output_is_one_line(place: Path) -> None:
    for words in ("list good", "export", "--help"):
        command = f'exec "$0" -m todo --folder "$1" {words} >&-'
        result = subprocess.run(
            ["sh", "-c", command, sys.executable, place], check=False, stderr=subprocess.PIPE, text=True
        )
        assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
        assert "cannot be written" in result.stderr
    command = 'exec "$0" -m todo --folder "$1" list good 2>&- <&-'
    shown = subprocess.run(["sh", "-c", command, sys.executable, place], check=True, stdout=subprocess.PIPE)
    assert b"milk of good" in shown.stdout


def test_a_terminal_that_lacks_a_character_gets_its_number_and_a_file_is_utf_8(place: Path) -> None:
    todo(place, "add", "good", "Käse 東京")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--folder", place, "list", "good"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert "Käse \\u6771\\u4eac".encode("latin-1") in shown.stdout
    written = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--folder", place, "export"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert "Käse 東京".encode() in written.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_and_one_that_is_read_only_are_read(small_disk: Path) -> None:
    place = small_disk / "db"
    assert todo(place, "add", "good", "milk").exit_code == 0
    filler = (small_disk / "filler").open("wb", buffering=0)
    with pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"x" * 4096)
    filler.close()
    for step in ("full", "read only"):
        if step == "read only":
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        for words in (["list", "good"], ["lists"], ["search", "milk"], ["export"], ["check"]):
            result = todo(place, *words)
            assert result.exit_code == 0, (step, words, result.output)
        assert "milk" in todo(place, "list", "good").stdout
        assert "damaged" not in todo(place, "check").stdout
        refused = todo(place, "add", "good", "more")
        assert refused.exit_code == 2
        assert "Traceback" not in refused.output
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    (small_disk / "filler").unlink()
    assert todo(place, "add", "good", "more").exit_code == 0


def test_a_database_that_this_user_may_only_read_is_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "db"
        todo(place, "add", "good", "milk")
        Path(name).chmod(0o755)
        euid = os.geteuid()
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if euid == 0:
            os.seteuid(65534)
        try:
            for words in (["list", "good"], ["lists"], ["search", "milk"], ["export"], ["check"]):
                assert todo(place, *words).exit_code == 0, words
            assert todo(place, "add", "good", "more").exit_code == 2
        finally:
            os.seteuid(euid)
        for path in (place, *place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(place)


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), BaseExceptionGroup("of a nursery", [KeyboardInterrupt()])]
)
def test_ctrl_c_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch, interrupt: BaseException) -> None:
    def interrupted(*_: object) -> None:
        raise interrupt

    with monkeypatch.context() as patch:
        patch.setattr("trio.run", interrupted)
        result = todo(place, "list", "good")
    assert result.exit_code == 130
    assert result.stderr.splitlines() == ["todo: interrupted; everything reported as done is saved"]
    assert todo(place, "lists").exit_code == 0


def lose_a_shard(place: Path) -> tuple[Path, str]:
    """Have the shard of one list overwritten; returns it and the name of a list in another one."""
    for name in map(str, range(9)):
        assert todo(place, "add", name, f"milk of {name}").exit_code == 0
    victim, kept = place / "shards-1" / "0.db", place / "shards-1" / "1.db"
    with sqlite3.connect(kept) as connection:
        ((name,),) = connection.execute("SELECT name FROM lists ORDER BY name LIMIT 1").fetchall()
    connection.close()
    victim.write_bytes(b"no database" * 100)
    return victim, name


def test_a_failed_backup_leaves_nothing(place: Path, tmp_path: Path) -> None:
    victim, _ = lose_a_shard(place)
    refused = todo(place, "backup", tmp_path / "copy")
    assert refused.exit_code == 2
    assert str(victim) in refused.stderr
    assert not (tmp_path / "copy").exists()
    # So it can be tried again under the same name.
    assert todo(place, "backup", tmp_path / "copy").exit_code == 2


def test_every_command_on_a_partial_backup_names_the_missing_shard(place: Path, tmp_path: Path) -> None:
    victim, name = lose_a_shard(place)
    copied = todo(place, "backup", tmp_path / "copy", "--skip-bad")
    assert copied.exit_code == 1
    assert str(victim) in copied.stderr
    assert "1 shard that is missing" in copied.stdout
    copy = tmp_path / "copy"
    assert f"milk of {name}" in todo(copy, "list", name).stdout
    assert not (copy / "shards-1" / "0.db").exists()
    for words in (["lists"], ["check"], ["search", "milk"]):
        told = todo(copy, *words)
        assert told.exit_code == 1
        assert "0.db is not the shard that belongs here: the file is missing" in told.output
    whole = todo(place, "backup", tmp_path / "json", "--skip-bad", "--json")
    assert json.loads(whole.stdout) == {"backup": str(tmp_path / "json"), "missing": [str(victim)]}


def test_a_backup_that_could_not_be_written_leaves_nothing(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Path] = []

    def fails(shard: Shard, target: Path) -> None:
        if target.name == "1.db":
            raise StorageFailed(target, "writing a backup", OSError("the disk is full"))
        backup(shard, target)
        copied.append(target)

    backup = Shard.backup
    monkeypatch.setattr(Shard, "backup", fails)
    assert todo(place, "backup", tmp_path / "copy").exit_code == 2
    assert len(copied) == 2
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("folder", ["db", "other"])
@pytest.mark.parametrize(
    "name", ["todo.json", "shards-1/0.db", "shards-1/0.db-wal", "new.csv", "shards-1/new.csv"]
)
def test_an_export_replaces_no_file_of_a_database(place: Path, folder: str, name: str) -> None:
    todo(place.parent / "other", "add", "good", "milk")
    target = place.parent / folder / name
    before = target.read_bytes() if target.exists() else None
    link = place.parent / "link.csv"
    link.symlink_to(target)
    for path in (target, link):
        for words in ([], ["--format", "csv"]):
            result = todo(place, "export", *words, "-o", path)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "belongs to a database" in result.stderr
    assert (target.read_bytes() if target.exists() else None) == before


def test_an_export_replaces_no_other_database_of_sqlite(place: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mine.db") as connection:
        connection.execute("CREATE TABLE mine (something)")
    connection.close()
    before = (tmp_path / "mine.db").read_bytes()
    assert todo(place, "export", "-o", tmp_path / "mine.db").exit_code == 1
    assert (tmp_path / "mine.db").read_bytes() == before


def test_an_export_into_a_pipe_by_the_name_of_standard_output(place: Path) -> None:
    for format_ in ("todo.txt", "csv", "json", "icalendar"):
        ended = run(place, "export", "--format", format_, "-o", "/dev/stdout", stdout=subprocess.PIPE)
        assert ended.returncode == 0, ended.stderr
        assert "milk of good" in ended.stdout


@pytest.mark.parametrize("name", ["copy", "shards-1/copy"])
def test_a_backup_inside_the_copied_folder_is_refused(place: Path, name: str) -> None:
    result = todo(place, "backup", place / name)
    assert result.exit_code != 0
    assert "the folder to be copied" in result.stderr
    assert not (place / name).exists()
