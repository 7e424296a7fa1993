"""Many entries at once, in and out: what the command and a program's own import share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import trio

from .entry import Entry, check_list_name
from .errors import BadLine, NoSuchList, StorageError
from .formats import DEFAULT_LIST, Listed
from .server import TodoServer
from .system import System

__all__ = ["Import", "export_lists", "import_listed", "require_list"]

# Lists at a time. Each is one request to its server, and requests to one shard share transactions.
_AT_A_TIME = 64
# Entries a request: few enough that a list of a million neither blocks its server nor holds up its shard.
_A_REQUEST = 500


@dataclasses.dataclass(frozen=True)
class Import:
    """What an import did.

    Attributes:
      imported: how many entries were added.
      lists: the names of the lists they were added to, sorted.
      bad: the lines that were no entries.
    """

    imported: int
    lists: list[str]
    bad: list[BadLine]


async def import_listed(
    system: System,
    read: Iterable[Listed | BadLine],
    *,
    default_list: str = DEFAULT_LIST,
    by_project: bool = False,
    skip_bad: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> Import:
    """Add what was read, each list in the order of its entries, many lists at the same time.

    Args:
      read: from a reader of `todo.formats`.
      default_list: for entries that name no list.
      by_project: entries that name no list and have a ``+project`` go to the list of that name.
      skip_bad: add the rest if a line is bad; if not, one bad line means that nothing is added.
      progress: called with how many entries more are on disk.

    Raises:
      InvalidListName: `default_list`, or a project, can be no list's name; nothing was added.
      StorageError: the database failed; what was counted by `progress` is on disk.
    """
    bad: list[BadLine] = []
    lists: dict[str, list[Entry]] = {}
    for item in read:
        if isinstance(item, BadLine):
            bad.append(item)
            continue
        name = item.list
        if name is None:
            projects = item.entry.projects if by_project else ()
            name = check_list_name(projects[0] if projects else default_list)
        lists.setdefault(name, []).append(item.entry)
    if bad and not skip_bad:
        return Import(0, [], bad)
    slots = trio.Semaphore(_AT_A_TIME)

    async def add(name: str, entries: Sequence[Entry]) -> None:
        async with slots:
            for begin in range(0, len(entries), _A_REQUEST):
                part = entries[begin : begin + _A_REQUEST]
                progress(len(await system.call(name, TodoServer.add_entries(part))))

    async with trio.open_nursery() as nursery:
        for name, entries in lists.items():
            nursery.start_soon(add, name, entries)
    return Import(sum(map(len, lists.values())), sorted(lists), bad)


async def require_list(system: System, name: str) -> None:
    """Raise `NoSuchList` if nothing was ever added to a list of that name."""
    if not await system.database.has_list(check_list_name(name)):
        raise NoSuchList(name)


async def export_lists(
    system: System, names: Sequence[str] | None = None, *, failed: list[StorageError] | None = None
) -> list[Listed]:
    """The entries of these lists, or of all, in the order of names, then of ids.

    Args:
      system: where they are.
      names: of the lists; None: all.
      failed: the errors of lists that cannot be read are put in here, and the others returned. None: the
        first such error is raised.

    Raises:
      NoSuchList: one of `names` is the name of no list.
      StorageError: one cannot be read.
    """
    if names is None:
        names = [summary.name for summary in await system.database.lists(failed=failed)]
    else:
        for name in names:
            await require_list(system, name)
    limit = trio.CapacityLimiter(_AT_A_TIME)
    found: dict[str, Sequence[Entry]] = {}

    async def load(name: str) -> None:
        async with limit:
            try:
                found[name] = await system.call(name, TodoServer.entries())
            except StorageError as error:
                if failed is None:
                    raise
                failed.append(error)
                found[name] = ()

    async with trio.open_nursery() as nursery:
        for name in dict.fromkeys(names):
            nursery.start_soon(load, name)
    return [Listed(name, entry) for name in dict.fromkeys(names) for entry in found[name]]
