"""An entry and its list, which every format is read into and written from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from todo.entry import Entry
from todo.errors import BadLine

DEFAULT_LIST = "inbox"
"""The list of an entry that names none."""


class Listed(NamedTuple):
    """An entry and the list that it belongs to.

    Attributes:
      list: the name of the list; None if the text names none.
      entry: without an id: the list gives one.
    """

    list: str | None
    entry: Entry


class Placed(Listed):
    """One that was read from a file: it knows where it stands there, and is equal to one that does not.

    Attributes:
      source, line, text, unit: as those of `BadLine`.
    """

    source: str
    line: int
    text: str
    unit: str

    @classmethod
    def at(cls, listed: Listed, source: str, line: int, text: str, *, unit: str = "line") -> Placed:
        """`listed`, as it stands in a file."""
        placed = cls(*listed)
        placed.source, placed.line, placed.text, placed.unit = source, line, text, unit
        return placed

    def bad(self, why: str) -> BadLine:
        """The error that this line cannot be imported."""
        return BadLine(self.source, self.line, self.text, why, unit=self.unit)


Read: TypeAlias = "Iterator[Listed | BadLine]"
