"""The instrument behind `trio_genserver.sys`: it counts, keeps and reports the events of one server."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import trio

from ._emit import emit
from ._instrument import Instrument
from ._request import Envelope, Request
from ._shown import shown_message, shown_state
from ._system import ask
from ._text import LOGGED, show

if TYPE_CHECKING:
    from ._process import Process
    from ._ref import ServerRef

__all__ = ["DONE", "Counts", "Debug", "Event", "EventKind", "ask_debug"]

R = TypeVar("R")

EventKind: TypeAlias = Literal["sent", "received", "replied", "handled", "dropped", "crashed", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one server, for `log`, a trace, and debug functions.

    Attributes:
      kind: ``"sent"`` (to it, into its mailbox), ``"received"`` (it begins to handle it), ``"replied"``,
        ``"handled"``, ``"dropped"``, ``"crashed"``, ``"stopped"``.
      server: its name.
      message: the message, or None; as its `GenServer.format_message` shows it, if its class has one.
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
            text += f" {show(self.message, LOGGED, secrets=True)}"
        if self.kind in ("replied", "dropped", "crashed", "stopped"):
            text += f": {show(self.detail, LOGGED)}"
        if self.kind == "handled":
            text += f", its state is {show(self.state, LOGGED)}"
        return text


DONE: Final[Any] = object()
"""Returned by a debug function: it is removed."""


class Counts:
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
        self.counts: Counts | None = None
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
        # Debug functions see the whole message, unless the class decides how to show it.
        shown = shown_message(process, message) if process.spec.server_class._formats_messages else message
        event = Event(kind, process.name, shown, detail, shown_state(process), trio.current_time())
        if self.events is not None:
            self.events.append(event)
        if self.write is not None:
            try:
                self.write(str(event))
            except Exception as error:  # noqa: BLE001 - the user's; the server is not to be hurt
                emit(logging.ERROR, "the trace of %s raised; it is switched off", process.name, error=error)
                self.write = None
        for key, (function, state) in list(self.functions.items()):
            try:
                state = function(state, event)
            except Exception as error:  # noqa: BLE001 - the same
                emit(
                    logging.ERROR,
                    "the debug function %s of %s raised; it is removed",
                    show(key),
                    process.name,
                    error=error,
                )
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


async def ask_debug(ref: ServerRef[Any], name: str, function: Callable[[Debug], R]) -> R:
    """`ask`, about what is switched on; the instrument is there only while something is."""

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

    return await ask(ref, name, change)
