"""The wait-for graph of a deadlock, as values and as a drawing for the terminal.

An arrow goes from a task to the tasks without which its wait cannot end: who holds the lock, the tasks of the
nursery, the server that is to answer. A cycle of such arrows is the deadlock, and is drawn first::

  ╭─▶ forwards    waits for Lock.acquire
  │                 at bank.py:12 in forwards
  │               held by
  │   backwards   waits for Lock.acquire
  │                 at bank.py:17 in backwards
  ╰── held by forwards

An object without an owner (an event, a semaphore, a channel) has no arrow; the tasks that know it are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WaitingTask:
    """A task that waits and will never be woken."""

    name: str
    waits_for: str
    """The object it is parked on, as far as that can be told, and its owner."""
    where: tuple[str, ...]
    """The lines it is suspended at, outermost first, as ``file:line in function``."""
    label: str = ""
    """Its name, with its number if another task has the same; no two tasks of a deadlock have one label."""
    what: str = ""
    """The object it is parked on, without the owner."""
    relation: str = ""
    """How `needs` are connected with that: "held by", "from", "namely"."""
    needs: tuple[str, ...] = ()
    """Labels of the tasks without which the wait cannot end."""

    def __str__(self) -> str:
        where = "".join(f"\n      {line}" for line in self.where)
        return f"{self.label or self.name} waits for {self.waits_for}{where}"


def draw(waiting: Sequence[WaitingTask]) -> list[str]:
    """The lines of the drawing: a cycle, if there is one, and everybody who is not in it."""
    by_label = {task.label: task for task in waiting}
    cycle = _cycle(by_label)
    lines = list(_drawn(cycle))
    if cycle and len(cycle) < len(waiting):
        lines.append("")
    for task in waiting:
        if task not in cycle:
            lines += f"  {task}".split("\n")
    return lines


def _drawn(cycle: Sequence[WaitingTask]) -> Iterator[str]:
    width = max((len(task.label) for task in cycle), default=0)
    for number, task in enumerate(cycle):
        edge = "╭─▶" if number == 0 else "│  "
        yield f"  {edge} {task.label:{width}}  waits for {task.what}"
        for line in task.where:
            yield f"  │   {'':{width}}    at {line}"
        if number < len(cycle) - 1:
            yield f"  │   {'':{width}}  {task.relation}"
        else:
            yield f"  ╰── {task.relation} {cycle[0].label}"


def _cycle(by_label: Mapping[str, WaitingTask]) -> list[WaitingTask]:
    """The shortest cycle of the graph, beginning at its task that comes first; [] if there is none."""
    shortest: list[WaitingTask] = []
    for start in by_label.values():
        # Breadth first, so the first path back is a shortest one.
        paths = [[start]]
        seen = {start.label}
        while paths:
            path = paths.pop(0)
            if shortest and len(path) >= len(shortest):
                break
            for label in path[-1].needs:
                if label == start.label:
                    shortest = path
                    paths = []
                    break
                if label in by_label and label not in seen:
                    seen.add(label)
                    paths.append([*path, by_label[label]])
    return shortest
