"""A server's process by its parts, as the functions know it that do its work: declarations, nothing else.

The functions that handle a message work on these parts (`_delivery`, `_loop`, `_handling`), and each part
changes its own state. `Process`, above them, has the parts.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import trio

from ._agenda import Agenda
from ._children import ChildTasks, OwnTask
from ._host import Host
from ._mailbox import Mailbox
from ._message import Handler
from ._request import Item

__all__ = ["Parts"]


class Parts(Host):
    """A `Process`, as far as its work needs it. Nobody else is one.

    Attributes:
      handlers: those of its class.
      agenda: the work to do before the next message; None: there has been none yet.
      children: the child tasks of its handlers; None: there have been none.
      current: what it was handling when it ended; None: nothing that came in.
    """

    __slots__ = ()

    handlers: dict[Handler, Handler]
    agenda: Agenda | None
    children: ChildTasks | None
    current: Item | None

    # Its parts that are not there from the beginning.

    def make_mailbox(self) -> Mailbox[Item]:
        """The mailbox, for a first message that has to wait."""
        raise NotImplementedError

    def close_mailbox(self) -> list[Item]:
        """What waits in there, if anything does, and never will again."""
        raise NotImplementedError

    def make_agenda(self) -> Agenda:
        """The agenda, for the first thing that is on it."""
        raise NotImplementedError

    def make_children(self) -> ChildTasks:
        raise NotImplementedError

    def has_instance(self, instance: Any) -> None:
        """The user's object is there; its ``__init__`` is yet to be called."""
        raise NotImplementedError

    def has_nursery(self, nursery: trio.Nursery) -> None:
        raise NotImplementedError

    def let_go(self) -> None:
        """It has ended: keep nothing that its user has made."""
        raise NotImplementedError

    def forget_ref(self) -> None:
        """It has ended: who has its reference keeps it alive, and it does not keep that."""
        raise NotImplementedError

    # How it deals with them.

    def abort_park(self, raise_cancel: object) -> trio.lowlevel.Abort:
        """Called in the step that cancels what `Turn.park` waits for."""
        raise NotImplementedError

    def attend(self) -> Awaitable[Any]:
        """Do what is unusual before the next message; see `_loop.attend`. A supervisor has more to do."""
        raise NotImplementedError

    def spawn(self, task: OwnTask) -> None:
        """Start a task of `GenServer.start_task`, now that there is a nursery."""
        raise NotImplementedError

    def take_deferred(self) -> list[tuple[Any, BaseException | None]]:
        """The `deferred` requests, to be answered now."""
        raise NotImplementedError

    def was_handling(self, item: Item | None) -> None:
        """The server ends in the middle of `item`, or of nothing that came in."""
        raise NotImplementedError

    def take_current(self) -> Item | None:
        """Forget `current`, which is seen to now."""
        raise NotImplementedError
