"""Looking into servers that run, and intervening: OTP's `sys`, for every server, without its help.

``import trio_genserver``, then ``await trio_genserver.sys.get_state(ref)``: in full, since a bare ``sys`` is
the standard library's to whoever reads on. A request goes past the mailbox: the server's main task serves it
between two messages, before those that wait. So it is answered at once by a server that waits, that is
suspended, that works in child tasks, or that a flood of messages keeps busy; and, as in OTP, not before the
handler that runs has ended, since the state is nobody's to see until then. Nor before `init` has finished.

Every request ends: with its answer, or with `ServerNotRunning`, `ServerStopped` or `ServerCrashed`. A
request of the server to itself, directly or over others that wait for it, is a `CallCycle`; one whose
caller has given up is not served. All of them are checkpoints, and none has a time limit of its own: use
`trio.fail_after`.

Statistics, log, trace and debug functions apply to one server until it ends. While any of them is on, that
server takes every message the long way, through its mailbox; others pay nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import trio

from ._cycle import execution_var, waiting_for
from ._debug import DONE, Counts, Debug, Event, EventKind, ask_debug
from ._delivery import waiting_messages
from ._ends import check_end
from ._errors import ServerError, ServerNotRunning
from ._shown import attributes, shown_state
from ._system import ask
from ._system_request import SystemRequest
from ._text import name_of, show

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

T = TypeVar("T")


class NoStatistics(ServerError):
    """The statistics of this server were not switched on with `start_statistics`."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"{server} keeps no statistics; switch them on with "
            "`await trio_genserver.sys.start_statistics(ref)`",
            server=server,
            request="sys.statistics()",
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """The work of a server since its statistics were switched on.

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


# The state.


async def get_state(ref: ServerRef[Any]) -> dict[str, Any]:
    """The server's state: its attributes by name, in a new dict. The values are the server's own: only look.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await ask(ref, "get_state()", lambda process: attributes(process.instance))


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
                f"the function passed to replace_state must return the attributes in a dict, not {show(new)}"
            )
        if "_process" in new:
            raise AttributeError("'_process' is not part of a server's state")
        try:
            _set_attributes(instance, new)
        except BaseException:
            _set_attributes(instance, old)
            raise
        return attributes(instance)

    return await ask(ref, f"replace_state({name_of(function)})", replace)


def _set_attributes(instance: object, state: dict[Any, Any]) -> None:
    for name in attributes(instance):
        if name not in state:
            delattr(instance, name)
    for name, value in state.items():
        setattr(instance, name, value)


async def get_status(ref: ServerRef[Any]) -> Status:
    """The server, its status, and its state as its `GenServer.format_status` shows it.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await ask(ref, "get_status()", _status)


def _status(process: Process) -> Status:
    return Status(
        name=process.name,
        server_class=process.spec.server_class,
        parent=_parent(process),
        status="suspended" if process.turn.suspended else "running",
        state=shown_state(process),
        mailbox_length=waiting_messages(process),
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
    """Have the server handle no messages until `resume`. Messages sent to it meanwhile wait in its mailbox.

    It still serves `sys` and ends when it is told to; its child tasks go on. Suspending it again does
    nothing.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    await ask(ref, "suspend()", lambda process: process.turn.suspend(True))


async def resume(ref: ServerRef[Any]) -> None:
    """Have the server go on, with what waits in its mailbox first. If it is not suspended, this does nothing.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    await ask(ref, "resume()", lambda process: process.turn.suspend(False))


async def terminate(ref: ServerRef[Any], reason: object = "normal") -> None:
    """End the server after the handler that runs, suspended or not, and wait until it has ended.

    Unlike `ServerRef.stop`, it does not wait for what is in the mailbox: callers get `ServerStopped`.

    Args:
      reason: as for `ServerRef.stop`.

    Raises:
      ServerNotRunning: there is no server.
      ServerCrashed, ServerStopped: as `ServerRef.stop`.
      CallCycle: as `ServerRef.call`.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    process = ref._process
    name = f"terminate({show(reason)})"
    request = SystemRequest(process, name, lambda: process.stop_now(reason))
    with waiting_for(request):
        if not process.alive:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise ServerNotRunning(process.name, request.message)
        process.run_system(request)
        end = await process.wait_ended()
    check_end(process, end, f"sys.{name}", reason)


# Debugging.


async def start_statistics(ref: ServerRef[Any]) -> None:
    """Switch the statistics on, from zero.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def start(debug: Debug) -> None:
        debug.counts = Counts(trio.current_time())

    await ask_debug(ref, "start_statistics()", start)


async def statistics(ref: ServerRef[Any]) -> Statistics:
    """The statistics of the server since `start_statistics`.

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

    return await ask_debug(ref, "statistics()", get)


async def stop_statistics(ref: ServerRef[Any]) -> None:
    """Switch the statistics off and forget them.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.counts = None

    await ask_debug(ref, "stop_statistics()", stop)


async def start_log(ref: ServerRef[Any], size: int = 10) -> None:
    """Keep the last `size` events of the server, from now on.

    Raises:
      ValueError: `size` is not a whole number of at least 1.
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def start(debug: Debug) -> None:
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size must be a whole number of at least 1, not {show(size)}")
        debug.events = deque(debug.events or (), maxlen=size)

    await ask_debug(ref, f"start_log({show(size)})", start)


async def log(ref: ServerRef[Any]) -> list[Event]:
    """The events that were kept since `start_log`, the oldest first; none, if nothing was switched on.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await ask_debug(ref, "log()", lambda debug: list(debug.events or ()))


async def stop_log(ref: ServerRef[Any]) -> None:
    """Stop keeping events, and forget those kept so far.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.events = None

    await ask_debug(ref, "stop_log()", stop)


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

    await ask_debug(ref, "start_trace()", start)


async def stop_trace(ref: ServerRef[Any]) -> None:
    """Stop writing lines.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """

    def stop(debug: Debug) -> None:
        debug.write = None

    await ask_debug(ref, "stop_trace()", stop)


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

    return await ask_debug(ref, f"install({name_of(function)})", add)


async def remove(ref: ServerRef[Any], key: Hashable) -> bool:
    """Remove the debug function that was installed under `key` (or without one: the function itself).

    Returns:
      whether there was one.

    Raises:
      ServerNotRunning, ServerStopped, ServerCrashed, CallCycle: as `ServerRef.call`.
    """
    return await ask_debug(
        ref, f"remove({show(key)})", lambda debug: debug.functions.pop(key, None) is not None
    )
