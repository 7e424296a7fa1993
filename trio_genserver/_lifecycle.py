"""The life of one incarnation of a server: how far it has come, why it ends, and who is to hear of that.

A part of a `Process`, which does what follows from a change here: tells instruments, wakes the task, cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import trio
import trio.lowlevel

from ._errors import InitIgnored, InitStopped
from ._kept import kept
from ._signals import Ignore, Stop

__all__ = ["ENDED", "ENDING", "RUNNING", "STARTING", "UNSET", "End", "Lifecycle", "OnEnding", "OnExit"]

OnExit: TypeAlias = Callable[[Any, object], None]
OnEnding: TypeAlias = Callable[[Any], None]

# It only ever moves down this list.
STARTING = 0
RUNNING = 1
ENDING = 2  # takes no messages; terminate has yet to run
ENDED = 3

STATES = ("starting", "running", "ending", "ended")

UNSET: Any = object()


class End:
    """The end of a server, for the tasks that have waited for it.

    Attributes:
      crash: what it crashed with; None: it did not.
      reason: why it ended.
    """

    __slots__ = ("crash", "reached", "reason")

    def __init__(self, crash: BaseException | None, reason: object) -> None:
        self.crash = crash
        self.reason = reason
        self.reached = trio.Event()


class Lifecycle:
    """How far one incarnation of a server has come.

    Attributes:
      state: `STARTING`, `RUNNING`, `ENDING` or `ENDED`.
      reason: why it ends; `UNSET`: nothing has ended it yet.
      stop_reason: the same, of a stop that waits for the messages from before it.
      crash: what a callback or a child task raised.
      raises: the same, on its way to the nursery.
      killed: what runs in it is cancelled, by its crash or by who ends it.
      grace: when its end has to be over; `UNSET`: it has all the time; minus infinity: it has none, or had
        not enough.
      shield: what bounds its end to that while it runs.
      starter: the task that waits for the end of its `init`.
      start_error: what that is to raise.
      on_ending: called when it stops taking messages, before anyone can find that out.
      on_exit: called when nothing of it is left. Both are ordered sets.
      end: what those have who wait for the end.
    """

    __slots__ = (
        "crash",
        "end",
        "grace",
        "killed",
        "on_ending",
        "on_exit",
        "raises",
        "reason",
        "shield",
        "start_error",
        "starter",
        "state",
        "stop_reason",
    )

    def __init__(self, on_exit: OnExit | None = None) -> None:
        self.state = STARTING
        self.reason: object = UNSET
        self.stop_reason: object = UNSET
        self.crash: BaseException | None = None
        self.raises: BaseException | None = None
        self.killed = False
        self.grace: float = UNSET
        self.shield: trio.CancelScope | None = None
        self.starter: trio.lowlevel.Task | None = None
        self.start_error: BaseException | None = None
        self.on_ending: dict[OnEnding, None] | None = None
        self.on_exit: dict[OnExit, None] | None = None if on_exit is None else {on_exit: None}
        self.end: End | None = None

    @property
    def ending(self) -> bool:
        return self.state >= ENDING

    @property
    def out_of_time(self) -> bool:
        """Whether its `terminate` is not to run, or was cut short."""
        return self.grace == -math.inf

    # The start.

    def wait_for_start(self) -> None:
        """The current task waits for the end of its `init`."""
        self.starter = trio.lowlevel.current_task()

    def take_start_error(self) -> BaseException | None:
        error, self.start_error = self.start_error, None
        return error

    def started(self) -> None:
        """Its `init` has finished."""
        self.state = RUNNING

    def start_failed(self, name: str, error: BaseException) -> None:
        """`error` has come instead."""
        if isinstance(error, Ignore):
            error = InitIgnored(name)
            self.reason = "normal"
        elif isinstance(error, Stop):
            self.reason = error.reason
            error = InitStopped(name, error.reason)
        else:
            self.reason = error
        self.start_error = error

    def let_starter_go_on(self) -> None:
        if self.starter is not None:
            starter, self.starter = self.starter, None
            trio.lowlevel.reschedule(starter)

    # The exception or reason that ends it.

    def end_for(self, reason: object) -> None:
        """It ends for `reason`, unless for another already."""
        if self.reason is UNSET:
            self.reason = reason

    def end_in_order(self, reason: object) -> bool:
        """It ends for `reason` when its messages are handled; False: it is to end already."""
        if self.reason is not UNSET or self.stop_reason is not UNSET:
            return False
        self.stop_reason = reason
        return True

    def kill(self, reason: object) -> bool:
        """Cancels everything that runs in it; False: it was cancelled before."""
        if self.killed:
            return False
        self.killed = True
        if self.stop_reason is UNSET:
            self.end_for(reason)
        return True

    def crashed(self, name: str, error: BaseException) -> None:
        """A callback or a child task has raised `error`."""
        if self.crash is None:
            self.crash = error
        else:
            self.crash = BaseExceptionGroup(f"{name} and its child tasks", [self.crash, error])
        self.reason = self.crash
        self.killed = True

    def cancelled(self, messages_left: int) -> None:
        """Its owner has cancelled it, before it handled the messages for which a stop waits."""
        self.end_for("shutdown" if self.stop_reason is UNSET or messages_left else self.stop_reason)

    def terminated(self, crash: BaseException | None, reason: object) -> None:
        """`terminate` has raised, which goes before what ended it: `crash`, or for a `Stop` its `reason`."""
        self.crash = crash
        self.reason = reason

    def set_grace(self, seconds: float) -> None:
        """Bound its end to `seconds` from now, unless it has less; below 0: `terminate` is not to run."""
        deadline = trio.current_time() + seconds if seconds >= 0 else -math.inf
        if self.grace is UNSET or deadline < self.grace:
            self.grace = deadline
            if self.shield is not None:
                self.shield.deadline = deadline

    def open_shield(self) -> trio.CancelScope:
        """The scope for a part of its end: out of reach of cancellations, and within its time."""
        deadline = math.inf if self.grace is UNSET else self.grace
        self.shield = trio.CancelScope(shield=True, deadline=deadline)
        return self.shield

    def close_shield(self) -> None:
        self.shield = None

    def cut_short(self) -> None:
        """There was not enough time for its end."""
        self.grace = -math.inf

    # The end, step by step.

    def take_no_more(self, process: Any) -> None:
        """Stop taking messages, and tell the holders who keep its reference for others to find."""
        if self.state == STARTING and self.start_error is None:
            # Its init did not finish, so there is nothing that terminate should undo.
            reason = "shutdown" if self.reason is UNSET else self.reason
            self.start_error = InitStopped(process.name, reason) if self.crash is None else self.crash
        self.state = ENDING
        if self.on_ending is not None:
            on_ending, self.on_ending = self.on_ending, None
            for tell in on_ending:
                tell(process)

    def ran_out_of_time(self, *, supervised: bool) -> None:
        """There was no time for `terminate`, or not enough: that is why it has ended."""
        self.reason = "killed"
        if supervised:
            # The log has a record of it; the tasks that wait learn what ended it.
            self.crash = None

    def ended(self) -> None:
        """Nothing of it is left."""
        if self.start_error is None and self.starter is not None and self.crash is not None:
            self.start_error = self.crash
        self.state = ENDED

    def tell_of_exit(self, process: Any) -> None:
        for tell in list(self.on_exit or ()):
            tell(process, self.reason)
        self.on_exit = None

    def let_waiters_go_on(self, process: Any) -> None:
        """Those who wait for its start, and for its end."""
        if self.starter is not None:
            if self.start_error is None:
                self.start_error = InitStopped(process.name, self.reason)
            self.let_starter_go_on()
        if self.end is not None:
            end, self.end = self.end, None
            end.crash, end.reason = self.crash, self.reason
            end.reached.set()

    def keep_copies(self, *, supervised: bool) -> None:
        """All have been told why it ended. The exception raised now must not be in a cycle with those who can
        ask later."""
        crash = self.crash
        if crash is not None and not supervised and self.start_error is None:
            self.raises = crash
        if crash is not None:
            self.crash = kept(crash)
        if self.reason is crash:
            self.reason = self.crash
        elif self.reason is self.start_error and self.start_error is not None:
            self.reason = kept(self.start_error)

    def take_what_it_raises(self) -> BaseException:
        """`raises`, which is there, and is kept no longer."""
        crash, self.raises = self.raises, None
        assert crash is not None
        return crash

    def never_was(self, reason: object) -> None:
        """It stands for none."""
        self.state = ENDED
        self.reason = reason

    # The listeners.

    def call_on_ending(self, tell: OnEnding) -> None:
        """Have `tell` called when it stops taking messages. Only while it takes some."""
        if self.on_ending is None:
            self.on_ending = {}
        self.on_ending[tell] = None

    def forget_on_ending(self, tell: OnEnding) -> None:
        if self.on_ending is not None:
            self.on_ending.pop(tell, None)

    def call_on_exit(self, tell: OnExit) -> OnExit:
        """Have `tell` called with the reason when nothing of it is left. Not after it has ended."""
        if self.on_exit is None:
            self.on_exit = {}
        self.on_exit[tell] = None
        return tell

    def forget_on_exit(self, tell: OnExit) -> None:
        if self.on_exit is not None:
            self.on_exit.pop(tell, None)

    def end_to_wait_for(self) -> End:
        """The event to wait for, before it has ended."""
        if self.end is None:
            self.end = End(None, UNSET)
        return self.end

    def known_crash(self) -> BaseException | None:
        """The exception of its crash, for those who ask too late; each gets a copy."""
        return None if self.crash is None else kept(self.crash)
