"""How things are printed: for people on a terminal, plain in a pipe, as JSON for programs."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterable
from typing import Any

import click

from todo.entry import Entry
from todo.formats._fields import to_fields
from todo.text import shown

from ._main import NOT_DONE, Options, fail
from ._parameters import today

__all__ = ["counted", "on_terminal", "print_changed", "print_entries", "print_json"]


def on_terminal() -> bool:
    """Whether the output is a terminal."""
    return sys.stdout.isatty()


def counted(number: int, one: str, many: str) -> str:
    """``1 entry``, ``2 entries``."""
    return f"{number} {one if number == 1 else many}"


def print_json(value: object) -> None:
    """Print one JSON document. If the output is not UTF-8, other characters are escaped as JSON does it."""
    click.echo(json.dumps(value, ensure_ascii=not _is_utf_8(), indent=2))


def _is_utf_8() -> bool:
    try:
        return codecs.lookup(sys.stdout.encoding or "").name == "utf-8"
    except (AttributeError, LookupError):
        return False


def print_entries(options: Options, found: Iterable[tuple[str, Entry]], *, with_list: bool) -> None:
    """Entries with the names of their lists.

    Args:
      with_list: whether people need the name of the list.
    """
    found = list(found)
    if options.as_json:
        print_json([_fields(name, entry) for name, entry in found])
        return
    for name, entry in found:
        _print_entry(entry, name if with_list else None)
    if not found and on_terminal():
        click.secho("nothing found", dim=True, err=True)


def print_changed(options: Options, name: str, entry: Entry | None, id: int) -> None:
    """Print an entry after a change. If there is no such entry, say so and exit."""
    if entry is None:
        fail(f"the list {name!r} has no entry {id}", NOT_DONE)
    print_entries(options, [(name, entry)], with_list=False)


def _fields(name: str, entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, **to_fields(name, entry)}


def _print_entry(entry: Entry, name: str | None = None) -> None:
    mark = click.style("x", fg="green") if entry.done else " "
    parts = [f"{entry.id:4}", f"[{mark}]"]
    if name is not None:
        parts.append(click.style(f"{shown(name)}:", fg="cyan"))
    if entry.priority is not None:
        parts.append(click.style(f"({entry.priority})", fg="yellow", bold=True))
    title = shown(entry.title)
    parts.append(click.style(title, dim=True) if entry.done else title)
    if entry.date is not None:
        late = not entry.done and entry.date < today()
        parts.append(click.style(entry.date.isoformat(), fg="red" if late else "blue"))
    click.echo(" ".join(parts))
