"""The kept copy of an exception looks the same, and holds no frame."""

from __future__ import annotations

import subprocess
import sys
import traceback
import weakref
from pathlib import Path

import pytest

from trio_genserver import GenServer, ServerCrashed, handle_call
from trio_genserver._kept import hold_no_frames, is_same_failure, kept, without_own_frames

from .ways_out import family


class Desk(GenServer):
    @handle_call
    def crash(self, sent: object) -> None: ...


class Odd(Exception):
    """Its ``__init__`` takes other arguments than its `args` are, and it has slots."""

    __slots__ = ("where",)

    def __init__(self, *, where: str) -> None:
        super().__init__(f"at {where}")
        self.where = where
        self.also = [where]


class OddOSError(OSError):
    def __init__(self, name: str) -> None:
        super().__init__(2, "missing", name)
        self.own = name


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is returned
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError("text", 3),
        Odd(where="here"),
        OddOSError("file"),
        OSError(2, "missing", "file"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        ImportError("text", name="module", path="path"),
        SyntaxError("text", ("file", 1, 2, "line")),
        SystemExit(3),
        StopAsyncIteration(),
        KeyboardInterrupt(),
        ExceptionGroup("group", [ValueError(1), OddOSError("file")]),
        BaseExceptionGroup("group", [KeyboardInterrupt()]),
        ServerCrashed("desk", Desk.crash(1), ValueError("cause")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_kept_is_a_copy_that_looks_the_same(error: BaseException) -> None:
    error.add_note("a note")
    error.__cause__ = raised(KeyError("cause"))
    raised(error)
    copy = kept(error)
    assert copy is not error
    assert type(copy) is type(error)
    assert (str(copy), repr(copy)) == (str(error), repr(error))
    assert {name: value for name, value in vars(copy).items() if name != "_copy_of"} == vars(error)
    assert traceback.format_exception(copy) == traceback.format_exception(error)
    for name in ("errno", "filename", "name", "path", "lineno", "code", "encoding", "reason", "where"):
        assert getattr(copy, name, None) == getattr(error, name, None)
    copy.add_note("another")
    assert error.__notes__ == ["a note"]
    # And nothing of it, nor of its cause, holds a frame of this program.
    for each in family(copy):
        for frame, _ in traceback.walk_tb(each.__traceback__):
            assert not frame.f_locals
            assert frame.f_back is None
    # The copy of a copy is made without looking at its cause again.
    again = kept(copy)
    assert again is not copy
    assert again.__cause__ is copy.__cause__


def test_copies_are_known_as_copies() -> None:
    for error in (ValueError("text"), ValueError(), ExceptionGroup("group", [ValueError("text")])):
        copy, other = kept(error), kept(kept(error))
        assert is_same_failure(error, copy)
        assert is_same_failure(copy, error)
        assert is_same_failure(copy, other)
    assert not is_same_failure(ValueError(), ValueError())
    assert not is_same_failure(ValueError("text"), ValueError("text"))
    assert not is_same_failure(ValueError("text"), TypeError("text"))


def test_an_error_lets_go_of_its_frames_and_is_the_same() -> None:
    class Held:
        pass

    def fail() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        try:
            raise KeyError(1)
        except KeyError as error:
            raise ValueError("text") from error

    gone: list[weakref.ref[Held]] = []
    error: BaseException = AssertionError("it must fail")
    try:
        fail()
    except ValueError as caught:
        error = caught
    before = traceback.format_exception(error)
    assert gone[0]() is not None
    hold_no_frames(error)
    assert gone[0]() is None
    assert traceback.format_exception(error) == before
    assert error.__suppress_context__
    without_own_frames(error)
    assert traceback.format_exception(error) == before


PROGRAM = """
from trio_genserver._kept import kept

def outer():
    inner(3) + 1

def inner(x):
    return x / (x - x)

try:
    outer()
except ZeroDivisionError as error:
    copy = kept(error)
if {chained}:
    raise RuntimeError("late") from copy
raise copy
"""


@pytest.mark.parametrize("chained", [True, False])
def test_an_interpreter_that_ends_with_it_shows_each_line_once(tmp_path: Path, chained: bool) -> None:
    # It shows tracebacks by other means than the module `traceback`.
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(chained=chained), "utf-8")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    shown = done.stderr.splitlines()
    first = shown.index("    outer()")
    assert shown[first:][:6] == [
        "    outer()",
        f'  File "{program}", line 5, in outer',
        "    inner(3) + 1",
        f'  File "{program}", line 8, in inner',
        "    return x / (x - x)",
        "ZeroDivisionError: division by zero",
    ]
