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


def write(listed: Iterable[Listed]) -> str:
    """A calendar with a VTODO for each entry; the list is its category.

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
        # The same entry keeps its identity from one export to the next.
        identity = f"{name}\0{entry.id or number}\0{entry.title}"
        todo.add("uid", f"{hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()}@todo")
        todo.add("dtstamp", now)
        todo.add("summary", entry.title)
        todo.add("status", "COMPLETED" if entry.done else "NEEDS-ACTION")
        if name is not None:
            todo.add("categories", [name])
        if entry.date is not None:
            todo.add("due", entry.date)
        if entry.created_on is not None:
            todo.add("created", _midnight(entry.created_on))
        if entry.completed_on is not None:
            todo.add("completed", _midnight(entry.completed_on))
        if entry.priority is not None:
            # A to I are 1 to 9; RFC 5545 has no more.
            todo.add("priority", min(ord(entry.priority) - ord("A") + 1, 9))
        calendar.add_component(todo)
    return str(calendar.to_ical(), "utf-8")


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
