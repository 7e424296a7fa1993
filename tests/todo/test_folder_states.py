"""Every subset and every age of what a folder holds, as a starting state: no command deletes entries that it
has not just copied, and what an error advises brings them back."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from todo import Entry, InconsistentFolder, StorageError, TodoList
from todo.cli import main
from todo.folder import Folder
from todo.operations import AddEntries
from todo.reshard import reshard
from todo.restore import restore
from trio_genserver.pools import stable_hash

NAMES = ("bob", "eve", "work")


def fill(place: Path, workers: int, titles: str) -> None:
    with Folder.open(place, workers=workers) as folder:
        for name in NAMES:
            with folder.open_shard(stable_hash(name) % workers) as shard:
                assert shard.apply([AddEntries(name, (Entry(id=1, title=f"{titles} {name}"),))]) == [None]


def titles_in(place: Path) -> set[str]:
    """The titles in any database file below a folder, wherever it lies."""
    found: set[str] = set()
    for path in place.rglob("*.db"):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
                found |= {title for (title,) in connection.execute("SELECT title FROM entries")}
    return found


def todo(place: Path, *words: object) -> Result:
    result = CliRunner().invoke(main, ["--folder", str(place), *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def listed(place: Path) -> set[str]:
    found: set[str] = set()
    for name in NAMES:
        shown = CliRunner().invoke(main, ["--folder", str(place), "--json", "list", name])
        if shown.exit_code == 0:
            found |= {entry["title"] for entry in json.loads(shown.stdout)}
    return found


class Ages(NamedTuple):
    """What each part of a folder looked like before and after a reshard."""

    first: Path
    second: Path


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> Ages:
    base = tmp_path_factory.mktemp("ages")
    fill(base / "first", 2, "kept")
    shutil.copytree(base / "first", base / "second")
    reshard(base / "second", 3)
    return Ages(base / "first", base / "second")


COMMANDS: dict[str, tuple[object, ...]] = {
    "lists": ("lists",),
    "list": ("list", "bob"),
    "search": ("search", "kept"),
    "check": ("check",),
    "export": ("export",),
    "add": ("add", "new", "added"),
    "done": ("done", "bob", 1),
    "reshard": ("reshard", "--workers", 4),
    "backup": ("backup",),
    "restore": ("restore",),
    "dry": ("restore", "--dry-run"),
}


def states(ages: Ages) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """What can be lying in a folder: a description of an age or none, and any of the folders of shards, whole
    or not, under the name of what counts or of what is being written."""
    descriptions = {"none": None, "first": ages.first, "second": ages.second}
    parts = {
        "shards-1": ages.first / "shards-1",
        "shards-2": ages.second / "shards-2",
        "shards-2.new": ages.second / "shards-2",
        "shards-2.copy": ages.second / "shards-2",
    }
    for said, source in descriptions.items():
        for number in range(len(parts) + 1):
            for names in itertools.combinations(parts, number):
                for lacking in (None, *range(2)) if names else (None,):

                    def build(
                        place: Path,
                        source: Path | None = source,
                        names: tuple[str, ...] = names,
                        lacking: int | None = lacking,
                    ) -> None:
                        place.mkdir()
                        if source is not None:
                            shutil.copy(source / "todo.json", place)
                        for name in names:
                            shutil.copytree(parts[name], place / name)
                            if lacking is not None:
                                (place / name / f"{lacking}.db").unlink()

                    yield f"{said}, {'+'.join(names) or 'no shards'}, lacking {lacking}", build


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "reshard"])
def test_no_command_deletes_entries_in_any_state(ages: Ages, tmp_path: Path, command: str) -> None:
    refused = 0
    for number, (state, build) in enumerate(states(ages)):
        place = tmp_path / str(number)
        build(place)
        before = titles_in(place)
        words = (
            (*COMMANDS[command], tmp_path / f"backup {number}") if command == "backup" else COMMANDS[command]
        )
        result = todo(place, *words)
        refused += result.exit_code != 0
        assert titles_in(place) - {"added"} == before, (state, result.output)
        assert "Traceback" not in result.output, state
        shutil.rmtree(place)
    assert refused > 20


def test_a_reshard_deletes_only_what_it_has_copied(ages: Ages, tmp_path: Path) -> None:
    done = 0
    for number, (state, build) in enumerate(states(ages)):
        place = tmp_path / str(number)
        build(place)
        before = titles_in(place)
        result = todo(place, *COMMANDS["reshard"])
        assert titles_in(place) == before, (state, result.output)
        if result.exit_code == 0:
            done += 1
            assert listed(place) == before, state
        shutil.rmtree(place)
    assert done >= 4


def test_the_advice_of_an_error_brings_the_entries_back(ages: Ages, tmp_path: Path) -> None:
    restored = 0
    for number, (state, build) in enumerate(states(ages)):
        if "lacking None" not in state or "no shards" in state:
            continue
        place = tmp_path / str(number)
        build(place)
        before = titles_in(place)
        if todo(place, "lists").exit_code != 0:
            first = todo(place, "restore")
            if first.exit_code != 0:
                assert "restore --shards NAME" in first.output, (state, first.output)
                found = max(path.name for path in place.glob("shards-2*"))
                assert todo(place, "restore", "--shards", found).exit_code == 0, state
            restored += 1
        assert listed(place) == before, state
        assert todo(place, "check").exit_code == 0, state
        shutil.rmtree(place)
    assert restored > 20


def test_a_lost_description_is_an_error_that_lists_the_shards(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)
    (place / "todo.json").unlink()
    with pytest.raises(
        InconsistentFolder, match=r"no todo\.json.*shards-1 with 2 files, 3 entries.*restore"
    ) as caught:
        Folder.open(place)
    assert caught.value.found == ["shards-1 with 2 files, 3 entries"]
    assert restore(place).entries == 3
    with Folder.open(place) as folder:
        assert folder.description.workers == 2


def test_an_old_description_is_an_error_that_says_so(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.second, place)
    shutil.copy(ages.first / "todo.json", place)
    with pytest.raises(
        InconsistentFolder, match=r"names shards-1, which does not exist.*shards-2 with 3 files"
    ):
        Folder.open(place)
    shutil.copytree(ages.first / "shards-1", place / "shards-1")
    with pytest.raises(InconsistentFolder, match="older than the shards"):
        Folder.open(place)


def test_missing_shards_are_given_up_only_if_told_to(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)
    (place / "todo.json").unlink()
    (place / "shards-1" / "0.db").unlink()
    with pytest.raises(InconsistentFolder, match=r"lacks 0\.db.*--accept-missing"):
        restore(place)
    left = titles_in(place)
    done = restore(place, accept_missing=True)
    assert [path.name for path in done.missing] == ["0.db"]
    assert listed(place) == left


def test_shards_of_two_folders_are_not_taken_for_one(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    fill(tmp_path / "other", 2, "other")
    shutil.copytree(ages.first, place)
    (place / "todo.json").unlink()
    shutil.copy(tmp_path / "other" / "shards-1" / "0.db", place / "shards-1" / "0.db")
    with pytest.raises(InconsistentFolder, match="different folders"):
        restore(place)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_copy_that_was_not_finished_is_no_new_folder_however_little_arrived(
    tmp_path: Path, index: int
) -> None:
    with Folder.open(tmp_path / "whole", workers=3):
        pass
    for what in ("a shard", "an empty file", "a folder"):
        place = tmp_path / what
        (place / "shards-1").mkdir(parents=True)
        arrived = place / "shards-1" / f"{index}.db"
        if what == "a shard":
            shutil.copy(tmp_path / "whole" / "shards-1" / arrived.name, arrived)
        elif what == "an empty file":
            arrived.touch()
        before = [path.read_bytes() for path in place.rglob("*.db")]
        for command in ("lists", "add"):
            result = todo(place, *COMMANDS[command])
            assert result.exit_code == 2, (what, result.output)
            assert "shards-1 with" in result.output
            assert "restore --dry-run" in result.output
        assert [path.read_bytes() for path in place.rglob("*.db")] == before
        assert not (place / "todo.json").exists()


def test_the_folder_of_a_killed_backup_is_no_new_folder(ages: Ages, tmp_path: Path) -> None:
    shard = (ages.first / "shards-1" / "0.db").read_bytes()
    states: list[dict[str, bytes]] = [
        {},
        {"0.db.part": b""},
        {"0.db.part": shard, "0.db.part-journal": b"begun"},
        {"0.db": shard, "1.db.part": shard[:8192]},
    ]
    for number, files in enumerate(states):
        place = tmp_path / str(number)
        shards = place / "shards-1.copy"
        shards.mkdir(parents=True)
        for name, content in files.items():
            (shards / name).write_bytes(content)
        for command in ("lists", "add", "check", "reshard", "done"):
            result = todo(place, *COMMANDS[command])
            assert result.exit_code == 2, (files, result.output)
            assert "it contains an unfinished backup" in result.output
        dry = todo(place, *COMMANDS["dry"])
        assert dry.exit_code == 2
        assert all(name in dry.output for name in files if name.endswith(".part")), dry.output
        assert {path.name: path.read_bytes() for path in shards.iterdir()} == files


@pytest.mark.parametrize("beside", [".DS_Store", "todo.json.bak", "zzz"])
def test_shards_are_told_of_whatever_lies_beside_them(ages: Ages, tmp_path: Path, beside: str) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)
    (place / "todo.json").rename(place / beside)
    for command in ("lists", "add"):
        result = todo(place, *COMMANDS[command])
        assert result.exit_code == 2
        assert "shards-1 with 2 files, 3 entries" in result.output
        assert "restore --dry-run" in result.output
    assert todo(place, "restore").exit_code == 0
    assert listed(place) == {f"kept {name}" for name in NAMES}


@pytest.mark.parametrize("kind", ["folder", "pipe", "list"])
def test_a_description_that_is_not_ours_is_set_aside(ages: Ages, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)
    (place / "todo.json").unlink()
    if kind == "list":
        (place / "todo.json").write_text("[]")
    else:
        (place / "todo.json").mkdir() if kind == "folder" else os.mkfifo(place / "todo.json")
    for command in ("lists", "add", "dry"):
        result = todo(place, *COMMANDS[command])
        assert ("todo.json.1.aside" if command == "dry" else "restore --dry-run") in result.output
    assert todo(place, "restore").exit_code == 0
    assert (place / "todo.json.1.aside").exists()
    assert listed(place) == {f"kept {name}" for name in NAMES}


def test_what_would_be_restored_is_said_without_changing_anything(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first / "shards-1", place / "shards-1")
    assert todo(place, *COMMANDS["dry"]).exit_code == 0
    assert [path.name for path in place.iterdir()] == ["shards-1"]


def test_foreign_files_among_the_shards_stay(ages: Ages, tmp_path: Path) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)
    (place / "shards-1" / "notes.txt").write_text("mine")
    reshard(place, 3)
    assert (place / "shards-1" / "notes.txt").read_text() == "mine"
    assert listed(place) == {f"kept {name}" for name in NAMES}


def test_a_copy_that_differs_is_not_put_in_force(
    ages: Ages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "db"
    shutil.copytree(ages.first, place)

    def nothing(*_: object) -> Iterator[tuple[str, TodoList]]:
        return iter(())

    monkeypatch.setattr("todo.reshard._lists_of", nothing)
    with pytest.raises(StorageError, match="differs from the original"):
        reshard(place, 3)
    monkeypatch.undo()
    assert listed(place) == {f"kept {name}" for name in NAMES}
