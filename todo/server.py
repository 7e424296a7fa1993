"""`TodoServer`: one list, alive.

It keeps the entries in memory, answers reads from them, and saves each change as the rows that it concerns.
The first message that needs the entries reads them from the disk; adding needs only the next number.
A change is made in memory only when it is on disk, so a reader sees only what would survive a crash. While a
change is being saved the next message waits, so changes of one list are made one after the other; those of
different lists share transactions in their worker.

What is lost when: a `call` that returned is on disk. A `cast` was handed over; if the process dies before
it is handled, it is lost, and nobody is told. After an error the caller knows: refused (`BadInput`,
`OperationRefused`) means not done; `StorageFailed` says whether it may have been; a server or worker that
crashed meanwhile may have done it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar, cast

import trio
import trio.lowlevel

from trio_genserver import (
    Call,
    GenServer,
    Refuse,
    ServerError,
    ServerNotRunning,
    ServerRef,
    handle_call,
    handle_cast,
)

from .database_worker import DatabaseWorker
from .entries import Entries
from .entry import Entry
from .errors import BadInput, InvalidEntry, OperationRefused, StorageError
from .list import TodoList, checked_id, updated
from .operations import AddEntries, DeleteEntry, Note, Operation, ReplaceEntry

__all__ = ["TodoServer"]

logger = logging.getLogger("todo")

R = TypeVar("R")

RESTART_PAUSES: Final = (0.01, 0.05, 0.2, 0.5, 1.0)
"""Seconds between the attempts to reach a worker that is being restarted; then the callers get the error."""


A_PIECE: Final = 100
"""The number of entries between two checkpoints: about half a millisecond of work."""


class TodoServer(GenServer):
    """Serves one list. Get it from a `Cache`, which makes sure that there is only one.

    Args:
      name: the list's.
      worker: the database worker of that name.
      last_used: where it notes, under its name, when it was last used (Trio's clock, seconds).
    """

    restart = "temporary"

    def __init__(
        self, name: str, worker: ServerRef[DatabaseWorker], last_used: dict[str, float] | None = None
    ) -> None:
        self.name = name
        # None: not read yet, or the state on disk is unknown.
        self._entries: Entries | None = None
        # The next number of a list whose entries are not loaded; None: unknown, too.
        self._next_id: int | None = None
        self._failure: StorageError | ServerError | None = None
        self._worker = worker
        self._last_used = {} if last_used is None else last_used
        self._last_used[name] = trio.current_time()

    async def handle_continue(self, argument: Any) -> None:
        """Try again to load the list, which has failed; if that fails, refuse the next message with it."""
        del argument
        try:
            await self._load()
        except (StorageError, ServerError) as error:
            logger.warning("list %r could not be loaded: %s", self.name, error)
            self._failure = error

    @handle_call(cast=True)
    async def add_entry(self, entry: Entry) -> Entry:
        """Add `entry`.

        Returns:
          the entry, with the id that the list gave it.

        Raises:
          InvalidEntry: `entry` is not an `Entry`.
          StorageError: it could not be saved.
        """
        if not isinstance(entry, Entry):
            raise Refuse(InvalidEntry("value", entry, "an Entry"))
        added = entry.with_id(await self._next_number())
        await self._save(AddEntries(self.name, (added,)))
        self._next_id = added.id + 1
        if self._entries is not None:
            self._entries.put(added)
        return added

    @handle_call(cast=True)
    async def add_entries(self, entries: Iterable[Entry], note: Note | None = None) -> tuple[Entry, ...]:
        """Add many at once: all of them, or none.

        Others go on meanwhile, but for this list's next message, and for changes of the lists of the same
        shard while all of `entries` are written as one transaction: very many that need not be all or none
        are better added a few hundred at a time.

        Args:
          entries: read in the server; what that raises, the caller gets, and nothing is added.
          note: what the list's shard is to remember if they are added, in the same transaction.

        Returns:
          the entries, with the ids that the list gave them.

        Raises:
          InvalidEntry: one of them is not an `Entry`.
          StorageError: they could not be saved.
        """
        next_id = await self._next_number()
        added: list[Entry] = []
        # Put in order before they are saved, so that nothing comes between saved and known.
        new = Entries()
        pieces = _pieces(entries)
        while True:
            try:
                piece = next(pieces, None)
            except Exception as error:
                raise Refuse(error) from error
            if piece is None:
                break
            for entry in piece:
                if not isinstance(entry, Entry):
                    raise Refuse(InvalidEntry("value", entry, "an Entry"))
                added.append(entry.with_id(next_id + len(added)))
                new.put(added[-1])
            if len(piece) == A_PIECE:
                await trio.lowlevel.checkpoint()
        if added:
            await self._save(AddEntries(self.name, tuple(added), note))
            self._next_id = new.next_id
            if self._entries is not None:
                self._entries.extend(new)
        return tuple(added)

    @handle_call(cast=True)
    async def update_entry(self, id: int, update: Callable[[Entry], Entry]) -> Entry | None:
        """Put ``update(entry)`` in the place of the entry with this id.

        Args:
          id: the entry's number; an unknown one changes nothing.
          update: called once, in the server; what it raises, the caller gets, and nothing is changed.

        Returns:
          the entry as it is now; None if the list has none of that id.

        Raises:
          InvalidEntry: `update` did not return an entry.
          StorageError: it could not be saved.
        """
        entries = await self._loaded()
        try:
            old = _entry(entries, id)
            if old is None:
                return None
            new = updated(old, update)
        except Exception as error:
            raise Refuse(error) from error
        if new != old:
            await self._save(ReplaceEntry(self.name, new))
            entries.put(new)
        return new

    @handle_call(cast=True)
    async def delete_entry(self, id: int) -> Entry | None:
        """Delete the entry with this id.

        Returns:
          what was deleted; None if the list has none of that id.

        Raises:
          StorageError: it could not be saved.
        """
        entries = await self._loaded()
        try:
            old = _entry(entries, id)
        except BadInput as error:
            raise Refuse(error) from None
        if old is not None:
            await self._save(DeleteEntry(self.name, id))
            entries.remove(id)
        return old

    @handle_call
    def entries(self, date: datetime.date | None = None) -> tuple[Entry, ...]:
        """The entries of a day, or all, in the order of their ids.

        Raises:
          InvalidEntry: `date` is not a date.
        """
        return self._read(_of_day, date)

    @handle_call
    def entries_between(self, first: datetime.date, last: datetime.date) -> tuple[Entry, ...]:
        """The entries from one day to another, both included, in the order of days, then of ids.

        Raises:
          InvalidEntry: an argument is not a date.
        """
        return self._read(Entries.between, first, last)

    @handle_call
    def entry(self, id: int) -> Entry | None:
        """The entry with this id, or None."""
        return self._read(_entry, id)

    @handle_call
    def snapshot(self) -> TodoList:
        """The whole list as it is now: a value, which later changes leave alone."""
        return self._read(TodoList.of)

    @handle_call
    def size(self) -> int:
        """How many entries the list has."""
        return self._read(len)

    @handle_cast
    def expire(self, unused_since: float) -> None:
        """Stop, unless it was used after `unused_since` or is about to be. All is on disk."""
        if self._last_used.get(self.name, 0.0) <= unused_since and not self.ref.mailbox_length:
            self.stop()

    def format_status(self, state: dict[str, Any]) -> object:
        """The size of the list, not what is in it: entries are private, and logs are not."""
        if self._entries is None:
            return {"name": self.name, "entries": "not loaded", "next_id": self._next_id}
        return {"name": self.name, "entries": len(self._entries), "next_id": self._entries.next_id}

    # The state of the list in memory.

    def _use(self) -> None:
        """The list is used now.

        Raises:
          Refuse: it could not be loaded, with why; that is tried again before the next message.
        """
        self._last_used[self.name] = trio.current_time()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.continue_with("load")
            raise Refuse(failure)

    def _read(self, question: Callable[..., R], *args: object) -> R:
        """``question(entries, ...)``. If they are not here, a coroutine that loads them first, which the
        server awaits in the place of the handler.
        """
        entries = self._entries
        if entries is None or self._failure is not None:
            return cast("R", self._load_and_read(question, *args))
        self._last_used[self.name] = trio.current_time()
        try:
            return question(entries, *args)
        except BadInput as error:
            raise Refuse(error) from None

    async def _load_and_read(self, question: Callable[..., R], *args: object) -> R:
        entries = await self._loaded()
        try:
            return question(entries, *args)
        except BadInput as error:
            raise Refuse(error) from None

    async def _loaded(self) -> Entries:
        """The entries, as they are on disk.

        Raises:
          Refuse: they could not be loaded, with why.
        """
        self._use()
        return await self._known(self._load) if self._entries is None else self._entries

    async def _next_number(self) -> int:
        """The number of the next entry; for that, the entries need not be here.

        Raises:
          Refuse: it is not known, with why.
        """
        self._use()
        if self._entries is not None:
            return self._entries.next_id
        if self._next_id is None:
            self._next_id = await self._known(partial(self._ask, DatabaseWorker.next_id(self.name)))
            if self._next_id == 1:
                # A new list: these are its entries.
                self._entries = Entries()
        return self._next_id

    async def _known(self, ask: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """The answer of `ask`. If it fails, refuse the message, and load the list before the next one."""
        try:
            return await ask()
        except (StorageError, ServerError) as error:
            logger.warning("list %r could not be loaded: %s", self.name, error)
            self.continue_with("load")
            raise Refuse(error) from error

    async def _load(self) -> Entries:
        self._entries = (await self._ask(DatabaseWorker.load(self.name))).changeable()
        return self._entries

    async def _ask(self, message: Call[DatabaseWorker, R]) -> R:
        """The worker's answer, also if it is just being started again: then the message was not sent."""
        for pause in RESTART_PAUSES:
            try:
                return await self._worker.call(message)
            except ServerNotRunning:
                await trio.sleep(pause)
        return await self._worker.call(message)

    async def _save(self, operation: Operation) -> None:
        """Write `operation` to the disk. The caller then changes the entries in memory, without a checkpoint.

        If the server ends in between, the next one reads the entries from the disk.
        """
        try:
            await self._ask(DatabaseWorker.apply(operation))
        except OperationRefused as error:
            logger.warning("list %r: %s", self.name, error)
            raise Refuse(error) from error
        except (StorageError, ServerError) as error:
            # The change may be on disk or not. Until the list is loaded again, no message is answered.
            logger.warning("list %r: a change could not be saved: %s", self.name, error)
            self._entries = self._next_id = None
            self.continue_with("load")
            raise Refuse(error) from error
        self._last_used[self.name] = trio.current_time()


def _of_day(entries: Entries, date: datetime.date | None) -> tuple[Entry, ...]:
    return entries.all() if date is None else entries.between(date, date)


def _entry(entries: Entries, id: int) -> Entry | None:
    return entries.get(checked_id(id))


def _pieces(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """`entries`, at most `A_PIECE` of them at a time."""
    iterator = iter(entries)
    while piece := list(islice(iterator, A_PIECE)):
        yield piece
