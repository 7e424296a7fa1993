"""The parts of a server and of a reference that the modules below both know.

A request, a record in the log or a child task has to do with a server without being a part of it. These
protocols say what they need, so that each can be read without the process, which is built from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import trio

from ._hooks import Hooks
from ._lifecycle import ENDING, RUNNING, UNSET, Lifecycle
from ._mailbox import Mailbox
from ._message import Handler
from ._spec import ChildSpec
from ._turn import Turn

__all__ = ["Execution", "Host", "Reference"]


class Reference(Protocol):
    """A reference to a server: a `ServerRef`.

    Attributes:
      name: what the server is called in errors and logs.
    """

    name: str
    # Its recent log records, kept by `_log`.
    _records: dict[str, Any] | None

    @property
    def _process(self) -> Host: ...


class Execution:
    """One thing that handles a message at a time: a server's main loop, one of its child tasks, a `Task`.

    Attributes:
      task: the Trio task in which it runs.
      waiting: the requests that it waits for now, and groups of which one is enough; None is nothing, and
        costs no list.
    """

    __slots__ = ("task", "waiting")

    task: trio.lowlevel.Task | None
    waiting: list[Any] | None

    @property
    def server(self) -> Host:
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name in a `CallCycle`."""
        return self.server.name

    @property
    def boundary(self) -> trio.Nursery | None:
        """A nursery: what runs in it, and below, does not keep this execution from going on."""
        return self.server.nursery

    def blockers(self) -> list[Execution] | None:
        """Those of which one has to end before this begins; None: it has begun."""
        return None

    def given_up(self) -> None:
        """The caller of a request that it works on, or will, has given up."""

    def keeps_running(self, server: Host) -> bool:
        """Whether `server` cannot end before this has gone on: it holds the nursery in which this runs, or
        one further out."""
        above = server.task
        task: trio.lowlevel.Task | None = self.task
        while task is not None:
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
            if task is above:
                return task is not None
        return False


class Host(Execution):
    """The process of a server, as far as requests, executions and log records know it.

    Attributes:
      token: how to reach its run from wherever a `From` is dropped; None: none was made.
      hooks: the instruments that are told of what happens to it.
      nursery: its own, if there is one.
      supervised: an abnormal end is told to `Lifecycle.on_exit`, and not raised into the nursery.
      instance: the user's object, from ``__init__`` to the end.
      lifecycle: how far it has come, and why it ends.
      turn: what its task waits for.
      mailbox: what waits for it; None: nothing has yet.
      deferred: requests whose answer is somebody's duty: `From`, or a child task that was cancelled.
    """

    __slots__ = ("token",)

    hooks: Hooks
    token: trio.lowlevel.TrioToken | None
    nursery: trio.Nursery | None
    supervised: bool
    spec: ChildSpec[Any]
    instance: Any
    lifecycle: Lifecycle
    turn: Turn
    mailbox: Mailbox[Any] | None
    deferred: Mapping[Any, BaseException | None]

    @property
    def ref(self) -> Reference:
        """The reference to it. While the process lives, the reference needs no other holder."""
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether it takes messages."""
        return self.lifecycle.state <= RUNNING

    @property
    def is_to_end(self) -> bool:
        """Whether it ends, or is about to: whoever waits for an answer hears of that."""
        lifecycle = self.lifecycle
        return lifecycle.state >= ENDING or lifecycle.reason is not UNSET

    def drop(self, item: Any, why: str) -> None:
        """`item` will not be handled, or its answer is wanted by nobody."""
        raise NotImplementedError

    def withdraw(self) -> None:
        """A message that may be in the mailbox was given up: it makes room."""
        raise NotImplementedError

    def withdraw_system(self, request: Any) -> None:
        """A request of `sys` was given up."""
        raise NotImplementedError

    def defer(self, request: Any, cause: BaseException | None = None) -> None:
        """Answer `request` at the end of the server at the latest, if nobody does before.

        Args:
          cause: its own crash, if it is to hear of that rather than of the server's end.
        """
        raise NotImplementedError

    def answered(self, request: Any) -> None:
        """Take `defer` back."""
        raise NotImplementedError

    def settle(
        self,
        handler: Handler,
        item: Any,
        message: Any,
        request: Any,
        returned: object,
        error: BaseException | None = None,
    ) -> bool:
        """Do what follows from what a handler came to; see `_handling.settle`."""
        raise NotImplementedError

    def stop_now(self, reason: object) -> None:
        """End after the callback that runs."""
        raise NotImplementedError

    def crashed(self, error: BaseException, message: object) -> None:
        """A callback or a child task raised: the server ends with `error`."""
        raise NotImplementedError

    has_family = False

    @property
    def family(self) -> Iterable[Reference]:
        """The references to its children, if it is a supervisor (`has_family`)."""
        return ()
