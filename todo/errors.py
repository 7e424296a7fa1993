"""The errors of the to-do system, one class for each kind.

Every error carries the data that a program needs to decide what to do next, and a text for people: the
problem, its place, and the remedy. `TodoError` is the base class of all.

Two families matter to a caller. A `BadInput` was refused before anything was changed. A `StorageError` says
that the database failed; its text says whether the change is certainly not on disk or may be.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

__all__ = [
    "BadFolder",
    "BadInput",
    "BadLine",
    "FolderInUse",
    "InconsistentFolder",
    "InvalidEntry",
    "InvalidListName",
    "NewerVersion",
    "NoSuchList",
    "NotADatabase",
    "NotAFolder",
    "OperationRefused",
    "ReshardFailed",
    "StorageError",
    "StorageFailed",
    "TodoError",
    "WrongShard",
    "WrongWorkerCount",
]


class TodoError(Exception):
    """The base of every error of this package. It pickles and copies, its cause with it."""

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: _picklable(value) for name, value in self.__dict__.items()}
        return _restored, (type(self), self.args, fields, _picklable(self.__cause__))

    def __copy__(self) -> Self:
        return cast("Self", _restored(type(self), self.args, self.__dict__, self.__cause__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        fields = {name: _deep(value, memo) for name, value in self.__dict__.items()}
        return cast("Self", _restored(type(self), self.args, fields, _deep(self.__cause__, memo)))


class BadInput(TodoError, ValueError):
    """An argument is invalid. Nothing was changed."""


class InvalidEntry(BadInput):
    """A field of an `Entry` has a value that it cannot have.

    Attributes:
      field: the name of the field.
      value: the value.
    """

    def __init__(self, field: str, value: object, wanted: str) -> None:
        super().__init__(f"the {field} of an entry must be {wanted}, not {shortened(value)}")
        self.field = field
        self.value = value


class InvalidListName(BadInput):
    """No list can have this name.

    Attributes:
      name: the name.
    """

    def __init__(self, name: object, why: str) -> None:
        super().__init__(f"{shortened(name)} cannot be the name of a list: {why}")
        self.name = name


class NoSuchList(BadInput):
    """No list of this name exists: nothing was ever added to it.

    Attributes:
      name: the name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no list {name!r}; `todo lists` shows those that there are")
        self.name = name


class BadLine(BadInput):
    """A file to be imported has a line (or row, or element) that is not an entry.

    Attributes:
      source: the name of the file.
      line: the number of the line, from 1.
      text: the line itself.
      why: the problem.
      unit: the unit that `line` counts: lines, rows, or entries.
    """

    def __init__(self, source: str, line: int, text: str, why: str, *, unit: str = "line") -> None:
        shown = f": {text[:77] + '...' if len(text) > 80 else text!r}" if text else ""
        super().__init__(f"{source}, {unit} {line}: {why}{shown}")
        self.source = source
        self.line = line
        self.text = text
        self.why = why
        self.unit = unit


class StorageError(TodoError):
    """The database did not do it.

    Attributes:
      path: the file or folder that it is about.
    """

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path

    def copy(self) -> Self:
        """The same error once more, for another caller to raise."""
        return copy.copy(self)


class NotADatabase(StorageError):
    """A file that should be a shard is not a SQLite database, or is damaged.

    Attributes:
      why: the problem.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be read as a SQLite database ({why}); it was not changed. "
            f"Replace it with a backup, or move it away if it does not belong here",
            path,
        )
        self.why = why


class NewerVersion(StorageError):
    """A file or folder was written by a later version of this program.

    Attributes:
      found: the version it has.
      known: the latest version that this program knows.
    """

    def __init__(self, path: Path, found: object, known: object) -> None:
        super().__init__(
            f"{path} has version {found}, but this program supports versions up to {known}; "
            f"it was not changed. Open it with a newer version of this program",
            path,
        )
        self.found = found
        self.known = known


class WrongShard(StorageError):
    """A database file belongs to another folder, or to another place in this one, or is not there.

    Attributes:
      why: the problem.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not the shard that belongs here: {why}. Put the original file back; "
            f"`todo check` shows what is there, and `todo restore` rewrites todo.json to match",
            path,
        )
        self.why = why


class NotAFolder(StorageError):
    """The place for the database is a file, or cannot be made or entered."""

    def __init__(
        self, path: Path, why: str, *, advice: str = "Choose a folder that you can write to"
    ) -> None:
        super().__init__(f"{path} cannot be used as a database folder: {why}. {advice}", path)


class BadFolder(StorageError):
    """The folder belongs to something else, or its description is damaged."""

    def __init__(self, path: Path, why: str, *, advice: str = "Choose another folder") -> None:
        super().__init__(f"{path} is not a database folder: {why}; it was not changed. {advice}", path)


class InconsistentFolder(StorageError):
    """The description of a folder and the shards in it contradict each other. Nothing was changed.

    Attributes:
      found: the folders of shards that are there, in words.
    """

    def __init__(self, path: Path, why: str, found: Sequence[str], advice: str) -> None:
        there = f" Found: {'; '.join(found)}." if found else ""
        super().__init__(f"{path}: {why}.{there} Nothing was changed; {advice}", path)
        self.found = list(found)


class WrongWorkerCount(StorageError):
    """The folder was made with another number of workers.

    Attributes:
      found: how many it was made with.
      wanted: how many were asked for.
    """

    def __init__(self, path: Path, found: int, wanted: int) -> None:
        super().__init__(
            f"{path} was made with {found} workers, not {wanted}; open it with workers={found}, "
            f"or rewrite it with: todo reshard {path} --workers {wanted}",
            path,
        )
        self.found = found
        self.wanted = wanted


class FolderInUse(StorageError):
    """Another process has the folder open.

    Attributes:
      pid: its process id, if it could be read.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{path} is in use by {who}; stop it first, or use another folder", path)
        self.pid = pid


class StorageFailed(StorageError):
    """The operating system or SQLite failed under the database: disk full, I/O error, damaged page.

    SQLite's own error is the ``__cause__``.

    Attributes:
      action: the action that failed.
    """

    def __init__(self, path: Path, action: str, cause: BaseException, *, advice: str = "") -> None:
        text = f"{action} in {path} failed: {cause}"
        super().__init__(f"{text}; {advice}" if advice else text, path)
        self.action = action
        self.__cause__ = cause


class OperationRefused(StorageError):
    """One operation contradicts what is stored, so it was not done; others of its batch were.

    Attributes:
      operation: the operation.
    """

    def __init__(self, path: Path, operation: object, why: str) -> None:
        super().__init__(f"{path} refused {operation!r}: {why}", path)
        self.operation = operation


class ReshardFailed(StorageError):
    """A folder could not be rewritten; it is as it was.

    Attributes:
      why: the reason.
      left: a part of the copy that could not be deleted, or None.
    """

    def __init__(self, path: Path, why: str, *, left: Path | None = None) -> None:
        text = f"{path} was not rewritten and is unchanged: {why}"
        if left is not None:
            text += f". Delete {left}, an unused part of the copy"
        super().__init__(text, path)
        self.why = why
        self.left = left


def shortened(value: object) -> str:
    """``repr(value)`` for an error's text: the beginning of it, if it is long."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"a deeply nested {type(value).__name__}"
    return shown if len(shown) <= 80 else f"{shown[:60]}... ({len(shown)} characters)"


def _restored(
    cls: type[TodoError],
    args: tuple[Any, ...],
    fields: dict[str, object],
    cause: BaseException | None,
) -> TodoError:
    """Rebuild an error from its fields: ``__init__`` takes other arguments than the text."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    if cause is not None:
        error.__cause__ = cause
    return error


def _picklable(value: Any) -> Any:
    """`value`, or a text in its place if it cannot be pickled: the error itself must arrive."""
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:  # noqa: BLE001 - it is the value's own code that runs, and raises what it likes
        if isinstance(value, BaseException):
            return TodoError(f"{type(value).__name__}: {value}")
        try:
            return repr(value)
        except Exception:  # noqa: BLE001 - as above
            return f"<{type(value).__name__}>"
    return value


def _deep(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of `value`, or `value` itself if it cannot be copied (a lock, for example)."""
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - as above
        return value
