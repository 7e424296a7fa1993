"""Outputs that are not UTF-8, and arguments and names of files that are no text: each command says what it
has to say, and JSON stays JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from todo.cli import main

TITLE = "Käse 東京 \U0001f600"


def todo(folder: Path, *words: object) -> Result:
    result = CliRunner().invoke(main, ["--folder", str(folder), *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(folder: Path, *words: object) -> str:
    result = todo(folder, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8", "utf-16"])
@pytest.mark.parametrize("words", [("list", "é 東"), ("search", "käse"), ("lists",)])
def test_json_is_valid_in_any_output_encoding(tmp_path: Path, encoding: str, words: tuple[str, ...]) -> None:
    done(tmp_path / "db", "add", "é 東", TITLE)
    written = subprocess.run(
        [sys.executable, "-m", "todo", "--folder", tmp_path / "db", *words, "--json"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    ).stdout
    (found,) = json.loads(written.decode(encoding))
    assert found.get("title", TITLE) == TITLE
    assert found.get("list", found.get("name")) == "é 東"
    if "title" in found and encoding != "utf-16":
        (tmp_path / "again.json").write_bytes(written)
        done(tmp_path / "again", "import", tmp_path / "again.json")
        assert TITLE in done(tmp_path / "again", "list", "é 東")


def test_a_folder_name_need_not_be_utf_8(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"S\xff%41?#")
    backup, output = tmp_path / os.fsdecode(b"B\xff"), tmp_path / os.fsdecode(b"o\xff.json")
    for index in range(4):
        done(place, "add", f"list {index}", "milk")
    for words in (
        ("list", "list 1"),
        ("lists",),
        ("search", "milk"),
        ("check",),
        ("check", "--json"),
        ("export", "-o", output),
        ("import", output),
        ("done", "list 1", 1),
        ("backup", backup),
        ("reshard", "--workers", 2),
    ):
        done(place, *words)
    (place / "todo.json").unlink()
    assert "restore" in todo(place, "lists").stderr
    done(place, "restore")
    # As a kill leaves it: it is copied to be read.
    (backup / "shards-1" / "0.db-journal").write_bytes(b"")
    assert len(done(backup, "lists").splitlines()) == 4


@pytest.mark.parametrize(
    "words",
    [
        ("search", "\udcff"),
        ("search", "milk", "a\udcff"),
        ("list", "\udcff"),
        ("add", "\udcff", "milk"),
        ("add", "list", "a\udcff"),
        ("edit", "list", 1, "--title", "\udcff"),
        ("move", "list", 1, "\udcff"),
        ("export", "\udcff"),
        ("export", "-o", "\udcff"),
        ("search", "--from", "\udcff"),
        ("import", "\udcff.csv"),
        ("restore", "--shards", "\udcff"),
        ("\udcff",),
    ],
)
def test_an_argument_that_is_not_utf_8_is_refused_in_one_line(
    tmp_path: Path, words: tuple[object, ...]
) -> None:
    done(tmp_path, "add", "list", "milk")
    raw = [os.fsencode(str(word)) for word in words]
    ended = subprocess.run(
        [sys.executable, "-m", "todo", "--folder", tmp_path, *raw],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 4, ended.stderr
