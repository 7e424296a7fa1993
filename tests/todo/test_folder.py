"""The database folder: made whole, held by one, refused clearly, rewritten by a rename."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from todo import (
    BadFolder,
    BadInput,
    Entry,
    FolderInUse,
    NewerVersion,
    NotAFolder,
    StorageError,
    TodoServer,
    WrongWorkerCount,
    open_system,
)
from todo.folder import DEFAULT_WORKERS, MAX_WORKERS, Folder
from todo.restore import restore
from trio_genserver.pools import STABLE_HASH


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "db"


def test_a_new_folder_has_a_description(place: Path) -> None:
    with Folder.open(place, workers=4) as folder:
        assert folder.description.workers == 4
    described = json.loads((place / "todo.json").read_text())
    assert described["workers"] == 4
    assert described["hash"] == STABLE_HASH
    with Folder.open(place) as again:
        assert again.description == folder.description
        for index in range(4):
            again.open_shard(index).close()


def test_the_worker_count_is_fixed_when_the_folder_is_made(place: Path) -> None:
    with Folder.open(place) as folder:
        assert folder.description.workers == DEFAULT_WORKERS
    with pytest.raises(WrongWorkerCount, match=r"todo reshard .* --workers 5") as caught:
        Folder.open(place, workers=5)
    assert (caught.value.found, caught.value.wanted) == (DEFAULT_WORKERS, 5)


@pytest.mark.parametrize("workers", [0, -1, MAX_WORKERS + 1, True, 2.0, "3"])
def test_a_worker_count_that_cannot_be_makes_no_folder(place: Path, workers: int) -> None:
    with pytest.raises(BadInput, match="number of workers"):
        Folder.open(place, workers=workers)
    assert not place.exists()


def test_a_folder_is_held_by_one_at_a_time(place: Path) -> None:
    with Folder.open(place):
        with pytest.raises(FolderInUse) as caught:
            Folder.open(place)
        assert caught.value.pid == os.getpid()
    Folder.open(place).close()


def test_the_lock_of_a_killed_process_is_released(place: Path) -> None:
    hold = (
        "import sys; from todo.folder import Folder; folder = Folder.open(sys.argv[1]);"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse) as caught:
            Folder.open(place)
        assert caught.value.pid == child.pid
        child.kill()
    assert (place / "lock").exists()
    Folder.open(place).close()


def test_a_file_is_refused_as_a_folder(place: Path) -> None:
    place.write_text("notes")
    with pytest.raises(NotAFolder, match="it is a file"):
        Folder.open(place)
    assert place.read_text() == "notes"
    with pytest.raises(NotAFolder):
        Folder.open(place.parent / "no" / "such")


def test_a_folder_with_something_else_in_it_is_left_alone(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("...")
    with pytest.raises(BadFolder, match=r"thesis\.tex"):
        Folder.open(place)
    assert sorted(child.name for child in place.iterdir()) == ["thesis.tex"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", BadFolder),
        ("[]", BadFolder),
        ('{"format": "something"}', BadFolder),
        ('{"format": "todo folder", "version": 1}', BadFolder),
        ('{"format": "todo folder", "version": 99}', NewerVersion),
        (b"\xff\xfe", BadFolder),
    ],
)
def test_a_damaged_or_newer_description_is_refused(
    place: Path, text: str | bytes, error: type[StorageError]
) -> None:
    Folder.open(place).close()
    (place / "todo.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(error):
        Folder.open(place)
    # It was not taken, either.
    restore(place)
    Folder.open(place).close()


def test_a_folder_sharded_by_another_hash_is_refused(place: Path) -> None:
    Folder.open(place).close()
    described = json.loads((place / "todo.json").read_text())
    described["hash"] = "md5-v7"
    (place / "todo.json").write_text(json.dumps(described))
    with pytest.raises(NewerVersion, match="md5-v7"):
        Folder.open(place)


@contextlib.contextmanager
def unprivileged() -> Generator[None]:
    """Root may do everything, so be nobody meanwhile; who is not root stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that everybody may enter; those of pytest are for their owner only."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_folder_without_permission_is_refused_and_stays_as_it_is(open_place: Path) -> None:
    place = open_place / "db"
    place.mkdir()
    place.chmod(0o555)
    with unprivileged(), pytest.raises(NotAFolder, match="ermission"):
        Folder.open(place)
    assert list(place.iterdir()) == []
    with unprivileged(), pytest.raises(NotAFolder, match="ermission"):
        Folder.open(place / "new")


async def test_a_database_that_may_only_be_read_is_refused_and_is_whole_afterwards(open_place: Path) -> None:
    place = open_place / "db"
    with unprivileged():
        async with open_system(place, workers=1) as system:
            await system.call("bob", TodoServer.add_entry(Entry(title="kept")))
    shard = place / "shards-1" / "0.db"
    for file, mode in ((place / "lock", 0o444), (shard, 0o444), (shard, 0o000), (shard.parent, 0o555)):
        before = file.stat().st_mode
        file.chmod(mode)
        with unprivileged(), pytest.raises(StorageError) as caught:
            async with open_system(place):
                pass
        assert "may" in str(caught.value) or "ermission" in str(caught.value)
        assert str(place) in str(caught.value)
        file.chmod(before)
        async with open_system(place) as system:
            assert [entry.title for entry in await system.call("bob", TodoServer.entries())] == ["kept"]


def test_a_folder_whose_creation_was_killed_is_created_again(place: Path) -> None:
    Folder.open(place, workers=3).close()
    (place / "todo.json").rename(place / "todo.json.new")
    (place / "shards-1").rename(place / "shards-1.new")
    (place / "shards-1.new" / "2.db").write_bytes(b"")
    with Folder.open(place, workers=2) as folder:
        for index in range(2):
            with contextlib.closing(folder.open_shard(index)) as shard:
                assert shard.lists() == []
    assert sorted(file.name for file in place.glob("todo.json*")) == ["todo.json"]


def test_a_folder_that_shall_not_be_made_is_not_made(place: Path) -> None:
    with pytest.raises(NotAFolder, match="does not exist"):
        Folder.open(place, create=False)
    assert not place.exists()
    place.mkdir()
    with pytest.raises(NotAFolder, match="no lists"):
        Folder.open(place, create=False)
    assert list(place.iterdir()) == []
