"""The commands for entries and lists."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import click

from todo.entry import Entry, check_list_name
from todo.errors import StorageError
from todo.import_export import require_list
from todo.server import TodoServer
from todo.shard import Found
from todo.system import System
from todo.text import searched_words, shown

from ._main import NOT_DONE, Options, command, fail, tell_failures, with_system
from ._output import on_terminal, print_changed, print_entries, print_json
from ._parameters import DAY, ID, LIST, NO_PRIORITY, PRIORITY, today


@command()
@LIST
@click.argument("title", nargs=-1, required=True)
@click.option("--date", type=DAY, help="The day it is for: 2023-12-19, today, tomorrow.")
@click.option("--priority", type=PRIORITY, help="From A, first, to Z.")
def add(
    options: Options, name: str, title: tuple[str, ...], date: datetime.date | None, priority: str | None
) -> None:
    """Add an entry to LIST, which is created if it does not exist."""
    entry = Entry(
        title=" ".join(title),
        date=date,
        priority=None if priority == NO_PRIORITY else priority,
        created_on=today(),
    )
    added = with_system(
        options, lambda system: system.call(name, TodoServer.add_entry(entry)), create=True, for_list=name
    )
    print_entries(options, [(name, added)], with_list=False)


@command("list")
@LIST
@click.option("--date", type=DAY, help="Only of that day.")
@click.option("--open", "only_open", is_flag=True, help="Only what is not done.")
def list_command(options: Options, name: str, date: datetime.date | None, only_open: bool) -> None:
    """Show the entries of LIST."""

    async def use(system: System) -> tuple[Entry, ...]:
        entries = await system.call(name, TodoServer.entries(date))
        if not entries:
            await require_list(system, name)
        return entries

    entries = with_system(options, use, reading=True, for_list=name)
    wanted = [(name, entry) for entry in entries if not (only_open and entry.done)]
    print_entries(options, wanted, with_list=False)


def _update(options: Options, name: str, id: int, change: Callable[[Entry], Entry]) -> None:
    changed = with_system(
        options, lambda system: system.call(name, TodoServer.update_entry(id, change)), for_list=name
    )
    print_changed(options, name, changed, id)


@command()
@LIST
@ID
def done(options: Options, name: str, id: int) -> None:
    """Mark an entry of LIST as done."""
    day = today()
    # An entry that is done keeps the day on which it was done.
    _update(options, name, id, lambda entry: entry if entry.done else entry.as_done(day))


@command()
@LIST
@ID
def undone(options: Options, name: str, id: int) -> None:
    """Mark an entry of LIST as not done."""
    _update(options, name, id, Entry.as_undone)


@command()
@LIST
@ID
@click.option("--title", help="The new title.")
@click.option("--date", type=DAY, help="The new day.")
@click.option("--no-date", is_flag=True, help="Remove the date.")
@click.option("--priority", type=PRIORITY, help="From A to Z, or none.")
def edit(
    options: Options,
    name: str,
    id: int,
    title: str | None,
    date: datetime.date | None,
    no_date: bool,
    priority: str | None,
) -> None:
    """Change an entry of LIST."""
    if title is None and date is None and not no_date and priority is None:
        raise click.UsageError("nothing to change; give --title, --date, --no-date or --priority")
    if date is not None and no_date:
        raise click.UsageError("--date and --no-date contradict each other")

    def change(entry: Entry) -> Entry:
        if title is not None:
            entry = entry.with_title(title)
        if date is not None or no_date:
            entry = entry.with_date(date)
        if priority is not None:
            entry = entry.with_priority(None if priority == NO_PRIORITY else priority)
        return entry

    _update(options, name, id, change)


@command()
@LIST
@ID
def rm(options: Options, name: str, id: int) -> None:
    """Delete an entry of LIST; its number is not used again."""
    deleted = with_system(
        options, lambda system: system.call(name, TodoServer.delete_entry(id)), for_list=name
    )
    print_changed(options, name, deleted, id)


@command()
@LIST
@ID
@click.argument("target")
def move(options: Options, name: str, id: int, target: str) -> None:
    """Move an entry of LIST to the list TARGET.

    It is added there first: if the machine dies in between it is in both lists, never in none.
    """

    async def use(system: System) -> Entry | None:
        entry = await system.call(name, TodoServer.entry(id))
        if entry is None or check_list_name(name) == check_list_name(target):
            return entry
        added = await system.call(target, TodoServer.add_entry(entry.with_id(0)))
        await system.call(name, TodoServer.delete_entry(id))
        return added

    moved = with_system(options, use, for_list=name)
    if moved is None:
        fail(f"the list {name!r} has no entry {id}", NOT_DONE)
    print_entries(options, [(target, moved)], with_list=True)


@command(short_help="Show all lists, and how long they are.")
def lists(options: Options) -> None:
    """Show all lists, how many entries they have, and how many of them are done."""
    failed: list[StorageError] = []
    found = with_system(options, lambda system: system.database.lists(failed=failed), reading=True)
    if options.as_json:
        print_json([summary._asdict() for summary in found])
    else:
        if on_terminal():
            click.secho("entries   done list", dim=True)
        for summary in found:
            click.echo(f"{summary.entries:7} {summary.done:6} {click.style(shown(summary.name), fg='cyan')}")
    tell_failures(failed)


@command(short_help="Find entries of all lists by words or by day.")
@click.argument("words", nargs=-1)
@click.option("--from", "first", type=DAY, help="Only entries from that day on.")
@click.option("--to", "last", type=DAY, help="Only entries up to that day.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
def search(
    options: Options,
    words: tuple[str, ...],
    first: datetime.date | None,
    last: datetime.date | None,
    limit: int,
) -> None:
    """Find entries of all lists by the WORDS of their titles, or by day.

    Every word has to be in the title, or a word that it begins. Case and accents do not matter, and
    punctuation is ignored.
    """
    if not words and first is None and last is None:
        raise click.UsageError("give WORDS, --from or --to")
    begin, end = first or datetime.date.min, last or datetime.date.max
    if begin > end:
        raise click.UsageError(f"--from {begin} is after --to {end}")

    text = " ".join(words)
    if words and not searched_words(text):
        click.secho(
            f"todo: {text!r} contains nothing to search for; punctuation is ignored",
            fg="yellow",
            err=True,
        )
    failed: list[StorageError] = []

    async def use(system: System) -> list[Found]:
        if not words:
            return await system.database.between(begin, end, failed=failed)
        by_title = await system.database.search(
            text, limit + 1 if first is last is None else 1_000_000, failed=failed
        )
        return [
            found
            for found in by_title
            if (first is None and last is None)
            or (found.entry.date is not None and begin <= found.entry.date <= end)
        ]

    found = with_system(options, use, reading=True)
    print_entries(options, [(one.list, one.entry) for one in found[:limit]], with_list=True)
    if len(found) > limit:
        click.secho(f"todo: there are more than {limit}; use --limit to see them", fg="yellow", err=True)
    tell_failures(failed)
