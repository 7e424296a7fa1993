"""The formats that lists come in and go out as, a module for each: pure functions between text and entries.

Each format that can be read has ``read(text, source)``, which yields, in the order of the text, a `Listed`
for each entry and a `BadLine` for each line that is not one. Each format has ``write(listed)``. The caller
decides what a bad line means. Reading what was written gives the same entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath

from todo.errors import BadInput

from . import csv_, icalendar, json_, todo_txt
from .listed import DEFAULT_LIST, Listed, Read

__all__ = ["DEFAULT_LIST", "READERS", "WRITERS", "Listed", "Read", "format_of", "icalendar"]

READERS: dict[str, Callable[[str, str], Read]] = {
    "todo.txt": todo_txt.read,
    "csv": csv_.read,
    "json": json_.read,
}

WRITERS: dict[str, Callable[[Iterable[Listed]], str]] = {
    "todo.txt": todo_txt.write,
    "csv": csv_.write,
    "json": json_.write,
    "icalendar": icalendar.write,
}

_BY_ENDING = {".txt": "todo.txt", ".csv": "csv", ".json": "json", ".ics": "icalendar"}


def format_of(path: str) -> str:
    """The name of the format of a file, by its ending.

    Raises:
      BadInput: the ending says nothing.
    """
    found = _BY_ENDING.get(PurePath(path).suffix.lower())
    if found is None:
        raise BadInput(f"the ending of {path!r} names no format; say --format {'|'.join(WRITERS)}")
    return found
