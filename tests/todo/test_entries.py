"""`Entries` against a dict, and that what is copied out of it stays as it is."""

from __future__ import annotations

import datetime
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from todo import Entry, InvalidEntry
from todo.entries import Entries

DAY = datetime.date(2023, 12, 19)
DAYS = st.none() | st.dates(DAY, DAY + datetime.timedelta(days=4))
IDS = st.integers(1, 30)


class EntriesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.entries = Entries()
        self.model: dict[int, Entry] = {}
        self.next_id = 1
        # Those given away before a change, each with what it held.
        self.older: list[tuple[Entries, dict[int, Entry]]] = []

    def put_in_model(self, entry: Entry) -> None:
        self.model[entry.id] = entry
        self.next_id = max(self.next_id, entry.id + 1)

    @rule(day=DAYS)
    def add(self, day: datetime.date | None) -> None:
        entry = Entry(title="added", date=day, id=self.next_id)
        self.entries.put(entry)
        self.put_in_model(entry)

    @rule(id=IDS, day=DAYS)
    def put(self, id: int, day: datetime.date | None) -> None:
        entry = Entry(title="put", date=day, id=id)
        self.entries.put(entry)
        self.put_in_model(entry)

    @rule(days=st.lists(DAYS))
    def extend(self, days: list[datetime.date | None]) -> None:
        added = [Entry(title="one of many", date=day, id=n) for n, day in enumerate(days, self.next_id)]
        others = Entries(added)
        self.entries.extend(others)
        self.older.append((others, {entry.id: entry for entry in added}))
        for entry in added:
            self.put_in_model(entry)

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def remove(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.model)))
        self.entries.remove(id)
        del self.model[id]

    @rule(id=IDS)
    def remove_what_is_not_there(self, id: int) -> None:
        if id not in self.model:
            with pytest.raises(KeyError):
                self.entries.remove(id)

    @rule()
    def give_a_copy_away(self) -> None:
        self.older.append((self.entries.copy(), dict(self.model)))

    @rule()
    def go_on_with_a_copy(self) -> None:
        self.older.append((self.entries, dict(self.model)))
        self.entries = self.entries.copy()

    @rule()
    def make_anew(self) -> None:
        again = Entries(self.entries.all(), self.entries.next_id)
        assert again == self.entries
        self.entries = again

    @rule(first=st.dates(DAY, DAY + datetime.timedelta(days=4)), days=st.integers(-1, 4))
    def between(self, first: datetime.date, days: int) -> None:
        last = first + datetime.timedelta(days=days)
        wanted = [e for e in self.model.values() if e.date is not None and first <= e.date <= last]
        assert self.entries.between(first, last) == tuple(sorted(wanted, key=lambda e: (e.date or DAY, e.id)))

    @invariant()
    def same_as_the_model(self) -> None:
        assert self.entries.all() == tuple(self.model[id] for id in sorted(self.model))
        assert self.entries.next_id == self.next_id
        assert len(self.entries) == len(self.model)
        for id in range(1, 32):
            assert self.entries.get(id) == self.model.get(id)
            assert (id in self.entries) == (id in self.model)

    @invariant()
    def what_was_given_away_is_as_it_was(self) -> None:
        for entries, held in self.older:
            assert entries.all() == tuple(held[id] for id in sorted(held))
            assert len(entries.between(datetime.date.min, datetime.date.max)) == sum(
                entry.date is not None for entry in held.values()
            )


TestEntries = EntriesMachine.TestCase
TestEntries.settings = settings(max_examples=40, stateful_step_count=25)


def test_ids_that_do_not_rise_are_refused() -> None:
    with pytest.raises(InvalidEntry, match="above 2"):
        Entries([Entry(title="x", id=2), Entry(title="y", id=2)])


def test_a_change_of_a_long_list_copies_nothing() -> None:
    entries = Entries(Entry(title="x", date=DAY, id=id) for id in range(1, 20_001))
    changed = entries.all()[10_000].with_date(DAY + datetime.timedelta(days=1))
    tracemalloc.start()
    try:
        entries.put(changed)
        entries.remove(5_000)
        entries.put(changed.with_date(DAY))
        assert tracemalloc.get_traced_memory()[1] < 20_000  # bytes; one reference each would be 160,000
    finally:
        tracemalloc.stop()
