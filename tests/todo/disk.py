"""A disk that loses its power: what a program did to files, and all that could be there afterwards.

`record` runs a program under strace and returns its events in one order: changes to files, syncs, and what
it printed. `Disk` replays them and can build, after any of them, a state that a crash there may leave:

- What was synced is there. Of what was written since, any part may be: each sector of 512 bytes on its own,
old or new, in
  any order, since neither the system nor the disk keeps one.
- Names (made, renamed, removed) reach the disk in their order, up to any point after the last sync of a
folder. That a
  file was synced says nothing about its name.
- A length is only as new as the writes that made it.

The shared-memory file of SQLite's log is left out: it is no part of the database, and its contents do not
survive.
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

__all__ = ["Disk", "Event", "Printed", "record"]

SECTOR = 512
_CALLS = (
    "openat,creat,write,writev,pwrite64,pwritev,ftruncate,fallocate,fsync,fdatasync,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir"
)


@dataclasses.dataclass(frozen=True)
class Made:
    path: str
    folder: bool


@dataclasses.dataclass(frozen=True)
class Removed:
    path: str


@dataclasses.dataclass(frozen=True)
class Renamed:
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Written:
    path: str
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Truncated:
    path: str
    length: int


@dataclasses.dataclass(frozen=True)
class Synced:
    path: str


@dataclasses.dataclass(frozen=True)
class Printed:
    text: str


NameChange: TypeAlias = Made | Removed | Renamed
Event: TypeAlias = NameChange | Written | Truncated | Synced | Printed

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+|\?)(.*)$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2}|[^>])*)>")


def record(command: Sequence[str], root: Path, trace: Path, cwd: Path) -> list[Event]:
    """Run `command` under strace; its events that concern files below `root`, and what it printed."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(trace)]
    subprocess.run([*strace, *command], check=True, cwd=cwd, stdout=subprocess.DEVNULL)
    events: list[Event] = []
    positions: dict[str, int] = {}
    for name, arguments, result, rest in _calls(trace):
        events += _events(name, arguments, result, rest, str(root), positions)
    return events


def _calls(trace: Path) -> Iterator[tuple[str, str, int, str]]:
    """The calls in the order of their ends; those that failed are left out."""
    begun: dict[str, str] = {}
    for raw in trace.read_text().splitlines():
        match = _LINE.match(raw)
        if match is None:
            continue
        thread, text = match[1], match[2]
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            text = begun.pop(thread) + resumed[2]
        call = _CALL.match(text)
        if call is not None and call[3] != "?" and int(call[3]) >= 0:
            yield call[1], call[2], int(call[3]), call[4]


def _events(
    name: str, arguments: str, result: int, rest: str, root: str, positions: dict[str, int]
) -> list[Event]:
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
    fd = _FD.match(arguments)
    path = _plain(fd[2]) if fd is not None else ""
    if name == "write" and fd is not None and fd[1] == "1":
        return [Printed(line) for line in texts[0].decode().splitlines()]
    if name in ("openat", "creat"):
        path = _absolute(texts[0].decode(), arguments)
        if not _counts(path, root):
            return []
        events: list[Event] = []
        if "O_CREAT" in arguments or name == "creat":
            events.append(Made(path, folder=False))
        if "O_TRUNC" in arguments or name == "creat":
            events.append(Truncated(path, 0))
        if "O_APPEND" not in arguments:
            positions[path] = 0
        return events
    if name in ("mkdir", "mkdirat"):
        path = _absolute(texts[0].decode(), arguments)
        return [Made(path, folder=True)] if _counts(path, root) else []
    if name in ("unlink", "unlinkat", "rmdir"):
        path = _absolute(texts[0].decode(), arguments)
        return [Removed(path)] if _counts(path, root) else []
    if name in ("rename", "renameat", "renameat2"):
        old, new = (text.decode() for text in texts)
        return [Renamed(old, new)] if _counts(old, root) else []
    if not _counts(path, root):
        return []
    if name == "pwrite64":
        return [Written(path, int(arguments.rsplit(",", 1)[1]), texts[0][:result])]
    if name == "write":
        offset = positions.get(path, 0)
        positions[path] = offset + result
        return [Written(path, offset, texts[0][:result])]
    if name == "ftruncate":
        return [Truncated(path, int(arguments.rsplit(",", 1)[1]))]
    if name in ("fsync", "fdatasync"):
        return [Synced(path)]
    raise AssertionError(f"{name} of {path} is not understood: {rest}")


def _plain(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


def _absolute(path: str, arguments: str) -> str:
    if path.startswith("/"):
        return path
    match = re.match(r"^(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2}|[^>])*)>", arguments)
    return f"{_plain(match[1])}/{path}" if match else path


def _counts(path: str, root: str) -> bool:
    return (path == root or path.startswith(root + "/")) and not path.endswith("-shm")


class File:
    """One file or folder, whatever its names are.

    Attributes:
      synced: what is surely on the disk.
      pending: what was done to it since, in order.
    """

    def __init__(self, folder: bool) -> None:
        self.folder = folder
        self.synced = b""
        self.pending: list[Written | Truncated] = []

    def now(self) -> bytes:
        """What programs read."""
        return _after(self.synced, self.pending)

    def after_crash(self, draw: random.Random, keep: float) -> bytes:
        """What may be there: each pending sector kept with that probability."""
        if not self.pending:
            return self.synced
        kept: list[Written | Truncated] = []
        for change in self.pending:
            if isinstance(change, Truncated):
                if draw.random() < keep:
                    kept.append(change)
                continue
            offset, data = change.offset, change.data
            while data:
                size = SECTOR - offset % SECTOR
                if draw.random() < keep:
                    kept.append(Written(change.path, offset, data[:size]))
                offset, data = offset + size, data[size:]
        return _after(self.synced, kept)


def _after(content: bytes, changes: Sequence[Written | Truncated]) -> bytes:
    result = bytearray(content)
    for change in changes:
        if isinstance(change, Truncated):
            result = result[: change.length].ljust(change.length, b"\0")
        else:
            end = change.offset + len(change.data)
            if len(result) < end:
                result = result.ljust(end, b"\0")
            result[change.offset : end] = change.data
    return bytes(result)


class Disk:
    """Files and names, what is surely on the disk and what is not yet.

    Args:
      root: the folder that it is about.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.names: dict[str, File] = {}
        self.synced_names: dict[str, File] = {}
        self.pending_names: list[tuple[NameChange, File | None]] = []

    def apply(self, event: Event) -> None:
        """Let `event` happen."""
        match event:
            case Made(path, folder):
                if path not in self.names:
                    made = File(folder)
                    self.names[path] = made
                    self.pending_names.append((event, made))
            case Removed(path):
                self.names.pop(path, None)
                self.pending_names.append((event, None))
            case Renamed():
                self.pending_names.append((event, None))
                _change(self.names, event, None)
            case Written(path) | Truncated(path):
                self.names[path].pending.append(event)
            case Synced(path):
                file = self.names.get(path)
                if file is None or file.folder:
                    for change, of in self.pending_names:
                        _change(self.synced_names, change, of)
                    self.pending_names.clear()
                else:
                    file.synced = file.now()
                    file.pending.clear()
            case Printed():
                pass

    def crash(self, draw: random.Random, keep: float, target: Path) -> None:
        """Write into `target` what may be on the disk after a crash now.

        Args:
          keep: how much of what was not synced is kept, 0 nothing, 1 everything, between by chance.
        """
        names = dict(self.synced_names)
        if keep == 1:
            count = len(self.pending_names)
        else:
            count = draw.randint(0, len(self.pending_names)) if keep else 0
        for change, of in self.pending_names[:count]:
            _change(names, change, of)
        target.mkdir()
        for path, file in sorted(names.items()):
            place = target / os.path.relpath(path, self.root)
            if file.folder:
                place.mkdir(parents=True, exist_ok=True)
            elif place.parent.exists():
                place.write_bytes(file.after_crash(draw, keep))


def _change(names: dict[str, File], change: NameChange, of: File | None) -> None:
    match change:
        case Made(path):
            assert of is not None
            names[path] = of
        case Removed(path):
            names.pop(path, None)
        case Renamed(old, new):
            for name in [name for name in names if name == old or name.startswith(old + "/")]:
                names[new + name.removeprefix(old)] = names.pop(name)
