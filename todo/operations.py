"""The changes that can be made to the database, each a small value.

They travel from a `TodoServer` to its `DatabaseWorker`, are applied in batches by a `Shard`, and show up in
errors and traces. An operation is applied as a whole or not at all.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, TypeAlias

from .entry import Entry

__all__ = ["AddEntries", "DeleteEntry", "Note", "Operation", "ReplaceEntry"]


class Note(NamedTuple):
    """A note to be stored in the same transaction as a change: how far an import has come, for example.

    Attributes:
      key: the key; an earlier note under it is replaced.
      value: the note.
    """

    key: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class AddEntries:
    """Add entries, numbered already, to a list, which is created if it does not exist.

    Attributes:
      list: the name of the list.
      entries: with ids that the list has not.
      note: is on disk if and only if they are.
    """

    list: str
    entries: tuple[Entry, ...]
    note: Note | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ReplaceEntry:
    """Put an entry in the place of the one with the same id.

    Attributes:
      list: the name of the list.
      entry: with the id of an entry of the list.
    """

    list: str
    entry: Entry


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteEntry:
    """Delete an entry; its id is not given again.

    Attributes:
      list: the name of the list.
      id: the id of an entry of the list.
    """

    list: str
    id: int


Operation: TypeAlias = AddEntries | ReplaceEntry | DeleteEntry
