"""The command itself: its options, its errors and exit codes, and a decorator to add a subcommand."""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import io
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
import trio

from todo.errors import BadLine, NoSuchList, StorageError, TodoError
from todo.system import System, open_system

__all__ = [
    "DONE",
    "NOT_DONE",
    "WRONG_USE",
    "Options",
    "command",
    "fail",
    "main",
    "tell_failures",
    "with_system",
]

R = TypeVar("R")

DISTRIBUTION: Final = "trio-genserver"

DONE: Final = 0
NOT_DONE: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

# The errors of a write to standard output, except a reader that is gone.
_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EBADF, errno.EDQUOT})


class Options:
    """The options before and after the name of the subcommand.

    Args:
      folder: where the lists are; None: where this user's programs keep their data.
      as_json: whether to print JSON.
    """

    def __init__(self, folder: Path | None, as_json: bool) -> None:
        self._folder = folder
        self.as_json = as_json

    @property
    def folder(self) -> Path:
        """Where the lists are."""
        if self._folder is not None:
            return self._folder
        folder = Path(click.get_app_dir("todo"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder


def fail(text: str, code: int) -> NoReturn:
    """Print why the command failed, and exit."""
    click.secho(f"todo: {text}", fg="red", err=True)
    sys.exit(code)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        fail(
            "it is run without having been installed, and only what is installed has a version: "
            f"install {DISTRIBUTION} for {sys.executable}",
            NOT_DONE,
        )
    click.echo(f"todo, version {version}")
    ctx.exit(DONE)


class _Main(click.Group):
    """Handles an output that cannot be written, for all subcommands, --help and --version."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # A stream that the shell closed (>&-) is None. Writing to standard output is then an error; errors
        # themselves are dropped if standard error is closed.
        for name, mode, flags in (
            ("stdin", "r", os.O_RDONLY),
            ("stdout", "w", os.O_RDONLY),
            ("stderr", "w", os.O_WRONLY),
        ):
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not _is_of_output(error):
                raise
            _cannot_print(error)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TODO_FOLDER",
    help="Where the lists are.  [env: TODO_FOLDER; default: the user's data folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(ctx: click.Context, folder: Path | None, as_json: bool) -> None:
    """Reliable to-do lists: whatever a command reports as done is on the disk."""
    ctx.obj = Options(folder, as_json)
    # The same comes as an error to the one who asked. What is left out of an answer does not.
    logging.getLogger("todo").setLevel(logging.ERROR)
    logging.getLogger("todo.shard").setLevel(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has no such character gets its number instead.
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def command(
    name: str | None = None, *, short_help: str | None = None
) -> Callable[[Callable[..., None]], click.Command]:
    """Add a function as a subcommand: its first argument are the `Options`, an error of ours is a line for
    the person and not a traceback, and ``--json`` may stand behind the name as well.

    Args:
      name: of the subcommand; the function's by default.
      short_help: for the list of all; the first sentence of the docstring by default.
    """

    def add(function: Callable[..., None]) -> click.Command:
        as_json = click.option(
            "--json", is_flag=True, expose_value=False, callback=_note_json, help="Print JSON."
        )
        return main.command(name, short_help=short_help)(as_json(click.pass_obj(_errors_exit(function))))

    return add


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.as_json = True


def _errors_exit(function: Callable[..., R]) -> Callable[..., R]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> R:
        try:
            result = function(*args, **kwargs)
            # The output must have arrived before the command reports success.
            sys.stdout.flush()
            return result
        except (BadLine, NoSuchList) as error:
            fail(str(error), NOT_DONE)
        except TodoError as error:
            fail(str(error), WRONG_USE)
        except KeyboardInterrupt:
            _interrupted()
        except BrokenPipeError:
            raise  # the reader has had enough; click ends quietly
        except OSError as error:
            if not _is_of_output(error):
                raise
            _cannot_print(error)
        except BaseExceptionGroup as group:
            if group.subgroup(KeyboardInterrupt) is not None:
                _interrupted()
            ours, rest = group.split(TodoError)
            if rest is not None or ours is None:
                raise
            first: BaseException = ours
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            fail(str(first), WRONG_USE)

    return wrapped


def _interrupted() -> NoReturn:
    """Ctrl-C: one line, and the exit code that shells expect."""
    fail("interrupted; everything reported as done is saved", INTERRUPTED)


def _is_of_output(error: OSError) -> bool:
    return error.filename is None and error.errno in _OUTPUT


def _cannot_print(error: OSError) -> NoReturn:
    _forget_output()
    fail(f"the output cannot be written: {error.strerror}", NOT_DONE)


def _forget_output() -> None:
    """Nothing more is written: at its end Python would try again, and fail with a traceback."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def with_system(
    options: Options,
    use: Callable[[System], Awaitable[R]],
    *,
    create: bool = False,
    reading: bool = False,
    for_list: str | None = None,
) -> R:
    """Run the system on the user's folder, and return the result of `use`.

    Args:
      create: create the folder if it does not exist: for commands that add entries.
      reading: nothing is changed, whatever state the folder is in.
      for_list: the list that it is about, if it is one: then no other shard is opened.
    """

    async def run() -> R:
        async with open_system(options.folder, create=create, read_only=reading, for_list=for_list) as system:
            return await use(system)

    return trio.run(run)


def tell_failures(failed: Sequence[StorageError]) -> None:
    """Print what could not be read, and exit with 1; nothing if `failed` is empty."""
    for error in failed:
        click.secho(f"todo: {error}", fg="red", err=True)
    if failed:
        sys.exit(NOT_DONE)
