"""The mailbox: a Trio memory channel with a bound, and what happens at the bound.

A server that waits at an empty mailbox is handed its message directly (see `Process.deliver`), so a
mailbox is made only when a first message has to wait: an idle server costs no channel.

`waiting` counts what `take` would return. The count is ours because asking the channel costs an exception
or a statistics object, at each message.
"""

from __future__ import annotations

import math
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

    __slots__ = ("_receive", "_send", "capacity", "waiting")

    def __init__(self, capacity: float) -> None:
        self._send, self._receive = trio.open_memory_channel[Item](capacity)
        self.capacity = capacity
        self.waiting = 0

    def put(self, item: Item) -> bool:
        """Leave `item`, or say False: there is no room. Not a checkpoint."""
        if self.waiting >= self.capacity:
            return False
        self._send.send_nowait(item)
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

    def take(self) -> Item:
        """The message that has waited longest; only while `waiting` is above 0."""
        self.waiting -= 1
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
