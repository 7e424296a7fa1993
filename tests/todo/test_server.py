"""The server of one list: long work lets others run, and what a caller does wrong is the caller's."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trio

from todo import (
    DatabaseWorker,
    Entry,
    InvalidEntry,
    OperationRefused,
    StorageError,
    TodoServer,
    open_system,
)
from todo.operations import Operation
from todo.server import A_PIECE
from todo.shard import Shard
from trio_genserver import ServerError

MANY = 20_000
DAY = datetime.date(2023, 12, 19)


async def test_others_are_answered_while_many_entries_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the pieces, and not only while the disk works."""
    answered = 0
    before_adding: list[int] = []
    before_saving: list[int] = []
    apply = Shard.apply

    def counting(self: Shard, operations: Sequence[Operation]) -> list[StorageError | None]:
        before_saving.append(answered)
        return apply(self, operations)

    async with open_system(tmp_path / "db", workers=2) as system, trio.open_nursery() as nursery:
        other = await system.cache.server("other")
        await other.call(TodoServer.add_entry(Entry(title="there")))
        bob = await system.cache.server("bob")
        monkeypatch.setattr(Shard, "apply", counting)

        async def ask() -> None:
            nonlocal answered
            while True:
                assert len(await other.call(TodoServer.entries())) == 1
                answered += 1

        def many() -> Iterator[Entry]:
            before_adding.append(answered)
            yield from (Entry(title=f"entry {n}") for n in range(MANY))

        nursery.start_soon(ask)
        added = await bob.call(TodoServer.add_entries(many()))
        nursery.cancel_scope.cancel()
    assert len(added) == MANY
    # Trio runs what is ready in any order, so another task has its turn once a piece, now and then twice.
    assert before_saving[0] - before_adding[0] >= MANY // A_PIECE // 4


async def test_another_message_to_the_same_list_comes_after_all_of_them(tmp_path: Path) -> None:
    async with open_system(tmp_path / "db", workers=1) as system:
        bob = await system.cache.server("bob")
        many = bob.send_request(
            TodoServer.add_entries(Entry(title=f"entry {n}") for n in range(10 * A_PIECE))
        )
        one = bob.send_request(TodoServer.add_entry(Entry(title="after")))
        assert [entry.id for entry in await many.wait()] == list(range(1, 10 * A_PIECE + 1))
        assert (await one.wait()).id == 10 * A_PIECE + 1


async def test_an_exception_of_the_iterable_reaches_the_caller_and_nothing_is_added(tmp_path: Path) -> None:
    def broken() -> Iterator[Entry]:
        for number in range(3 * A_PIECE):
            yield Entry(title=f"entry {number}")
        yield Entry(title="x" * (1 // 0))

    async with open_system(tmp_path / "db", workers=1) as system:
        bob = await system.cache.server("bob")
        with pytest.raises(ZeroDivisionError):
            await bob.call(TodoServer.add_entries(broken()))
        with pytest.raises(InvalidEntry, match="an Entry"):
            await bob.call(TodoServer.add_entries([*(Entry(title="x") for _ in range(3 * A_PIECE)), None]))  # type: ignore[list-item]  # the point
        with pytest.raises(TypeError):
            await bob.call(TodoServer.add_entries(5))  # type: ignore[arg-type]  # the point
        assert bob.is_running
        assert await bob.call(TodoServer.size()) == 0


async def test_a_list_that_is_stopped_while_adding_many_has_none_of_them(tmp_path: Path) -> None:
    async with open_system(tmp_path / "db", workers=1) as system:
        reached = trio.Event()

        def slow() -> Iterator[Entry]:
            for number in range(10 * A_PIECE):
                if number == 3 * A_PIECE:
                    reached.set()
                yield Entry(title=f"entry {number}")

        bob = await system.cache.server("bob")
        request = bob.send_request(TodoServer.add_entries(slow()))
        await reached.wait()
        bob._process.kill()
        with pytest.raises(Exception, match="bob"):
            await request.wait()
    async with open_system(tmp_path / "db") as system:
        assert await system.call("bob", TodoServer.size()) == 0


def held_up() -> tuple[Callable[..., list[StorageError | None]], threading.Event, threading.Event]:
    """A `Shard.apply` that waits: that, what tells that it has begun, and what lets it go on."""
    begun, go_on = threading.Event(), threading.Event()
    apply = Shard.apply

    def slow(self: Shard, operations: Sequence[Operation]) -> list[StorageError | None]:
        begun.set()
        go_on.wait()
        return apply(self, operations)

    return slow, begun, go_on


CHANGES = {
    "add": TodoServer.add_entry(Entry(title="new", date=DAY)),
    "add many": TodoServer.add_entries([Entry(title="new"), Entry(title="newer", date=DAY)]),
    "update": TodoServer.update_entry(1, lambda entry: entry.with_title("other").with_date(None)),
    "delete": TodoServer.delete_entry(1),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_known_only_after_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Neither while it is being saved nor after that has failed; and what was read before stays as it was."""
    slow, begun, go_on = held_up()

    def refused(self: Shard, operations: Sequence[Operation]) -> list[StorageError | None]:
        return [OperationRefused(self.path, operation, "it shall not be") for operation in operations]

    async with open_system(tmp_path / "db", workers=1) as system:
        bob = await system.cache.server("bob")
        await bob.call(TodoServer.add_entries([Entry(title="old", date=DAY), Entry(title="older")]))
        before = await bob.call(TodoServer.snapshot())
        stored = before.entries(), before.entries(DAY), before.next_id

        monkeypatch.setattr(Shard, "apply", refused)
        with pytest.raises(OperationRefused):
            await bob.call(CHANGES[change])
        assert await bob.call(TodoServer.snapshot()) == before

        monkeypatch.setattr(Shard, "apply", slow)
        request = bob.send_request(CHANGES[change])
        await trio.to_thread.run_sync(begun.wait)
        # Nobody reads meanwhile: its next message waits. So look into it.
        assert len(bob._process.instance._entries) == 2
        go_on.set()
        await request.wait()
        after = await bob.call(TodoServer.snapshot())
        assert after == await system.database.worker_for("bob").call(DatabaseWorker.load("bob"))
        assert after != before
        assert (before.entries(), before.entries(DAY), before.next_id) == stored


async def test_a_list_that_is_killed_while_a_change_is_being_saved_has_it_when_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, begun, go_on = held_up()

    async with open_system(tmp_path / "db", workers=1) as system:
        bob = await system.cache.server("bob")
        assert await bob.call(TodoServer.size()) == 0
        monkeypatch.setattr(Shard, "apply", slow)
        request = bob.send_request(TodoServer.add_entry(Entry(title="saved, and nobody told")))
        await trio.to_thread.run_sync(begun.wait)
        bob._process.kill()
        go_on.set()
        with pytest.raises(ServerError, match="bob"):
            await request.wait()
        (entry,) = await system.call("bob", TodoServer.entries())
        assert entry.title == "saved, and nobody told"
        assert (await system.call("bob", TodoServer.add_entry(Entry(title="next")))).id == 2
