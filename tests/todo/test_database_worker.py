"""The worker: group commit, errors to whom they belong, and what it does when its file fails."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from todo import (
    DatabaseWorker,
    Entry,
    NotADatabase,
    OperationRefused,
    StorageError,
    StorageFailed,
    TodoList,
)
from todo.operations import AddEntries, Operation
from todo.shard import Shard
from todo.sqlite_errors import failure
from trio_genserver import Request, ServerCrashed, child_spec, open_server, open_supervisor


def add(name: str, number: int) -> AddEntries:
    return AddEntries(name, (Entry(id=number, title=f"entry {number}"),))


class Gate:
    """Opens a shard whose transactions wait until they are let through."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open = threading.Event()
        self.open.set()
        self.batches: list[int] = []
        self.began = 0

    def __call__(self) -> Shard:
        gate = self

        class Gated(Shard):
            def apply(self, operations: Sequence[Operation]) -> list[StorageError | None]:
                gate.began += 1
                gate.open.wait()
                gate.batches.append(len(operations))
                return super().apply(operations)

        return Gated.open(self.path, create=True)


async def let_settle(gate: Gate, began: int) -> None:
    """Until the thread is in that transaction and everybody else waits."""
    while gate.began < began:
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()


async def test_queued_operations_are_committed_together_and_then_answered(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "0.db")
    async with open_server(DatabaseWorker, gate) as worker:
        gate.open.clear()
        requests = [worker.send_request(DatabaseWorker.apply(add("bob", 1)))]
        await let_settle(gate, 1)
        requests += [worker.send_request(DatabaseWorker.apply(add("bob", n))) for n in range(2, 30)]
        requests.append(worker.send_request(DatabaseWorker.apply(add("bob", 3))))
        await trio.testing.wait_all_tasks_blocked()
        assert not any(request.done for request in requests)
        gate.open.set()
        for request in requests[:-1]:
            await request.wait()
        with pytest.raises(OperationRefused):
            await requests[-1].wait()
        assert gate.batches == [1, 29]
        assert len(await worker.call(DatabaseWorker.load("bob"))) == 29


async def test_a_write_that_was_given_up_before_it_was_begun_is_not_made(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "0.db")
    async with open_server(DatabaseWorker, gate) as worker:
        gate.open.clear()
        first = worker.send_request(DatabaseWorker.apply(add("bob", 1)))
        await let_settle(gate, 1)
        second = worker.send_request(DatabaseWorker.apply(add("bob", 2)))
        await trio.testing.wait_all_tasks_blocked()
        second.abandon()
        first.abandon()  # this one was begun, and is made
        gate.open.set()
        loaded = await worker.call(DatabaseWorker.load("bob"))
        assert [entry.id for entry in loaded] == [1]


async def test_one_callers_messages_are_done_in_their_order(tmp_path: Path) -> None:
    async with open_server(DatabaseWorker, partial(Shard.open, tmp_path / "0.db", create=True)) as worker:
        sizes: list[Request[TodoList]] = []
        for number in range(1, 6):
            worker.send_request(DatabaseWorker.apply(add("bob", number)))
            sizes.append(worker.send_request(DatabaseWorker.load("bob")))
        assert [len(await size.wait()) for size in sizes] == [1, 2, 3, 4, 5]


async def test_a_shard_is_used_in_one_thread_that_is_not_trios(tmp_path: Path) -> None:
    threads: set[int] = set()

    class Watched(Shard):
        def apply(self, operations: Sequence[Operation]) -> list[StorageError | None]:
            threads.add(threading.get_ident())
            return super().apply(operations)

        def close(self) -> None:
            threads.add(threading.get_ident())
            super().close()

    async with open_server(DatabaseWorker, partial(Watched.open, tmp_path / "0.db", create=True)) as worker:
        for number in range(1, 10):
            await worker.call(DatabaseWorker.apply(add("bob", number)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_file_that_cannot_be_opened_fails_the_start_and_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "0.db").write_bytes(b"something else altogether" * 100)
    before = threading.active_count()
    with pytest.raises(NotADatabase):
        async with open_server(DatabaseWorker, partial(Shard.open, tmp_path / "0.db")):
            pass
    for thread in threading.enumerate():
        if thread.name.startswith("DatabaseWorker"):
            await trio.to_thread.run_sync(thread.join)
    assert threading.active_count() <= before + 1  # Trio's cache may hold the one that joined


async def test_after_an_error_of_the_disk_the_file_is_opened_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the error, the supervisor a crash, and the next caller a worker that works."""
    failing = [False]
    opened: list[Shard] = []

    class Failing(Shard):
        def apply(self, operations: Sequence[Operation]) -> list[StorageError | None]:
            if failing[0]:
                failing[0] = False
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise failure(self.path, "writing", error) from error
            return super().apply(operations)

    def open_shard() -> Shard:
        opened.append(Failing.open(tmp_path / "0.db", create=True))
        return opened[-1]

    async with open_supervisor([child_spec(DatabaseWorker, open_shard)]) as supervisor:
        worker = supervisor.child("DatabaseWorker", DatabaseWorker)
        await worker.call(DatabaseWorker.apply(add("bob", 1)))
        failing[0] = True
        with (
            caplog.at_level(logging.CRITICAL),
            pytest.raises(StorageFailed, match="disk I/O error") as caught,
        ):
            await worker.call(DatabaseWorker.apply(add("bob", 2)))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        while len(opened) < 2:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        await worker.call(DatabaseWorker.apply(add("bob", 3)))
        assert [entry.id for entry in await worker.call(DatabaseWorker.load("bob"))] == [1, 3]


async def test_waiting_callers_get_an_error_when_the_worker_crashes(tmp_path: Path) -> None:
    class Broken(Shard):
        def apply(self, operations: Sequence[Operation]) -> list[StorageError | None]:
            raise RuntimeError("a mistake in the program")

    with pytest.raises(RuntimeError, match="mistake"):
        async with open_server(
            DatabaseWorker, partial(Broken.open, tmp_path / "0.db", create=True)
        ) as worker:
            with pytest.raises(ServerCrashed):
                await worker.call(DatabaseWorker.apply(add("bob", 1)))
            await trio.sleep_forever()
