"""Spreading work over a fixed number of servers, in the caller: the pool is no bottleneck.

None of these is a server. Each is a value over references, and says synchronously which one to use: by a key
(`KeyedPool`), in turn (`RoundRobinPool`), or where the least waits (`LeastLoadedPool`). To give a worker to
one client alone for a while, use a `CheckoutPool`.

The hash behind a key is one that never changes, between runs, machines and versions of Python. Python's own
``hash()`` of a text differs in every process, so a worker chosen with it would be another one after each
restart, and data sharded by it would be lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._delivery import waiting_messages
from ._text import show
from ._turn import PARKED

if TYPE_CHECKING:
    from ._ref import ServerRef
    from ._server import GenServer

__all__ = ["STABLE_HASH", "KeyedPool", "LeastLoadedPool", "RoundRobinPool", "stable_hash"]

S_co = TypeVar("S_co", bound="GenServer", covariant=True)

STABLE_HASH = "blake2b-64-v1"
"""The name and version of `stable_hash`, to be written beside data that is sharded by it."""


def stable_hash(key: str | bytes | int) -> int:
    """A number from 0 to 2**64 - 1 that is the same for `key` in every process, on every machine, always.

    BLAKE2b (RFC 7693) of 8 bytes, read big-endian, over one letter for the type and the key: ``s`` and its
    UTF-8 bytes, ``b`` and the bytes, ``i`` and the decimal digits. `STABLE_HASH` names this definition. As a
    dict would have it, ``True`` is the key ``1``, while ``1``, ``"1"`` and ``b"1"`` are three.

    Raises:
      TypeError: `key` has another type, for which no stable rule exists.
      UnicodeEncodeError: `key` is a text with a lone surrogate, which has no UTF-8.
    """
    if isinstance(key, str):
        data = b"s" + key.encode()
    elif isinstance(key, bytes):
        data = b"b" + key
    elif isinstance(key, int):
        data = b"i%d" % key
    else:
        raise TypeError(f"a key must be a str, bytes or an int, not {show(key)}; convert it to a str")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class _Pool(Generic[S_co]):
    """Some servers, in an order. It owns nothing: start them under a supervisor.

    Their references stay valid over restarts, so the pool does.
    """

    __slots__ = ("workers",)

    def __init__(self, workers: Iterable[ServerRef[S_co]]) -> None:
        self.workers = tuple(workers)
        if not self.workers:
            raise ValueError("a pool needs at least one worker")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.workers)}: {self.workers[0].name}, ...>"

    def __len__(self) -> int:
        return len(self.workers)

    def __iter__(self) -> Iterator[ServerRef[S_co]]:
        return iter(self.workers)


class KeyedPool(_Pool[S_co]):
    """A fixed number of servers, of which each key has one: always the same, while the number is the same.

    It is a value and owns nothing: start the servers under a supervisor, and give it their references,
    which stay valid over restarts.

    Args:
      workers: the servers, in an order that is the same at each start.

    Raises:
      ValueError: there are none.
    """

    __slots__ = ()

    def index_for(self, key: str | bytes | int) -> int:
        """Which of the workers is the one for `key`: ``stable_hash(key) % len(pool)``."""
        return stable_hash(key) % len(self.workers)

    def worker_for(self, key: str | bytes | int) -> ServerRef[S_co]:
        """The worker for `key`."""
        return self.workers[stable_hash(key) % len(self.workers)]


class RoundRobinPool(_Pool[S_co]):
    """Servers that are used in turn: for requests that all cost about the same.

    Args:
      workers: the servers.

    Raises:
      ValueError: there are none.
    """

    __slots__ = ("_turn",)

    def __init__(self, workers: Iterable[ServerRef[S_co]]) -> None:
        super().__init__(workers)
        self._turn = 0

    def worker(self) -> ServerRef[S_co]:
        """The next in turn that runs; if none does, the next in turn, and a call will say so."""
        workers = self.workers
        count = len(workers)
        turn = self._turn
        for step in range(count):
            index = (turn + step) % count
            if workers[index].is_running:
                self._turn = index + 1
                return workers[index]
        self._turn = turn + 1
        return workers[turn % count]


class LeastLoadedPool(_Pool[S_co]):
    """Servers of which the one is used that has the least to do: for requests of very different cost.

    The load of a server is its waiting messages, the message that it is handling, and its child tasks. Among
    equals, they are used in turn. It looks at each server, so it is meant for tens of them, not for
    thousands.

    Args:
      workers: the servers.

    Raises:
      ValueError: there are none.
    """

    __slots__ = ("_turn",)

    def __init__(self, workers: Iterable[ServerRef[S_co]]) -> None:
        super().__init__(workers)
        self._turn = 0

    def worker(self) -> ServerRef[S_co]:
        """The one with the least to do, of those that run; if none does, any, and a call will say so."""
        workers = self.workers
        count = len(workers)
        turn = self._turn
        chosen = turn % count
        least = math.inf
        for step in range(count):
            index = (turn + step) % count
            load = _load(workers[index])
            if load < least:
                chosen, least = index, load
                if load == 0:
                    break
        self._turn = chosen + 1
        return workers[chosen]


def _load(ref: ServerRef[Any]) -> float:
    """How many messages a server has in hand; `math.inf` if it takes none."""
    process = ref._process
    if not process.alive:
        return math.inf
    busy = 0 if process.turn.waits == PARKED else 1 + waiting_messages(process)
    # Its child tasks, those that wait for their turn too.
    if process.nursery is not None:
        busy += len(process.nursery.child_tasks)
    if process.children is not None:
        busy += process.children.waiting
    return busy
