"""Resume an interrupted import without adding an entry twice.

An import is identified by a digest of its lists and, in their order, its entries. Each piece that is added to
a list comes with a note, in the same transaction, of how many entries are there now. A second run of the same
import starts after those. When all are there, each shard notes that as well. The notes are deleted only when
the caller has been told. From then on the same import is a new one, and adds again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from .database import Database, stored_name
from .database_worker import DatabaseWorker
from .entry import Entry, check_list_name
from .errors import StorageError
from .operations import Note
from .rows import row_of
from .shard import Shard
from .shard_notes import FINISHED, read_notes, take_notes
from .text import has_forms

__all__ = ["ImportNotes", "copy_notes"]

_PREFIX = "import "


class ImportNotes:
    """The notes of one import.

    Args:
      database: where they are.
      lists: the entries to be added, by list.
    """

    def __init__(self, database: Database, lists: Mapping[str, Sequence[Entry]]) -> None:
        self.digest = _digest_of(lists)
        self._database = database
        self._lists = lists
        self._stored: dict[str, int] = {}
        self._prefix = f"{_PREFIX}{self.digest} "
        self._finished = f"{self._prefix}finished"

    async def read(self) -> None:
        """Find out how far an earlier run has come.

        Raises:
          StorageError: the shard of one of the lists cannot say.
        """
        notes_of = DatabaseWorker.notes(self._prefix)
        # Those of the lists first: to open a shard changes its file, and where one of these cannot be opened
        # nothing is to be changed. (Where a name has several forms, it takes all to tell which is meant.)
        own = dict.fromkeys(
            self._database.worker_for(check_list_name(name)) for name in self._lists if not has_forms(name)
        )
        for answer in await self._database.ask_each(notes_of, own):
            if isinstance(answer, StorageError):
                raise answer
        answers = await self._database.ask_each(notes_of)
        for notes in answers:
            if isinstance(notes, StorageError):
                continue
            if self._finished in notes:
                self._stored = {name: len(entries) for name, entries in self._lists.items()}
                return
            for name in self._lists:
                # A reshard puts the old ones into all shards; the new one is in that of the list.
                count = int(notes.get(self._key(name), 0))
                self._stored[name] = max(self._stored.get(name, 0), count)
        failed = {
            worker: answer
            for worker, answer in zip(self._database.workers, answers, strict=True)
            if isinstance(answer, StorageError)
        }
        for name in self._lists if failed else ():
            worker = self._database.worker_for(await stored_name(self._database.pool, name))
            if worker in failed:
                raise failed[worker]

    def stored(self, name: str) -> int:
        """How many of the entries of a list are there already."""
        return self._stored.get(name, 0)

    def note(self, name: str, count: int) -> Note:
        """That so many of the entries of a list are there."""
        return Note(self._key(name), str(count))

    async def finish(self) -> None:
        """Note that all are there.

        Raises:
          StorageError: no shard could do it.
        """
        if not self._lists:
            return
        answers = await self._database.ask_each(DatabaseWorker.take_notes([Note(self._finished, FINISHED)]))
        failed = [answer for answer in answers if answer is not None]
        if len(failed) == len(answers):
            raise failed[0]

    async def forget(self) -> None:
        """Delete the notes, as the caller has been told: the same import again is a new one.

        A shard that cannot do it now has the next run find all done, and say so.
        """
        if self._lists:
            await self._database.ask_each(DatabaseWorker.forget_notes(self._prefix))

    def _key(self, name: str) -> str:
        return f"{self._prefix}list {name}"


def copy_notes(sources: Sequence[Shard], targets: Sequence[Shard]) -> None:
    """Have the notes of all imports in each of `targets`: for rewriting a folder. Whichever shard a list is
    in then, its own knows of it.

    Raises:
      StorageError: a file failed.
    """
    found: dict[str, str] = {}
    for shard in sources:
        for key, value in read_notes(shard, _PREFIX).items():
            before = found.get(key)
            found[key] = value if before is None or FINISHED in (before, value) else _larger(before, value)
    for target in targets:
        take_notes(target, [Note(key, value) for key, value in found.items()])


def _larger(one: str, other: str) -> str:
    return max(one, other, key=int)


def _digest_of(lists: Mapping[str, Sequence[Entry]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(lists):
        digest.update(json.dumps([name, len(lists[name])]).encode())
        for entry in lists[name]:
            digest.update(json.dumps(row_of(entry)[1:]).encode())
    return digest.hexdigest()
