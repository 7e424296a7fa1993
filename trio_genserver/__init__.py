"""Erlang/OTP's GenServer on Trio's structured concurrency: servers, supervisors, registries, pools."""

from __future__ import annotations

from ._errors import (
    AlreadyReplied,
    BadReturnValue,
    CallCycle,
    InitIgnored,
    InitStopped,
    MailboxFull,
    RequestAbandoned,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerStopped,
    UnhandledMessage,
)
from ._instrument import Instrument, LoggingInstrument, add_instrument, remove_instrument
from ._mailbox import Overflow
from ._message import Call, Cast, handle_call, handle_cast
from ._ref import ServerRef
from ._request import Envelope, From, Request, as_completed
from ._server import GenServer, Ignore, Stop
from ._spec import ChildSpec, InvalidSpec, Restart, Shutdown, child_spec
from ._start import open_server, run_server, start_server

__all__ = [
    "AlreadyReplied",
    "BadReturnValue",
    "Call",
    "CallCycle",
    "Cast",
    "ChildSpec",
    "Envelope",
    "From",
    "GenServer",
    "Ignore",
    "InitIgnored",
    "InitStopped",
    "Instrument",
    "InvalidSpec",
    "LoggingInstrument",
    "MailboxFull",
    "Overflow",
    "Request",
    "RequestAbandoned",
    "Restart",
    "ServerCrashed",
    "ServerError",
    "ServerNotRunning",
    "ServerRef",
    "ServerStopped",
    "Shutdown",
    "Stop",
    "UnhandledMessage",
    "add_instrument",
    "as_completed",
    "child_spec",
    "handle_call",
    "handle_cast",
    "open_server",
    "remove_instrument",
    "run_server",
    "start_server",
]
