"""Import and export of many entries, shared by the command and by programs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import trio

from .entry import Entry, check_list_name
from .errors import BadLine, InvalidListName, NoSuchList, StorageError, TodoError
from .formats import DEFAULT_LIST, Listed
from .formats.listed import Placed
from .import_notes import ImportNotes
from .rows import wrong_list_name
from .server import TodoServer
from .system import System

__all__ = ["Import", "export_lists", "import_listed", "require_list", "with_lists"]

# Lists at a time. Each is one request to its server, and requests to one shard share transactions.
_AT_A_TIME = 64
# Entries a request: few enough that a list of a million neither blocks its server nor holds up its shard.
_A_REQUEST = 500


@dataclasses.dataclass(frozen=True)
class Import:
    """The result of an import.

    Attributes:
      imported: how many entries were added, together with `before`.
      lists: the names of the lists they were added to, sorted.
      bad: the lines that were no entries.
      before: how many of them an earlier run of the same import, which was interrupted, had added.
    """

    imported: int
    lists: list[str]
    bad: list[BadLine]
    before: int = 0


def with_lists(
    read: Iterable[Listed | BadLine], *, default_list: str = DEFAULT_LIST, by_project: bool = False
) -> Iterator[Listed | BadLine]:
    """Give each entry that names no list the list that it goes to.

    Args:
      read, default_list, by_project: see `import_listed`.

    Raises:
      InvalidListName: `default_list` can be no list's name; or a project, of an entry of which it is not
        known where it was read. Where it is known, that is a `BadLine`.
    """
    default_list = check_list_name(default_list)
    for item in read:
        if isinstance(item, BadLine) or item.list is not None:
            yield item
            continue
        project = next(iter(item.entry.projects), None) if by_project else None
        try:
            name = default_list if project is None else check_list_name(project)
        except InvalidListName as error:
            if not isinstance(item, Placed):
                raise
            yield item.bad(str(error))
        else:
            yield Listed(name, item.entry)


async def import_listed(
    system: System,
    read: Iterable[Listed | BadLine],
    *,
    default_list: str = DEFAULT_LIST,
    by_project: bool = False,
    skip_bad: bool = False,
    progress: Callable[[int], object] = lambda _: None,
    tell: Callable[[Import], object] = lambda _: None,
) -> Import:
    """Add what was read, each list in the order of its entries, many lists at the same time.

    If it is interrupted, also by the death of the process, the next run with the same entries takes it up,
    and adds none twice. One that came to its end adds them again.

    Args:
      read: from a reader of `todo.formats`.
      default_list: for entries that name no list.
      by_project: entries that name no list and have a ``+project`` go to the list of that name.
      skip_bad: add the rest if a line is bad; if not, one bad line means that nothing is added.
      progress: called with how many entries more are on disk.
      tell: called with what was done, before it counts as told: killed before `tell` returns, the next run
        takes it up, and finds all done.

    Raises:
      InvalidListName: see `with_lists`; nothing was added.
      StorageError: the database failed; what was counted by `progress` is on disk.
    """
    bad: list[BadLine] = []
    lists: dict[str, list[Entry]] = {}
    for item in with_lists(read, default_list=default_list, by_project=by_project):
        if isinstance(item, BadLine):
            bad.append(item)
        else:
            assert item.list is not None
            lists.setdefault(item.list, []).append(item.entry)
    if bad and not skip_bad:
        done = Import(0, [], bad)
        tell(done)
        return done
    notes = ImportNotes(system.database, lists)
    # Of two that are the same, the second begins when the first is over: it adds everything again.
    async with system.importing(notes.digest):
        return await _import(system, lists, bad, notes, progress, tell)


async def _import(
    system: System,
    lists: dict[str, list[Entry]],
    bad: list[BadLine],
    notes: ImportNotes,
    progress: Callable[[int], object],
    tell: Callable[[Import], object],
) -> Import:
    await notes.read()
    slots = trio.Semaphore(_AT_A_TIME)

    async def add(name: str, entries: Sequence[Entry]) -> None:
        async with slots:
            for begin in range(notes.stored(name), len(entries), _A_REQUEST):
                part = entries[begin : begin + _A_REQUEST]
                note = notes.note(name, begin + len(part))
                progress(len(await system.call(name, TodoServer.add_entries(part, note))))

    before = sum(notes.stored(name) for name in lists)
    progress(before)
    with _first_of_ours():
        async with trio.open_nursery() as nursery:
            for name, entries in lists.items():
                nursery.start_soon(add, name, entries)
    await notes.finish()
    done = Import(sum(map(len, lists.values())), sorted(lists), bad, before)
    tell(done)
    await notes.forget()
    return done


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
      failed: the errors of lists that cannot be read are put in here, and the others returned; with all
        lists, also those of entries that are in none. None: the first such error is raised.

    Raises:
      NoSuchList: one of `names` is the name of no list.
      StorageError: one cannot be read.
    """
    if names is None:
        names = await _all_names(system, failed)
    else:
        for name in names:
            await require_list(system, name)
    slots = trio.Semaphore(_AT_A_TIME)
    found: dict[str, Sequence[Entry]] = {}

    async def load(name: str) -> None:
        async with slots:
            try:
                found[name] = await system.call(name, TodoServer.entries())
            except StorageError as error:
                if failed is None:
                    raise
                failed.append(error)
                found[name] = ()

    with _first_of_ours():
        async with trio.open_nursery() as nursery:
            for name in dict.fromkeys(names):
                nursery.start_soon(load, name)
    return [Listed(name, entry) for name in dict.fromkeys(names) for entry in found[name]]


async def _all_names(system: System, failed: list[StorageError] | None) -> list[str]:
    """The names of all lists; for `failed`, see `export_lists`."""
    lost = await system.database.unreachable()
    unread: list[StorageError] = []
    summaries = await system.database.lists(failed=unread)
    told = {error.path for error in lost}
    lost += [error for error in unread if error.path not in told]
    if failed is not None:
        failed += lost
    elif lost:
        raise lost[0]
    return [summary.name for summary in summaries if wrong_list_name(summary.name) is None]


@contextlib.contextmanager
def _first_of_ours() -> Generator[None]:
    """Raise the first error of a nursery by itself if all of its errors are of this package."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours, rest = group.split(TodoError)
        if ours is None or rest is not None:
            raise
        first: BaseException = ours
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__
