"""The `todo` command, as it is used: on a folder, in a pipe."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from todo.cli import main


class Todo:
    """Runs the command on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: object, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, ["--folder", str(self.folder), *map(str, words)], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *words: object, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(
            main, ["--json", "--folder", str(self.folder), *map(str, words)], input=stdin
        )
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def titles(self, name: str) -> list[str]:
        return [entry["title"] for entry in self.json("list", name)]


@pytest.fixture
def todo(tmp_path: Path) -> Todo:
    return Todo(tmp_path / "lists")


def test_add_list_done_undone_edit_rm(todo: Todo) -> None:
    added = todo("add", "bob", "Call", "the dentist", "--date", "2023-12-19", "--priority", "A")
    assert added.exit_code == 0
    assert "Call the dentist" in added.output
    assert "\x1b" not in added.output
    (entry,) = todo.json("list", "bob")
    assert (entry["id"], entry["date"], entry["priority"], entry["done"]) == (1, "2023-12-19", "A", False)
    assert todo.json("done", "bob", 1)[0]["done"] is True
    assert todo.json("list", "bob", "--open") == []
    assert todo.json("undone", "bob", 1)[0]["completed_on"] is None
    assert todo.json("edit", "bob", 1, "--title", "Later", "--no-date", "--priority", "none")[0] == {
        **entry,
        "title": "Later",
        "date": None,
        "priority": None,
    }
    assert todo("rm", "bob", 1).exit_code == 0
    assert todo.json("list", "bob") == []


@pytest.mark.parametrize("command", ["done", "undone", "rm"])
def test_entry_that_is_not_there_is_said_and_changes_nothing(todo: Todo, command: str) -> None:
    todo("add", "bob", "one")
    result = todo(command, "bob", 7)
    assert result.exit_code == 1
    assert "the list 'bob' has no entry 7" in result.stderr
    assert todo.titles("bob") == ["one"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["add", " ", "title"], "cannot be the name of a list"),
        (["add", "bob", " "], "not empty"),
        (["add", "bob", "x", "--date", "2023-02-30"], "is no day"),
        (["add", "bob", "x", "--priority", "low"], "is not one of"),
        (["edit", "bob", "1"], "nothing to change"),
        (["done", "bob", "0"], "not in the range"),
        (["search"], "say what to look for"),
        (["import", "-"], "say --format"),
        (["reshard", "--workers", "0"], "not in the range"),
    ],
)
def test_wrong_use_is_refused_with_its_reason(todo: Todo, words: list[str], why: str) -> None:
    result = todo(*words)
    assert result.exit_code == 2
    assert why in result.stderr


def test_move_keeps_the_entry_and_gives_it_a_new_number(todo: Todo) -> None:
    todo("add", "work", "first")
    todo("add", "home", "second", "--date", "2023-12-19")
    (moved,) = todo.json("move", "home", 1, "work")
    assert (moved["id"], moved["list"], moved["date"]) == (2, "work", "2023-12-19")
    assert todo.titles("home") == []
    assert todo.titles("work") == ["first", "second"]
    assert todo("move", "home", 1, "work").exit_code == 1


def test_lists_and_search_look_into_all_shards(todo: Todo) -> None:
    for name in ("ada", "bob", "cy", "dee"):
        todo("add", name, f"Café with {name}", "--date", "2023-12-19")
    todo("done", "bob", 1)
    assert todo.json("lists") == [
        {"name": name, "entries": 1, "done": int(name == "bob")} for name in ("ada", "bob", "cy", "dee")
    ]
    assert {found["list"] for found in todo.json("search", "cafe")} == {"ada", "bob", "cy", "dee"}
    assert [found["list"] for found in todo.json("search", "caf", "dee")] == ["dee"]
    assert len(todo.json("search", "--from", "2023-12-19", "--to", "2023-12-19")) == 4
    assert todo.json("search", "--from", "2023-12-20") == []
    assert todo.json("search", "café", "--to", "2023-12-18") == []


TEXT = "(A) Paint +house\nx 2023-12-20 Sweep +house\nLoose end due:2023-12-24\nFor Bob list:bob\n"


def test_import_spreads_entries_over_lists_and_export_gives_them_back(todo: Todo, tmp_path: Path) -> None:
    file = tmp_path / "todo.txt"
    file.write_text(TEXT, encoding="utf-8")
    done = todo.json("import", file, "--by-project")
    assert done == {"imported": 4, "lists": ["bob", "house", "inbox"], "bad": []}
    assert todo.titles("house") == ["Paint +house", "Sweep +house"]
    for ending in ("txt", "csv", "json"):
        output = tmp_path / f"out.{ending}"
        assert todo("export", "-o", output).exit_code == 0
        other = Todo(tmp_path / f"other {ending}")
        assert other.json("import", output)["imported"] == 4
        assert other("export").stdout == todo("export").stdout
    assert todo("export", "house").stdout.splitlines() == [
        "(A) Paint +house list:house",
        "x 2023-12-20 Sweep +house list:house",
    ]
    assert "BEGIN:VTODO" in todo("export", "--format", "icalendar").stdout


def test_bad_line_is_named_and_nothing_is_imported_unless_the_rest_is_wanted(
    todo: Todo, tmp_path: Path
) -> None:
    file = tmp_path / "my.txt"
    file.write_text("good\nbad due:2023-02-30\nbetter\n", encoding="utf-8")
    refused = todo("import", file)
    assert refused.exit_code == 1
    assert f"{file}, line 2" in refused.stderr
    assert "nothing was imported" in refused.stderr
    assert todo.json("lists") == []
    partly = todo("import", file, "--skip-bad")
    assert partly.exit_code == 1
    assert "2 entries in 1 lists imported" in partly.stdout
    assert todo.titles("inbox") == ["good", "better"]


def test_import_of_no_text_is_refused(todo: Todo, tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes(b"ok\n\xff\xfe\n")
    result = todo("import", file)
    assert result.exit_code == 1
    assert f"{file}, line 2: no UTF-8 text" in result.stderr


def test_import_from_a_pipe(todo: Todo) -> None:
    assert todo.json("import", "-", "--format", "todo.txt", stdin=TEXT)["imported"] == 4


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_reshard_keeps_every_entry_and_number(todo: Todo, workers: int) -> None:
    for name in ("ada", "bob", "cy"):
        todo("add", name, "one")
        todo("add", name, "two")
    todo("rm", "bob", 2)
    before = todo("export", "--format", "json").stdout
    result = todo.json("reshard", todo.folder, "--workers", workers)
    assert result == {"workers_before": 3, "workers": workers, "entries": 5}
    assert todo("export", "--format", "json").stdout == before
    assert todo.json("add", "bob", "three")[0]["id"] == 3  # the number of what was deleted is not used again
    assert len(list(todo.folder.glob("shards-*/*.db"))) == workers


def test_reshard_of_nothing_is_refused(tmp_path: Path) -> None:
    result = Todo(tmp_path / "none")("reshard", "--workers", 2)
    assert result.exit_code == 2
    assert "it is not there" in result.stderr
    assert not (tmp_path / "none").exists()


def test_check_finds_what_does_not_belong_and_backup_can_be_opened(todo: Todo, tmp_path: Path) -> None:
    todo("add", "bob", "one")
    assert todo("check").exit_code == 0
    assert todo.json("backup", tmp_path / "copy")["backup"] == str(tmp_path / "copy")
    assert Todo(tmp_path / "copy").titles("bob") == ["one"]
    assert todo("backup", tmp_path / "copy").exit_code == 2
    for path in todo.folder.glob("shards-*/*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("UPDATE entries SET date = 'soon'")
        connection.close()
    result = todo("check")
    assert result.exit_code == 1
    assert "is no entry" in result.output


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert Todo(tmp_path / "file")("lists").exit_code == 2
