"""States that a database folder can be found in: what is missing, old, damaged or half done in it.

Each is a folder that was really made, by the commands themselves, and stopped or mutilated then.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from todo import Entry, StorageError, folder
from todo.folder import Folder
from todo.operations import AddEntries
from todo.reading import open_for_reading
from todo.reshard import reshard
from todo.shard_files import remove_shards
from trio_genserver.pools import stable_hash

__all__ = ["LISTS", "Contents", "bases", "contents_of", "files_of", "is_left_of_something", "mutilations"]

LISTS = [f"list {number}" for number in range(7)]
Contents: TypeAlias = dict[str, tuple[str, ...]]
Act: TypeAlias = list[Callable[[Path], None]]


def make(place: Path, workers: int = 2) -> None:
    """A folder with entries in each shard."""
    with Folder.open(place, workers=workers) as opened:
        for name in LISTS:
            with opened.open_shard(stable_hash(name) % workers) as shard:
                shard.apply([AddEntries(name, (Entry(id=1, title=f"precious of {name}"),))])


def make_with_one_list(place: Path) -> None:
    """A folder most of whose shards hold nothing, as of somebody who has just begun."""
    with Folder.open(place, workers=3) as opened, opened.open_shard(stable_hash(LISTS[0]) % 3) as shard:
        shard.apply([AddEntries(LISTS[0], (Entry(id=1, title="precious and alone"),))])


def with_logs(place: Path, target: Path) -> None:
    """A copy as a kill leaves it: with what was written last in the logs."""
    with Folder.open(place) as opened:
        shards = [opened.open_shard(index) for index in range(opened.description.workers)]
        for name in LISTS:
            shard = shards[stable_hash(name) % len(shards)]
            shard.apply([AddEntries(name, (Entry(id=2, title=f"in the log of {name}"),))])
        shutil.copytree(place, target)
        for shard in shards:
            shard.close()


def stopped(place: Path, target: Path, act: Callable[[Path], object]) -> Iterator[Path]:
    """Copies of `place` as it is at each step of `act`, as a kill there would leave it."""
    steps: list[Path] = []
    patch = pytest.MonkeyPatch()

    def spied(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            copy = target / f"step {len(steps)}"
            shutil.copytree(place, copy, ignore_dangling_symlinks=True)
            steps.append(copy)
            return function(*args, **kwargs)

        return call

    patch.setattr(folder, "_sync", spied(folder._sync))
    patch.setattr(folder, "write_description", spied(folder.write_description))
    patch.setattr(folder, "remove_shards", spied(remove_shards))
    patch.setattr(Path, "rename", spied(Path.rename))
    patch.setattr(Path, "unlink", spied(Path.unlink))
    patch.setattr(Path, "rmdir", spied(Path.rmdir))
    try:
        act(place)
    finally:
        patch.undo()
    yield from steps


def backed_up(place: Path) -> None:
    """A backup inside of the folder, so that it is stopped together with it."""
    with Folder.open(place) as opened:
        copy = opened.begin_backup(place / "backup")
        for index in range(opened.description.workers):
            with opened.open_shard(index) as shard:
                shard.backup(copy.shard_path(index))
            folder._sync(place)
        copy.finish()


def bases(tmp_path: Path) -> dict[str, Path]:
    """Folders as commands leave them, whole or stopped in the middle."""
    first = tmp_path / "made"
    make(first)
    found = {"made": first}
    make_with_one_list(tmp_path / "one list")
    found["made with one list"] = tmp_path / "one list"
    again = tmp_path / "resharded"
    shutil.copytree(first, again)
    reshard(again, 3)
    found["resharded"] = again
    logs = tmp_path / "logs"
    with_logs(shutil.copytree(first, tmp_path / "to be logged"), logs)
    found["with logs"] = logs
    acts: dict[str, Callable[[Path], object]] = {"reshard": partial(reshard, workers=3), "backup": backed_up}
    for what, act in acts.items():
        (tmp_path / what).mkdir()
        working = shutil.copytree(first, tmp_path / what / "working")
        for number, step in enumerate(stopped(working, tmp_path / what, act)):
            if what == "reshard":
                found[f"reshard stopped at step {number}"] = step
            elif (step / "backup").is_dir():
                found[f"backup stopped at step {number}"] = step / "backup"
    return found


def mutilations(base: Path, other_json: dict[str, str]) -> dict[str, Act]:
    """What can have happened to the files of a folder, by name: to `todo.json`, and to each shard."""
    shards = sorted(str(path.relative_to(base)) for path in base.glob("shards-*/*.db"))
    described: dict[str, Act] = {
        "todo.json as it is": [],
        "no todo.json": [partial(_remove, "todo.json")],
        "todo.json cut off": [partial(_write, "todo.json", '{"format": "todo fo')],
        "no todo.json, a foreign file": [partial(_remove, "todo.json"), partial(_write, ".DS_Store", "...")],
        "todo.json under another name": [partial(_rename, "todo.json", "todo.json.bak")],
        "todo.json is a folder": [partial(_remove, "todo.json"), partial(_make_folder, "todo.json")],
        "todo.json of no object": [partial(_write, "todo.json", "[]")],
    }
    for what, text in other_json.items():
        described[f"todo.json {what}"] = [partial(_write, "todo.json", text)]
    files: dict[str, Act] = {"all shards": [], "no lock": [partial(_remove, "lock")]}
    for shard in shards:
        files[f"{shard} missing"] = [partial(_remove, shard)]
        files[f"{shard} emptied"] = [partial(_write, shard, "")]
        files[f"{shard} overwritten"] = [partial(_write, shard, "\xff" * 9000)]
        files[f"only {shard}"] = [partial(_keep_only, shard)]
        files[f"a list of {shard} gone"] = [partial(_without_a_list, shard)]
        files[f"log of {shard} missing"] = [partial(_remove, f"{shard}-wal")]
    return {
        f"{first}, {second}": one + two for first, one in described.items() for second, two in files.items()
    }


def others(made: Path, resharded: Path) -> dict[str, str]:
    """Descriptions of other ages and of other folders."""
    now: dict[str, Any] = json.loads((made / "todo.json").read_text())
    return {
        "of before the reshard": json.dumps(now),
        "of after the reshard": (resharded / "todo.json").read_text(),
        "of another count": json.dumps({**now, "workers": 5}),
        "of another folder": json.dumps({**now, "folder_id": "0" * 32}),
        "of a later generation": json.dumps({**now, "generation": 9}),
    }


def _write(file: str, text: str, place: Path) -> None:
    (place / file).write_text(text, encoding="latin-1")


def _remove(file: str, place: Path) -> None:
    (place / file).unlink(missing_ok=True)


def _rename(file: str, name: str, place: Path) -> None:
    if (place / file).exists():
        (place / file).rename(place / name)


def _make_folder(name: str, place: Path) -> None:
    (place / name).mkdir()


def _without_a_list(shard: str, place: Path) -> None:
    """What is left are entries that no list has."""
    if (place / f"{shard}-wal").exists():
        return  # it would be written into the file
    with closing(sqlite3.connect(place / shard)) as connection, connection:
        connection.execute("DELETE FROM lists WHERE id = (SELECT min(list_id) FROM entries)")


def _keep_only(shard: str, place: Path) -> None:
    for path in place.glob("shards-*/*.db*"):
        if not str(path.relative_to(place)).startswith(shard):
            path.unlink()


def files_of(place: Path) -> dict[str, bytes]:
    """Every file that may hold entries, and what is in it."""
    paths = (path for path in place.glob("shards-*/*") if path.name.endswith((".db", ".db-wal", ".part")))
    return {str(path.relative_to(place)): path.read_bytes() for path in paths}


def is_left_of_something(place: Path) -> bool:
    """Whether there are shards without a description. Only those of a folder that was being made may be made
    anew."""
    return not (place / "todo.json").is_file() and any(
        not name.startswith("shards-1.new") for name in files_of(place)
    )


def contents_of(place: Path, scratch: Path) -> Contents:
    """What can be read in any shard of a folder: for each list the longest that is there, and what is in
    none."""
    copy = shutil.copytree(place, scratch)
    found: Contents = {}
    for path in copy.glob("shards-*/*.db"):
        try:
            with open_for_reading(path) as shard:
                for name, todo_list in shard.dump():
                    titles = tuple(entry.title for entry in todo_list)
                    found[name] = max(found.get(name, ()), titles, key=len)
                rows = shard.database.conn.execute(
                    "SELECT title FROM entries WHERE list_id NOT IN (SELECT id FROM lists) ORDER BY key"
                )
                titles = tuple(title for (title,) in rows)
                if titles:
                    found[f"in no list, {titles[0]}"] = titles
        except (StorageError, sqlite3.Error):
            continue
    shutil.rmtree(copy)
    return found
