"""An entry as a row of the table `entries`, and back: the one place that knows the order of the columns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

from .entry import Entry

__all__ = ["COLUMNS", "QUALIFIED", "entry_of", "row_of"]

COLUMNS: Final = ("id", "title", "date", "done", "priority", "created_on", "completed_on")
"""What an entry is stored in, besides the list that it belongs to."""

QUALIFIED: Final = ", ".join(f"entries.{column}" for column in COLUMNS)
"""The same for a SELECT over several tables."""


def row_of(entry: Entry) -> tuple[Any, ...]:
    """The values of `COLUMNS` for an entry."""
    date, created, completed = entry.date, entry.created_on, entry.completed_on
    return (
        entry.id,
        entry.title,
        None if date is None else date.isoformat(),
        1 if entry.done else 0,
        entry.priority,
        None if created is None else created.isoformat(),
        None if completed is None else completed.isoformat(),
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry whose `COLUMNS` have these values.

    Raises:
      ValueError, TypeError: there can be no such entry.
    """
    id_, title, date, done, priority, created, completed = row
    parse = datetime.date.fromisoformat
    return Entry(
        id=id_,
        title=title,
        date=None if date is None else parse(date),
        done=done == 1,
        priority=priority,
        created_on=None if created is None else parse(created),
        completed_on=None if completed is None else parse(completed),
    )
