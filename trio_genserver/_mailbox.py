"""The mailbox: a Trio memory channel, its bound, and what happens at the bound.

A server that waits at an empty mailbox is handed its message directly (see `_delivery`), so a
mailbox is made only when a first message has to wait: an idle server costs no channel.

All that waits is in the channel, in one order; the bound is ours. A sender that waits for room has its
message in there already, and goes on when it is among the first `capacity`. Messages put in by `force` do not
count. A message whose sender gave up is taken out wherever it is (`sweep`), and makes room at once.

`ready` counts what is in the channel. The count is ours because asking the channel costs an exception or a
statistics object, at each message.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import trio
import trio.lowlevel

__all__ = ["Mailbox"]

Item = TypeVar("Item")

# In a mailbox with more messages than FEW, those that are withdrawn are taken out only when they are one in
# SHARE, or when somebody wants to know or needs their room: or each of a million would cost a million.
FEW = 128
SHARE = 8


class Mailbox(Generic[Item]):
    """Messages that wait for one server.

    Args:
      capacity: how many messages may wait; `math.inf` for no bound.
      is_withdrawn: whether the sender of a message that waits has withdrawn it.

    Attributes:
      ready: how many messages `take` can give, withdrawn ones that `sweep` has not taken out included.
      dirty: whether there may be any of those, so that `sweep` comes before `take`.
      careful: whether there is anything but messages in the channel to look after.
      before_stop: how many of the first messages a stop waits for.
      send_nowait, receive_nowait: the channel's own. On the two places that a message passes most often they
        stand in for `put` and `take`, and whoever calls them keeps `ready` and `before_stop`.
    """

    __slots__ = (
        "_forced",
        "_gone",
        "_is_withdrawn",
        "_receive",
        "_send",
        "_waiters",
        "_withdrawn",
        "before_stop",
        "capacity",
        "careful",
        "ready",
        "receive_nowait",
        "send_nowait",
    )

    def __init__(self, capacity: float, is_withdrawn: Callable[[Item], bool]) -> None:
        self._send, self._receive = trio.open_memory_channel[Item](math.inf)
        self.send_nowait = self._send.send_nowait
        self.receive_nowait = self._receive.receive_nowait
        self.capacity = capacity
        self.ready = 0
        self.careful = False
        self.before_stop = 0
        self._is_withdrawn = is_withdrawn
        # How many may have been withdrawn since the last sweep; too many, if some had been taken already.
        self._withdrawn = 0
        # The rest by identity: what was put in beyond the bound, whose sender waits for room, in the order in
        # which they are in the channel, and whose sender has stopped waiting for that.
        self._forced: set[int] = set()
        self._waiters: OrderedDict[int, trio.lowlevel.Task] = OrderedDict()
        self._gone: set[int] = set()

    @property
    def dirty(self) -> bool:
        return self._withdrawn > 0

    def put(self, item: Item) -> bool:
        """Leave `item`, or return False if there is no room. Not a checkpoint."""
        if self.ready - len(self._forced) >= self.capacity:
            return False
        self.send_nowait(item)
        self.ready += 1
        return True

    def put_beyond(self, item: Item, sender: trio.lowlevel.Task) -> None:
        """Leave `item` even without room; `sender` is rescheduled when there is, or at the end.

        It must be an object of its own, no message that somebody else may send as well.
        """
        self._waiters[id(item)] = sender
        self.send_nowait(item)
        self.ready += 1
        self.careful = True

    def stop_waiting(self, item: Item) -> None:
        """The sender of `item` has stopped waiting for room, and `item` must not be taken."""
        del self._waiters[id(item)]
        self._gone.add(id(item))
        self.withdraw()

    def withdraw(self) -> bool:
        """A message that may be in here was withdrawn. Whether it is time for a `sweep`."""
        self._withdrawn += 1
        self.careful = True
        return bool(self._waiters) or self.ready <= FEW or self._withdrawn * SHARE >= self.ready

    def force(self, item: Item) -> None:
        """Leave `item` even without room; its turn comes after all that waits now."""
        self._forced.add(id(item))
        self.send_nowait(item)
        self.ready += 1
        self.careful = True

    def take(self) -> Item:
        """The message that has waited longest; only while `ready` is above 0."""
        item = self.receive_nowait()
        self.ready -= 1
        if self.before_stop:
            self.before_stop -= 1
        if self.careful:
            self._forced.discard(id(item))
            self._let_in()
        return item

    def take_oldest(self) -> Item:
        """The one of those that count against the bound."""
        items = self._empty()
        place = next(place for place, item in enumerate(items) if id(item) not in self._forced)
        oldest = items.pop(place)
        self.before_stop -= place < self.before_stop
        self._refill(items)
        return oldest

    def stop_after_these(self) -> None:
        """A stop waits for all that waits now."""
        self.before_stop = self.ready

    def stop_at_once(self) -> None:
        """It waits for none of them now."""
        self.before_stop = 0

    def sweep(self) -> bool:
        """Take out what was withdrawn; whether a stop has waited for nothing else."""
        self._withdrawn = 0
        removed = 0
        first = self.before_stop
        left: list[Item] = []
        for place, item in enumerate(self._empty()):
            if id(item) in self._gone or self._is_withdrawn(item):
                removed += place < first
                self._forced.discard(id(item))
            else:
                left.append(item)
        self._gone.clear()
        self.before_stop -= removed
        self._refill(left)
        return first > 0 and not self.before_stop

    def close(self) -> list[Item]:
        """Take no more, and return all that waited, also what was waiting for room."""
        self.sweep()
        left = self._empty()
        while self._waiters:
            trio.lowlevel.reschedule(self._waiters.popitem(last=False)[1])
        self._receive.close()
        return left

    def _empty(self) -> list[Item]:
        items = [self.receive_nowait() for _ in range(self.ready)]
        self.ready = 0
        return items

    def _refill(self, items: list[Item]) -> None:
        for item in items:
            self.send_nowait(item)
        self.ready = len(items)
        self._let_in()

    def _let_in(self) -> None:
        """Have those go on for whose message there is room now."""
        waiters = self._waiters
        while waiters and self.ready - len(self._forced) - len(waiters) < self.capacity:
            trio.lowlevel.reschedule(waiters.popitem(last=False)[1])
        self.careful = bool(waiters or self._forced or self._withdrawn)
