"""`TodoList`, a to-do list as a pure value.

No state, no storage, no task: what a list *is*. `todo.server` keeps one and `todo.shard` stores it; both
rely on a changed list being a new one, so that a change that could not be saved is simply not kept.

Numbers are never used twice, also after the entry with the highest was deleted: whoever still holds the
number of something deleted must not change something else with it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import final

from .entry import Entry
from .errors import InvalidEntry
from .sorted_map import SortedMap

__all__ = ["TodoList"]

# The key of an entry in the order of days: (day, id), with day 0 for none.
_DayAndId = tuple[int, int]


@final
class TodoList:
    """Entries, each with a number. Immutable: what changes it returns another list.

    A change costs the same for the 100,000th entry as for the 10th; see `todo.sorted_map`.
    """

    __slots__ = ("_by_date", "_by_id", "next_id")

    next_id: int
    """The number that the next new entry will get."""

    def __init__(self) -> None:
        self._by_id: SortedMap[int, Entry] = SortedMap()
        self._by_date: SortedMap[_DayAndId, Entry] = SortedMap()
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
        numbered = list(entries)
        last = 0
        for entry in numbered:
            if entry.id <= last:
                raise InvalidEntry("id", entry.id, f"above {last}, the one before it in the list")
            last = entry.id
        by_id = SortedMap[int, Entry].from_sorted((entry.id, entry) for entry in numbered)
        by_date = SortedMap[_DayAndId, Entry].from_sorted(
            sorted(((_day_and_id(e), e) for e in numbered), key=_first)
        )
        return cls._make(by_id, by_date, max(next_id, last + 1))

    @classmethod
    def _make(
        cls, by_id: SortedMap[int, Entry], by_date: SortedMap[_DayAndId, Entry], next_id: int
    ) -> TodoList:
        new = cls.__new__(cls)
        object.__setattr__(new, "_by_id", by_id)
        object.__setattr__(new, "_by_date", by_date)
        object.__setattr__(new, "next_id", next_id)
        return new

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_id.values())

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and id in self._by_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TodoList):
            return NotImplemented
        return self.next_id == other.next_id and self._by_id == other._by_id

    def __hash__(self) -> int:
        return hash((self.next_id, self._by_id))

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
        old = self._by_id.get(entry.id)
        by_date = self._by_date
        if old is not None and old.date != entry.date:
            by_date = by_date.remove(_day_and_id(old))
        return self._make(
            self._by_id.set(entry.id, entry),
            by_date.set(_day_and_id(entry), entry),
            max(self.next_id, entry.id + 1),
        )

    def entry(self, id: int) -> Entry | None:
        """The entry with this number, or None.

        Raises:
          InvalidEntry: it is no number.
        """
        return self._by_id.get(_checked_id(id))

    def entries(self, date: datetime.date | None = None) -> tuple[Entry, ...]:
        """The entries in the order of their numbers.

        Args:
          date: only those of this day; None for all.

        Raises:
          InvalidEntry: it is no date.
        """
        if date is None:
            return self._by_id.values()
        return self.entries_between(date, date)

    def entries_between(self, first: datetime.date, last: datetime.date) -> tuple[Entry, ...]:
        """The entries from one day to another, both included, in the order of days, then of their numbers.

        Raises:
          InvalidEntry: one is no date.
        """
        for day in (first, last):
            if not isinstance(day, datetime.date) or isinstance(day, datetime.datetime):
                raise InvalidEntry("date", day, "a datetime.date")
        return self._by_date.values_between((first.toordinal(), 0), (last.toordinal(), self.next_id))

    def update_entry(self, id: int, update: Callable[[Entry], Entry]) -> TodoList:
        """A list with ``update(entry)`` in the place of the entry with this number.

        Whatever `update` does to the number is undone. An unknown number leaves the list as it is.

        Raises:
          InvalidEntry: `update` did not return an entry.
        """
        old = self._by_id.get(_checked_id(id))
        if old is None:
            return self
        new: object = update(old)
        if not isinstance(new, Entry):
            raise InvalidEntry("replacement", new, "an Entry; what `update` returns takes its place")
        if new.id != id:
            new = new.with_id(id)
        return self if new == old else self.put_entry(new)

    def delete_entry(self, id: int) -> TodoList:
        """A list without the entry with this number. An unknown number leaves the list as it is."""
        old = self._by_id.get(_checked_id(id))
        if old is None:
            return self
        return self._make(self._by_id.remove(id), self._by_date.remove(_day_and_id(old)), self.next_id)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__slots__ and not hasattr(self, name):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(f"a TodoList cannot be changed ({name}); its methods return another list")

    def __reduce__(self) -> tuple[object, ...]:
        return TodoList.restore, (self.entries(), self.next_id)


def _checked_id(id: int) -> int:
    if id.__class__ is not int:
        raise InvalidEntry("id", id, "a whole number")
    return id


_EMPTY = TodoList()


def _day_and_id(entry: Entry) -> _DayAndId:
    return (0 if entry.date is None else entry.date.toordinal(), entry.id)


def _first(pair: tuple[_DayAndId, Entry]) -> _DayAndId:
    return pair[0]
