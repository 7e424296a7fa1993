"""iCalendar, for calendars: a VTODO for each entry (RFC 5545, section 3.6.2). Only written, not read.

Needs the `icalendar` library: ``pip install trio-genserver[icalendar]``.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from typing import Any

from todo.errors import BadInput

from .listed import Listed

__all__ = ["write"]


def write(listed: Iterable[Listed], origin: str = "") -> str:
    """A calendar with a VTODO for each entry; the list is its category.

    Args:
      listed: the entries.
      origin: an id of the database, so that lists of the same name in two databases differ.

    Raises:
      BadInput: the icalendar library is not installed.
    """
    try:
        from icalendar import Calendar, Todo
    except ImportError:
        raise BadInput("writing iCalendar needs: pip install trio-genserver[icalendar]") from None
    # Their types are only partly known to the type checkers.
    calendar: Any = Calendar()
    calendar.add("prodid", "-//trio_genserver//todo//EN")
    calendar.add("version", "2.0")
    now = datetime.datetime.now(datetime.UTC)
    for number, (name, entry) in enumerate(listed):
        todo: Any = Todo()
        # The same entry keeps its identity from one export to the next, whatever is changed in it. One that
        # is in no list yet has only its title, and its place.
        identity = f"{origin}\0{name}\0{entry.id or f'{number} {entry.title}'}"
        todo.add("uid", f"{hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()}@todo")
        todo.add("dtstamp", now)
        todo.add("summary", entry.title)
        todo.add("status", "COMPLETED" if entry.done else "NEEDS-ACTION")
        if name is not None:
            todo.add("categories", [name])
        if entry.date is not None:
            todo.add("due", entry.date)
        if entry.created_on is not None:
            todo.add("created", _noon(entry.created_on))
        if entry.completed_on is not None:
            todo.add("completed", _noon(entry.completed_on))
        if entry.priority is not None:
            # A to I are 1 to 9; RFC 5545 has no more.
            todo.add("priority", min(ord(entry.priority) - ord("A") + 1, 9))
        calendar.add_component(todo)
    return str(calendar.to_ical(), "utf-8")


def _noon(day: datetime.date) -> datetime.datetime:
    """An instant that is on that day for a reader half a world away, too: RFC 5545 wants one in UTC."""
    noon = datetime.datetime(day.year, day.month, day.day, 12)  # noqa: DTZ001 - of this computer's time zone
    try:
        return noon.astimezone(datetime.UTC)
    except (OverflowError, ValueError, OSError):  # outside of what the system's calendar has
        return noon.replace(tzinfo=datetime.UTC)
