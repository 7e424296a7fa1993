"""`Entry`, one thing to do: a value that is always valid.

Every entry, from a program, the command line, an import or a row of the database, passes the same checks, so
that no other code has to check again. The fields are those of todo.txt, CSV, JSON and iCalendar's VTODO
together. The parts that todo.txt writes inside its text (``+project``, ``@context``, ``key:value``) stay in
the title as written, and are read from there.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import unicodedata

from .errors import InvalidEntry, InvalidListName
from .text import compared, wrong_in_name

__all__ = ["MAX_NAME", "MAX_TITLE", "Entry", "check_list_name"]

MAX_TITLE = 2000
"""The longest title, in characters."""

MAX_NAME = 200
"""The longest name of a list, in characters."""

_PROJECT = re.compile(r"(?:^|\s)\+(\S+)")
_CONTEXT = re.compile(r"(?:^|\s)@(\S+)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to do. Immutable; the ``with_`` methods return changed copies.

    Attributes:
      title: one line of text, not empty, at most `MAX_TITLE` characters. Surrounding white space is removed.
      date: the day it is for, or due; None for no day.
      done: whether it is done.
      priority: a letter from ``"A"`` (first) to ``"Z"``, or None.
      created_on: the day it was written down, if known.
      completed_on: the day it was done, if known; only for an entry that is done.
      id: its number in its list, given by the list; 0 before it is in one.

    Raises:
      InvalidEntry: a field has a value that it cannot have; the error names it.
    """

    title: str
    date: datetime.date | None = None
    done: bool = False
    priority: str | None = None
    created_on: datetime.date | None = None
    completed_on: datetime.date | None = None
    id: int = 0

    def __post_init__(self) -> None:
        title = _checked_title(self.title)
        if title is not self.title:
            object.__setattr__(self, "title", title)
        if self.date is not None:
            _check_date("date", self.date)
        if self.created_on is not None:
            _check_date("created_on", self.created_on)
        if self.completed_on is not None:
            _check_date("completed_on", self.completed_on)
            if not self.done:
                raise InvalidEntry("completed_on", self.completed_on, "None for an entry that is not done")
        if self.done is not True and self.done is not False:
            raise InvalidEntry("done", self.done, "True or False")
        priority = self.priority
        if priority is not None and not (
            isinstance(priority, str) and len(priority) == 1 and "A" <= priority <= "Z"
        ):
            raise InvalidEntry("priority", priority, "a letter from A to Z, or None")
        # bool is a kind of int
        if self.id.__class__ is not int or self.id < 0:
            raise InvalidEntry("id", self.id, "a whole number from 0")

    def with_title(self, title: str) -> Entry:
        """The same entry with another title."""
        return dataclasses.replace(self, title=title)

    def with_date(self, date: datetime.date | None) -> Entry:
        """The same entry for another day."""
        return dataclasses.replace(self, date=date)

    def with_priority(self, priority: str | None) -> Entry:
        """The same entry with another priority."""
        return dataclasses.replace(self, priority=priority)

    def with_id(self, id: int) -> Entry:
        """The same entry under another number; for lists, which give them.

        Raises:
          InvalidEntry: `id` is not a whole number from 0.
        """
        # Every entry that is added comes by here. Of what was checked once, nothing is checked again.
        if id.__class__ is not int or id < 0:
            raise InvalidEntry("id", id, "a whole number from 0")
        new = object.__new__(Entry)
        put = object.__setattr__
        put(new, "title", self.title)
        put(new, "date", self.date)
        put(new, "done", self.done)
        put(new, "priority", self.priority)
        put(new, "created_on", self.created_on)
        put(new, "completed_on", self.completed_on)
        put(new, "id", id)
        return new

    def as_done(self, on: datetime.date | None = None) -> Entry:
        """The same entry, done.

        Args:
          on: the day, if it is to be kept.
        """
        return dataclasses.replace(self, done=True, completed_on=on)

    def as_undone(self) -> Entry:
        """The same entry, not done."""
        return dataclasses.replace(self, done=False, completed_on=None)

    @property
    def projects(self) -> tuple[str, ...]:
        """The ``+project`` words of the title, without the sign, each once, in order."""
        return tuple(dict.fromkeys(_PROJECT.findall(self.title)))

    @property
    def contexts(self) -> tuple[str, ...]:
        """The ``@context`` words of the title, without the sign, each once, in order."""
        return tuple(dict.fromkeys(_CONTEXT.findall(self.title)))


def _checked_title(title: object) -> str:
    if not isinstance(title, str):
        raise InvalidEntry("title", title, "text")
    stripped = title.strip()
    if not stripped:
        raise InvalidEntry("title", title, "text that is not empty")
    if len(stripped) > MAX_TITLE:
        raise InvalidEntry("title", stripped, f"at most {MAX_TITLE} characters long")
    if not stripped.isprintable():
        _check_characters(stripped)
    return stripped


def _check_characters(title: str) -> None:
    if len(title.splitlines()) > 1:
        raise InvalidEntry("title", title, "one line")
    wrong = _unstorable(title)
    if wrong is not None:
        raise InvalidEntry("title", title, f"free of the character {wrong!r}")


def _unstorable(text: str) -> str | None:
    """The first character that no text file could hold: a control character (but tab), half a surrogate."""
    for character in text:
        if character != "\t" and unicodedata.category(character) in ("Cc", "Cs"):
            return character
    return None


def _check_date(field: str, value: object) -> None:
    # A datetime is a date to isinstance, but has a time that would be lost.
    if value.__class__ is not datetime.date and (
        not isinstance(value, datetime.date) or isinstance(value, datetime.datetime)
    ):
        raise InvalidEntry(field, value, "a datetime.date, or None")


def check_list_name(name: object) -> str:
    """Return `name` in the form in which names are compared (see `todo.text`), if a list can have it.

    Raises:
      InvalidListName: it is not text, is empty, has more than `MAX_NAME` characters, begins or ends with
        white space, or contains control characters, line ends, or characters that override the direction of
        text.
    """
    if not isinstance(name, str):
        raise InvalidListName(name, "a name must be text")
    if not name or name.isspace():
        raise InvalidListName(name, "it is empty, or only white space")
    if not name.isascii() or not name.isprintable():
        wrong = wrong_in_name(name)
        if wrong is not None:
            raise InvalidListName(name, f"it contains the character {wrong!a}, which a name cannot have")
        name = compared(name)
    if len(name) > MAX_NAME:
        raise InvalidListName(name, f"it has {len(name)} characters; at most {MAX_NAME} are allowed")
    if name[0].isspace() or name[-1].isspace():
        raise InvalidListName(name, "it begins or ends with white space")
    return name
