"""What must be in the database, by what a writer has said: for each list the acknowledged state, and what
was on its way.

A request without a reply may have been done or not, and nothing else may have happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from todo import TodoList
from todo.folder import Folder

Titles = dict[int, str]


class Acknowledged:
    """A model of the folder, fed with the lines of `writer`."""

    def __init__(self) -> None:
        self.lists: dict[str, Titles] = {}
        self.under_way: dict[str, tuple[str, int, str]] = {}
        self.replies = 0
        self.highest: dict[str, int] = {}

    def hear(self, line: str) -> None:
        """One line of the writer."""
        word, _, rest = line.partition(" ")
        name, kind, number, text = rest.split("\t")
        operation = (kind, int(number), text)
        if word == "begin":
            self.under_way[name] = operation
            return
        assert word == "done"
        assert self.under_way.pop(name) == operation
        self.lists[name] = _applied(self.lists.get(name, {}), operation)
        self.replies += 1
        if kind == "add":
            # An id that was acknowledged is never given again.
            assert int(number) > self.highest.get(name, 0)
            self.highest[name] = int(number)

    def check(self, found: dict[str, TodoList]) -> None:
        """Compare with what is in the folder; from here on, that is what is known."""
        for name in sorted({*self.lists, *self.under_way, *found}):
            acknowledged = self.lists.get(name, {})
            stored = found.get(name, TodoList.new())
            titles = {entry.id: entry.title for entry in stored}
            possible = [acknowledged]
            if name in self.under_way:
                possible.append(_applied(acknowledged, self.under_way[name]))
            assert titles in possible, f"{name}: {_difference(titles, possible)}"
            assert stored.next_id > self.highest.get(name, 0)
            self.lists[name] = titles
        self.under_way.clear()


def _applied(titles: Titles, operation: tuple[str, int, str]) -> Titles:
    kind, number, text = operation
    if kind == "delete":
        return {key: value for key, value in titles.items() if key != number}
    return {**titles, number: text}


def _difference(titles: Titles, possible: Iterable[Titles]) -> str:
    return " or ".join(
        f"missing {sorted(set(expected.items()) - set(titles.items()))}, "
        f"not expected {sorted(set(titles.items()) - set(expected.items()))}"
        for expected in possible
    )


def contents(place: Path, *, check: bool = True) -> dict[str, TodoList]:
    """Every list of a folder, opened as the system opens it."""
    found: dict[str, TodoList] = {}
    with Folder.open(place) as folder:
        for index in range(folder.description.workers):
            with folder.open_shard(index) as shard:
                if check:
                    assert shard.check() == []
                for name, todo_list in shard.dump():
                    assert name not in found
                    found[name] = todo_list
    return found
