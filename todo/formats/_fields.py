"""Entries as named fields, for CSV and JSON."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from todo.entry import Entry, check_list_name
from todo.errors import BadInput

from .listed import Listed

__all__ = ["FIELDS", "IGNORED", "from_fields", "no_such_field", "to_fields"]

FIELDS = ("list", "title", "date", "done", "priority", "created_on", "completed_on")
IGNORED = frozenset({"id"})
"""Fields that the command prints and that the list assigns anew."""

_DATES = ("date", "created_on", "completed_on")


def to_fields(name: str | None, entry: Entry) -> dict[str, Any]:
    """The fields in the order of `FIELDS`; dates as ``YYYY-MM-DD``, what is not there as None."""
    fields: dict[str, Any] = {"list": name}
    for field in FIELDS[1:]:
        value = getattr(entry, field)
        fields[field] = value.isoformat() if isinstance(value, datetime.date) else value
    return fields


def from_fields(fields: Mapping[str, Any]) -> Listed:
    """The entry of these fields; what is missing or None is not there.

    Raises:
      BadInput: a field is unknown or has a value that it cannot have; the error names it.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise BadInput(no_such_field(unknown[0]))
    values = {name: value for name, value in fields.items() if value is not None}
    name = values.pop("list", None)
    for field in _DATES:
        if field in values:
            values[field] = _date(field, values[field])
    if "title" not in values:
        raise BadInput("it has no title")
    if name is not None:
        check_list_name(name)  # which form of it is meant, the database knows
    return Listed(name, Entry(**values))


def no_such_field(name: str) -> str:
    """The error text for a field of this name."""
    return f"unknown field {name!r}; the fields are {', '.join(FIELDS)}"


def _date(field: str, value: object) -> datetime.date:
    try:
        return datetime.date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        shown = repr(value) if isinstance(value, str | int | float) else type(value).__name__
        raise BadInput(f"{field} is not a calendar date: {shown}") from None
