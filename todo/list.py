"""`TodoList`, a to-do list as a pure value.

It has no storage and no task. `todo.shard` stores it, and `todo.server` hands it to callers that want the
whole list; they may keep it.

Numbers are never used twice, not even after the entry with the highest was deleted: a caller that still holds
the number of a deleted entry must not change another one with it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import final

from .entries import Entries
from .entry import Entry
from .errors import InvalidEntry

__all__ = ["TodoList", "checked_id", "updated"]


@final
class TodoList:
    """Entries, each with a number. Immutable: the methods that change it return a changed copy.

    A server, which makes one change after the other, has `todo.entries.Entries` instead.
    """

    __slots__ = ("_entries", "next_id")

    next_id: int
    """The number that the next new entry will get."""

    def __init__(self) -> None:
        # Nobody else has it, and it is never changed.
        self._entries = Entries()
        self.next_id = 1

    @classmethod
    def new(cls, entries: Iterable[Entry] = ()) -> TodoList:
        """A list of `entries`, numbered 1, 2, 3 ... in their order."""
        if entries == ():
            # A value that is shared: every list begins with it.
            return _EMPTY
        return cls.restore((entry.with_id(number) for number, entry in enumerate(entries, 1)))

    @classmethod
    def restore(cls, entries: Iterable[Entry], next_id: int = 1) -> TodoList:
        """A list as it was, of entries that have their numbers already; in linear time.

        Args:
          entries: in rising order of their ids.
          next_id: no new entry gets a number below it.

        Raises:
          InvalidEntry: an entry's id is not above the one before it.
        """
        return cls._make(Entries(entries, next_id))

    @classmethod
    def of(cls, entries: Entries) -> TodoList:
        """A list of what `entries` holds now."""
        return cls._make(entries.copy())

    @classmethod
    def _make(cls, entries: Entries) -> TodoList:
        new = cls.__new__(cls)
        object.__setattr__(new, "_entries", entries)
        object.__setattr__(new, "next_id", entries.next_id)
        return new

    def changeable(self) -> Entries:
        """The entries, to be changed by the caller; the list stays as it is."""
        return self._entries.copy()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.all())

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and id in self._entries

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TodoList):
            return NotImplemented
        return self._entries == other._entries

    def __hash__(self) -> int:
        return hash((self.next_id, self._entries.all()))

    def __repr__(self) -> str:
        return f"<TodoList of {len(self)} entries>"

    def add_entry(self, entry: Entry) -> TodoList:
        """A list with `entry` at its end, under the next number, whatever number it has."""
        return self.put_entry(entry.with_id(self.next_id))

    def put_entry(self, entry: Entry) -> TodoList:
        """A list with `entry` under the number that it has: in the place of the one there, or new.

        Raises:
          InvalidEntry: it has no number.
        """
        if entry.id < 1:
            raise InvalidEntry("id", entry.id, "a number from 1 for an entry of a list")
        changed = self.changeable()
        changed.put(entry)
        return self._make(changed)

    def entry(self, id: int) -> Entry | None:
        """The entry with this number, or None.

        Raises:
          InvalidEntry: `id` is not a number.
        """
        return self._entries.get(checked_id(id))

    def entries(self, date: datetime.date | None = None) -> tuple[Entry, ...]:
        """The entries in the order of their numbers.

        Args:
          date: only those of this day; None for all.

        Raises:
          InvalidEntry: `date` is not a date.
        """
        return self._entries.all() if date is None else self._entries.between(date, date)

    def entries_between(self, first: datetime.date, last: datetime.date) -> tuple[Entry, ...]:
        """The entries from one day to another, both included, in the order of days, then of their numbers.

        Raises:
          InvalidEntry: an argument is not a date.
        """
        return self._entries.between(first, last)

    def update_entry(self, id: int, update: Callable[[Entry], Entry]) -> TodoList:
        """A list with ``update(entry)`` in the place of the entry with this number.

        Whatever `update` does to the number is undone. An unknown number leaves the list as it is.

        Raises:
          InvalidEntry: `update` did not return an entry.
        """
        old = self.entry(id)
        if old is None:
            return self
        new = updated(old, update)
        return self if new == old else self.put_entry(new)

    def delete_entry(self, id: int) -> TodoList:
        """A list without the entry with this number. An unknown number leaves the list as it is."""
        if self.entry(id) is None:
            return self
        changed = self.changeable()
        changed.remove(id)
        return self._make(changed)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__slots__ and not hasattr(self, name):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(f"a TodoList cannot be changed ({name}); its methods return another list")

    def __reduce__(self) -> tuple[object, ...]:
        return TodoList.restore, (self.entries(), self.next_id)


_EMPTY = TodoList()


def checked_id(id: int) -> int:
    """Return `id` if it is a whole number.

    Raises:
      InvalidEntry: it is not.
    """
    if id.__class__ is not int:
        raise InvalidEntry("id", id, "a whole number")
    return id


def updated(entry: Entry, update: Callable[[Entry], Entry]) -> Entry:
    """The result of ``update(entry)``, under the same number.

    Raises:
      InvalidEntry: `update` did not return an entry.
    """
    new: object = update(entry)
    if not isinstance(new, Entry):
        raise InvalidEntry("replacement", new, "an Entry; what `update` returns takes its place")
    return new if new.id == entry.id else new.with_id(entry.id)
