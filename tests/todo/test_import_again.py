"""An import that was killed at any moment is taken up by the next run, which adds nothing twice."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from tests.todo.acknowledged import contents
from tests.todo.folder_states import files_of
from todo import Entry, StorageFailed, System, TodoServer, open_system
from todo.cli import main
from todo.folder import Folder
from todo.formats import Listed
from todo.import_export import Import, import_listed
from todo.reshard import reshard
from todo.shard import Shard
from todo.shard_notes import read_notes
from trio_genserver.pools import stable_hash

ROOT = Path(__file__).parents[2]
LENGTHS = {"long": 1300, "short": 2, "other": 600}


def lines_of(lengths: dict[str, int]) -> str:
    # Some of them are equal to one another: how many there are must be right, too.
    return "".join(
        f"of {name} {n // 2} list:{name}\n" for name, count in lengths.items() for n in range(count)
    )


def titles_of(lengths: dict[str, int]) -> dict[str, list[str]]:
    return {name: [f"of {name} {n // 2}" for n in range(count)] for name, count in lengths.items()}


def titles_in(place: Path) -> dict[str, list[str]]:
    return {name: [entry.title for entry in entries] for name, entries in contents(place).items()}


def todo(place: Path, *words: object) -> Result:
    result = CliRunner().invoke(main, ["--folder", str(place), *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class Importer:
    """Imports that end themselves at a step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, place: Path, file: Path, deadly: int) -> int:
        """Returns how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place}\t{file}\t{deadly}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def importer() -> Iterator[Importer]:
    command = [sys.executable, "-m", "tests.todo.importer"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Importer(process)
        assert process.stdin is not None
        process.stdin.close()


def nothing(place: Path, tmp_path: Path) -> Path:
    del tmp_path
    return place


def resharded(place: Path, tmp_path: Path) -> Path:
    del tmp_path
    reshard(place, 5)
    return place


def resharded_twice(place: Path, tmp_path: Path) -> Path:
    del tmp_path
    reshard(place, 1)
    reshard(place, 3)
    return place


def in_a_backup(place: Path, tmp_path: Path) -> Path:
    target = tmp_path / f"backup of {place.name}"
    assert todo(place, "backup", target).exit_code == 0
    return target


def after_others(place: Path, tmp_path: Path) -> Path:
    other = tmp_path / "other.txt"
    other.write_text("another list:long\n", encoding="utf-8")
    assert todo(place, "import", other).exit_code == 0
    assert todo(place, "add", "short", "added").exit_code == 0
    return place


@pytest.mark.parametrize("between", [nothing, resharded, resharded_twice, in_a_backup, after_others])
def test_killed_at_any_step_the_next_run_adds_what_is_missing(
    importer: Importer, tmp_path: Path, between: Callable[[Path, Path], Path]
) -> None:
    file = tmp_path / "todo.txt"
    file.write_text(lines_of(LENGTHS), encoding="utf-8")
    with Folder.open(tmp_path / "made"):
        pass
    step = 0
    taken_up = 0
    while True:
        place = shutil.copytree(tmp_path / "made", tmp_path / f"db {step}")
        ended = importer.run(place, file, step)
        if (tmp_path / "told").exists():
            break
        assert ended == -signal.SIGKILL
        place = between(place, tmp_path)
        again = todo(place, "import", file, "--json")
        assert again.exit_code == 0, again.output
        said = json.loads(again.stdout)
        assert said["imported"] == sum(LENGTHS.values())
        taken_up += "imported_before" in said
        found = titles_in(place)
        if between is after_others:
            found["long"].remove("another")
            found["short"].remove("added")
        assert found == titles_of(LENGTHS), step
        # Where more happens in between, some of the steps will do.
        step += 1 if between is nothing else 4
    assert step > 15
    assert taken_up > (10 if between is nothing else 2)


def test_an_import_that_came_to_its_end_adds_again(importer: Importer, tmp_path: Path) -> None:
    """On purpose, then; and nothing is left of how far it had come."""
    file, place = tmp_path / "todo.txt", tmp_path / "db"
    file.write_text(lines_of({"short": 2, "other": 3}), encoding="utf-8")
    for _ in range(2):
        assert "imported_before" not in json.loads(todo(place, "import", file, "--json").stdout)
    assert {name: len(titles) for name, titles in titles_in(place).items()} == {"short": 4, "other": 6}
    with Folder.open(place) as folder:
        for index in range(folder.description.workers):
            with folder.open_shard(index) as shard:
                keys = shard.database.conn.execute("SELECT key FROM shard").fetchall()
                assert keys == [("identity",)]


def test_another_order_of_the_same_lists_is_the_same_import(importer: Importer, tmp_path: Path) -> None:
    file, place = tmp_path / "todo.txt", tmp_path / "db"
    file.write_text(lines_of({"short": 2, "other": 600}), encoding="utf-8")
    assert importer.run(place, file, 3) == -signal.SIGKILL
    file.write_text(lines_of({"other": 600, "short": 2}), encoding="utf-8")
    assert todo(place, "import", file).exit_code == 0
    assert titles_in(place) == titles_of({"short": 2, "other": 600})


@pytest.mark.parametrize("between", [nothing, resharded])
def test_a_shard_that_does_not_answer_keeps_its_lists_from_being_added_to_twice(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: Callable[[Path, Path], Path]
) -> None:
    """Another program may hold it locked for a moment, and let go of it before the first entry is added."""
    file = tmp_path / "todo.txt"
    lengths = dict.fromkeys(map(str, range(12)), 2)
    file.write_text(lines_of(lengths), encoding="utf-8")
    # Not at the very end: then each shard would know that all was done.
    assert importer.run(tmp_path / "db", file, 6) == -signal.SIGKILL
    place = between(tmp_path / "db", tmp_path)
    before = titles_in(place)
    assert before

    def locked(shard: Shard, prefix: str) -> dict[str, str]:
        if shard.path.name in locked_ones:
            raise StorageFailed(shard.path, "reading notes", OSError("it is locked"))
        return read_notes(shard, prefix)

    locked_ones = {"0.db"}
    monkeypatch.setattr("todo.database_worker.read_notes", locked)
    refused = todo(place, "import", file)
    assert refused.exit_code == 2
    assert "it is locked" in refused.stderr
    assert titles_in(place) == before
    # It concerns who needs it.
    mine = next(
        name for name in map(str, range(99)) if stable_hash(name) % (5 if between is resharded else 3)
    )
    (tmp_path / "mine.txt").write_text(f"mine list:{mine}\n", encoding="utf-8")
    locked_ones.clear()
    assert todo(place, "import", file).exit_code == 0
    assert titles_in(place) == titles_of(lengths)
    locked_ones.add("0.db")
    assert todo(place, "import", tmp_path / "mine.txt").exit_code == 0
    assert "mine" in titles_in(place)[mine]


def test_two_at_once_add_both(tmp_path: Path) -> None:
    listed = [Listed("bob", Entry(title=f"entry {n}")) for n in range(1100)]
    done: list[Import] = []

    async def one(system: System) -> None:
        done.append(await import_listed(system, listed))

    async def both() -> int:
        async with open_system(tmp_path / "db") as system:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one, system)
                nursery.start_soon(one, system)
            return await system.call("bob", TodoServer.size())

    assert trio.run(both) == 2200
    assert [(one.imported, one.before) for one in done] == [(1100, 0), (1100, 0)]


def test_an_import_whose_report_failed_is_not_done_twice(tmp_path: Path) -> None:
    listed = [Listed("bob", Entry(title="entry"))]

    def fails(_: Import) -> None:
        raise OSError("nobody listens")

    async def use() -> tuple[int, int]:
        async with open_system(tmp_path / "db") as system:
            with pytest.raises(OSError, match="nobody"):
                await import_listed(system, listed, tell=fails)
            again = await import_listed(system, listed)
            return again.before, await system.call("bob", TodoServer.size())

    assert trio.run(use) == (1, 1)


@pytest.mark.torture
def test_killed_at_random_the_next_run_adds_what_is_missing(
    tmp_path: Path, dose: Callable[[int], int]
) -> None:
    draw = random.Random(30)
    lengths = {f"list {n}": draw.choice([1, 3, 700, 1500]) for n in range(40)}
    file = tmp_path / "todo.txt"
    file.write_text(
        "".join(
            f"{n} list:{name.replace(' ', '%20')}\n" for name, count in lengths.items() for n in range(count)
        )
    )
    killed = 0
    for number in range(dose(20)):
        place = tmp_path / f"db {number}"
        command = [sys.executable, "-m", "todo", "--folder", str(place), "import", str(file)]
        runs = 0
        while True:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                try:
                    said, _ = process.communicate(timeout=draw.uniform(0.2, 2.5) if runs < 5 else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    said, _ = process.communicate()
            runs += 1
            # What it has said counts, also if it was killed right after that.
            if process.returncode == 0 or b"imported" in said:
                break
            killed += 1
        assert {name: len(titles) for name, titles in titles_in(place).items()} == lengths
        shutil.rmtree(place)
    assert killed


def test_an_import_that_lacks_the_shard_of_its_list_changes_no_other(tmp_path: Path) -> None:
    with Folder.open(tmp_path / "made"):
        pass
    # A copy is not in the mode that a shard gets when it is opened to be written to.
    place = in_a_backup(tmp_path / "made", tmp_path)
    shards = sorted(place.glob("shards-*/*.db"))
    shards[stable_hash("mine") % len(shards)].unlink()
    before = files_of(place)
    (tmp_path / "mine.txt").write_text("mine list:mine\n", encoding="utf-8")
    assert todo(place, "import", tmp_path / "mine.txt").exit_code == 2
    assert files_of(place) == before
