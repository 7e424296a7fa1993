"""What adding an entry touches: one shard, and none of the entries that are there."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from todo import (
    BadInput,
    DatabaseWorker,
    Entry,
    NotADatabase,
    StorageError,
    StorageFailed,
    TodoList,
    TodoServer,
    open_system,
)
from todo.cli import main
from todo.folder import Folder
from todo.shard import Shard
from trio_genserver import Request
from trio_genserver.pools import stable_hash

WORKERS = 8
NAMES = ["bob", "ann", "shopping", "list 7"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many shards, with some entries in some lists."""
    place = tmp_path_factory.mktemp("made") / "db"

    async def make() -> None:
        async with open_system(place, workers=WORKERS) as system:
            for name in NAMES:
                await system.call(
                    name, TodoServer.add_entries([Entry(title=f"{name} {n}") for n in range(3)])
                )
                await system.call(name, TodoServer.delete_entry(3))

    trio.run(make)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(made, tmp_path / "db")


@pytest.fixture
def opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the database files that are opened from here on, in whatever way."""
    names: set[str] = set()
    connect: Any = sqlite3.connect

    def connecting(database: Any, *args: Any, **kwargs: Any) -> Any:
        names.update(re.findall(r"[^/?]+\.db", str(database)))
        return connect(database, *args, **kwargs)

    monkeypatch.setattr(sqlite3, "connect", connecting)
    return names


@pytest.fixture
def loads_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Shard, name: str) -> TodoList:
        raise AssertionError(f"{name!r} was loaded")

    monkeypatch.setattr(Shard, "load", load)


def shard_of(name: str) -> str:
    return f"{stable_hash(name) % WORKERS}.db"


@pytest.mark.usefixtures("loads_nothing")
@pytest.mark.parametrize("name", [*NAMES, "new"])
def test_the_command_opens_the_shard_of_its_list_and_no_other(
    place: Path, opened: set[str], name: str
) -> None:
    result = CliRunner().invoke(main, ["--json", "--folder", str(place), "add", name, "milk"])
    assert result.exit_code == 0, result.output
    assert f'"id": {1 if name == "new" else 4}' in result.output
    assert opened == {shard_of(name)}


@pytest.mark.parametrize(
    "words", [["list", "bob"], ["done", "bob", "1"], ["edit", "bob", "1", "--title", "x"], ["rm", "bob", "1"]]
)
def test_so_do_the_other_commands_of_one_list(place: Path, opened: set[str], words: list[str]) -> None:
    result = CliRunner().invoke(main, ["--folder", str(place), *words])
    assert result.exit_code == 0, result.output
    assert opened == {shard_of("bob")}


@pytest.mark.usefixtures("loads_nothing")
async def test_adding_does_not_load_the_list_and_the_first_reader_gets_all_entries(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_system(place, for_list="bob") as system:
        bob = await system.cache.server("bob")
        assert (await bob.call(TodoServer.add_entry(Entry(title="4")))).id == 4
        many = await bob.call(TodoServer.add_entries([Entry(title="5"), Entry(title="6")]))
        assert [entry.id for entry in many] == [5, 6]
        assert await bob.call(TodoServer.add_entries([])) == ()
        await bob.cast(TodoServer.add_entry(Entry(title="7")))
        assert (await bob.call(TodoServer.add_entry(Entry(title="8")))).id == 8
        monkeypatch.undo()
        assert [entry.id for entry in await bob.call(TodoServer.entries())] == [1, 2, 4, 5, 6, 7, 8]
        assert (await bob.call(TodoServer.add_entry(Entry(title="9")))).id == 9
        stored = await system.database.worker_for("bob").call(DatabaseWorker.load("bob"))
        assert await bob.call(TodoServer.snapshot()) == stored


@pytest.mark.usefixtures("loads_nothing")
async def test_a_new_list_is_known_without_loading_it(place: Path) -> None:
    async with open_system(place) as system:
        new = await system.cache.server("new")
        await new.call(TodoServer.add_entry(Entry(title="1")))
        await new.call(TodoServer.add_entries([Entry(title="2"), Entry(title="3")]))
        await new.call(TodoServer.delete_entry(2))
        assert [entry.id for entry in await new.call(TodoServer.entries())] == [1, 3]


READS: dict[str, Callable[[], Any]] = {
    "entries": lambda: TodoServer.entries(),
    "between": lambda: TodoServer.entries_between(Entry, Entry),  # type: ignore[arg-type]  # no days
    "entry": lambda: TodoServer.entry("one"),  # type: ignore[arg-type]  # no number
    "size": lambda: TodoServer.size(),
    "snapshot": lambda: TodoServer.snapshot(),
    "update": lambda: TodoServer.update_entry(1, lambda entry: entry.with_title("x" * (1 // 0))),
    "delete": lambda: TodoServer.delete_entry("one"),  # type: ignore[arg-type]  # no number
}


@pytest.mark.parametrize("read", READS)
async def test_the_first_message_of_any_kind_is_answered_as_any_other(place: Path, read: str) -> None:
    """Also in what is wrong with it."""

    async def answer(loaded: bool) -> object:
        async with open_system(place) as system:
            bob = await system.cache.server("bob")
            if loaded:
                await bob.call(TodoServer.size())
            try:
                return await bob.call(READS[read]())
            except (BadInput, ZeroDivisionError) as error:
                assert bob.is_running
                return type(error), str(error)

    assert await answer(loaded=False) == await answer(loaded=True)


async def test_many_requests_for_a_list_that_is_not_loaded_are_answered_in_order(place: Path) -> None:
    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        requests: list[Request[Any]] = [
            bob.send_request(TodoServer.size()),
            bob.send_request(TodoServer.add_entry(Entry(title="4"))),
            bob.send_request(TodoServer.size()),
            bob.send_request(TodoServer.delete_entry(1)),
            bob.send_request(TodoServer.size()),
        ]
        answers: list[Any] = [await request.wait() for request in requests]
        assert (answers[0], answers[1].id, answers[2], answers[3].id, answers[4]) == (2, 4, 3, 1, 2)


async def test_after_a_failed_change_the_number_is_asked_for_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change may be on the disk or not."""
    apply = Shard.apply

    def done_and_failed(self: Shard, operations: Any) -> Any:
        monkeypatch.undo()
        apply(self, operations)
        raise StorageFailed(self.path, "writing", OSError("who knows"))

    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        assert (await bob.call(TodoServer.add_entry(Entry(title="4")))).id == 4
        monkeypatch.setattr(Shard, "apply", done_and_failed)
        with pytest.raises(StorageFailed, match="who knows"):
            await bob.call(TodoServer.add_entry(Entry(title="5")))
        assert (await bob.call(TodoServer.add_entry(Entry(title="6")))).id == 6
        assert [entry.title for entry in await bob.call(TodoServer.entries())][-3:] == ["4", "5", "6"]


@pytest.mark.parametrize("wrong", ["'x'", "2.5", "-id"])
async def test_an_invalid_next_number_is_refused_as_the_list_would_be(place: Path, wrong: str) -> None:
    path = place / "shards-1" / shard_of("bob")
    with sqlite3.connect(path) as connection:
        list_id = "(SELECT id FROM lists WHERE name = 'bob')"
        connection.execute(f"DELETE FROM entries WHERE list_id = {list_id} AND id > 1")
        connection.execute(f"UPDATE entries SET id = {wrong} WHERE list_id = {list_id}")
    connection.close()
    async with open_system(place) as system:
        for message in (TodoServer.add_entry(Entry(title="4")), TodoServer.size()):
            with pytest.raises(StorageFailed, match="loading the list 'bob'"):
                await system.call("bob", message)
        assert (await system.call("ann", TodoServer.add_entry(Entry(title="4")))).id == 4


def test_the_shard_of_the_list_is_looked_at_first_and_the_error_is_that_of_the_first(
    place: Path, opened: set[str]
) -> None:
    name = next(name for name in NAMES if shard_of(name) != "0.db")
    with Folder.open(place) as folder:
        folder.look_at_shards(name)
        assert opened == {shard_of(name)}
        for index in range(WORKERS - 1):
            folder.shard_path(index).write_bytes(b"no database " * 1000)
        folder.look_at_shards(name)
        folder.shard_path(WORKERS - 1).write_bytes(b"no database " * 1000)
        with pytest.raises(NotADatabase, match=r"/0\.db"):
            folder.look_at_shards(name)


async def test_a_name_that_no_list_can_have_and_a_shard_that_cannot_be_used_do_not_keep_it_from_opening(
    place: Path,
) -> None:
    (place / "shards-1" / shard_of("bob")).write_bytes(b"no database " * 1000)
    for for_list in ("bob", "a\nb", ""):
        async with open_system(place, for_list=for_list) as system:
            with pytest.raises(StorageError, match=re.escape(shard_of("bob"))):
                await system.call("bob", TodoServer.add_entry(Entry(title="4")))
