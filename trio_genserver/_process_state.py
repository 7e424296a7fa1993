"""What there is to know of one server that runs, and what its callbacks and others may ask of it.

The lowest layer of a `Process`: here is its state, in `_process_delivery` and `_process_loop` what happens
to its messages, in `_process` its life. Most of what is asked for here is left in a flag or a list, and
`wake` has the loop look.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import outcome
import trio
import trio.lowlevel

from ._awaiting import close_awaitable, is_awaitable
from ._children import ChildTasks, OwnTask
from ._cycle import execution_var
from ._errors import InitStopped
from ._hooks import current_hooks
from ._host import Host, Reference
from ._kept import kept
from ._mailbox import Mailbox
from ._message import Call, Handler
from ._request import Envelope, Item, Request
from ._spec import ChildSpec
from ._system_request import SystemRequest
from ._text import CallbackName, hidden, name_of, show

__all__ = [
    "AWAKE",
    "BATCH",
    "ENDED",
    "ENDING",
    "HELD",
    "LENT",
    "PARKED",
    "RUNNING",
    "STARTING",
    "UNSET",
    "End",
    "OnEnding",
    "OnExit",
    "ProcessState",
]

OnExit: TypeAlias = Callable[[Any, object], None]
OnEnding: TypeAlias = Callable[[Any], None]

# The life of a process. It only ever moves down this list.
STARTING = 0
RUNNING = 1
ENDING = 2  # takes no messages any more; terminate is yet to run
ENDED = 3

UNSET: Any = object()

# What the task of a process waits for, if it does.
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


class Unfinished:
    """A handler has returned an awaitable, where nothing could be awaited.

    Attributes:
      handler: whose it is.
      request: who waits for the reply; None: nobody.
      item, message: what came into the mailbox, and the message that it brought.
    """

    __slots__ = ("awaitable", "handler", "item", "message", "request")

    def __init__(
        self, handler: Handler, request: Request[Any] | None, item: Item, message: Any, awaitable: Any
    ) -> None:
        self.handler = handler
        self.request = request
        self.item = item
        self.message = message
        self.awaitable = awaitable

    def close(self) -> None:
        """It will not be awaited: the server has ended before."""
        close_awaitable(self.awaitable)


class End:
    """How a server has ended, for those who have waited for that.

    Attributes:
      crash: what it crashed with; None: it did not.
      reason: why it ended.
    """

    __slots__ = ("crash", "reached", "reason")

    def __init__(self, crash: BaseException | None, reason: object) -> None:
        self.crash = crash
        self.reason = reason
        self.reached = trio.Event()


class ProcessState(Host):
    """The state of one incarnation of a server.

    Attributes:
      waits: what the task waits for: `AWAKE`, `HELD`, `LENT` or `PARKED`.
      attention: something is to be done before the next message.
      instance: the user's object, from ``__init__`` to the end.
      deferred: requests whose answer is somebody's duty: `From`, or a child task that was cancelled.
      supervised: an abnormal end is told to `on_exit`, and not raised into the nursery.
      on_ending: called when it takes no messages any more, before anyone can find that out.
      on_exit: called when nothing of it is left. Both are ordered sets.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_ref",
        "_ref_class",
        "_weak_ref",
        "attention",
        "budget",
        "children",
        "continues",
        "crash",
        "current",
        "deferred",
        "dropped",
        "grace",
        "handlers",
        "hooks",
        "instance",
        "killed",
        "mailbox",
        "new_tasks",
        "nursery",
        "on_ending",
        "on_exit",
        "reason",
        "since",
        "spec",
        "start_error",
        "starter",
        "state",
        "stop_left",
        "stop_reason",
        "supervised",
        "suspended",
        "system",
        "timeout",
        "timeout_due",
        "timeout_scope",
        "unfinished",
        "waits",
    )

    def __init__(
        self,
        spec: ChildSpec[Any],
        ref: Reference,
        *,
        supervised: bool = False,
        on_exit: OnExit | None = None,
    ) -> None:
        self.spec = spec
        self._ref: Reference | None = ref
        self.supervised = supervised
        self.on_exit: dict[OnExit, None] | None = None if on_exit is None else {on_exit: None}
        self.on_ending: dict[OnEnding, None] | None = None
        self.hooks = current_hooks()
        self.handlers: dict[Handler, Handler] = spec.server_class._handlers
        self.state = STARTING
        self.task = None
        self.waiting = None
        self.instance: Any = None
        self.mailbox: Mailbox[Item] | None = None
        self.nursery: trio.Nursery | None = None
        self.waits = AWAKE
        self.attention = False
        self.suspended = False
        self.killed = False
        self.dropped = 0
        self.crash: BaseException | None = None
        self.reason: object = UNSET
        # What `stop_in_order` was given, while messages from before it are still being handled.
        self.stop_reason: object = UNSET
        self.stop_left: int = 0
        self.grace: float = UNSET
        self.current: Item | None = None
        self.timeout: float | None = None
        self.timeout_due: float | None = None
        # Of the loop's step: how many messages are left, and when it began; infinite: not worth asking yet.
        self.budget = BATCH
        self.since = math.inf
        self.starter: trio.lowlevel.Task | None = None
        self.start_error: BaseException | None = None
        # All of these are rare, and made when they are needed.
        self.children: ChildTasks | None = None
        self.continues: deque[object] | None = None
        self.new_tasks: list[OwnTask] | None = None
        self.system: deque[SystemRequest[Any]] | None = None
        self.timeout_scope: trio.CancelScope | None = None
        self.unfinished: Unfinished | None = None
        self.deferred: Mapping[Request[Any], BaseException | None] = NONE_DEFERRED
        self.token = None
        self._ended: End | None = None

    def __repr__(self) -> str:
        state = ("starting", "running", "ending", "ended")[self.state]
        return f"<Process of {self.name}, {state}>"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def server(self) -> ProcessState:
        return self

    @property
    def ending(self) -> bool:
        return self.state >= ENDING

    @property
    def is_to_end(self) -> bool:
        """Whether it ends, or is about to: whoever waits for an answer hears of that."""
        return self.state >= ENDING or self.reason is not UNSET

    @property
    def alive(self) -> bool:
        """Whether it takes messages."""
        return self.state <= RUNNING

    @property
    def ref(self) -> Reference:
        """What refers to it. While it lives, `self.ref` needs no other holder."""
        ref = self._ref
        if ref is None:
            ref = self._weak_ref()
            if ref is None:
                # Nobody has it any more; this one is as good.
                again: Any = cast("Any", self._ref_class)(self.name)
                again._process = self.server
                ref = again
        return ref

    def forget_ref(self) -> None:
        """It has ended: who has its reference keeps it alive, and it does not keep that."""
        ref = self.ref
        self._weak_ref = weakref.ref(ref)
        self._ref_class = type(ref)
        self._ref = None

    def drop(self, item: Item | Call[Any, Any], why: str) -> None:
        self.dropped += 1
        if self.hooks.message_dropped:
            envelope = item if isinstance(item, Envelope) else Envelope(item)
            self.hooks.tell("message_dropped", self.ref, envelope, why)

    # What callbacks and others ask of it.

    def look_again(self) -> None:
        """Have the loop look at what is unusual before it takes the next message; it does not wait."""
        self.attention = True

    def wake(self) -> None:
        """`look_again`, for a loop that may wait."""
        self.attention = True
        if self.waits:
            self.go_on(None)

    # Where the task waits, and who ends that.

    def park(self, waits: int) -> Awaitable[Any]:
        """Wait until `go_on`, and for what is said there; to be awaited at once, by the task itself."""
        self.waits = waits
        return trio.lowlevel.wait_task_rescheduled(self._abort_park)  # noqa: ASYNC105 - who calls this does

    def go_on(self, item: Item | None) -> None:
        """Have the task, which waits, go on with `item`; None: with what `attention` says."""
        assert self.task is not None
        # First, as it raises if this is no Trio thread; the server is not to be hurt by that.
        trio.lowlevel.reschedule(self.task, outcome.Value(item))
        self.waits = AWAKE

    def _abort_park(self, _: object) -> trio.lowlevel.Abort:
        self.waits = AWAKE
        return trio.lowlevel.Abort.SUCCEEDED

    def stop_now(self, reason: object) -> None:
        """End after the callback that runs."""
        if self.reason is UNSET:
            self.reason = reason
        self.stop_left = 0
        # Asked for in a child task, it finds the loop waiting.
        self.wake()

    def stop_by_raising(self, reason: object) -> None:
        """`stop_now`, for a callback that ended by raising `Stop`: what it asked for before is not done."""
        self.continues = None
        self.stop_now(reason)

    def kill(self, reason: object = "shutdown", grace: float = UNSET) -> None:
        """End at the next checkpoint: the handler that runs is cancelled.

        Args:
          grace: seconds from now until `terminate` is cancelled as well; below 0: it is not run. May be
            called again, with less.
        """
        if self.state >= ENDED:
            return
        if not self.killed:
            self.killed = True
            if self.reason is UNSET and self.stop_reason is UNSET:
                self.reason = reason
            if self.state == RUNNING:
                # From the next message on, all would be in vain.
                self._take_no_more()
            if self.nursery is not None:
                self.nursery.cancel_scope.cancel(reason=f"{self.name} is shut down")
            self.wake()
        if grace is not UNSET:
            self.set_grace(grace)

    def set_grace(self, seconds: float) -> None:
        """Bound its end to `seconds` from now, unless it has less; below 0: `terminate` is not to run."""
        deadline = trio.current_time() + seconds if seconds >= 0 else -math.inf
        if self.grace is UNSET or deadline < self.grace:
            self.grace = deadline
            if self.ending and self.timeout_scope is not None:
                self.timeout_scope.deadline = deadline

    def continue_with(self, argument: object) -> None:
        if self.continues is None:
            self.continues = deque()
        self.continues.append(argument)
        self.wake()

    def start_task(self, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        if self.nursery is not None:
            self.spawn(OwnTask(self.server, async_fn, args))
        else:
            if self.new_tasks is None:
                self.new_tasks = []
            self.new_tasks.append(OwnTask(self.server, async_fn, args))
            self.look_again()

    def spawn(self, task: OwnTask) -> None:
        assert self.nursery is not None
        name = name_of(task.async_fn)
        self.nursery.start_soon(task.run, name=f"{self.name}.{name}")

    def set_timeout(self, seconds: float | None) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"a timeout is some seconds from 0, not {show(seconds)}")
        self.timeout = seconds
        self.timeout_due = None
        if self.waits == PARKED and execution_var.get() is not self:
            # Set in a child task: the loop waits already, for another time or for none.
            self.wake()

    def run_system(self, request: SystemRequest[Any]) -> None:
        """Have the server's task serve `request` between two messages, before those that wait."""
        if self.system is None:
            self.system = deque()
        self.system.append(request)
        self.wake()

    def withdraw_system(self, request: SystemRequest[Any]) -> None:
        """Take `run_system` back, unless it is being served."""
        if self.system is not None:
            with suppress(ValueError):
                self.system.remove(request)

    def suspend(self, suspended: bool) -> None:
        self.suspended = suspended
        self.wake()

    def defer(self, request: Request[Any], cause: BaseException | None = None) -> None:
        """Answer `request` at the end of the server at the latest, if nobody does before.

        Args:
          cause: its own crash, if it is to hear of that rather than of the server's end.
        """
        if not isinstance(self.deferred, dict):
            self.deferred = {}
        self.deferred[request] = cause

    def answered(self, request: Request[Any]) -> None:
        """Take `defer` back."""
        if isinstance(self.deferred, dict):
            self.deferred.pop(request, None)

    def child_ended(self) -> None:
        if self.waits in (HELD, LENT):
            self.wake()

    def crashed(self, error: BaseException, message: object) -> None:
        """A callback or a child task raised: the server ends with `error`."""
        if self.crash is None:
            self.crash = error
        else:
            self.crash = BaseExceptionGroup(f"{self.name} and its child tasks", [self.crash, error])
        self.reason = self.crash
        if self.hooks.server_crashed:
            self.hooks.tell(
                "server_crashed", self.ref, error, self.shown_message(message), self.shown_state()
            )
        self.killed = True
        if self.state == RUNNING:
            self._take_no_more()
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel(reason=f"{self.name} crashed: {show(error)}")
        self.wake()

    def known_crash(self) -> BaseException | None:
        """What it has crashed with, for somebody who comes too late; a copy of his own."""
        return None if self.crash is None else kept(self.crash)

    def shown_state(self) -> object:
        """The state as `format_status` shows it; if that raises, what it raised."""
        instance = self.instance
        if instance is None:
            return None
        try:
            shown = instance.format_status(attributes(instance))
            if is_awaitable(shown):
                close_awaitable(shown)
                return "<format_status is an async function, and must be a plain one>"
            return shown
        except Exception as error:  # noqa: BLE001 - it must not hide the crash that is being reported
            return f"<format_status raised {show(error)}>"

    def shown_message(self, message: object) -> object:
        """A message as `format_message` shows it; if that raises, what it raised."""
        if message is None or isinstance(message, CallbackName):
            return message
        instance = self.instance
        if instance is None:
            return hidden(message) if self.spec.server_class._hides_arguments else message
        try:
            return instance.format_message(message)
        except Exception as error:  # noqa: BLE001 - it must not hide the crash that is being reported
            return CallbackName(f"<format_message raised {show(error)}>")

    def _take_no_more(self) -> None:
        """Take no messages any more, and tell those who keep its reference for others to find."""
        if self.state == STARTING and self.start_error is None:
            # Its init did not finish, so there is nothing that terminate should undo.
            reason = "shutdown" if self.reason is UNSET else self.reason
            self.start_error = InitStopped(self.name, reason) if self.crash is None else self.crash
        self.state = ENDING
        if self.on_ending is not None:
            on_ending, self.on_ending = self.on_ending, None
            for tell in on_ending:
                tell(self.server)

    def _withhold_unhandled(self) -> None:
        """Nothing of what waits will be handled: senders go on, callers are told at the end."""
        if self.unfinished is not None:
            unfinished, self.unfinished = self.unfinished, None
            self.current = unfinished.item
            unfinished.close()
        if self.current is not None:
            item, self.current = self.current, None
            if isinstance(item, Request):
                self.defer(cast("Any", item))
        while self.system:
            self._fail(self.system.popleft())
        if self.mailbox is not None:
            for item in self.mailbox.close():
                self._withhold(item)
            self.mailbox = None
        if self.children is not None:
            for child in self.children.close():
                self._withhold(child.item)

    def _withhold(self, item: Item) -> None:
        if isinstance(item, Request):
            self.defer(cast("Any", item))
        else:
            self.drop(item, "stopped")

    def fail_withheld(self) -> None:
        """Tell those whose message is not handled now, before the end is over."""
        self._withhold_unhandled()
        for request in list(self.deferred):
            self._fail(request)

    def _fail(self, request: Any) -> None:
        if self.crash is not None:
            request.crash(self.crash)
        else:
            request.stop(self.reason)

    def call_on_ending(self, tell: OnEnding) -> None:
        """Have `tell` called when it takes no messages any more. Only while `alive`."""
        if self.on_ending is None:
            self.on_ending = {}
        self.on_ending[tell] = None

    def call_on_exit(self, tell: OnExit) -> OnExit:
        """Have `tell` called with the reason when nothing of it is left. Not after it has ended."""
        if self.on_exit is None:
            self.on_exit = {}
        self.on_exit[tell] = None
        return tell

    def forget_on_exit(self, tell: OnExit) -> None:
        if self.on_exit is not None:
            self.on_exit.pop(tell, None)

    def forget_on_ending(self, tell: OnEnding) -> None:
        if self.on_ending is not None:
            self.on_ending.pop(tell, None)


def attributes(instance: object) -> dict[str, Any]:
    """The state of a server: what it has put into itself, in slots or not."""
    state: dict[str, Any] = {}
    for base in type(instance).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in _NO_STATE and hasattr(instance, name):
                state[name] = getattr(instance, name)
    state.update(getattr(instance, "__dict__", {}))
    return state


def message_of(item: Any) -> object:
    return item.message if isinstance(item, Envelope) else item


_NO_STATE = frozenset(("_process", "__dict__", "__weakref__"))

# What all servers share that have deferred nothing; so nothing can be put into it.
NONE_DEFERRED: Mapping[Request[Any], BaseException | None] = MappingProxyType({})
