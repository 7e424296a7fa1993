"""Whatever of a folder is missing, old, damaged or half done: no command deletes or changes what holds
entries and then fails, or that only reads; and what can be read at all can be had again by `todo restore`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.todo.folder_states import bases, contents_of, files_of, is_left_of_something, mutilations, others
from todo.cli import main

READING = [
    ["list", "list 1"],
    ["lists"],
    ["search", "precious"],
    ["export"],
    ["check"],
    ["backup", "TARGET"],
]
WRITING = [
    ["add", "list 2", "new"],
    ["done", "list 3", "1"],
    ["edit", "list 3", "1", "--date", "2026-01-01"],
    ["move", "list 1", "1", "list 4"],
    ["import", "FILE"],
    ["reshard", "--workers", "4"],
    ["restore"],
]


class State:
    """A mutilated folder, and what it held then.

    Attributes:
      name: what was done to it.
      place: the folder.
    """

    def __init__(self, name: str, place: Path, tmp_path: Path) -> None:
        self.name = name
        self.place = place
        self.tmp_path = tmp_path
        self.files = files_of(place)
        self.contents = contents_of(place, tmp_path / "scratch")

    def run(self, command: list[str]) -> tuple[Path, Result]:
        """Run a command on a copy of it; returns the copy."""
        copy = shutil.copytree(self.place, self.tmp_path / "copy")
        target = self.tmp_path / "backup target"
        words = [{"TARGET": str(target), "FILE": str(self.tmp_path / "todo.txt")}.get(w, w) for w in command]
        (self.tmp_path / "todo.txt").write_text("imported list:other\n", encoding="utf-8")
        result = CliRunner().invoke(main, ["--folder", str(copy), *words])
        shutil.rmtree(target, ignore_errors=True)
        said = f"{self.name}: {' '.join(command)}: {result.exit_code} {result.output}"
        assert result.exception is None or isinstance(result.exception, SystemExit), said
        assert result.exit_code in (0, 1, 2), said
        return copy, result

    def examine(self, command: list[str]) -> None:
        """Run a command, see what it left, and that nothing is lost by what its error says."""
        copy, result = self.run(command)
        said = f"{self.name}: {' '.join(command)}: {result.exit_code} {result.output}"
        if result.exit_code or command in READING:
            # The folder that they lie in may have been given its last name.
            after = {(Path(path).name, content) for path, content in files_of(copy).items()}
            for path, content in self.files.items():
                assert (Path(path).name, content) in after, f"{path} was changed or deleted. {said}"
        if is_left_of_something(self.place) and command[0] != "restore":
            assert result.exit_code == 2, f"a folder that has lost its shards was taken for a new one. {said}"
        left = contents_of(copy, self.tmp_path / "scratch")
        for name, titles in self.contents.items():
            if command[0] == "move" and name == "list 1":
                continue
            assert set(titles) <= set(left.get(name, ())), f"{name} was lost. {said}"
        if result.exit_code == 2 and self.contents:
            assert "Traceback" not in result.output
        shutil.rmtree(copy)

    def restore(self) -> None:
        """What the errors advise brings everything back that can be read, or leaves it where it is."""
        copy, result = self.run(["lists"])
        if result.exit_code != 2 or not self.contents:
            shutil.rmtree(copy)
            return
        if "Replace it with a backup" in result.output:
            # A file is no database any more: what was in it only a backup has.
            shutil.rmtree(copy)
            return
        assert "restore" in result.output, f"{self.name}: {result.output}"
        asked = ["restore"]
        done = CliRunner().invoke(main, ["--folder", str(copy), *asked])
        for _ in range(2):
            if done.exit_code == 0:
                break
            # It says what it lacks, or between what to choose.
            if "--shards NAME" in done.output:
                asked += ["--shards", max(path.name for path in copy.glob("shards-*"))]
            elif "--accept-missing" in done.output:
                asked += ["--accept-missing"]
            done = CliRunner().invoke(main, ["--folder", str(copy), *asked])
        said = f"{self.name}: {' '.join(asked)}: {done.output}"
        left = contents_of(copy, self.tmp_path / "scratch")
        for name, titles in self.contents.items():
            assert set(titles) <= set(left.get(name, ())), f"{name} was lost. {said}"
        if done.exit_code == 0:
            read = CliRunner().invoke(main, ["--folder", str(copy), "lists"])
            assert read.exit_code in (0, 1), f"{said}{read.output}"
        else:
            assert "nothing can be restored" in done.output, said
            # Nobody says of these where they belong, or they say different things.
            assert "none of its files says" in done.output or "its files" in done.output, said
        shutil.rmtree(copy)


def examine(tmp_path: Path, count: int, commands_each: int) -> int:
    """Examine so many states, each with so many commands, at most all; returns how many states there are."""
    folders = bases(tmp_path / "bases")
    json_of = others(folders["made"], folders["resharded"])
    draw = random.Random(27)
    todo = [
        (f"{base}: {what}", path, act)
        for base, path in folders.items()
        for what, act in mutilations(path, json_of).items()
    ]
    chosen = draw.sample(todo, min(count, len(todo)))
    for name, path, act in chosen:
        place = shutil.copytree(path, tmp_path / "state")
        for step in act:
            step(place)
        state = State(name, place, tmp_path)
        commands = READING + WRITING
        for command in draw.sample(commands, min(commands_each, len(commands))):
            state.examine(command)
        state.restore()
        shutil.rmtree(place)
    return len(todo)


def test_no_command_loses_entries_of_a_folder_in_any_state(tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    assert examine(tmp_path, 100, 3) > 1_000


@pytest.mark.torture
def test_no_command_loses_entries_of_any_folder(tmp_path: Path, dose: Callable[[int], int]) -> None:
    (tmp_path / "bases").mkdir()
    examine(tmp_path, dose(1_500), 20)
