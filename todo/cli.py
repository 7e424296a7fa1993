"""The `todo` command: every command is one call of the library, and says what came of it.

On a terminal it writes for people, with colours; in a pipe plain lines; with ``--json`` one JSON document
for programs. Errors go to standard error. Exit codes: 0 done, 1 it could not be done (no such entry, a
problem found, a bad line in an import), 2 used wrongly or the database cannot be used.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import trio

from .entry import Entry
from .errors import BadLine, TodoError
from .formats import DEFAULT_LIST, READERS, WRITERS, Listed, format_of
from .formats._fields import to_fields
from .import_export import Import, export_lists, import_listed
from .reshard import reshard
from .server import TodoServer
from .system import System, open_system

__all__ = ["main"]

R = TypeVar("R")

DONE, NOT_DONE, WRONG_USE = 0, 1, 2


if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime.date]
else:
    # Not generic at run time in every version that we take.
    _ParamType = click.ParamType


class _Date(_ParamType):
    """A day: ``2023-12-19``, ``today``, ``tomorrow``, or ``none``."""

    name = "DAY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, datetime.date):
            return value
        today = datetime.datetime.now().astimezone().date()
        match str(value).lower():
            case "today":
                return today
            case "tomorrow":
                return today + datetime.timedelta(days=1)
            case text:
                try:
                    return datetime.date.fromisoformat(text)
                except ValueError:
                    self.fail(f"{value!r} is no day; write it as 2023-12-19, today or tomorrow", param, ctx)


DAY = _Date()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TODO_FOLDER",
    help="Where the lists are.  [env: TODO_FOLDER; default: the user's data folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.version_option(package_name="trio-genserver")
@click.pass_context
def main(ctx: click.Context, folder: Path | None, as_json: bool) -> None:
    """To-do lists to trust: what a command said is done is on the disk."""
    ctx.obj = _Options(folder, as_json)


class _Options:
    def __init__(self, folder: Path | None, as_json: bool) -> None:
        self._folder = folder
        self.as_json = as_json

    @property
    def folder(self) -> Path:
        if self._folder is not None:
            return self._folder
        folder = Path(click.get_app_dir("todo"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder


def _fail(text: str, code: int) -> NoReturn:
    click.secho(f"todo: {text}", fg="red", err=True)
    sys.exit(code)


def _errors_exit(function: Callable[..., R]) -> Callable[..., R]:
    """An error of ours is a line for the person, not a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> R:
        try:
            return function(*args, **kwargs)
        except BadLine as error:
            _fail(str(error), NOT_DONE)
        except TodoError as error:
            _fail(str(error), WRONG_USE)
        except BaseExceptionGroup as group:
            ours, rest = group.split(TodoError)
            if rest is not None or ours is None:
                raise
            first: BaseException = ours
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            _fail(str(first), WRONG_USE)

    return wrapped


def _with_system(options: _Options, use: Callable[[System], Awaitable[R]]) -> R:
    async def run() -> R:
        async with open_system(options.folder) as system:
            return await use(system)

    return trio.run(run)


# What is printed.


def _fields(name: str, entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, **to_fields(name, entry)}


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_entry(entry: Entry, name: str | None = None) -> None:
    mark = click.style("x", fg="green") if entry.done else " "
    parts = [f"{entry.id:4}", f"[{mark}]"]
    if name is not None:
        parts.append(click.style(f"{name}:", fg="cyan"))
    if entry.priority is not None:
        parts.append(click.style(f"({entry.priority})", fg="yellow", bold=True))
    parts.append(click.style(entry.title, dim=True) if entry.done else entry.title)
    if entry.date is not None:
        late = not entry.done and entry.date < datetime.datetime.now().astimezone().date()
        parts.append(click.style(entry.date.isoformat(), fg="red" if late else "blue"))
    click.echo(" ".join(parts))


def _print_entries(options: _Options, found: Iterable[tuple[str, Entry]], *, with_list: bool) -> None:
    if options.as_json:
        _print_json([_fields(name, entry) for name, entry in found])
        return
    for name, entry in found:
        _print_entry(entry, name if with_list else None)


def _print_changed(options: _Options, name: str, entry: Entry | None, id: int) -> None:  # noqa: A002
    if entry is None:
        _fail(f"the list {name!r} has no entry {id}", NOT_DONE)
    _print_entries(options, [(name, entry)], with_list=False)


LIST = click.argument("name", metavar="LIST")
ID = click.argument("id", type=click.IntRange(1))


@main.command()
@LIST
@click.argument("title", nargs=-1, required=True)
@click.option("--date", type=DAY, help="The day it is for.")
@click.option("--priority", type=click.Choice([chr(code) for code in range(ord("A"), ord("Z") + 1)]))
@click.pass_obj
@_errors_exit
def add(
    options: _Options, name: str, title: tuple[str, ...], date: datetime.date | None, priority: str | None
) -> None:
    """Add an entry to LIST, which is made if there is none."""
    today = datetime.datetime.now().astimezone().date()
    entry = Entry(title=" ".join(title), date=date, priority=priority, created_on=today)
    added = _with_system(options, lambda system: system.call(name, TodoServer.add_entry(entry)))
    _print_entries(options, [(name, added)], with_list=False)


@main.command("list")
@LIST
@click.option("--date", type=DAY, help="Only of that day.")
@click.option("--open", "only_open", is_flag=True, help="Only what is not done.")
@click.pass_obj
@_errors_exit
def list_command(options: _Options, name: str, date: datetime.date | None, only_open: bool) -> None:
    """Show the entries of LIST."""
    entries = _with_system(options, lambda system: system.call(name, TodoServer.entries(date)))
    shown = [(name, entry) for entry in entries if not (only_open and entry.done)]
    _print_entries(options, shown, with_list=False)


def _update(options: _Options, name: str, id: int, change: Callable[[Entry], Entry]) -> None:  # noqa: A002
    changed = _with_system(options, lambda system: system.call(name, TodoServer.update_entry(id, change)))
    _print_changed(options, name, changed, id)


@main.command()
@LIST
@ID
@click.pass_obj
@_errors_exit
def done(options: _Options, name: str, id: int) -> None:  # noqa: A002 - the argument's name
    """Mark an entry of LIST as done."""
    today = datetime.datetime.now().astimezone().date()
    _update(options, name, id, lambda entry: entry.as_done(today))


@main.command()
@LIST
@ID
@click.pass_obj
@_errors_exit
def undone(options: _Options, name: str, id: int) -> None:  # noqa: A002 - the argument's name
    """Mark an entry of LIST as not done."""
    _update(options, name, id, Entry.as_undone)


@main.command()
@LIST
@ID
@click.option("--title", help="The new title.")
@click.option("--date", type=DAY, help="The new day.")
@click.option("--no-date", is_flag=True, help="It is for no day.")
@click.option("--priority", help="A letter from A to Z; none for no priority.")
@click.pass_obj
@_errors_exit
def edit(
    options: _Options,
    name: str,
    id: int,  # noqa: A002 - the argument's name
    title: str | None,
    date: datetime.date | None,
    no_date: bool,
    priority: str | None,
) -> None:
    """Change an entry of LIST."""
    if title is None and date is None and not no_date and priority is None:
        raise click.UsageError("nothing to change; give --title, --date, --no-date or --priority")

    def change(entry: Entry) -> Entry:
        if title is not None:
            entry = entry.with_title(title)
        if date is not None or no_date:
            entry = entry.with_date(date)
        if priority is not None:
            entry = entry.with_priority(None if priority == "none" else priority)
        return entry

    _update(options, name, id, change)


@main.command()
@LIST
@ID
@click.pass_obj
@_errors_exit
def rm(options: _Options, name: str, id: int) -> None:  # noqa: A002 - the argument's name
    """Delete an entry of LIST; its number is not used again."""
    deleted = _with_system(options, lambda system: system.call(name, TodoServer.delete_entry(id)))
    _print_changed(options, name, deleted, id)


@main.command()
@LIST
@ID
@click.argument("target")
@click.pass_obj
@_errors_exit
def move(options: _Options, name: str, id: int, target: str) -> None:  # noqa: A002 - the argument's name
    """Move an entry of LIST to the list TARGET.

    It is added there first: if the machine dies in between it is in both lists, never in none.
    """

    async def use(system: System) -> Entry | None:
        entry = await system.call(name, TodoServer.entry(id))
        if entry is None or name == target:
            return entry
        added = await system.call(target, TodoServer.add_entry(entry.with_id(0)))
        await system.call(name, TodoServer.delete_entry(id))
        return added

    moved = _with_system(options, use)
    if moved is None:
        _fail(f"the list {name!r} has no entry {id}", NOT_DONE)
    _print_entries(options, [(target, moved)], with_list=True)


@main.command()
@click.pass_obj
@_errors_exit
def lists(options: _Options) -> None:
    """Show all lists, how many entries they have, and how many of them are done."""
    found = _with_system(options, lambda system: system.database.lists())
    if options.as_json:
        _print_json([summary._asdict() for summary in found])
        return
    for summary in found:
        click.echo(f"{summary.entries:6} {summary.done:6} {click.style(summary.name, fg='cyan')}")


@main.command()
@click.argument("words", nargs=-1)
@click.option("--from", "first", type=DAY, help="Only entries from that day on.")
@click.option("--to", "last", type=DAY, help="Only entries up to that day.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.pass_obj
@_errors_exit
def search(
    options: _Options,
    words: tuple[str, ...],
    first: datetime.date | None,
    last: datetime.date | None,
    limit: int,
) -> None:
    """Find entries of all lists by the WORDS of their titles, or by day."""
    if not words and first is None and last is None:
        raise click.UsageError("say what to look for: WORDS, --from or --to")
    begin, end = first or datetime.date.min, last or datetime.date.max

    async def use(system: System) -> list[tuple[str, Entry]]:
        if not words:
            return [(found.list, found.entry) for found in await system.database.between(begin, end)]
        by_title = await system.database.search(
            " ".join(words), limit if first is last is None else 1_000_000
        )
        return [
            (found.list, found.entry)
            for found in by_title
            if (first is None and last is None)
            or (found.entry.date is not None and begin <= found.entry.date <= end)
        ]

    _print_entries(options, _with_system(options, use)[:limit], with_list=True)


def _text_of(file: str) -> str:
    """The text of a file, or of standard input; with any kind of ends of lines."""
    with click.open_file(file, "rb") as stream:
        content: bytes = stream.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _fail(f"{file}, line {line}: no UTF-8 text: {error.reason}; convert it to UTF-8 first", NOT_DONE)
    return text.replace("\r\n", "\n").replace("\r", "\n")


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--format", "format_", type=click.Choice(sorted(READERS)), help="If the ending does not say.")
@click.option("--list", "name", help=f"For entries that name no list.  [default: {DEFAULT_LIST}]")
@click.option("--by-project", is_flag=True, help="Entries that name no list go to that of their +project.")
@click.option("--skip-bad", is_flag=True, help="Import the rest if a line is bad; else nothing is imported.")
@click.pass_obj
@_errors_exit
def import_command(
    options: _Options, file: str, format_: str | None, name: str | None, by_project: bool, skip_bad: bool
) -> None:
    """Add the entries of FILE (todo.txt, CSV or JSON; - is standard input)."""
    if file == "-" and format_ is None:
        raise click.UsageError("standard input has no ending; say --format")
    kind = format_ or format_of(file)
    if kind not in READERS:
        raise click.UsageError(f"{kind} can be written, not read")
    text = _text_of(file)

    async def use(system: System) -> Import:
        read = list(READERS[kind](text, file))
        with click.progressbar(
            length=len(read), label="importing", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            return await import_listed(
                system,
                read,
                default_list=name or DEFAULT_LIST,
                by_project=by_project,
                skip_bad=skip_bad,
                progress=bar.update,
            )

    result = _with_system(options, use)
    for bad in result.bad:
        click.secho(f"todo: {bad}", fg="yellow", err=True)
    if options.as_json:
        _print_json({"imported": result.imported, "lists": result.lists, "bad": list(map(str, result.bad))})
    else:
        click.echo(f"{result.imported} entries in {len(result.lists)} lists imported")
    if result.bad:
        if not skip_bad:
            click.secho("todo: nothing was imported; --skip-bad imports the rest", fg="red", err=True)
        sys.exit(NOT_DONE)


@main.command("export")
@click.argument("names", metavar="[LIST]...", nargs=-1)
@click.option("--format", "format_", type=click.Choice(sorted(WRITERS)), help="[default: todo.txt]")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False), default="-", help="[default: standard output]"
)
@click.pass_obj
@_errors_exit
def export_command(options: _Options, names: tuple[str, ...], format_: str | None, output: str) -> None:
    """Write the entries of the LISTs, or of all."""
    kind = format_ or ("todo.txt" if output == "-" else format_of(output))

    async def use(system: System) -> list[Listed]:
        return await export_lists(system, names or None)

    text = WRITERS[kind](_with_system(options, use))
    # Whole or not at all: what was there before is not lost to a full disk.
    with click.open_file(output, "w", encoding="utf-8", atomic=output != "-") as stream:
        stream.write(text)


@main.command("reshard")
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path), required=False)
@click.option("--workers", type=click.IntRange(1), required=True, help="How many the folder shall have.")
@click.pass_obj
@_errors_exit
def reshard_command(options: _Options, folder: Path | None, workers: int) -> None:
    """Rewrite FOLDER for another number of workers, while nothing has it open.

    Kill it at any moment: the folder is then as it was, or as it shall be.
    """
    before, entries = reshard(folder or options.folder, workers)
    if options.as_json:
        _print_json({"workers_before": before, "workers": workers, "entries": entries})
    else:
        click.echo(f"{entries} entries, from {before} workers to {workers}")


@main.command()
@click.pass_obj
@_errors_exit
def check(options: _Options) -> None:
    """Read every shard whole and say what is wrong with it."""
    problems = _with_system(options, lambda system: system.database.check())
    if options.as_json:
        _print_json(problems)
    else:
        for number, found in enumerate(problems):
            click.echo(f"shard {number}: {'good' if not found else click.style('damaged', fg='red')}")
            for problem in found:
                click.echo(f"  {problem}")
    if any(problems):
        sys.exit(NOT_DONE)


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.pass_obj
@_errors_exit
def backup(options: _Options, target: Path) -> None:
    """Copy the whole database into the new folder TARGET."""
    _with_system(options, lambda system: system.backup(os.fspath(target)))
    if options.as_json:
        _print_json({"backup": os.fspath(target)})
    else:
        click.echo(f"copied to {target}; open it with: todo --folder {target} lists")
