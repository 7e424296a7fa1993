"""The commands for files of other programs."""

from __future__ import annotations

import codecs
import re
import sys
from pathlib import Path

import click

from todo.errors import BadLine, StorageError
from todo.formats import DEFAULT_LIST, READERS, WRITERS, Listed, format_of, icalendar
from todo.import_export import Import, export_lists, import_listed, with_lists
from todo.system import System

from ._main import NOT_DONE, Options, command, fail, tell_failures, with_system
from ._output import counted, print_json
from ._writing import is_of_a_database, write_file, write_to_standard_output


@command("import", short_help="Add the entries of a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format", "format_", type=click.Choice(sorted(READERS)), help="Needed if the file name does not tell."
)
@click.option("--list", "name", help=f"For entries that name no list.  [default: {DEFAULT_LIST}]")
@click.option("--by-project", is_flag=True, help="Entries that name no list go to that of their +project.")
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Skip bad lines. Without it, one bad line means that nothing is imported.",
)
def import_command(
    options: Options, file: str, format_: str | None, name: str | None, by_project: bool, skip_bad: bool
) -> None:
    """Add the entries of FILE (todo.txt, CSV or JSON; - is standard input).

    If it is interrupted the same import once more adds what is missing, and nothing twice.
    """
    if file == "-" and format_ is None:
        raise click.UsageError("standard input has no file name; give --format")
    kind = format_ or format_of(file)
    if kind not in READERS:
        raise click.UsageError(f"{kind} can only be written, not read")
    found = with_lists(
        READERS[kind](_text_of(file), file),
        default_list=DEFAULT_LIST if name is None else name,
        by_project=by_project,
    )
    read = [_undecoded(item) if isinstance(item, BadLine) else item for item in found]

    async def use(system: System) -> Import:
        good = sum(isinstance(item, Listed) for item in read)
        with click.progressbar(
            length=good, label="importing", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:

            def tell(result: Import) -> None:
                bar.render_finish()
                _tell_import(options, result)

            return await import_listed(system, read, skip_bad=skip_bad, progress=bar.update, tell=tell)

    if not skip_bad and any(isinstance(item, BadLine) for item in read):
        # Nothing is going to be imported, so no folder needs to be made.
        result = Import(0, [], [item for item in read if isinstance(item, BadLine)])
        _tell_import(options, result)
        click.secho("todo: nothing was imported; use --skip-bad to import the rest", fg="red", err=True)
    else:
        result = with_system(options, use, create=True)
    if result.bad:
        sys.exit(NOT_DONE)


def _tell_import(options: Options, result: Import) -> None:
    """Say what an import did; when it returns, it was said."""
    for bad in result.bad:
        click.secho(f"todo: {bad}", fg="yellow", err=True)
    if options.as_json:
        bad_lines = [{"line": bad.line, "why": bad.why, "text": bad.text} for bad in result.bad]
        fields: dict[str, object] = {
            "imported": result.imported,
            "lists": result.lists,
            "bad": bad_lines,
        }
        # Said only where there is something to say, for programs that know the other three.
        print_json(fields | ({"imported_before": result.before} if result.before else {}))
    else:
        entries, lists = counted(result.imported, "entry", "entries"), len(result.lists)
        click.echo(f"{entries} in {counted(lists, 'list', 'lists')} imported")
    if result.before:
        found = counted(result.before, "entry was", "entries were")
        click.secho(f"todo: {found} already imported by an interrupted run", fg="yellow", err=True)
    sys.stdout.flush()


def _text_of(file: str) -> str:
    """The text of a file, or of standard input; with any kind of ends of lines.

    Bytes that are not UTF-8 become characters that no entry can have, so that only their lines are bad.
    """
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", NOT_DONE)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        fail(f"{file}, line 1: not UTF-8 text, but UTF-16; convert it to UTF-8 first", NOT_DONE)
    return content.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")


def _undecoded(bad: BadLine) -> BadLine:
    """Return `bad`, with another reason if the line is not UTF-8."""
    # The characters that "surrogateescape" makes of bytes.
    shown = re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", bad.text)
    if shown == bad.text:
        return bad
    return BadLine(bad.source, bad.line, shown, "not UTF-8 text; convert it to UTF-8 first", unit=bad.unit)


@command("export")
@click.argument("names", metavar="[LIST]...", nargs=-1)
@click.option("--format", "format_", type=click.Choice(sorted(WRITERS)), help="[default: todo.txt]")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False), default="-", help="[default: standard output]"
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out lists that cannot be read. Without it, nothing is written."
)
def export_command(
    options: Options, names: tuple[str, ...], format_: str | None, output: str, skip_bad: bool
) -> None:
    """Write the entries of the LISTs, or of all."""
    if output != "-" and is_of_a_database(Path(output), options.folder):
        fail(f"{output} belongs to a database, or would lie inside one; choose another file", NOT_DONE)
    failed: list[StorageError] = []
    if options.as_json and format_ is None and output == "-":
        format_ = "json"
    kind = format_ or ("todo.txt" if output == "-" else format_of(output))

    async def use(system: System) -> str:
        listed = await export_lists(system, names or None, failed=failed if skip_bad else None)
        if kind == "icalendar":
            return icalendar.write(listed, system.folder.description.folder_id)
        return WRITERS[kind](listed)

    text = with_system(options, use, reading=True)
    try:
        if output == "-":
            write_to_standard_output(text)
        else:
            write_file(Path(output), text)
    except BrokenPipeError:
        raise  # the reader has had enough; click ends quietly
    except OSError as error:
        if output == "-":
            raise
        fail(f"{output} cannot be written: {error.strerror}; the file was not changed", NOT_DONE)
    tell_failures(failed)
