"""What can be done to what is stored: each change one small value.

They travel from a `TodoServer` to its `DatabaseWorker`, are applied in batches by a `Shard`, and show up in
errors and traces. An operation is applied as a whole or not at all.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from .entry import Entry

__all__ = ["AddEntries", "DeleteEntry", "Operation", "ReplaceEntry"]


@dataclasses.dataclass(frozen=True, slots=True)
class AddEntries:
    """Add entries, numbered already, to a list, which is made if there is none.

    Attributes:
      list: the name of the list.
      entries: with ids that the list has not.
    """

    list: str
    entries: tuple[Entry, ...]


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
