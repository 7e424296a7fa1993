"""The commands for the database folder."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from todo.check import ShardReport, check
from todo.errors import StorageError
from todo.reshard import reshard
from todo.restore import restore

from ._main import NOT_DONE, Options, command, tell_failures, with_system
from ._output import counted, print_json


@command("reshard", short_help="Rewrite a folder for another number of workers.")
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path), required=False)
@click.option("--workers", type=click.IntRange(1), required=True, help="The new number of workers.")
def reshard_command(options: Options, folder: Path | None, workers: int) -> None:
    """Rewrite FOLDER for another number of workers, while nothing has it open.

    Kill it at any moment: the folder is then as it was, or as it shall be.
    """
    before, entries = reshard(folder or options.folder, workers)
    if options.as_json:
        print_json({"workers_before": before, "workers": workers, "entries": entries})
    else:
        click.echo(f"{counted(entries, 'entry', 'entries')}, from {before} workers to {workers}")


@command("check", short_help="Look for damage in every shard.")
def check_command(options: Options) -> None:
    """Read every shard whole, while nothing has them open, and say what is wrong with it."""
    reports, unused = check(options.folder)
    if options.as_json:
        print_json([_as_fields(report) for report in reports])
    else:
        for report in reports:
            click.echo(f"{report.path}: {_verdict(report)}")
            for line in report.problems + ([] if report.unchecked is None else [report.unchecked]):
                click.echo(f"  {line}")
        for path in unused:
            click.echo(f"{path}: not in use, and no command deletes it")
    if not all(report.good for report in reports):
        sys.exit(NOT_DONE)


def _as_fields(report: ShardReport) -> dict[str, object]:
    fields: dict[str, object] = {"file": os.fspath(report.path), "problems": report.problems}
    # Said only where there is something to say, for programs that know the other two.
    return fields if report.unchecked is None else {**fields, "unchecked": report.unchecked}


def _verdict(report: ShardReport) -> str:
    if report.problems:
        return click.style("damaged", fg="red")
    if report.unchecked is not None:
        return click.style("could not be checked", fg="yellow")
    return click.style("good", fg="green")


@command("restore", short_help="Write a lost todo.json anew from the shards.")
@click.option("--shards", metavar="NAME", help="Which folder of shards to use, if several are possible.")
@click.option("--accept-missing", is_flag=True, help="Replace missing shards with empty ones.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
def restore_command(options: Options, shards: str | None, accept_missing: bool, dry_run: bool) -> None:
    """Write todo.json anew from what the shards say of themselves.

    For a folder whose todo.json was lost or is older than its shards, and for a copy that was not finished.
    Nothing is deleted: shards that are not chosen are renamed.
    """
    done = restore(options.folder, shards=shards, accept_missing=accept_missing, dry_run=dry_run)
    if options.as_json:
        fields = {
            name: value if isinstance(value, int) else _paths(value) for name, value in done._asdict().items()
        }
        print_json({"done": not dry_run, **fields})
        return
    verb = "would count" if dry_run else "counts now"
    click.echo(f"{done.shards} {verb}, with {counted(done.entries, 'entry', 'entries')}")
    for path in done.missing:
        click.echo(f"{path}: {'would be' if dry_run else 'was'} made anew, empty")
    for path in done.set_aside:
        click.echo(f"{path}: {'would be' if dry_run else 'was'} set aside under this name")
    if not dry_run:
        click.echo("check its files with: todo check")


def _paths(value: Path | list[Path]) -> str | list[str]:
    return os.fspath(value) if isinstance(value, Path) else [os.fspath(path) for path in value]


@command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--skip-bad", is_flag=True, help="Copy the rest if a shard cannot be read. Without it, nothing is copied."
)
def backup(options: Options, target: Path, skip_bad: bool) -> None:
    """Copy the whole database into the new folder TARGET.

    If a shard cannot be read nothing is left at TARGET. With --skip-bad the others are copied, and the copy
    lacks that one: the lists in it are not there, and the exit code is 1.
    """
    failed: list[StorageError] | None = [] if skip_bad else None
    with_system(options, lambda system: system.backup(os.fspath(target), failed=failed), reading=True)
    if options.as_json:
        missing = {"missing": [os.fspath(error.path) for error in failed]} if failed else {}
        print_json({"backup": os.fspath(target), **missing})
    elif failed:
        lacks = counted(len(failed), "shard that is", "shards that are")
        click.echo(f"copied to {target}, but for {lacks} missing there")
    else:
        click.echo(f"copied to {target}; open it with: todo --folder {shlex.quote(str(target))} lists")
    tell_failures(failed or ())
