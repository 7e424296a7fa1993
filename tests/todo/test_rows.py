"""Entries as rows: what comes back is what was put in, and what can be no entry is not made one."""

from __future__ import annotations

import datetime

import pytest

from todo import Entry
from todo.rows import COLUMNS, entry_of, row_of

DAY = datetime.date(2023, 12, 19)
FULL = Entry(id=7, title="x", date=DAY, done=True, priority="A", created_on=DAY, completed_on=DAY)


@pytest.mark.parametrize("entry", [FULL, Entry(id=1, title="bare")])
def test_an_entry_comes_back_from_its_row(entry: Entry) -> None:
    assert entry_of(row_of(entry)) == entry


def test_a_row_has_the_columns_in_their_order() -> None:
    row = dict(zip(COLUMNS, row_of(FULL), strict=True))
    assert row == {
        "id": 7,
        "title": "x",
        "date": "2023-12-19",
        "done": 1,
        "priority": "A",
        "created_on": "2023-12-19",
        "completed_on": "2023-12-19",
    }


@pytest.mark.parametrize(
    "row",
    [
        (1, "x", "soon", 0, None, None, None),
        (1, "x", 5, 0, None, None, None),
        (1, "", None, 0, None, None, None),
        (1, None, None, 0, None, None, None),
        ("1", "x", None, 0, None, None, None),
        (1, "x", None, 0, "low", None, None),
        (1, "x", None, 0, None, None, "2023-12-19"),
    ],
)
def test_an_invalid_row_is_an_error(row: tuple[object, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        entry_of(row)
