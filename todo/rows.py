"""An entry as a row of the table `entries`, and back: the one place that knows the order of the columns.

SQLite keeps any kind of value in any column, and text that is not UTF-8. So whatever is read back is checked
before it counts as an entry or as a list: another program may have written it.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from .entry import Entry, check_list_name
from .errors import InvalidListName, shortened

__all__ = [
    "COLUMNS",
    "MAX_ID",
    "QUALIFIED",
    "any_text",
    "entry_of",
    "is_text",
    "next_id_of",
    "row_of",
    "wrong_list_name",
]

COLUMNS: Final = ("id", "title", "date", "done", "priority", "created_on", "completed_on")
"""The columns of an entry, without the list that it belongs to."""

MAX_ID: Final = 2**63 - 1
"""The largest number that a column can hold."""

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
      ValueError, TypeError: no entry can have these values.
    """
    id_, title, date, done, priority, created, completed = row
    if done not in (0, 1):
        raise ValueError(f"done must be 0 or 1, not {shortened(done)}")
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


def next_id_of(following: object, last: object) -> int:
    """The number of a list's next entry.

    Args:
      following: the list's `next_entry_id`.
      last: the highest id of its entries; None: it has none.

    Raises:
      ValueError: another program has written something that is not a number.
    """
    if not isinstance(following, int):
        raise ValueError(f"next_entry_id must be a whole number, not {shortened(following)}")
    if last is None:
        return max(following, 1)
    if not isinstance(last, int) or last < 1:
        raise ValueError(f"the id of an entry must be a whole number from 1, not {shortened(last)}")
    return max(following, last + 1)


def wrong_list_name(name: object) -> str | None:
    """Why no list can be asked for under a name that is stored; None: one can."""
    try:
        check_list_name(name)
    except InvalidListName as error:
        return str(error)
    return None


def any_text(connection: sqlite3.Connection) -> None:
    """Have the connection return text that is not UTF-8, too: each wrong byte as half a surrogate, which no
    entry and no name can have. It is slower than the usual way, which raises instead.
    """
    connection.text_factory = _decoded


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value that was read is text, and was UTF-8."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
