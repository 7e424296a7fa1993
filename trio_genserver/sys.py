"""Looking into servers that run, and intervening: OTP's `sys`, for every server, without its help.

``from trio_genserver import sys``, then ``await sys.get_state(ref)``. A request goes past the mailbox: the
server's main task serves it between two messages, before those that wait. So it is answered at once by a
server that waits, that is suspended, that works in child tasks, or that a flood of messages keeps busy;
and, as in OTP, not before the handler that runs has ended, since the state is nobody's to see until then.
Nor before `init` has finished.

Every request ends: with its answer, or with `ServerNotRunning`, `ServerStopped` or `ServerCrashed`. A
request of the server to itself, directly or over others that wait for it, is a `CallCycle`; one whose
caller has given up is not served. All of them are checkpoints, and none has a time limit of its own: use
`trio.fail_after`.

What is switched on here (statistics, log, trace, debug functions) concerns one server until it ends. While
any of it is on, that server takes every message the long way, through its mailbox; others pay nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import outcome
import trio

from ._cycle import execution_var, waiting_for
from ._errors import ServerError, ServerNotRunning
from ._instrument import Instrument
from ._process_state import attributes
from ._request import BEGUN, FAILED, GIVEN_UP, REPLIED, Envelope, Request

if TYPE_CHECKING:
    from ._process import Process
    from ._ref import ServerRef
    from ._server import GenServer

__all__ = [
    "DONE",
    "Event",
    "EventKind",
    "NoStatistics",
    "Statistics",
    "Status",
    "get_state",
    "get_status",
    "install",
    "log",
    "remove",
    "replace_state",
    "resume",
    "start_log",
    "start_statistics",
    "start_trace",
    "statistics",
    "stop_log",
    "stop_statistics",
    "stop_trace",
    "suspend",
    "terminate",
]

R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger("trio_genserver")

EventKind: TypeAlias = Literal["sent", "received", "replied", "handled", "dropped", "crashed", "stopped"]


class NoStatistics(ServerError):
    """The statistics of this server were not switched on with `start_statistics`."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"{server} keeps no statistics; switch them on with `await sys.start_statistics(ref)`",
            server=server,
            request="sys.statistics()",
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a server has done since its statistics were switched on.

    Attributes:
      start_time, current_time: when that was, and now; seconds of Trio's clock.
      messages_in: how many messages it began to handle.
      messages_out: how many calls were answered.
      messages_dropped: how many messages it will not handle, or whose answer came too late.
    """

    start_time: float
    current_time: float
    messages_in: int
    messages_out: int
    messages_dropped: int


@dataclass(frozen=True, slots=True)
class Status:
    """One server, as `get_status` found it.

    Attributes:
      name: of the server.
      server_class: its class.
      parent: the name of the server in which it was started, a supervisor for one; of the Trio task, if that
        belongs to no server.
      status: ``"running"`` or ``"suspended"``.
      state: the state as its `GenServer.format_status` shows it.
      mailbox_length: how many messages wait.
      dropped: how many messages it has dropped.
    """

    name: str
    server_class: type[GenServer]
    parent: str
    status: Literal["running", "suspended"]
    state: object
    mailbox_length: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one server, for `log`, a trace, and debug functions.

    Attributes:
      kind: ``"sent"`` (to it, into its mailbox), ``"received"`` (it begins to handle it), ``"replied"``,
        ``"handled"``, ``"dropped"``, ``"crashed"``, ``"stopped"``.
      server: its name.
      message: the message, or None.
      detail: the reply, or the error that is one, of ``"replied"``; why, of ``"dropped"`` and ``"stopped"``;
        the exception of ``"crashed"``; else None.
      state: the server's state after it, as its `GenServer.format_status` shows it.
      time: seconds of Trio's clock.
    """

    kind: EventKind
    server: str
    message: object
    detail: object
    state: object
    time: float

    def __str__(self) -> str:
        """One line, as a trace has it."""
        text = f"{self.time:.6f} {self.server} {self.kind}"
        if self.message is not None:
            text += f" {self.message!r}"
        if self.kind in ("replied", "dropped", "crashed", "stopped"):
            text += f": {self.detail!r}"
        if self.kind == "handled":
            text += f", its state is {self.state!r}"
        return text


DONE: Final[Any] = object()
"""Returned by a debug function: it is removed."""


class SystemRequest(Request[R]):
    """A request that goes past the mailbox, and past all instruments.

    It is never `QUEUED`: giving it up withdraws no message.
    """

    __slots__ = ("_function",)

    def __init__(self, process: Process, name: str, function: Callable[[], R]) -> None:
        super().__init__(process, f"sys.{name}")
        self.state = BEGUN
        self._function = function

    def serve(self) -> None:
        """What the server's task does about it."""
        if not self.unanswered:
            return
        try:
            value = self._function()
        except Exception as error:  # noqa: BLE001 - it is the caller's: its function or argument, no crash
            self.fail(error)
        else:
            self.reply(value)

    def reply(self, value: R) -> None:
        self._settle(REPLIED, value, outcome.Value(value))

    def fail(self, error: BaseException) -> None:
        self._settle(FAILED, error, outcome.Error(error))

    def abandon(self) -> None:
        if self.unanswered:
            self.state = GIVEN_UP

    def _settle(self, state: int, answer: object, result: outcome.Outcome[Any]) -> None:
        self.state = state
        self._answer = answer
        waiter, self.waiter = self.waiter, None
        if isinstance(waiter, trio.lowlevel.Task):
            trio.lowlevel.reschedule(waiter, result)


async def _ask(ref: ServerRef[Any], name: str, function: Callable[[Process], R]) -> R:
    """Have the server's task call `function`, and wait for what it returns or raises."""
    await trio.lowlevel.checkpoint_if_cancelled()
    process = ref._process
    request: SystemRequest[R] = SystemRequest(process, name, lambda: function(process))
    with waiting_for(request):
        if not process.alive:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise ServerNotRunning(process.name, request.message)
        process.run_system(request)
        return await request.park()


# The state.


async def get_state(ref: ServerRef[Any]) -> dict[str, Any]:
    """The server's state: its attributes by name, in a new dict. The values are the server's own: only look.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await _ask(ref, "get_state()", lambda process: attributes(process.instance))


async def replace_state(
    ref: ServerRef[Any], function: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Put ``function(state)`` in the place of the state. For repairs, not for programs.

    Args:
      function: is given the attributes by name, and returns them all as they are to be; what it leaves out is
        deleted. It runs in the server's task, and does not await. If it raises, the attributes stay as
        they are, and the error is raised here; the server is not concerned.

    Returns:
      the new state.

    Raises:
      TypeError: `function` returned no dict.
      AttributeError: the server cannot have such an attribute. Nothing has changed.
      Exception: what `function` raised.
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def replace(process: Process) -> dict[str, Any]:
        instance = process.instance
        old = attributes(instance)
        new: object = function(dict(old))
        if not isinstance(new, dict):
            raise TypeError(
                f"the function given to replace_state must return the attributes in a dict, not {new!r}"
            )
        if "_process" in new:
            raise AttributeError("'_process' is no part of a server's state")
        try:
            _set_attributes(instance, new)
        except BaseException:
            _set_attributes(instance, old)
            raise
        return attributes(instance)

    return await _ask(ref, f"replace_state({_name_of(function)})", replace)


def _set_attributes(instance: object, state: dict[Any, Any]) -> None:
    for name in attributes(instance):
        if name not in state:
            delattr(instance, name)
    for name, value in state.items():
        setattr(instance, name, value)


async def get_status(ref: ServerRef[Any]) -> Status:
    """What the server is, what it does, and its state as its `GenServer.format_status` shows it.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await _ask(ref, "get_status()", _status)


def _status(process: Process) -> Status:
    return Status(
        name=process.name,
        server_class=process.spec.server_class,
        parent=_parent(process),
        status="suspended" if process.suspended else "running",
        state=process.shown_state(),
        mailbox_length=0 if process.mailbox is None else process.mailbox.waiting,
        dropped=process.dropped,
    )


def _parent(process: Process) -> str:
    task = process.task
    assert task is not None
    nursery = task.parent_nursery
    assert nursery is not None
    parent = nursery.parent_task
    execution = parent.context.get(execution_var)
    return parent.name if execution is None else execution.name


# Suspending, and ending.


async def suspend(ref: ServerRef[Any]) -> None:
    """Have the server handle no messages until `resume`. What is sent to it meanwhile waits in its mailbox.

    It still serves `sys` and ends when it is told to; its child tasks go on. Suspending it again does
    nothing.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    await _ask(ref, "suspend()", lambda process: process.suspend(True))


async def resume(ref: ServerRef[Any]) -> None:
    """Have the server go on, with what waits in its mailbox first. If it is not suspended, this does nothing.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    await _ask(ref, "resume()", lambda process: process.suspend(False))


async def terminate(ref: ServerRef[Any], reason: object = "normal") -> None:
    """End the server after the handler that runs, suspended or not, and wait until it has ended.

    Unlike `ServerRef.stop`, it does not wait for what is in the mailbox: callers get `ServerStopped`.

    Args:
      reason: as for `ServerRef.stop`.

    Raises:
      ServerNotRunning: there is no server (any more).
      CallCycle: as `ServerRef.call`.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    process = ref._process
    name = f"terminate({reason!r})"
    request = SystemRequest(process, name, lambda: process.stop_now(reason))
    with waiting_for(request):
        if not process.alive:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise ServerNotRunning(process.name, request.message)
        process.run_system(request)
        await process.wait_ended()


# Debugging.


async def start_statistics(ref: ServerRef[Any]) -> None:
    """Switch the statistics on, from zero.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def start(debug: Debug) -> None:
        debug.counts = _Counts(trio.current_time())

    await _ask_debug(ref, "start_statistics()", start)


async def statistics(ref: ServerRef[Any]) -> Statistics:
    """What the server has done since `start_statistics`.

    Raises:
      NoStatistics: they are not on.
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def get(debug: Debug) -> Statistics:
        counts = debug.counts
        if counts is None:
            raise NoStatistics(ref.name)
        return Statistics(
            counts.start_time,
            trio.current_time(),
            counts.received,
            counts.replied,
            counts.dropped,
        )

    return await _ask_debug(ref, "statistics()", get)


async def stop_statistics(ref: ServerRef[Any]) -> None:
    """Switch the statistics off and forget them.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.counts = None

    await _ask_debug(ref, "stop_statistics()", stop)


async def start_log(ref: ServerRef[Any], size: int = 10) -> None:
    """Keep the last `size` events of the server, from now on.

    Raises:
      ValueError: `size` is not a whole number from 1.
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def start(debug: Debug) -> None:
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size is a number of events, from 1, not {size!r}")
        debug.events = deque(debug.events or (), maxlen=size)

    await _ask_debug(ref, f"start_log({size!r})", start)


async def log(ref: ServerRef[Any]) -> list[Event]:
    """The events that were kept since `start_log`, the oldest first; none, if nothing was switched on.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await _ask_debug(ref, "log()", lambda debug: list(debug.events or ()))


async def stop_log(ref: ServerRef[Any]) -> None:
    """Keep no events any more, and forget those that were kept.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.events = None

    await _ask_debug(ref, "stop_log()", stop)


async def start_trace(ref: ServerRef[Any], write: Callable[[str], object] = print) -> None:
    """Write a line about each event of the server, as it happens.

    Args:
      write: is called with the line, without its end; `print`, a method of a logger, a function that writes
        to a file. It must not block, or everybody waits; if it raises, that is logged and the trace ends.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def start(debug: Debug) -> None:
        debug.write = write

    await _ask_debug(ref, "start_trace()", start)


async def stop_trace(ref: ServerRef[Any]) -> None:
    """Write no lines any more.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.write = None

    await _ask_debug(ref, "stop_trace()", stop)


async def install(
    ref: ServerRef[Any], function: Callable[[T, Event], T], state: T, *, key: Hashable = None
) -> bool:
    """Have `function` called with each event of the server.

    Args:
      function: is given its own state and the event, and returns its next state; or `DONE`, and is removed.
        It runs where the event happens, must not block, and awaits nothing. If it raises, that is logged and
        it is removed.
      state: its first state.
      key: what `remove` finds it by; None: the function itself.

    Returns:
      whether it was installed: a second one of the same `key` is not, and the first stays.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    name: Hashable = function if key is None else key

    def add(debug: Debug) -> bool:
        if name in debug.functions:
            return False
        debug.functions[name] = (function, state)
        return True

    return await _ask_debug(ref, f"install({_name_of(function)})", add)


async def remove(ref: ServerRef[Any], key: Hashable) -> bool:
    """Remove the debug function that was installed under `key` (or without one: the function itself).

    Returns:
      whether there was one.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await _ask_debug(ref, f"remove({key!r})", lambda debug: debug.functions.pop(key, None) is not None)


class _Counts:
    __slots__ = ("dropped", "received", "replied", "start_time")

    def __init__(self, start_time: float) -> None:
        self.start_time = start_time
        self.received = 0
        self.replied = 0
        self.dropped = 0


class Debug(Instrument):
    """The instrument of one server, for as long as anything here is switched on for it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.counts: _Counts | None = None
        self.events: deque[Event] | None = None
        self.write: Callable[[str], object] | None = None
        self.functions: dict[Hashable, tuple[Callable[[Any, Event], Any], Any]] = {}

    @property
    def wanted(self) -> bool:
        return bool(self.functions) or not (
            self.counts is None and self.events is None and self.write is None
        )

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self._tell("sent", envelope.message)

    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        if self.counts is not None:
            self.counts.received += 1
        self._tell("received", envelope.message)

    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        if self.counts is not None:
            self.counts.replied += 1
        self._tell("replied", envelope.message, envelope._answer if isinstance(envelope, Request) else None)

    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self._tell("handled", envelope.message)

    def message_dropped(self, server: ServerRef[Any], envelope: Envelope, why: str) -> None:
        if self.counts is not None:
            self.counts.dropped += 1
        self._tell("dropped", envelope.message, why)

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        self._tell("crashed", message, error)

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        self._tell("stopped", None, reason)

    def _tell(self, kind: EventKind, message: object, detail: object = None) -> None:
        if self.events is None and self.write is None and not self.functions:
            return
        process = self._process
        event = Event(kind, process.name, message, detail, process.shown_state(), trio.current_time())
        if self.events is not None:
            self.events.append(event)
        if self.write is not None:
            try:
                self.write(str(event))
            except Exception:
                logger.exception("the trace of %s raised; it is switched off", process.name)
                self.write = None
        for key, (function, state) in list(self.functions.items()):
            try:
                state = function(state, event)
            except Exception:
                logger.exception("the debug function %r of %s raised; it is removed", key, process.name)
                state = DONE
            if state is DONE:
                del self.functions[key]
            else:
                self.functions[key] = (function, state)
        self.detach_unless_wanted()

    def detach_unless_wanted(self) -> None:
        hooks = self._process.hooks
        if hooks.parent is not None and not self.wanted:
            self._process.hooks = hooks.parent


async def _ask_debug(ref: ServerRef[Any], name: str, function: Callable[[Debug], R]) -> R:
    """`_ask`, about what is switched on; the instrument is there only while something is."""

    def change(process: Process) -> R:
        hooks = process.hooks
        debug = next((i for i in hooks.instruments if isinstance(i, Debug)), None)
        if debug is not None:
            result = function(debug)
            debug.detach_unless_wanted()
        else:
            debug = Debug(process)
            result = function(debug)
            if debug.wanted:
                process.hooks = hooks.of_one_server(debug)
        return result

    return await _ask(ref, name, change)


def _name_of(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
