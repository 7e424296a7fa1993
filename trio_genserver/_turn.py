"""The turns of a server's task: what it waits for, who wakes it, and how much it does before others run.

A part of a `Process`, and the only one that reschedules its task. One flag, `Turn.attention`, says that
something unusual is to be done before the next message (stop, continue, a request of `sys`, a child task to
start). The loop tests it once a message and looks then what it is.

A server takes at most `BATCH` waiting messages before it lets other tasks run: a checkpoint a message would
cost more than the handlers do, none would starve everybody else (docs/decisions/0004-drain-eight.md).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import outcome
import trio
import trio.lowlevel

from ._text import show

__all__ = ["AWAKE", "BATCH", "HELD", "LENT", "PARKED", "STEP", "Turn"]

# The object that the task of a process waits for, if it waits.
AWAKE = 0  # nothing: it runs, or is about to
HELD = 1  # for whoever wakes it; no message reaches it: suspended, too much for child tasks, a name is taken
LENT = 2  # the same, as a caller runs a handler in its own step
PARKED = 3  # for a message, at an empty mailbox: one may be handed over, or handled by its caller

# How many messages a server handles before it lets others run. A task that is ready may have to wait for two
# steps of the server, as Trio runs the ready ones in random order: so for 16 handlers at most.
BATCH = 8
# Seconds by Trio's clock. A step that has taken less goes on for another BATCH: for handlers so quick, the
# checkpoint would be most of the work.
STEP = 50e-6


class Turn:
    """When the task of one server runs.

    Attributes:
      task: the Trio task; None before it has begun.
      waits: what it waits for: `AWAKE`, `HELD`, `LENT` or `PARKED`.
      attention: something is to be done before the next message.
      suspended: it is to take no messages.
      timeout: seconds without a message until `handle_timeout`, from when it parks; None: for good.
      timeout_due: when those are over, once it has parked.
      timeout_scope: what ends that wait.
      budget: how many messages are left in this step.
      since: when the step began; infinite: not worth asking yet.
    """

    __slots__ = (
        "attention",
        "budget",
        "since",
        "suspended",
        "task",
        "timeout",
        "timeout_due",
        "timeout_scope",
        "waits",
    )

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.waits = AWAKE
        self.attention = False
        self.suspended = False
        self.timeout: float | None = None
        self.timeout_due: float | None = None
        self.timeout_scope: trio.CancelScope | None = None
        self.budget = BATCH
        self.since = math.inf

    # Waiting, and being woken.

    def park(self, waits: int, abort: Callable[[Any], trio.lowlevel.Abort]) -> Awaitable[Any]:
        """Wait until `go_on`, and for what is said there; to be awaited at once, by the task itself.

        Args:
          abort: called in the step that cancels the wait; has it `cancelled`.
        """
        self.waits = waits
        if waits == PARKED:
            # What it is woken with is the first message of another step.
            self.budget = BATCH - 1
            self.since = math.inf
        return trio.lowlevel.wait_task_rescheduled(abort)  # noqa: ASYNC105 - who calls this does

    def cancelled(self) -> None:
        """The wait is over: the task is to be cancelled."""
        self.waits = AWAKE

    def go_on(self, item: Any) -> None:
        """Have the task, which waits, go on with `item`; None: with what `attention` says."""
        assert self.task is not None
        # First, as it raises if this is no Trio thread; the server is not to be hurt by that.
        trio.lowlevel.reschedule(self.task, outcome.Value(item))
        self.waits = AWAKE

    def look_again(self) -> None:
        """Have the loop look at what is unusual before it takes the next message; it does not wait."""
        self.attention = True

    def wake(self) -> None:
        """`look_again`, for a loop that may wait."""
        self.attention = True
        if self.waits:
            self.go_on(None)

    def looks(self) -> None:
        """The loop looks now at what is unusual."""
        self.attention = False

    def child_ended(self) -> None:
        """A child task has made room, for which the loop may wait."""
        if self.waits in (HELD, LENT):
            self.wake()

    def suspend(self, suspended: bool) -> None:
        """Take messages, or none until it is said that it may again."""
        self.suspended = suspended
        self.wake()

    # A caller runs a handler in its own step.

    def lend(self) -> None:
        """A caller begins to, while the task is `PARKED`. Messages sent meanwhile wait in the mailbox."""
        self.timeout = None
        self.waits = LENT

    def taken_back(self, has_messages: bool) -> None:
        """It has: have the server go on, if there is anything to do for it now."""
        if self.waits != LENT:
            # It was woken, or cancelled, by what the handler did.
            return
        self.waits = PARKED
        scope = self.timeout_scope
        if self.attention or has_messages:
            self.wake()
        elif scope is not None and self.timeout is not None:
            scope.deadline = self.timeout_due = trio.current_time() + self.timeout
        elif scope is not None or self.timeout is not None:
            # It waits with a timeout that no longer applies, or without the one that it must have.
            self.wake()

    # The timeout of `GenServer.set_timeout`.

    def set_timeout(self, seconds: float | None, *, by_itself: bool) -> None:
        """Have `handle_timeout` called after `seconds` without a message; None: stop.

        Args:
          by_itself: it is set by what the task runs, and so before that waits.

        Raises:
          ValueError: `seconds` is no time.
        """
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"a timeout is some seconds from 0, not {show(seconds)}")
        self.timeout = seconds
        self.timeout_due = None
        if self.waits == PARKED and not by_itself:
            # Set in a child task: the loop waits already, for another time or for none.
            self.wake()

    def no_timeout(self) -> None:
        """A message has come."""
        self.timeout = None

    def open_timeout(self) -> trio.CancelScope:
        """The scope in which the task waits, if it has a `timeout`."""
        assert self.timeout is not None
        if self.timeout_due is None:
            # Not from now again, if what woke it meanwhile was no message.
            self.timeout_due = trio.current_time() + self.timeout
        self.timeout_scope = trio.CancelScope(deadline=self.timeout_due)
        return self.timeout_scope

    def close_timeout(self) -> None:
        self.timeout_scope = None

    # How much is done in one step.

    def begin_step(self) -> None:
        """Others have run: another step begins."""
        self.budget = BATCH
        self.since = trio.current_time()
