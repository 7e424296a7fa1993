"""The way out of the simulation, closed: what would reach the real world raises at its line.

A real socket, process, thread or sleep would bring in something that no choice decides, and the
run could not be made again. Python announces each of these through its audit events, before they
happen and however the function was imported, so one hook sees them all. (An audit hook cannot be
taken out again; outside a run it looks at a flag and returns.)

The wall clock and random sources are not refused but made deterministic (`sim._world.deterministic`):
programs use them for names and jitter, and mean no harm.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

from sim._run.errors import Escape

_MEMORY_STREAM: Final = "use trio.testing.memory_stream_pair, or replace the peer with a task"
_NO_PROCESS: Final = "replace it with a task of the scenario"
_REFUSED: Final = {
    "socket.__new__": _MEMORY_STREAM,
    "socket.bind": _MEMORY_STREAM,
    "socket.connect": _MEMORY_STREAM,
    "socket.getaddrinfo": "give the scenario addresses that need no lookup",
    "socket.gethostbyname": "give the scenario addresses that need no lookup",
    "socket.gethostbyaddr": "give the scenario addresses that need no lookup",
    "socket.getnameinfo": "ask for the numeric form, or set a resolver of the scenario's own",
    "select.select": "it would stop every task; wait with Trio, whose time is virtual",
    "subprocess.Popen": _NO_PROCESS,
    "os.system": _NO_PROCESS,
    "os.exec": _NO_PROCESS,
    "os.fork": _NO_PROCESS,
    "os.forkpty": _NO_PROCESS,
    "os.posix_spawn": _NO_PROCESS,
    "os.spawn": _NO_PROCESS,
    "pty.spawn": _NO_PROCESS,
    "_thread.start_new_thread": "use trio.to_thread.run_sync, whose threads are simulated",
    "_thread.start_joinable_thread": "use trio.to_thread.run_sync, whose threads are simulated",
    "time.sleep": "it would stop every task; use trio.sleep, whose time is virtual",
}

_RANDOM_DEVICES: Final = frozenset({"/dev/urandom", "/dev/random", b"/dev/urandom", b"/dev/random"})


class _Guard:
    """The receiver of an escape; None outside a run."""

    def __init__(self) -> None:
        self.refuse: Callable[[Escape], None] | None = None
        # Those whose doings belong to the run; not, for instance, a test runner's watchdog.
        self.threads: set[int] = set()
        self.installed = False


_guard = _Guard()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _guard.refuse is None or not belongs_to_the_run():
        return
    if event == "open" and args[0] in _RANDOM_DEVICES:
        event = f"open({args[0]!r})"
        advice = "use os.urandom or random, which follow from the run's choices"
    elif event in _REFUSED:
        advice = _REFUSED[event]
    else:
        return
    escape = Escape(event, advice)
    _guard.refuse(escape)
    raise escape


@contextlib.contextmanager
def guarded(refuse: Callable[[Escape], None]) -> Generator[None]:
    """Refuse every escape in this thread; ``refuse`` is told of each before it raises there, for a
    program may catch what it raises."""
    if not _guard.installed:
        sys.addaudithook(_hook)
        _guard.installed = True
    before = _guard.refuse
    _guard.refuse = refuse
    try:
        with this_thread_belongs_to_the_run():
            yield
    finally:
        _guard.refuse = before


@contextlib.contextmanager
def this_thread_belongs_to_the_run() -> Generator[None]:
    """Escapes in this thread are refused too, until the block ends."""
    identity = threading.get_ident()
    known = identity in _guard.threads
    _guard.threads.add(identity)
    try:
        yield
    finally:
        if not known:
            _guard.threads.discard(identity)


def belongs_to_the_run() -> bool:
    """Whether what is done in the current thread belongs to a run."""
    return threading.get_ident() in _guard.threads


def refused(escape: Escape) -> Escape:
    """Tell of an escape that no audit event announces; gives it back, to be raised."""
    if _guard.refuse is not None:
        _guard.refuse(escape)
    return escape


@contextlib.contextmanager
def unguarded() -> Generator[None]:
    """Refuse nothing: what is done in the block is done by the simulator itself."""
    before, _guard.refuse = _guard.refuse, None
    try:
        yield
    finally:
        _guard.refuse = before


def guarding() -> bool:
    """Whether escapes are refused."""
    return _guard.refuse is not None


def announced(function: Callable[..., Any], event: str) -> Callable[..., Any]:
    """A function that says of itself what `sys.addaudithook` is not told of it: it is refused in a run."""

    def called(*args: Any, **kwargs: Any) -> Any:
        if guarding():
            sys.audit(event)
        return function(*args, **kwargs)

    return called
