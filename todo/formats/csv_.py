"""CSV, for spreadsheets: a header that names the fields, in any order, then a row for each entry.

Only ``title`` must be there. ``done`` is ``yes`` or ``no`` (``true``/``false`` and ``1``/``0`` are read,
too); dates are ``YYYY-MM-DD``. The cells that a spreadsheet would take for a formula are written as they
are: this is an exchange format, and what was written must come back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from todo.errors import BadInput, BadLine

from ._fields import FIELDS, from_fields, to_fields

if TYPE_CHECKING:
    from . import Listed, Read

__all__ = ["read", "write"]

_TRUE = frozenset({"yes", "true", "1", "x"})
_FALSE = frozenset({"no", "false", "0", ""})


def read(text: str, source: str = "todo.csv") -> Read:
    """The entries of a CSV file; empty rows are passed over.

    Args:
      text: the file.
      source: what it is called in errors.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, list[str]())]
        if "title" not in header:
            yield BadLine(source, 1, ",".join(header), f"no header; it must name some of {', '.join(FIELDS)}")
            return
        for row in reader:
            if not any(row):
                continue
            try:
                yield from_fields(_fields(header, row))
            except BadInput as error:
                yield BadLine(source, reader.line_num, ",".join(row), str(error))
    except csv.Error as error:
        yield BadLine(source, reader.line_num, "", f"no CSV from here on: {error}")


def _fields(header: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) > len(header):
        raise BadInput(f"the row has {len(row)} cells, the header {len(header)}")
    fields: dict[str, Any] = {
        name: cell for name, cell in zip(header, row, strict=False) if cell or name == "title"
    }
    if "done" in fields:
        cell = fields["done"].strip().lower()
        if cell not in _TRUE | _FALSE:
            raise BadInput(f"done is yes or no, not {fields['done']!r}")
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
