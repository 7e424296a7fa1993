"""todo.txt: one entry a line, made for people and `grep` (the format's rules: version 1.0 at todotxt.org).

::

    (A) 2023-12-01 Call the dentist +health @phone due:2023-12-19
    x 2023-12-20 2023-12-01 Call the dentist +health @phone due:2023-12-19 pri:A

A day that an entry is for is written ``due:``, the priority of one that is done ``pri:``, the list that it
belongs to ``list:`` (with ``%20`` for a blank); all three are ``key:value``, which the format leaves to its
users. What an entry has and the format has no place for is ``created:``, when it is done and the day is
not known. What has the form of one of these and another kind of value (``due:soon``, ``pri:high``) is a word
of the title; a day that no calendar has is a bad line.

Of the done, some programs keep the priority where it was, before or after the day on which it was done; both
are read.

The format has no way to say that a word is only a word. A title in which one would be taken for something
else (a title that begins with ``x``, or has a ``due:2023-12-19`` that is not its day) gets a backslash
before that word, and reading takes it off again; a word that could not be misread keeps its backslashes.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from todo.entry import Entry, check_list_name
from todo.errors import BadInput, BadLine

from .listed import Listed, Placed, Read

__all__ = ["read", "write"]

_PRIORITY = re.compile(r"\(([A-Z])\)")
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DATE = re.compile(_ISO)
# Words that mean something wherever they stand, and those that do at the beginning.
_TAG = re.compile(rf"(?:(?:due|created):{_ISO}|pri:[A-Z]|list:\S+)")
_SPECIAL_ANYWHERE = re.compile(rf"\\*{_TAG.pattern}")
_SPECIAL_FIRST = re.compile(rf"\\*(?:x|\([A-Z]\)|{_ISO})")


def read(text: str, source: str = "todo.txt") -> Read:
    """The entries of a todo.txt file; empty lines are passed over.

    Args:
      text: the file.
      source: its name in errors.
    """
    # Not splitlines(): a form feed or a line separator inside a title does not end the line here.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        try:
            yield Placed.at(_parse(line.strip(" ")), source, number, line)
        except BadInput as error:
            yield BadLine(source, number, line, str(error))


def _parse(line: str) -> Listed:
    words = line.split(" ")
    done = words[0] == "x" and len(words) > 1
    priority: str | None = None
    dates: list[datetime.date] = []
    if done:
        words.pop(0)
    while len(words) > 1:
        match = _PRIORITY.fullmatch(words[0])
        if match and priority is None and len(dates) < (2 if done else 1):
            priority = match[1]
        elif _DATE.fullmatch(words[0]) and len(dates) < (2 if done else 1):
            dates.append(_date("the date at the beginning", words[0]))
        else:
            break
        words.pop(0)
    completed_on = dates.pop(0) if done and dates else None
    created_on = dates.pop(0) if dates else None
    # Said twice, the first counts, and the second is a word of the title.
    said = {"pri": priority is not None, "created": created_on is not None}
    tags: dict[str, str] = {}
    title: list[str] = []
    for word in words:
        key, _, value = word.partition(":")
        if _TAG.fullmatch(word) and key not in tags and not said.get(key):
            tags[key] = value
        else:
            title.append(word)
    priority = tags.get("pri", priority)
    if "created" in tags:
        created_on = _date("created:", tags["created"])
    entry = Entry(
        title=_unescaped(title),
        date=_date("due:", tags["due"]) if "due" in tags else None,
        done=done,
        priority=priority,
        created_on=created_on,
        completed_on=completed_on,
    )
    name = unquote(tags["list"]) if "list" in tags else None
    if name is not None:
        check_list_name(name)  # which form of it is meant, the database knows
    return Listed(name, entry)


def _date(where: str, text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{where} is not a calendar date: {text}") from None


def _unescaped(words: list[str]) -> str:
    for index, word in enumerate(words):
        if word.startswith("\\") and (
            _SPECIAL_ANYWHERE.fullmatch(word) or (index == 0 and _SPECIAL_FIRST.fullmatch(word))
        ):
            words[index] = word[1:]
    return " ".join(words)


def _escaped(title: str) -> str:
    words = title.split(" ")
    for index, word in enumerate(words):
        if _SPECIAL_ANYWHERE.fullmatch(word) or (index == 0 and _SPECIAL_FIRST.fullmatch(word)):
            words[index] = f"\\{word}"
    return " ".join(words)


def write(listed: Iterable[Listed]) -> str:
    """The lines of a todo.txt file, one for each entry."""
    text = "".join(f"{_line(name, entry)}\n" for name, entry in listed)
    # The first is taken for the byte order mark of a file, and off.
    return f"\ufeff{text}" if text.startswith("\ufeff") else text


def _line(name: str | None, entry: Entry) -> str:
    words: list[str] = []
    tags: list[str] = []
    if entry.done:
        words.append("x")
        if entry.priority:
            tags.append(f"pri:{entry.priority}")
        if entry.completed_on:
            words.append(_iso(entry.completed_on))
            if entry.created_on:
                words.append(_iso(entry.created_on))
        elif entry.created_on:
            tags.append(f"created:{_iso(entry.created_on)}")
    else:
        if entry.priority:
            words.append(f"({entry.priority})")
        if entry.created_on:
            words.append(_iso(entry.created_on))
    if entry.date:
        tags.append(f"due:{_iso(entry.date)}")
    if name is not None:
        tags.append(f"list:{quote(name, safe='')}")
    return " ".join([*words, _escaped(entry.title), *tags])


def _iso(day: datetime.date) -> str:
    return day.isoformat()
