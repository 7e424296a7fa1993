"""The mailbox: a Trio memory channel with a bound, and what happens at the bound.

A server that waits at an empty mailbox is handed its message directly (see `Process.deliver`), so a
mailbox is made only when a first message has to wait: an idle server costs no channel.

`waiting` counts what `take` would return. The count is ours because asking the channel costs an exception
or a statistics object, at each message.
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
    """

    __slots__ = (
        "_extra",
        "_receive",
        "_send",
        "_taken",
        "capacity",
        "receive_nowait",
        "send_nowait",
        "waiting",
    )

    def __init__(self, capacity: float) -> None:
        self._send, self._receive = trio.open_memory_channel[Item](capacity)
        # For the two places that a message passes most often: `put` and `take` are these, counted.
        self.send_nowait = self._send.send_nowait
        self.receive_nowait = self._receive.receive_nowait
        self.capacity = capacity
        self.waiting = 0
        # What was put in beyond the bound, each with the count of `_taken` at which its turn comes.
        self._extra: deque[tuple[int, Item]] | None = None
        self._taken = 0

    def put(self, item: Item) -> bool:
        """Leave `item`, or say False: there is no room. Not a checkpoint."""
        if self.waiting >= self.capacity and self._in_channel >= self.capacity:
            return False
        self.send_nowait(item)
        self.waiting += 1
        return True

    async def put_wait(self, item: Item) -> None:
        """Leave `item`, waiting for room in order of arrival. A checkpoint.

        Raises:
          trio.BrokenResourceError: the server ended meanwhile.
        """
        self.waiting += 1
        try:
            await self._send.send(item)
        except (trio.Cancelled, trio.BrokenResourceError):
            # The channel guarantees that the item is then not in it.
            self.waiting -= 1
            raise

    def force(self, item: Item) -> None:
        """Leave `item` though there is no room; its turn comes after all that waits now."""
        if self._extra is None:
            self._extra = deque()
            self._taken = 0
        self._extra.append((self._taken + self._in_channel, item))
        self.waiting += 1

    @property
    def _in_channel(self) -> int:
        """How many wait in the channel, those that wait for room in it included."""
        return self.waiting - (0 if self._extra is None else len(self._extra))

    def take(self) -> Item:
        """The message that has waited longest; only while `waiting` is above 0."""
        if self._extra is not None:
            return self._take_with_extra(self._extra)
        self.waiting -= 1
        return self.receive_nowait()

    def _take_with_extra(self, extra: deque[tuple[int, Item]]) -> Item:
        if extra[0][0] > self._taken and self._in_channel:
            return self.take_oldest()
        item = extra.popleft()[1]
        self.waiting -= 1
        if not extra:
            self._extra = None
        return item

    def take_oldest(self) -> Item:
        """The same, but nothing that was put in by `force`; only while the channel is full."""
        self.waiting -= 1
        self._taken += 1
        return self._receive.receive_nowait()

    def close(self) -> list[Item]:
        """Take no more, and return all that waited, also what was waiting for room."""
        left = [self.take() for _ in range(self.waiting)]
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
