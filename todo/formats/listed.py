"""What every format is read into and written from: an entry, and the list that it belongs to."""

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


Read: TypeAlias = "Iterator[Listed | BadLine]"
