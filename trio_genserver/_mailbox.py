"""The mailbox: a Trio memory channel with a bound, and what happens at the bound.

A server that waits at an empty mailbox is handed its message directly (see `Process.deliver`), so a
mailbox is made only when a first message has to wait: an idle server costs no channel.

`ready` counts what `take` can give. The count is ours because asking the channel costs an exception or a
statistics object, at each message; only while somebody waits for room is it asked.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Generic, Literal, TypeAlias, TypeVar

import trio

__all__ = ["Mailbox", "Overflow"]

Item = TypeVar("Item")

Overflow: TypeAlias = Literal["wait", "raise", "drop_oldest", "drop_newest"]
"""What happens to a message when the mailbox is at its bound.

``"wait"``: `cast` and `call` wait for room, in order (backpressure); `cast_nowait` raises `MailboxFull`.
``"raise"``: everything raises `MailboxFull`.
``"drop_oldest"``: the message that has waited longest makes room; if it was a call, its caller gets
`MailboxFull`.
``"drop_newest"``: the new message is dropped, silently for a cast, with `MailboxFull` for a call.
"""

OVERFLOWS: tuple[Overflow, ...] = ("wait", "raise", "drop_oldest", "drop_newest")


class Mailbox(Generic[Item]):
    """Messages that wait for one server.

    Args:
      capacity: how many messages may wait; `math.inf` for no bound.

    Attributes:
      ready: how many messages `take` can give without a sender having to move up: those in the channel's
        buffer, and those that `force` put in.
      careful: whether there are senders to move up or messages from `force`, so that `take` has to look.
      send_nowait, receive_nowait: the channel's own. On the two places that a message passes most often they
        stand in for `put` and `take`, and whoever calls them keeps `ready`.
    """

    __slots__ = (
        "_extra",
        "_receive",
        "_send",
        "_taken",
        "_waiters",
        "capacity",
        "careful",
        "ready",
        "receive_nowait",
        "send_nowait",
    )

    def __init__(self, capacity: float) -> None:
        self._send, self._receive = trio.open_memory_channel[Item](capacity)
        self.send_nowait = self._send.send_nowait
        self.receive_nowait = self._receive.receive_nowait
        self.capacity = capacity
        self.ready = 0
        self.careful = False
        # How many tasks are in `put_wait`. More than wait in the channel, for a moment: one that got its
        # message in, or was cancelled, is out of the channel before it runs again and can be counted out.
        self._waiters = 0
        # What was put in beyond the bound, each with the count of `_taken` at which its turn comes.
        self._extra: deque[tuple[int, Item]] | None = None
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many messages wait, those that wait for room included."""
        return self.ready + self._waiting_for_room

    @property
    def _waiting_for_room(self) -> int:
        # The channel alone knows exactly; asking it makes an object, so only if it can be more than none.
        return self._send.statistics().tasks_waiting_send if self._waiters else 0

    def put(self, item: Item) -> bool:
        """Leave `item`, or say False: there is no room. Not a checkpoint."""
        if self.ready >= self.capacity and self._buffered >= self.capacity:
            return False
        self.send_nowait(item)
        self.ready += 1
        return True

    async def put_wait(self, item: Item) -> None:
        """Leave `item`, waiting for room in order of arrival; only after `put` said False. A checkpoint.

        Raises:
          trio.BrokenResourceError: the server ended meanwhile.
        """
        self._waiters += 1
        self.careful = True
        try:
            await self._send.send(item)
        finally:
            self._waiters -= 1
            self.careful = self._extra is not None or self._waiters > 0

    def force(self, item: Item) -> None:
        """Leave `item` though there is no room; its turn comes after all that waits now."""
        if self._extra is None:
            self._extra = deque()
            self.careful = True
            self._taken = 0
        self._extra.append((self._taken + self._buffered + self._waiting_for_room, item))
        self.ready += 1

    @property
    def _buffered(self) -> int:
        """How many are in the channel's buffer."""
        return self.ready if self._extra is None else self.ready - len(self._extra)

    def take(self) -> Item:
        """The message that has waited longest; only while `ready` is above 0."""
        if self.careful:
            return self._take_carefully()
        self.ready -= 1
        return self.receive_nowait()

    def _take_carefully(self) -> Item:
        extra = self._extra
        if extra is None or (extra[0][0] > self._taken and self._buffered):
            return self.take_oldest()
        item = extra.popleft()[1]
        self.ready -= 1
        if not extra:
            self._extra = None
            self.careful = self._waiters > 0
        return item

    def take_oldest(self) -> Item:
        """The same, but nothing that was put in by `force`; only while something is in the channel."""
        if not self._waiting_for_room:  # else the first of those moves up
            self.ready -= 1
        self._taken += 1
        return self.receive_nowait()

    def close(self) -> list[Item]:
        """Take no more, and return all that waited, also what was waiting for room."""
        left: list[Item] = []
        while self.ready:
            left.append(self.take())
        self._receive.close()
        return left


def check_capacity(capacity: float) -> float:
    """`capacity` if it can bound a mailbox.

    Raises:
      ValueError: it is not `math.inf` and not a whole number from 1.
    """
    if capacity == math.inf or (isinstance(capacity, int) and capacity >= 1):
        return capacity
    raise ValueError(f"mailbox_size must be a whole number from 1, or math.inf, not {capacity!r}")
