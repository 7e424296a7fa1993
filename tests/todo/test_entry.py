"""An entry cannot be wrong, and says what was."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest

from todo import MAX_NAME, MAX_TITLE, Entry, InvalidEntry, InvalidListName, check_list_name

DAY = datetime.date(2023, 12, 19)


def test_an_entry_is_a_value() -> None:
    entry = Entry(date=DAY, title="Dentist")
    assert entry == Entry(title="Dentist", date=DAY)
    assert entry.with_title("Doctor") == Entry(date=DAY, title="Doctor")
    assert entry.title == "Dentist"
    assert len({entry, Entry(date=DAY, title="Dentist")}) == 1
    with pytest.raises(AttributeError):
        entry.title = "other"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", " \t "),
        ("title", "x" * (MAX_TITLE + 1)),
        ("title", "two\nlines"),
        ("title", "two\u2028lines"),
        ("title", "nul\0"),
        ("title", "half \ud800 surrogate"),
        ("title", None),
        ("title", b"bytes"),
        ("date", "2023-12-19"),
        ("date", 20231219),
        ("date", datetime.datetime(2023, 12, 19, tzinfo=datetime.UTC)),
        ("done", 1),
        ("priority", "AA"),
        ("priority", "a"),
        ("priority", 1),
        ("created_on", "today"),
        ("completed_on", DAY),
        ("id", -1),
        ("id", True),
        ("id", "1"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"title": "Dentist", "date": DAY}
    fields[field] = value
    with pytest.raises(InvalidEntry, match=field) as caught:
        Entry(**fields)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)


def test_white_space_around_a_title_is_removed_and_inside_it_kept() -> None:
    assert Entry(title="  buy\tmilk  now ").title == "buy\tmilk  now"


def test_done_and_undone_keep_the_days_consistent() -> None:
    done = Entry(title="Dentist").as_done(DAY)
    assert done.done
    assert done.completed_on == DAY
    assert done.as_undone() == Entry(title="Dentist")


def test_projects_and_contexts_are_read_from_the_title() -> None:
    entry = Entry(title="+home call @phone a+b about +home +garden @x@y")
    assert entry.projects == ("home", "garden")
    assert entry.contexts == ("phone", "x@y")


@pytest.mark.parametrize("name", ["", "  ", " bob", "bob ", "a\nb", "a\0b", "x" * (MAX_NAME + 1), None, 3])
def test_a_name_that_cannot_be_is_refused(name: Any) -> None:
    with pytest.raises(InvalidListName) as caught:
        check_list_name(name)
    assert caught.value.name == name


def test_names_of_every_language_are_names() -> None:
    for name in ("bob", "Bob's list", "買い物", "a/b", "..", "x" * MAX_NAME):
        assert check_list_name(name) == name


def test_the_errors_survive_a_pickle() -> None:
    with pytest.raises(InvalidEntry) as caught:
        Entry(title="")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.field == "title"
