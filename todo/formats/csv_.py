"""CSV, for spreadsheets: a header that names the fields, in any order, then a row for each entry.

Only ``title`` must be there. ``done`` is ``yes`` or ``no`` (``true``/``false`` and ``1``/``0`` are read,
too); dates are ``YYYY-MM-DD``. Cells are parted by commas; semicolons and tabs, which spreadsheets use in
many countries, are read, too. An unknown column is one bad line, not one in every row. The cells that
a spreadsheet would take for a formula are written as they are: this is an exchange format, and what was
written must come back.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

from todo.errors import BadInput, BadLine

from ._fields import FIELDS, IGNORED, from_fields, no_such_field, to_fields
from .listed import Listed, Placed, Read

__all__ = ["read", "write"]

# What fits into C's long wherever Python runs.
_LONGEST: Final = 2**31 - 1
_limit = threading.Lock()
_UNCLOSED: Final = "unexpected end of data"

_TRUE = frozenset({"yes", "true", "1", "x"})
_FALSE = frozenset({"no", "false", "0", ""})


def read(text: str, source: str = "todo.csv") -> Read:
    """The entries of a CSV file; empty rows are passed over.

    Args:
      text: the file.
      source: its name in errors.
    """
    text = text.removeprefix("\ufeff")
    # In case a cell is as long as the file.
    longest = min(len(text) + 1, _LONGEST)
    begun = 1
    if text[:4].lower() == "sep=":
        # How spreadsheets are told what parts the cells; the header tells as well.
        text = text.partition("\n")[2]
        begun = 2
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=_delimiter(text), strict=True, skipinitialspace=True)
    line = begun
    try:
        header = [name.strip().lower() for name in _next(reader, longest) or ()]
        if "title" not in header:
            why = f"no header; it must name some of {', '.join(FIELDS)}"
            yield BadLine(source, begun, ",".join(header), why)
            return
        for name in header:
            if name not in FIELDS and name not in IGNORED:
                yield BadLine(source, begun, ",".join(header), no_such_field(name))
    except csv.Error as error:
        yield BadLine(source, line, "", f"no CSV: {error}")
        return
    while True:
        # That on which the row begins: one whose quotes are not closed goes on to the end of the file.
        line = reader.line_num + begun
        try:
            row = _next(reader, longest)
        except csv.Error as error:
            # The next row begins on the next line, unless a quote that is not closed had this one take all.
            where = " from here on" if str(error) == _UNCLOSED else ""
            yield BadLine(source, line, "", f"no CSV{where}: {error}")
            continue
        if row is None:
            return
        if not any(row):
            continue
        try:
            listed = from_fields(_fields(header, row))
            yield Placed.at(listed, source, line, ",".join(row))
        except BadInput as error:
            yield BadLine(source, line, ",".join(row), str(error))


def _next(reader: Iterator[list[str]], longest: int) -> list[str] | None:
    """The next row, whatever the length of its cells; None at the end.

    How long a cell may be is a setting of the process, which others rely on: it is changed for no longer than
    one of ours is read.
    """
    if longest <= csv.field_size_limit():
        return next(reader, None)
    with _limit:
        before = csv.field_size_limit(longest)
        try:
            return next(reader, None)
        finally:
            csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """The delimiter of the header: no field has one of these in its name."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _fields(header: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) > len(header):
        raise BadInput(f"the row has {len(row)} cells, but the header only {len(header)}")
    cells = ((name, cell.strip()) for name, cell in zip(header, row, strict=False) if name in FIELDS)
    fields: dict[str, Any] = {name: cell for name, cell in cells if cell or name == "title"}
    if "done" in fields:
        cell = fields["done"].lower()
        if cell not in _TRUE | _FALSE:
            raise BadInput(f"done must be yes or no, not {fields['done']!r}")
        fields["done"] = cell in _TRUE
    return fields


def write(listed: Iterable[Listed]) -> str:
    """A header and a row for each entry."""
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for name, entry in listed:
        fields = to_fields(name, entry)
        writer.writerow(fields | {"done": "yes" if entry.done else "no"})
    return text.getvalue()
