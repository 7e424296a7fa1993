"""Where the peers live, and how their processes are started and asked.

An environment is a folder ``NAME`` with a virtual environment in it, or a file ``NAME.failed`` that says why
there is none. Nothing here fails for want of a peer: what is not there is missing, with a reason.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "DEFAULT",
    "EXPLORERS",
    "PEERS",
    "Peer",
    "PeerFailed",
    "Server",
    "commands",
    "default_python",
    "make",
    "python_of",
    "serving",
]

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = REPOSITORY / "requirements" / "peers"
DEFAULT = REPOSITORY / "build" / "peers"
# What the pinned requirements were resolved for comes first; triotp and casty need one of the newest.
PYTHONS = ("python3.13", "python3.14", "python3.12")
LIMIT = 120.0
# The environment in which `benchmarks.bench_sim` runs, with all of its contenders.
EXPLORERS = "explorers"


@dataclass(frozen=True)
class Peer:
    """One column.

    Attributes:
      name: of its module in `benchmarks.peers`.
      title: of its column.
      environment: whose environment it runs in; empty: none, it is started by its own program.
      note: what the reader of its figures should know.
    """

    name: str
    title: str
    environment: str
    note: str = ""


OURS = Peer("ours", "trio_genserver", "ours")
BY_HAND = Peer("trio_by_hand", "Trio by hand", "ours")
BEAM = Peer("counter.exs", "BEAM", "")
PEERS = (
    OURS,
    BY_HAND,
    Peer("async_pykka", "async-pykka", "async-pykka"),
    Peer(
        "casty", "casty", "casty", "an actor is started by its first message, which is in its start and stop"
    ),
    Peer(
        "lapinbeam",
        "lapinbeam",
        "lapinbeam",
        "it waits 0.1 to 1 s before a restart, by design, which is not measured; it has no stop of one "
        "actor, so all are stopped with their supervisor",
    ),
    Peer("papyra", "papyra", "papyra"),
    Peer(
        "pykka", "pykka", "pykka", "a thread for each actor and each client; 1,000 actors in start and stop"
    ),
    Peer(
        "triotp",
        "triotp",
        "triotp",
        "1,000 servers in start and stop: its time for one grows with their number",
    ),
    Peer("fauxtp", "fauxtp", "fauxtp"),
    BEAM,
)


class PeerFailed(Exception):
    """A peer could not be started, or could not do what was asked.

    Attributes:
      peer: the peer.
      why: what it said.
    """

    def __init__(self, peer: Peer, why: str) -> None:
        super().__init__(f"{peer.title}: {why}")
        self.peer = peer
        self.why = why


def default_python() -> str:
    """The interpreter that the environments are made with, unless told otherwise.

    One on the path, else one of pyenv's, else the one that runs this.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for name in PYTHONS:
        found = shutil.which(name)
        # pyenv puts a stub on the path also for versions that it does not let run here.
        if found and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
            return found
        for folder in sorted(pyenv.glob(f"{name.removeprefix('python')}.*"), reverse=True):
            if (folder / "bin" / "python").exists():
                return str(folder / "bin" / "python")
    return sys.executable


def make(folder: Path, python: str) -> dict[str, str]:
    """Make the environments in `folder` from scratch.

    Returns:
      name of an environment -> why it could not be made; empty if it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, str] = {}
    environments = [*(peer.environment for peer in PEERS if peer.environment), EXPLORERS]
    for name in dict.fromkeys(environments):
        failed = folder / f"{name}.failed"
        failed.unlink(missing_ok=True)
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        why = _run([python, "-m", "venv", str(folder / name)]) or _run(
            [
                str(python_of(folder / name)),
                *("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"),
                *("-r", str(REQUIREMENTS / f"{name}.txt")),
            ]
        )
        if why:
            shutil.rmtree(folder / name, ignore_errors=True)
            failed.write_text(why, "utf-8")
        results[name] = why
    return results


def python_of(environment: Path) -> Path:
    """The interpreter of an environment, also of one that is not there."""
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def _run(command: Sequence[str]) -> str:
    """Empty, or the last error that the command printed, in one line without addresses."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or [f"exit {done.returncode}"]
    return re.sub(r"https?://\S+", "...", errors[-1]).strip(" :")


def commands(folder: Path) -> tuple[dict[Peer, list[str]], dict[Peer, str]]:
    """How to start the peers that are there, and why the others are not."""
    there: dict[Peer, list[str]] = {}
    missing: dict[Peer, str] = {}
    for peer in PEERS:
        if not peer.environment:
            elixir = shutil.which("elixir")
            if elixir:
                there[peer] = [elixir, str(Path(__file__).with_name(peer.name))]
            else:
                missing[peer] = "elixir is not on the path"
            continue
        python = python_of(folder / peer.environment)
        failed = folder / f"{peer.environment}.failed"
        if python.exists():
            there[peer] = [str(python), "-m", "benchmarks.peers.serve", peer.name]
        elif failed.exists():
            missing[peer] = f"does not install here: {failed.read_text('utf-8')}"
        else:
            missing[peer] = "no environment; make it with `make peers`"
    return there, missing


class Server:
    """The process of a peer, which measures when it is asked to and is idle in between.

    Attributes:
      version: of the peer.
      rows: what it can measure.
    """

    def __init__(self, peer: Peer, command: Sequence[str]) -> None:
        self.peer = peer
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        try:
            word, *rest = self._read().split()
            if word != "ready":
                raise PeerFailed(peer, f"it said {word} {' '.join(rest)}")
        except BaseException:
            self.close()
            raise
        self.version = rest[0]
        self.rows = frozenset(rest[1:])

    def measure(self, row: str, count: int, *arguments: int) -> float:
        """What one operation of `row` costs, from `count` of them.

        Raises:
          PeerFailed: it did not work, or did not end in time.
        """
        assert self._process.stdin is not None
        question = " ".join(map(str, (row, count, *arguments)))
        # One that has ended cannot be asked; that it has is found by reading.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{question}\n".encode())
        word, _, rest = self._read().partition(" ")
        if word != "ok":
            raise PeerFailed(self.peer, f"{row}: {rest.strip()}")
        return float(rest)

    def _read(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        line = b""
        until = time.monotonic() + LIMIT
        while not line.endswith(b"\n"):
            if not select.select([stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                self._process.kill()
                raise PeerFailed(self.peer, f"no answer for {LIMIT:.0f} s")
            more = stdout.read(4096)
            if not more:
                self._errors.seek(0)
                said = [each for each in self._errors.read().splitlines() if each.strip()]
                raise PeerFailed(self.peer, f"it ended: {said[-1] if said else 'without a word'}")
            line += more
        return line.decode("utf-8", "replace")

    def close(self) -> None:
        """End the process, if it has not ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


@contextmanager
def serving(there: Mapping[Peer, Sequence[str]], missing: dict[Peer, str]) -> Generator[dict[Peer, Server]]:
    """The processes of the peers that are `there`; who does not start is added to `missing`."""
    servers: dict[Peer, Server] = {}
    try:
        for peer, command in there.items():
            try:
                servers[peer] = Server(peer, command)
            except PeerFailed as failure:
                missing[peer] = failure.why
        yield servers
    finally:
        for server in servers.values():
            server.close()
