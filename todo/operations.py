"""What can be done to what is stored: each change one small value.

They travel from a `TodoServer` to its `DatabaseWorker`, are applied in batches by a `Shard`, and show up in
errors and traces. An operation is applied as a whole or not at all.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, TypeAlias

from .entry import Entry

__all__ = ["AddEntries", "DeleteEntry", "Note", "Operation", "ReplaceEntry"]


class Note(NamedTuple):
    """What a shard is to remember together with a change: how far an import has come, say.

    Attributes:
      key: under which; what was noted under it before is forgotten.
      value: what.
    """

    key: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class AddEntries:
    """Add entries, numbered already, to a list, which is made if there is none.

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
