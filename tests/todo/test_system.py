"""The whole system: the chapter's own checks, restarts, bad input, crashes, idle lists."""

from __future__ import annotations

import datetime
import logging
import math
import sqlite3
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from todo import (
    BadInput,
    Entry,
    FolderInUse,
    InvalidEntry,
    InvalidListName,
    NotADatabase,
    StorageError,
    StorageFailed,
    System,
    TodoCache,
    TodoServer,
    WrongWorkerCount,
    open_system,
)
from todo.check import check
from todo.shard import Shard
from trio_genserver import ServerError, ServerNotRunning, ServerRef, handle_call
from trio_genserver.pools import stable_hash

DAY = datetime.date(2023, 12, 19)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "db"


async def titles(system: System, name: str, date: datetime.date | None = None) -> list[str]:
    return [entry.title for entry in await system.call(name, TodoServer.entries(date))]


async def test_the_same_name_is_the_same_server_and_another_name_another(place: Path) -> None:
    async with open_system(place, workers=3) as system:
        bob = await system.cache.server("bob")
        assert await system.cache.server("bob") is bob
        assert await system.cache.server("alice") is not bob


async def test_one_server_a_name_also_when_many_ask_at_once(place: Path) -> None:
    async with open_system(place) as system:
        found: list[ServerRef[TodoServer]] = []

        async def ask() -> None:
            found.append(await system.cache.server("bob"))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert len(found) == 50
        assert len({id(server) for server in found}) == 1
        assert len(system.cache) == 1


async def test_entries_survive_a_restart(place: Path) -> None:
    async with open_system(place, workers=3) as system:
        bob = await system.cache.server("bob")
        added = await bob.call(TodoServer.add_entry(Entry(date=DAY, title="Dentist")))
        assert added.id == 1
        await bob.call(TodoServer.add_entries([Entry(title="Shopping"), Entry(title="Movies")]))
        await bob.call(TodoServer.update_entry(2, lambda entry: entry.as_done(DAY)))
        assert (await bob.call(TodoServer.delete_entry(3))) == Entry(title="Movies", id=3)
        before = await bob.call(TodoServer.snapshot())
    async with open_system(place, workers=3) as system:
        assert await system.call("bob", TodoServer.snapshot()) == before
        assert await titles(system, "bob", DAY) == ["Dentist"]
        again = await system.call("bob", TodoServer.add_entry(Entry(title="Fourth")))
        assert again.id == 4


async def test_a_cast_is_handled_before_a_later_call_and_before_the_system_ends(place: Path) -> None:
    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        await bob.cast(TodoServer.add_entry(Entry(title="first")))
        assert await titles(system, "bob") == ["first"]
        for number in range(20):
            await bob.cast(TodoServer.add_entry(Entry(title=f"late {number}")))
    async with open_system(place) as system:
        assert len(await titles(system, "bob")) == 21


async def test_the_same_key_has_the_same_worker_always(place: Path) -> None:
    names = [f"list {number}" for number in range(200)]
    async with open_system(place, workers=4) as system:
        first = [system.database.workers.index(system.database.worker_for(name)) for name in names]
        assert system.database.worker_for("bob") is system.database.worker_for("bob")
    async with open_system(place, workers=4) as system:
        again = [system.database.workers.index(system.database.worker_for(name)) for name in names]
    assert again == first
    assert set(first) == {0, 1, 2, 3}


async def test_lists_search_and_days_reach_over_all_shards(place: Path) -> None:
    async with open_system(place, workers=4) as system:
        for number in range(20):
            day = DAY + datetime.timedelta(days=number)
            await system.call(f"list {number:02}", TodoServer.add_entry(Entry(title="buy milk", date=day)))
        await system.call("list 03", TodoServer.add_entry(Entry(title="buy bread")))
        assert [summary.name for summary in await system.database.lists()] == [
            f"list {number:02}" for number in range(20)
        ]
        assert len(await system.database.search("milk")) == 20
        assert len(await system.database.search("milk", limit=7)) == 7
        assert [found.list for found in await system.database.search("brea")] == ["list 03"]
        found = await system.database.between(DAY, DAY + datetime.timedelta(days=2))
        assert [f.list for f in found] == ["list 00", "list 01", "list 02"]
        assert await system.database.check() == [[], [], [], []]


async def test_bad_input_is_refused_and_the_server_and_its_data_stay(place: Path) -> None:
    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        await bob.call(TodoServer.add_entry(Entry(title="Dentist")))
        for name in ("", " ", "x" * 201, "a\nb"):
            with pytest.raises(InvalidListName):
                await system.cache.server(name)
        with pytest.raises(InvalidEntry, match="date"):
            await bob.call(TodoServer.entries("tomorrow"))  # type: ignore[arg-type]  # the point
        with pytest.raises(InvalidEntry, match="an Entry"):
            await bob.call(TodoServer.add_entry("Dentist"))  # type: ignore[arg-type]  # the point
        with pytest.raises(InvalidEntry, match="an Entry"):
            await bob.call(TodoServer.add_entries([Entry(title="x"), None]))  # type: ignore[list-item]  # the point
        with pytest.raises(ZeroDivisionError):
            await bob.call(TodoServer.update_entry(1, lambda entry: entry.with_title("x" * (1 // 0))))
        assert await system.cache.server("bob") is bob
        assert await titles(system, "bob") == ["Dentist"]


async def test_a_folder_that_cannot_be_used_is_an_error_that_says_why(place: Path) -> None:
    async with open_system(place, workers=2) as system:
        await system.call("bob", TodoServer.add_entry(Entry(title="Dentist")))
        with pytest.raises(FolderInUse):
            async with open_system(place):
                pass
    with pytest.raises(WrongWorkerCount):
        async with open_system(place, workers=3):
            pass
    with pytest.raises(BadInput, match="idle_seconds"):
        async with open_system(place, idle_seconds=0):
            pass
    shard = place / "shards-1" / "1.db"
    content = shard.read_bytes()
    shard.write_bytes(b"no database " * 1000)
    other = place / "shards-1" / "0.db"
    other.rename(other.with_suffix(".away"))
    with pytest.raises(StorageError, match="missing"):
        async with open_system(place):
            pass
    other.with_suffix(".away").rename(other)
    assert shard.read_bytes() == b"no database " * 1000
    shard.write_bytes(content)
    async with open_system(place) as system:
        assert await titles(system, "bob") == ["Dentist"]


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_shard_that_cannot_be_used_concerns_its_lists_alone(place: Path, read_only: bool) -> None:
    many = [f"list {number}" for number in range(99)]
    names = [next(name for name in many if stable_hash(name) % 2 == index) for index in (0, 1)]
    async with open_system(place, workers=2) as system:
        for name in names:
            await system.call(name, TodoServer.add_entry(Entry(title=f"of {name}")))
    shard = place / "shards-1" / "1.db"
    content = shard.read_bytes()
    shard.write_bytes(b"no database " * 1000)
    async with open_system(place, read_only=read_only) as system:
        for _ in range(5):
            with pytest.raises(NotADatabase, match=r"1\.db"):
                await system.call(names[1], TodoServer.entries())
            assert await titles(system, names[0]) == [f"of {names[0]}"]
        with pytest.raises(NotADatabase):
            await system.database.lists()
        failed: list[StorageError] = []
        assert [one.name for one in await system.database.lists(failed=failed)] == [names[0]]
        assert [one.list for one in await system.database.search("of", failed=failed)] == [names[0]]
        assert [type(error) for error in failed] == [NotADatabase, NotADatabase]
        # Mended, it is used again; the failure before that is told to the next one who asks.
        shard.write_bytes(content)
        with pytest.raises(NotADatabase):
            await system.call(names[1], TodoServer.entries())
        assert await titles(system, names[1]) == [f"of {names[1]}"]


async def test_a_storage_error_in_the_block_is_the_blocks_own(place: Path) -> None:
    with pytest.raises(StorageFailed, match="mine"):
        async with open_system(place):
            raise StorageFailed(place, "mine", OSError("x"))
    async with open_system(place):
        pass


async def test_an_idle_list_leaves_the_memory_and_comes_back_whole(
    place: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_system(place, idle_seconds=60) as system:
        bob = await system.cache.server("bob")
        busy = await system.cache.server("busy")
        await bob.call(TodoServer.add_entry(Entry(title="Dentist")))
        for _ in range(10):
            mock_clock.jump(20)
            await trio.testing.wait_all_tasks_blocked()
            await busy.call(TodoServer.size())
        assert not bob.is_running
        assert busy.is_running
        assert len(system.cache) == 1
        with pytest.raises(ServerNotRunning):
            await bob.call(TodoServer.entries())
        assert await titles(system, "bob") == ["Dentist"]
        # The reference that was held is good again, too.
        assert await bob.call(TodoServer.size()) == 1


async def test_a_list_with_work_in_its_mailbox_does_not_expire(
    place: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_system(place, idle_seconds=math.inf) as system:
        bob = await system.cache.server("bob")
        mock_clock.jump(1000)
        bob.cast_nowait(TodoServer.expire(trio.current_time()))
        request = bob.send_request(TodoServer.add_entry(Entry(title="Dentist")))
        assert (await request.wait()).id == 1
        await bob.cast(TodoServer.expire(trio.current_time() - 1))
        assert await titles(system, "bob") == ["Dentist"]


class Crashable(TodoServer):
    @handle_call
    def crash(self) -> None:
        raise RuntimeError("crash")


async def test_a_crashed_list_is_started_again_by_the_next_request(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("todo.cache.TodoServer", Crashable)
    async with open_system(place) as system:
        await system.call("bob", TodoServer.add_entry(Entry(title="Dentist")))
        bob = await system.cache.server("bob")
        with caplog.at_level(logging.CRITICAL), pytest.raises(ServerError, match="crash"):
            await bob.call(Crashable.crash())  # type: ignore[arg-type]  # it is one, here
        assert await titles(system, "bob") == ["Dentist"]
        assert len(system.cache) == 1


async def test_a_crashed_cache_finds_the_running_servers_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(self: TodoCache, name: str) -> None:
        monkeypatch.undo()
        raise RuntimeError("crash")

    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        monkeypatch.setattr(TodoCache, "start_server", crash)
        with caplog.at_level(logging.CRITICAL), pytest.raises(ServerError, match="crash"):
            await system.cache.server("alice")
        await trio.testing.wait_all_tasks_blocked()
        assert await system.cache.server("bob") is bob
        assert await system.cache.server("alice") is not bob


async def test_a_crashed_worker_is_started_again_and_the_lists_go_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_system(place, workers=1) as system:
        bob = await system.cache.server("bob")
        await bob.call(TodoServer.add_entry(Entry(title="kept")))

        def fail(self: Shard, operations: object) -> None:
            monkeypatch.undo()
            raise RuntimeError("a mistake in the program")

        monkeypatch.setattr(Shard, "apply", fail)
        with caplog.at_level(logging.CRITICAL), pytest.raises(ServerError, match="mistake"):
            await bob.call(TodoServer.add_entry(Entry(title="lost, and its caller knows")))
        for _ in range(1000):
            try:
                await bob.call(TodoServer.add_entry(Entry(title="after")))
                break
            except ServerError:
                await trio.lowlevel.checkpoint()
        assert await titles(system, "bob") == ["kept", "after"]


async def test_a_list_that_cannot_be_loaded_says_so_and_recovers(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_system(place) as system:
        await system.call("bob", TodoServer.add_entry(Entry(title="Dentist")))
    async with open_system(place) as system:

        def fail(self: Shard, name: str) -> None:
            monkeypatch.undo()
            raise StorageFailed(self.path, "loading a list", OSError("try again"))

        monkeypatch.setattr(Shard, "load", fail)
        with caplog.at_level(logging.CRITICAL), pytest.raises(StorageFailed, match="try again"):
            await system.call("bob", TodoServer.entries())
        for _ in range(1000):
            try:
                assert await titles(system, "bob") == ["Dentist"]
                break
            except ServerError:
                await trio.lowlevel.checkpoint()
        else:
            pytest.fail("it did not recover")


async def test_a_damaged_page_fails_only_the_requests_that_need_it(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_system(place, workers=1) as system:
        for name in ("bob", "ann"):
            many = [Entry(title=f"{name} {number} {'x' * 500}") for number in range(200)]
            await system.call(name, TodoServer.add_entries(many))
    shard = place / "shards-1" / "0.db"
    content = bytearray(shard.read_bytes())
    # A page in the midst of the entries of the second list, far from the tables' own descriptions.
    page = content.index(b"ann 100 ") // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    shard.write_bytes(content)
    async with open_system(place) as system:
        # However often: one damaged list does not take the others down.
        for _ in range(10):
            with caplog.at_level(logging.CRITICAL), pytest.raises(StorageFailed, match="malformed") as caught:
                await system.call("ann", TodoServer.entries())
            assert "todo check" in str(caught.value)
            assert len(await titles(system, "bob")) == 200
        (problems,) = await system.database.check()
        assert problems


async def test_a_shard_that_another_program_locks_is_told_and_works_again_afterwards(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = partial(Shard.open, busy_seconds=0.01)
    monkeypatch.setattr("todo.folder.Shard.open", impatient)
    async with open_system(place, workers=1) as system:
        await system.call("bob", TodoServer.add_entry(Entry(title="before")))
        other = sqlite3.connect(place / "shards-1" / "0.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.CRITICAL), pytest.raises(StorageFailed, match="locked"):
            await system.call("bob", TodoServer.add_entry(Entry(title="refused")))
        other.execute("ROLLBACK")
        other.close()
        await system.call("bob", TodoServer.add_entry(Entry(title="after")))
        assert await titles(system, "bob") == ["before", "after"]


async def test_a_backup_of_a_running_system_is_a_folder_of_its_own(place: Path, tmp_path: Path) -> None:
    async with open_system(place, workers=2) as system:
        for number in range(30):
            await system.call(f"list {number}", TodoServer.add_entry(Entry(title="before")))
        await system.backup(tmp_path / "copy")
        await system.call("list 1", TodoServer.add_entry(Entry(title="after")))
        async with open_system(tmp_path / "copy", workers=2) as copy:
            assert len(await copy.database.lists()) == 30
            assert await titles(copy, "list 1") == ["before"]


async def test_a_backup_during_writes_has_all_acknowledged_changes_and_no_partial_one(
    place: Path, tmp_path: Path
) -> None:
    names = [f"list {number}" for number in range(6)]
    acknowledged = dict.fromkeys(names, 0)
    async with open_system(place, workers=2) as system, trio.open_nursery() as nursery:

        async def write(name: str) -> None:
            while True:
                # Two entries an operation, so that half of one would be seen.
                added = await system.call(name, TodoServer.add_entries([Entry(title="a"), Entry(title="b")]))
                acknowledged[name] = added[-1].id

        for name in names:
            await system.call(name, TodoServer.add_entries([Entry(title="x" * 1000) for _ in range(600)]))
            nursery.start_soon(write, name)
        while min(acknowledged.values()) < 610:
            await trio.lowlevel.checkpoint()
        before = dict(acknowledged)
        await system.backup(tmp_path / "copy")
        after = dict(acknowledged)
        nursery.cancel_scope.cancel()
    assert [report.problems for report in check(tmp_path / "copy").shards] == [[], []]
    async with open_system(tmp_path / "copy") as copy:
        for name in names:
            ids = [entry.id for entry in await copy.call(name, TodoServer.entries())]
            assert ids == list(range(1, len(ids) + 1))
            assert len(ids) % 2 == 0
            # What was under way when it ended may be in it.
            assert before[name] <= len(ids) <= after[name] + 2


async def test_logs_show_how_long_a_list_is_and_not_what_is_in_it(place: Path) -> None:
    async with open_system(place) as system:
        bob = await system.cache.server("bob")
        await bob.call(TodoServer.add_entry(Entry(title="secret")))
        server: TodoServer = bob._process.instance
        assert "secret" not in repr(server.format_status(dict(vars(server))))
