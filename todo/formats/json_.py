"""JSON, for programs: an array with an object for each entry, the fields named as those of `Entry`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from todo.errors import BadInput, BadLine

from ._fields import FIELDS, IGNORED, from_fields, no_such_field, to_fields
from .listed import Listed, Placed, Read

__all__ = ["read", "write"]


def shortened(value: object) -> str:
    """The beginning of a value as JSON, however deeply it is nested."""
    try:
        return json.dumps(value, ensure_ascii=False)[:1000]
    except RecursionError:
        return "..."


def read(text: str, source: str = "todo.json") -> Read:
    """The entries of a JSON file, such as `todo list --json` prints. An unknown field is one bad line, not
    one in every entry; the entries are read without it. The "line" of a `BadLine` is which element of the
    array it is, from 1.

    Args:
      text: the file.
      source: its name in errors.
    """
    try:
        elements: object = json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        yield BadLine(source, 1, "", "not an array of entries: it is nested too deeply")
        return
    except ValueError as error:
        yield BadLine(source, getattr(error, "lineno", 1), "", f"not valid JSON: {error}")
        return
    if not isinstance(elements, list):
        yield BadLine(source, 1, shortened(elements), "not an array of entries")
        return
    told: set[str] = set()
    for number, element in enumerate(cast("list[object]", elements), 1):
        whole: object = element
        try:
            if not isinstance(element, dict):
                raise BadInput("not an object")
            fields = cast("dict[str, object]", element)
            for name in sorted(fields.keys() - FIELDS - IGNORED - told):
                told.add(name)
                yield BadLine(source, number, shortened(whole), no_such_field(name), unit="entry")
            listed = from_fields({name: value for name, value in fields.items() if name in FIELDS})
            yield Placed.at(listed, source, number, shortened(whole), unit="entry")
        except BadInput as error:
            yield BadLine(source, number, shortened(whole), str(error), unit="entry")


def write(listed: Iterable[Listed]) -> str:
    """An array, an entry a line."""
    rows = [json.dumps(to_fields(name, entry), ensure_ascii=False) for name, entry in listed]
    return "[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n"
