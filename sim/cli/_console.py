"""The process of the `sim` command: its streams, and how it was called."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Generator
from typing import Final, TextIO, cast

# Environment that decides about a run, besides the arguments; Windows has no such prefix.
_ENVIRONMENT: Final = ("PYTHONPATH", "PYTHONHASHSEED", "PYTHONOPTIMIZE")

_STDOUT: Final = 1
_STDERR: Final = 2


@contextlib.contextmanager
def streams_kept() -> Generator[None]:
    """Have streams after the block that can be written to, whatever a program has done in it to its own:
    closed, replaced or detached them, or closed what is below them."""
    before = sys.stdout, sys.stderr
    files = [(number, _copy(number)) for number in (_STDOUT, _STDERR)]
    try:
        yield
    finally:
        _flush()
        for number, file in files:
            if file is not None:
                os.dup2(file, number)
                os.close(file)
        sys.stdout, sys.stderr = _open(before[0], _STDOUT), _open(before[1], _STDERR)


@contextlib.contextmanager
def stdout_kept_clean() -> Generator[None]:
    """Send to standard error what is written to standard output in the block, whoever writes it: a print,
    a thread, a child process, a library in C."""
    # Also where a test has put something of its own in the place of the stream.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            _flush()
            before = os.dup(_STDOUT)
        except OSError:
            yield
            return
        try:
            _stdout_to_stderr()
            yield
        finally:
            _flush()
            os.dup2(before, _STDOUT)
            os.close(before)


def end_stdout() -> None:
    """Let nothing come behind what was written: no exit handler, no thread that is left."""
    if sys.stdout is sys.__stdout__:
        _flush()
        sys.stdout = sys.stderr
        with contextlib.suppress(OSError):
            _stdout_to_stderr()


def replay_line(scenario: str, token: str, *options: str) -> str:
    """The line for a shell that makes the run of a token again."""
    command = shlex.join([*_called_as(), "replay", scenario, token, *options])
    if os.name != "posix":
        return command
    settings = [f"{name}={shlex.quote(os.environ[name])}" for name in _ENVIRONMENT if os.environ.get(name)]
    return " ".join([*settings, command])


def _called_as() -> list[str]:
    """The command line that calls this command again."""
    path = sys.argv[0]
    base = os.path.basename(path)
    if base == "__main__.py" and "-m" in sys.orig_argv:
        # With the options that Python was given: -O, say.
        module = sys.orig_argv.index("-m") + 1
        return [*sys.orig_argv[:module], "sim"]
    found = shutil.which("sim")
    if os.path.splitext(base)[0] != "sim" or (found is not None and _same_file(found, path)):
        return ["sim"]
    return [path]


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _copy(number: int) -> int | None:
    """Another descriptor of a file; None if there is no such file."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _open(stream: TextIO, number: int) -> TextIO:
    """The stream, or if it has been closed or detached, another one to the same file."""
    lost = False
    # There may be none from the beginning.
    if cast("TextIO | None", stream) is not None:
        try:
            lost = stream.closed
        except ValueError:  # it is detached
            lost = True
    return open(number, "w", errors="backslashreplace", closefd=False) if lost else stream


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        # It may be closed, or none at all.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream is not None:
                stream.flush()


def _stdout_to_stderr() -> None:
    try:
        os.dup2(_STDERR, _STDOUT)
    except OSError:
        # There is no standard error.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDOUT)
        os.close(nowhere)
