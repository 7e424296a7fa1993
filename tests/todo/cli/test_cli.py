"""The `todo` command, as it is used: on a folder, in a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from todo.cli import _main, main

ROOT = Path(__file__).parents[3]


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
        (["add", "bob", "x", "--date", "2023-02-30"], "is not a date"),
        (["add", "bob", "x", "--priority", "low"], "is not a priority"),
        (["edit", "bob", "1"], "nothing to change"),
        (["done", "bob", "0"], "not in the range"),
        (["edit", "bob", "1", "--date", "today", "--no-date"], "contradict"),
        (["search"], "give WORDS"),
        (["search", "--from", "tomorrow", "--to", "today"], "is after"),
        (["import", "-"], "give --format"),
        (["reshard", "--workers", "0"], "not in the range"),
    ],
)
def test_wrong_use_is_refused_with_its_reason(todo: Todo, words: list[str], why: str) -> None:
    result = todo(*words)
    assert result.exit_code == 2
    assert why in result.stderr


def test_json_may_be_asked_for_before_and_behind_the_command(todo: Todo) -> None:
    behind = json.loads(todo("add", "bob", "one", "--json").stdout)
    assert json.loads(todo("list", "bob", "--json").stdout) == behind == todo.json("list", "bob")
    for command in (["lists"], ["check"], ["search", "one"], ["export"]):
        assert json.loads(todo(*command, "--json").stdout)


def test_a_priority_may_be_a_small_letter(todo: Todo) -> None:
    todo("add", "bob", "one", "--priority", "b")
    assert todo.json("edit", "bob", 1, "--priority", "c")[0]["priority"] == "C"
    assert todo.json("edit", "bob", 1, "--priority", "NONE")[0]["priority"] is None


def test_an_entry_that_is_done_already_keeps_its_day(todo: Todo, tmp_path: Path) -> None:
    file = tmp_path / "todo.txt"
    file.write_text("x 2020-01-02 long ago list:bob\n", encoding="utf-8")
    todo("import", file)
    assert todo.json("done", "bob", 1)[0]["completed_on"] == "2020-01-02"


def on_a_terminal(folder: Path, *words: str, **environment: str) -> str:
    """What the command writes when both its outputs are a terminal."""
    ours, theirs = pty.openpty()
    program = "from todo.cli import main; main(prog_name='todo')"
    with subprocess.Popen(
        [sys.executable, "-c", program, "--folder", str(folder), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    ):
        os.close(theirs)
        written = bytearray()
        # When the last holder of the other end is gone, Linux calls that an I/O error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 10_000):
                written += part
    os.close(ours)
    return written.decode()


def test_colours_and_hints_are_for_a_terminal_only(todo: Todo, tmp_path: Path) -> None:
    todo("add", "bob", "one", "--priority", "A")
    assert "\x1b[" in on_a_terminal(todo.folder, "list", "bob")
    assert "\x1b[" not in todo("list", "bob").output
    assert "\x1b[" not in on_a_terminal(todo.folder, "list", "bob", NO_COLOR="1")
    assert "entries   done list" in on_a_terminal(todo.folder, "lists")
    assert todo("lists").output == "      1      0 bob\n"
    assert "nothing found" in on_a_terminal(todo.folder, "search", "nowhere")
    assert todo("search", "nowhere").output == ""
    file = tmp_path / "todo.txt"
    file.write_text("two\nbad due:2023-02-30\n", encoding="utf-8")
    shown = on_a_terminal(todo.folder, "import", str(file), "--skip-bad")
    # The bad line is not among those that the bar counts.
    assert "100%" in shown
    assert "importing" not in todo("import", file, "--skip-bad").output


def test_a_reader_that_closes_the_pipe_early_sees_no_traceback(todo: Todo, tmp_path: Path) -> None:
    file = tmp_path / "todo.txt"
    file.write_text("".join(f"entry {number} {'x' * 100}\n" for number in range(3000)), encoding="utf-8")
    todo("import", file)
    program = "from todo.cli import main; main(prog_name='todo')"
    for command in (["export"], ["list", "inbox"]):
        with subprocess.Popen(
            [sys.executable, "-c", program, "--folder", str(todo.folder), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.readline()
            child.stdout.close()
            assert child.stderr.read() == b""


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
    assert not todo.folder.exists()
    as_json = json.loads(todo("import", file, "--json").stdout)
    why = "due: is not a calendar date: 2023-02-30"
    assert as_json["bad"] == [{"line": 2, "why": why, "text": "bad due:2023-02-30"}]
    partly = todo("import", file, "--skip-bad")
    assert partly.exit_code == 1
    assert "2 entries in 1 list imported" in partly.stdout
    assert todo.titles("inbox") == ["good", "better"]


@pytest.mark.parametrize(
    ("ending", "content", "where", "shown"),
    [
        ("txt", b"good\nb\xe4d\nbetter\n", "line 2", r"b\xe4d"),
        ("csv", b"title\ngood\nb\xe4d\nbetter\n", "line 3", r"b\xe4d"),
        ("json", b'[{"title": "good"}, {"title": "b\xe4d"}, {"title": "better"}]', "entry 2", r"b\xe4d"),
    ],
)
def test_import_of_a_line_in_another_encoding_names_it_and_the_rest_goes_on_if_asked_to(
    todo: Todo, tmp_path: Path, ending: str, content: bytes, where: str, shown: str
) -> None:
    file = tmp_path / f"x.{ending}"
    file.write_bytes(content)
    result = todo("import", file)
    assert result.exit_code == 1
    assert f"{file}, {where}: not UTF-8 text" in result.stderr
    assert not todo.folder.exists()
    (bad,) = json.loads(todo("import", file, "--skip-bad", "--json").stdout)["bad"]
    assert shown in bad["text"]
    assert todo.titles("inbox") == ["good", "better"]


def test_import_of_a_file_in_utf_16_says_so_once(todo: Todo, tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("one\ntwo\n", encoding="utf-16")
    result = todo("import", file, "--skip-bad")
    assert result.exit_code == 1
    assert f"{file}, line 1: not UTF-8 text, but UTF-16" in result.stderr


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
    assert "it does not exist" in result.stderr
    assert not (tmp_path / "none").exists()


def test_export_to_a_place_without_permission_says_so(todo: Todo, tmp_path: Path) -> None:
    todo("add", "bob", "one")
    result = todo("export", "-o", tmp_path / "none" / "todo.txt")
    assert result.exit_code == 1
    assert "cannot be written: No such file" in result.stderr


def test_check_names_the_damaged_shard_and_its_problems(todo: Todo) -> None:
    todo("add", "bob", "one")
    assert todo("check").exit_code == 0
    for path in todo.folder.glob("shards-*/*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("UPDATE entries SET date = 'soon'")
        connection.close()
    (todo.folder / "shards-1" / "1.db").write_bytes(b"\xff" * 5000)
    result = todo("check")
    assert result.exit_code == 1
    assert "is not an entry" in result.output
    assert "1.db: damaged" in result.output
    assert [len(report["problems"]) for report in json.loads(todo("check", "--json").stdout)].count(1) == 2


def test_check_of_nothing_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    result = Todo(tmp_path / "none")("check")
    assert result.exit_code == 2
    assert not (tmp_path / "none").exists()


def test_a_backup_can_be_opened_and_overwrites_nothing(todo: Todo, tmp_path: Path) -> None:
    todo("add", "bob", "one")
    assert todo.json("backup", tmp_path / "copy")["backup"] == str(tmp_path / "copy")
    assert Todo(tmp_path / "copy").titles("bob") == ["one"]
    again = todo("backup", tmp_path / "copy")
    assert again.exit_code == 2
    assert "choose a folder that does not exist yet" in again.stderr


@pytest.mark.parametrize("words", ['"', "NEAR(", "c++ naive", "-x"])
def test_search_accepts_any_text(todo: Todo, words: str) -> None:
    todo("add", "bob", "C++ & naïve")
    assert len(todo.json("search", "--", words)) == (words == "c++ naive")


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert Todo(tmp_path / "file")("lists").exit_code == 2


def test_version_is_that_of_the_installed_distribution(todo: Todo, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == _main.DISTRIBUTION
    # Ours need not be installed to be tested; this one is, if anything is.
    monkeypatch.setattr(_main, "DISTRIBUTION", "trio")
    said = todo("--version")
    assert (said.exit_code, said.output) == (0, f"todo, version {trio.__version__}\n")


def test_version_without_an_installation_is_an_error_without_traceback(
    todo: Todo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_main, "DISTRIBUTION", "installed-by-nobody")
    said = todo("--version")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "without having been installed" in said.stderr
    assert "install installed-by-nobody" in said.stderr
