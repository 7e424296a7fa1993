"""The commands for the database folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from todo.check import check
from todo.reshard import reshard

from ._main import NOT_DONE, Options, command, with_system
from ._output import counted, print_json


@command("reshard", short_help="Rewrite a folder for another number of workers.")
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path), required=False)
@click.option("--workers", type=click.IntRange(1), required=True, help="How many the folder shall have.")
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
    reports = check(options.folder)
    if options.as_json:
        print_json([{"file": os.fspath(path), "problems": problems} for path, problems in reports])
    else:
        for path, problems in reports:
            verdict = click.style("damaged", fg="red") if problems else click.style("good", fg="green")
            click.echo(f"{path}: {verdict}")
            for problem in problems:
                click.echo(f"  {problem}")
    if any(report.problems for report in reports):
        sys.exit(NOT_DONE)


@command()
@click.argument("target", type=click.Path(path_type=Path))
def backup(options: Options, target: Path) -> None:
    """Copy the whole database into the new folder TARGET."""
    with_system(options, lambda system: system.backup(os.fspath(target)))
    if options.as_json:
        print_json({"backup": os.fspath(target)})
    else:
        click.echo(f"copied to {target}; open it with: todo --folder {target} lists")
