"""`DatabaseWorker`, the server that owns one shard: its file, its connection, its thread.

The expensive part of a transaction is the disk sync at its end, which costs the same for one change as for a
hundred. So the mailbox never waits for the disk: messages are queued, and one child task takes all queued
ones, runs them in the thread as one transaction, and answers each when it is on disk. Meanwhile the next
batch gathers. No caller waits for a batch to fill up: a lone caller has the disk to itself.

A request whose caller gave up before the batch began is dropped.

When a write fails in a way that makes the connection unreliable (an I/O error), the callers get the error and
the worker crashes, so that its supervisor starts one that reopens the file. It goes on after an error that is
temporary (a full disk, another program's lock), one that reopening does not cure (a damaged page), and a
failed read: one bad list must not use up the restarts of all.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import trio

from trio_genserver import From, GenServer, handle_call

from .errors import StorageError
from .list import TodoList
from .operations import Note, Operation
from .shard import Found, ListSummary, Shard
from .shard_notes import forget_notes, read_notes, take_notes
from .sqlite_errors import needs_reopening
from .worker_thread import DedicatedThread

__all__ = ["MAX_BATCH", "DatabaseWorker", "OpenShard"]

MAX_BATCH: Final = 1000
"""The most jobs in one batch, so that the first of them does not wait forever."""

OpenShard: TypeAlias = Callable[[], Shard]

_Query: TypeAlias = Callable[[Shard], Any]
_Job: TypeAlias = "tuple[From[Any], Operation | None, _Query | None]"


class DatabaseWorker(GenServer):
    """Serves one shard.

    Args:
      open_shard: opens it; called in the thread, at each start.
      lazy: open it when it is first needed. If that fails, the request gets the error, and the next one tries
        again. Otherwise the worker does not start if the shard cannot be opened.
    """

    # Closing writes the log into the file.
    shutdown = 30.0

    def __init__(self, open_shard: OpenShard, lazy: bool = False) -> None:
        self._open_shard = open_shard
        self._lazy = lazy
        self._thread: DedicatedThread | None = None
        self._shard: Shard | None = None
        self._waiting: list[_Job] = []
        self._something_waits = trio.Event()

    async def init(self) -> None:
        """Open the shard. Raises as `Shard.open`; the worker then does not start."""
        self._thread = DedicatedThread(self.ref.name)
        if not self._lazy:
            try:
                self._shard = await self._thread.run(self._open_shard)
            except BaseException:
                self._thread.stop()
                raise
        self.start_task(self._work)

    async def terminate(self, reason: object) -> None:
        """Close the shard and end the thread."""
        del reason
        thread, shard = self._thread, self._shard
        assert thread is not None
        if shard is not None:
            await thread.run(shard.close)
        thread.stop()

    @handle_call(noreply=True)
    def apply(self, from_: From[None], operation: Operation) -> None:
        """Do `operation`; answered when it is on disk.

        Raises:
          OperationRefused: it contradicts what is stored; nothing was changed.
          StorageFailed: the disk or the file failed.
        """
        self._enqueue((cast("From[Any]", from_), operation, None))

    @handle_call(noreply=True)
    def load(self, from_: From[TodoList], name: str) -> None:
        """The list of that name; an empty one if nothing was ever stored under it."""
        self._enqueue((cast("From[Any]", from_), None, partial(_load, name)))

    @handle_call(noreply=True)
    def next_id(self, from_: From[int], name: str) -> None:
        """See `Shard.next_id`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_next_id, name)))

    @handle_call(noreply=True)
    def lists(self, from_: From[list[ListSummary]]) -> None:
        """See `Shard.lists`."""
        self._enqueue((cast("From[Any]", from_), None, Shard.lists))

    @handle_call(noreply=True)
    def unreachable(self, from_: From[tuple[Path, list[str]]], index: int, workers: int) -> None:
        """The file, and what `Shard.unreachable` says of it."""
        self._enqueue((cast("From[Any]", from_), None, partial(_unreachable, index, workers)))

    @handle_call(noreply=True)
    def has_list(self, from_: From[bool], name: str) -> None:
        """See `Shard.has_list`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_has_list, name)))

    @handle_call(noreply=True)
    def name_like(self, from_: From[str | None], name: str) -> None:
        """See `Shard.name_like`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_name_like, name)))

    @handle_call(noreply=True)
    def search(self, from_: From[list[Found]], words: str, limit: int = 100) -> None:
        """See `Shard.search`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_search, words, limit)))

    @handle_call(noreply=True)
    def between(self, from_: From[list[Found]], first: datetime.date, last: datetime.date) -> None:
        """See `Shard.between`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_between, first, last)))

    @handle_call(noreply=True)
    def check(self, from_: From[list[str]]) -> None:
        """See `Shard.check`."""
        self._enqueue((cast("From[Any]", from_), None, Shard.check))

    @handle_call(noreply=True)
    def backup(self, from_: From[None], target: Path) -> None:
        """See `Shard.backup`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_backup, target)))

    @handle_call(noreply=True)
    def notes(self, from_: From[dict[str, str]], prefix: str) -> None:
        """See `todo.shard_notes.read_notes`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_notes, prefix)))

    @handle_call(noreply=True)
    def take_notes(self, from_: From[None], notes: Sequence[Note]) -> None:
        """See `todo.shard_notes.take_notes`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_take_notes, notes)))

    @handle_call(noreply=True)
    def forget_notes(self, from_: From[None], prefix: str) -> None:
        """See `todo.shard_notes.forget_notes`."""
        self._enqueue((cast("From[Any]", from_), None, partial(_forget_notes, prefix)))

    def _enqueue(self, job: _Job) -> None:
        self._waiting.append(job)
        if len(self._waiting) == 1:
            self._something_waits.set()

    async def _work(self) -> None:
        """Take the queued jobs, run them, answer them; forever."""
        thread = self._thread
        assert thread is not None
        while True:
            if not self._waiting:
                self._something_waits = trio.Event()
                await self._something_waits.wait()
            jobs = [job for job in self._waiting[:MAX_BATCH] if job[0].is_wanted]
            del self._waiting[:MAX_BATCH]
            if not jobs:
                continue
            if self._shard is None:
                try:
                    self._shard = await thread.run(self._open_shard)
                except StorageError as error:
                    # It affects only the requests that need this shard.
                    for from_, _, _ in jobs:
                        from_.reply_error(error.copy())
                    continue
            answers = await thread.run(partial(_do, self._shard, jobs))
            broken: StorageError | None = None
            for (from_, operation, _), answer in zip(jobs, answers, strict=True):
                if isinstance(answer, StorageError):
                    from_.reply_error(answer)
                    # A failed read affects only its caller, however often it is repeated.
                    if operation is not None and needs_reopening(answer):
                        broken = answer
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    from_.reply(answer)
            if broken is not None:
                raise broken.copy()


def _do(shard: Shard, jobs: list[_Job]) -> list[Any]:
    """Run `jobs` in order, neighbouring operations as one transaction. Called in the thread.

    Returns:
      for each job its answer, or the exception that it ended with.
    """
    answers: list[Any] = []
    batch: list[Operation] = []
    for _, operation, query in jobs:
        if operation is not None:
            batch.append(operation)
            continue
        if batch:
            answers += _apply(shard, batch)
            batch = []
        assert query is not None
        try:
            answers.append(query(shard))
        except Exception as error:  # noqa: BLE001 - handed to the caller, or raised there
            answers.append(error)
    if batch:
        answers += _apply(shard, batch)
    return answers


def _apply(shard: Shard, batch: list[Operation]) -> list[Any]:
    try:
        return list(shard.apply(batch))
    except StorageError as error:
        # A copy for each: an exception raised by several callers would collect the tracebacks of all.
        return [error.copy() for _ in batch]


def _load(name: str, shard: Shard) -> TodoList:
    return shard.load(name)


def _next_id(name: str, shard: Shard) -> int:
    return shard.next_id(name)


def _unreachable(index: int, workers: int, shard: Shard) -> tuple[Path, list[str]]:
    return shard.path, shard.unreachable(index, workers)


def _has_list(name: str, shard: Shard) -> bool:
    return shard.has_list(name)


def _name_like(name: str, shard: Shard) -> str | None:
    return shard.name_like(name)


def _search(words: str, limit: int, shard: Shard) -> list[Found]:
    return shard.search(words, limit)


def _between(first: datetime.date, last: datetime.date, shard: Shard) -> list[Found]:
    return shard.between(first, last)


def _backup(target: Path, shard: Shard) -> None:
    shard.backup(target)


def _notes(prefix: str, shard: Shard) -> dict[str, str]:
    return read_notes(shard, prefix)


def _take_notes(notes: Sequence[Note], shard: Shard) -> None:
    take_notes(shard, notes)


def _forget_notes(prefix: str, shard: Shard) -> None:
    forget_notes(shard, prefix)
