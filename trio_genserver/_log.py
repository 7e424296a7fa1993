"""Records in the log, bounded in size and in number.

A server that fails may fail thousands of times a second. The first few records say all that there is to
know; the others would drown them, and stop the program while they are written. So of each kind (`KINDS`), a
server has `MOST` records within `SECONDS` of Trio's clock, and all children of one supervisor together have
`MOST_OF_ALL`; what is left out is counted. The count is logged

- before the next record of that kind, once the time is over;
- before the record that says that a restart has succeeded at last;
- when the server has ended for good: by itself, by `terminate_child`, or with its supervisor.

So no count is lost, and the counts are bounded in number themselves: a server that goes from crash to crash
does not end for good. When a supervisor restarts, the records left out for its children are added to its own
count.

The windows are kept in the reference of the server, which outlives its restarts and no more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import trio

from ._cycle import execution_var
from ._emit import emit, logger
from ._host import Host, Reference

__all__ = [
    "KINDS",
    "MOST",
    "MOST_OF_ALL",
    "SECONDS",
    "admits",
    "ended",
    "report",
    "say_left_out",
]

MOST: Final = 10
MOST_OF_ALL: Final = 50
SECONDS: Final = 10.0

# By what there may be many of: how many of it are called, and the level of its records.
KINDS: Final[Mapping[str, tuple[str, int]]] = {
    "crash": ("crashes", logging.ERROR),
    "end": ("abnormal ends", logging.ERROR),
    "restart": ("restarts", logging.WARNING),
    "failed restart": ("failed restarts", logging.ERROR),
    "task": ("crashes of tasks", logging.ERROR),
    "message": ("messages without a handler", logging.WARNING),
    "late terminate": ("ends of which terminate was cut short", logging.WARNING),
    "worker": ("failures to start a worker", logging.ERROR),
    "ping": ("failed pings", logging.WARNING),
}


class Window:
    """The records of one kind, about one server or about the children of one, within `SECONDS`."""

    __slots__ = ("begun", "left_out", "logged", "most")

    def __init__(self, begun: float, most: int) -> None:
        self.begun = begun
        self.most = most
        self.logged = 0
        self.left_out = 0


def admits(server: Reference, kind: str) -> bool:
    """Whether to log a record of this kind about `server`, which `report` then makes.

    Records left out are counted. Asked first, since the texts may take long to make.
    """
    if not logger.isEnabledFor(KINDS[kind][1]):
        return False
    # Its own first: one child that fails again and again uses up nothing of the others'.
    if not _admit(server, kind, MOST):
        return False
    parent = _supervisor_of(server._process)
    return parent is None or _admit(parent, f"children {kind}", MOST_OF_ALL)


def report(
    server: Reference,
    kind: str,
    text: str,
    *args: object,
    error: BaseException | None = None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Log something about `server` that `admits` has let in.

    Args:
      text, args: as for `logging`; what is in `args` must be bounded.
      error: its traceback is a part of the record.
      extra: attributes of the record, bounded as well; ``server`` is always one.
    """
    emit(KINDS[kind][1], text, *args, error=error, extra={"server": server.name, **(extra or {})})


def say_left_out(server: Reference, *kinds: str) -> None:
    """Log how many records about `server` were left out so far: of these kinds, or of all."""
    windows = server._records
    if windows is None:
        return
    for key, window in list(windows.items()):
        if window.left_out and (not kinds or key in kinds):
            _say(server, key, window)


def ended(server: Reference) -> None:
    """An incarnation of `server` has ended."""
    process = server._process
    finally_so = not _comes_back(process)
    for child in process.family:
        if finally_so:
            _say_all(child)
        else:
            _add_up(child, server)
    if finally_so:
        say_left_out(server)


def _comes_back(process: Host) -> bool:
    """Whether the supervisor may start it again; or has ended it, and says so itself."""
    return process.supervised and process.spec.restart != "temporary"


def _say_all(server: Reference) -> None:
    """`say_left_out`, and what it knows of its own children."""
    say_left_out(server)
    for child in server._process.family:
        _say_all(child)


def _add_up(child: Reference, supervisor: Reference) -> None:
    for key, window in (child._records or {}).items():
        if window.left_out:
            kind = key.removeprefix("children ")
            _window(supervisor, f"children {kind}", MOST_OF_ALL).left_out += window.left_out
            window.left_out = 0


def _admit(server: Reference, key: str, most: int) -> bool:
    window = _window(server, key, most)
    now = trio.current_time()
    if now - window.begun >= SECONDS:
        if window.left_out:
            _say(server, key, window)
        window.begun = now
        window.logged = 0
    if window.logged >= most:
        window.left_out += 1
        return False
    window.logged += 1
    return True


def _window(server: Reference, key: str, most: int) -> Window:
    if server._records is None:
        server._records = {}
    window = server._records.get(key)
    if window is None:
        window = server._records[key] = Window(trio.current_time(), most)
    return window


def _say(server: Reference, key: str, window: Window) -> None:
    kind = key.removeprefix("children ")
    name, level = KINDS[kind]
    whose = server.name if key == kind else f"children of {server.name}"
    count, window.left_out = window.left_out, 0
    emit(
        level,
        "%d more %s of %s were left out: %d within %g s are logged",
        count,
        name,
        whose,
        window.most,
        SECONDS,
        extra={"server": server.name, "left_out": count},
    )


def _supervisor_of(process: Host) -> Reference | None:
    """The supervisor that is to hear of its end."""
    task = process.task
    if task is None or not process.supervised or task.parent_nursery is None:
        return None
    parent = task.parent_nursery.parent_task.context.get(execution_var)
    return None if parent is None else parent.server.ref
