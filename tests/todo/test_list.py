"""The to-do list as a value: what the chapter's own program promises, and a dict as its model."""

from __future__ import annotations

import datetime
import pickle

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from todo import Entry, InvalidEntry, TodoList

DAY = datetime.date(2023, 12, 19)
OTHER_DAY = datetime.date(2023, 12, 20)


def example() -> TodoList:
    return TodoList.new(
        [
            Entry(date=DAY, title="Dentist"),
            Entry(date=OTHER_DAY, title="Shopping"),
            Entry(date=DAY, title="Movies"),
        ]
    )


def test_the_size_of_a_list_is_the_number_of_its_entries() -> None:
    assert len(TodoList.new()) == 0
    assert len(example()) == 3
    assert len(example().add_entry(Entry(title="Fourth"))) == 4


def test_ids_are_given_from_one_upwards() -> None:
    assert [entry.id for entry in example().entries()] == [1, 2, 3]
    numbered = TodoList.new().add_entry(Entry(title="has a number already", id=77))
    assert [entry.id for entry in numbered] == [1]


def test_entries_of_a_day_come_in_the_order_of_their_ids() -> None:
    assert [entry.title for entry in example().entries(DAY)] == ["Dentist", "Movies"]
    assert example().entries(datetime.date(2000, 1, 1)) == ()


def test_an_updated_entry_is_found_under_its_new_day_only() -> None:
    updated = example().update_entry(1, lambda entry: entry.with_date(OTHER_DAY))
    assert [entry.id for entry in updated.entries(DAY)] == [3]
    assert [entry.id for entry in updated.entries(OTHER_DAY)] == [1, 2]


def test_update_changes_that_entry_and_leaves_the_original_list_alone() -> None:
    before = example()
    after = before.update_entry(2, lambda entry: entry.with_title("Updated"))
    assert [entry.title for entry in after.entries()] == ["Dentist", "Updated", "Movies"]
    assert before == example()


def test_an_unknown_id_leaves_the_list_as_it_is() -> None:
    before = example()
    assert before.update_entry(9, lambda entry: entry.with_title("Updated")) is before
    assert before.delete_entry(9) is before


def test_an_update_cannot_change_the_id_or_put_something_else_there() -> None:
    updated = example().update_entry(2, lambda entry: entry.with_id(1).with_title("Updated"))
    assert [(entry.id, entry.title) for entry in updated][1] == (2, "Updated")
    with pytest.raises(InvalidEntry, match="replacement"):
        example().update_entry(2, lambda entry: None)  # type: ignore[arg-type,return-value]  # the point


def test_a_deleted_id_is_not_given_again() -> None:
    shorter = example().delete_entry(3)
    assert len(shorter) == 2
    assert [entry.id for entry in shorter.add_entry(Entry(title="new"))] == [1, 2, 4]


def test_a_value_that_is_not_a_date_is_refused() -> None:
    with pytest.raises(InvalidEntry, match="date"):
        example().entries("2023-12-19")  # type: ignore[arg-type]  # the point of the test


def test_a_list_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        example().next_id = 1


def test_entries_without_a_day_are_in_no_day_and_in_no_range() -> None:
    todo_list = TodoList.new([Entry(title="some day"), Entry(title="first day", date=datetime.date.min)])
    assert [entry.id for entry in todo_list.entries(datetime.date.min)] == [2]
    assert [entry.id for entry in todo_list.entries_between(datetime.date.min, datetime.date.max)] == [2]
    assert len(todo_list.entries()) == 2


def test_a_list_of_a_hundred_thousand_works() -> None:
    days = [DAY + datetime.timedelta(days=number % 50) for number in range(100_000)]
    todo_list = TodoList.new(Entry(title="x", date=day) for day in days)
    for _ in range(100):
        todo_list = todo_list.add_entry(Entry(title="y", date=DAY))
    assert len(todo_list) == 100_100
    assert len(todo_list.entries(DAY)) == 2_100
    assert todo_list.delete_entry(50_000).entry(50_000) is None


def test_restoring_needs_rising_ids() -> None:
    with pytest.raises(InvalidEntry, match="id"):
        TodoList.restore([Entry(title="x", id=2), Entry(title="y", id=2)])


DAYS = st.none() | st.dates(DAY, DAY + datetime.timedelta(days=3))
ENTRIES = st.builds(
    Entry,
    title=st.sampled_from(["Dentist", "Shopping", "Movies"]),
    date=DAYS,
    priority=st.none() | st.sampled_from("AZ"),
)


class TodoListMachine(RuleBasedStateMachine):
    """`TodoList` against a dict from ids to entries."""

    def __init__(self) -> None:
        super().__init__()
        self.list = TodoList.new()
        self.model: dict[int, Entry] = {}
        self.given = 0

    @rule(entry=ENTRIES)
    def add(self, entry: Entry) -> None:
        self.list = self.list.add_entry(entry)
        self.given += 1
        self.model[self.given] = entry.with_id(self.given)

    @rule(data=st.data(), entry=ENTRIES)
    @precondition(lambda self: self.given > 0)
    def update(self, data: st.DataObject, entry: Entry) -> None:
        number = data.draw(st.integers(1, self.given))
        self.list = self.list.update_entry(number, lambda old: entry)
        if number in self.model:
            self.model[number] = entry.with_id(number)

    @rule(data=st.data())
    @precondition(lambda self: self.given > 0)
    def delete(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.given))
        self.list = self.list.delete_entry(number)
        self.model.pop(number, None)

    @rule()
    def reload(self) -> None:
        self.list = TodoList.restore(self.list.entries(), self.list.next_id)

    @rule()
    def send(self) -> None:
        copy = pickle.loads(pickle.dumps(self.list))
        assert copy == self.list
        assert hash(copy) == hash(self.list)

    @rule(date=st.dates(DAY, DAY + datetime.timedelta(days=3)))
    def of_a_day(self, date: datetime.date) -> None:
        assert self.list.entries(date) == tuple(e for e in self._all() if e.date == date)

    @invariant()
    def same_as_the_model(self) -> None:
        assert self.list.entries() == tuple(self._all())
        assert len(self.list) == len(self.model)
        assert self.list.next_id == self.given + 1

    def _all(self) -> list[Entry]:
        return [self.model[number] for number in sorted(self.model)]


TestTodoListAgainstADict = TodoListMachine.TestCase
TestTodoListAgainstADict.settings = settings(max_examples=40, stateful_step_count=30)
