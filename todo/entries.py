"""`Entries`, the entries of a list by number and by day, changed in place.

It uses plain dicts and lists. Numbers rise, so a dict in the order of its additions is in the order of
numbers. A second one has the numbers of each day, and a sorted list the days, so that a day or a range of
days is found without looking at the other entries. A change costs the same for the 100,000th entry as for
the 10th, unless it brings a new day: then it moves the days behind it in their list.

It has one owner, which changes it. Others get a `todo.list.TodoList`, which is a value.
"""

from __future__ import annotations

import datetime
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import final

from .entry import Entry
from .errors import InvalidEntry

__all__ = ["Entries"]


@final
class Entries:
    """Entries, each with a number.

    Args:
      entries: in rising order of their ids.
      next_id: no new entry gets a number below it.

    Attributes:
      next_id: the number that the next new entry will get, above all that are there.

    Raises:
      InvalidEntry: an entry's id is not above the one before it.
    """

    __slots__ = ("_by_id", "_days", "_ids_of_day", "next_id")

    def __init__(self, entries: Iterable[Entry] = (), next_id: int = 1) -> None:
        # In the order of ids.
        self._by_id: dict[int, Entry] = {}
        # By the ordinal of the day, rising ids; no day has none.
        self._ids_of_day: dict[int, list[int]] = {}
        # The days of that, rising.
        self._days: list[int] = []
        by_id, ids_of_day = self._by_id, self._ids_of_day
        last = 0
        for entry in entries:
            if entry.id <= last:
                raise InvalidEntry("id", entry.id, f"above {last}, the one before it in the list")
            last = entry.id
            by_id[last] = entry
            if entry.date is not None:
                ids_of_day.setdefault(entry.date.toordinal(), []).append(last)
        self._days = sorted(ids_of_day)
        self.next_id = max(next_id, last + 1)

    def copy(self) -> Entries:
        """Another one with the same entries."""
        new = Entries(next_id=self.next_id)
        new._by_id = self._by_id.copy()
        new._ids_of_day = {day: ids.copy() for day, ids in self._ids_of_day.items()}
        new._days = self._days.copy()
        return new

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: int) -> bool:
        return id in self._by_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries):
            return NotImplemented
        return self.next_id == other.next_id and self._by_id == other._by_id

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<{len(self)} entries>"

    def get(self, id: int) -> Entry | None:
        """The entry with this number, or None."""
        return self._by_id.get(id)

    def all(self) -> tuple[Entry, ...]:
        """The entries in the order of their numbers."""
        return tuple(self._by_id.values())

    def between(self, first: datetime.date, last: datetime.date) -> tuple[Entry, ...]:
        """The entries from one day to another, both included, in the order of days, then of numbers.

        Raises:
          InvalidEntry: an argument is not a date.
        """
        for day in (first, last):
            if not isinstance(day, datetime.date) or isinstance(day, datetime.datetime):
                raise InvalidEntry("date", day, "a datetime.date")
        by_id, ids_of_day, days = self._by_id, self._ids_of_day, self._days
        if first == last:
            return tuple([by_id[id] for id in ids_of_day.get(first.toordinal(), ())])
        wanted = days[bisect_left(days, first.toordinal()) : bisect_right(days, last.toordinal())]
        return tuple([by_id[id] for day in wanted for id in ids_of_day[day]])

    def put(self, entry: Entry) -> None:
        """Have `entry` under the number that it has: in the place of the one there, or new."""
        id, old = entry.id, self._by_id.get(entry.id)
        self._by_id[id] = entry
        if old is None and id < self.next_id:
            # In the midst of the others, as nothing but a list that is made by hand has it.
            self._by_id = dict(sorted(self._by_id.items()))
        if old is None or old.date != entry.date:
            if old is not None:
                self._leave_day(old)
            self._enter_day(entry)
        if id >= self.next_id:
            self.next_id = id + 1

    def extend(self, others: Entries) -> None:
        """Have all of `others` as well, whose numbers are above those that are here."""
        self._by_id.update(others._by_id)
        for day, ids in others._ids_of_day.items():
            if day in self._ids_of_day:
                self._ids_of_day[day] += ids
            else:
                self._ids_of_day[day] = ids.copy()
                insort(self._days, day)
        self.next_id = max(self.next_id, others.next_id)

    def remove(self, id: int) -> None:
        """Remove the entry with this number. The number is not given again.

        Raises:
          KeyError: there is no such entry.
        """
        self._leave_day(self._by_id.pop(id))

    def _enter_day(self, entry: Entry) -> None:
        if entry.date is None:
            return
        day = entry.date.toordinal()
        ids = self._ids_of_day.get(day)
        if ids is None:
            self._ids_of_day[day] = [entry.id]
            insort(self._days, day)
        elif ids[-1] < entry.id:
            ids.append(entry.id)
        else:
            insort(ids, entry.id)

    def _leave_day(self, entry: Entry) -> None:
        if entry.date is None:
            return
        day = entry.date.toordinal()
        ids = self._ids_of_day[day]
        del ids[bisect_left(ids, entry.id)]
        if not ids:
            del self._ids_of_day[day]
            del self._days[bisect_left(self._days, day)]
