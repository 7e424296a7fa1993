"""JSON, for programs: an array with an object for each entry, the fields named as those of `Entry`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from todo.errors import BadInput, BadLine

from ._fields import from_fields, to_fields
from .listed import Listed, Read

__all__ = ["read", "write"]


def read(text: str, source: str = "todo.json") -> Read:
    """The entries of a JSON file. The "line" of a `BadLine` is which element of the array it is, from 1.

    Args:
      text: the file.
      source: what it is called in errors.
    """
    try:
        elements: object = json.loads(text.removeprefix("\ufeff"))
    except ValueError as error:
        yield BadLine(source, getattr(error, "lineno", 1), "", f"no JSON: {error}")
        return
    if not isinstance(elements, list):
        yield BadLine(source, 1, str(elements), "no array of entries")
        return
    for number, element in enumerate(cast("list[object]", elements), 1):
        try:
            if not isinstance(element, dict):
                raise BadInput("no object")
            yield from_fields(cast("dict[str, object]", element))
        except BadInput as error:
            text = json.dumps(element, ensure_ascii=False)
            yield BadLine(source, number, text, str(error), unit="entry")


def write(listed: Iterable[Listed]) -> str:
    """An array, an entry a line."""
    rows = [json.dumps(to_fields(name, entry), ensure_ascii=False) for name, entry in listed]
    return "[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n"
