"""Erlang/OTP's GenServer on Trio's structured concurrency: servers, supervisors, registries, pools."""

from __future__ import annotations

from ._dynamic_supervisor import (
    DynamicSupervisor,
    DynamicSupervisorRef,
    dynamic_supervisor_spec,
    open_dynamic_supervisor,
)
from ._errors import (
    AlreadyRegistered,
    AlreadyReplied,
    AlreadyStarted,
    BadReturnValue,
    CallCycle,
    InitIgnored,
    InitStopped,
    MailboxFull,
    NotRegistered,
    RequestAbandoned,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerStopped,
    UnhandledMessage,
)
from ._instrument import Instrument, LoggingInstrument, add_instrument, remove_instrument
from ._mailbox import Overflow
from ._message import Call, CallOrCast, Cast, handle_call, handle_cast
from ._monitor import Down, Monitor, monitor
from ._partition_supervisor import (
    NoPartitions,
    PartitionSupervisor,
    PartitionSupervisorRef,
    open_partition_supervisor,
    partition_supervisor_spec,
)
from ._pool import STABLE_HASH, KeyedPool, stable_hash
from ._ref import ServerRef
from ._registry import DuplicateRegistry, Entry, Registered, Registry, ServerName, Unregistered
from ._request import Envelope, From, Request, as_completed, wait_all
from ._server import GenServer, Ignore, Refuse, Stop
from ._spec import ChildSpec, InvalidSpec, Restart, Shutdown, child_spec
from ._start import open_server, run_server, start_server
from ._supervision import ChildCounts, ChildInfo, ChildStatus
from ._supervisor import AutoShutdown, Strategy, Supervisor, SupervisorRef, open_supervisor, supervisor_spec
from ._supervisor_errors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    MaxChildrenReached,
    RestartIntensityExceeded,
)

__all__ = [
    "STABLE_HASH",
    "AlreadyRegistered",
    "AlreadyReplied",
    "AlreadyStarted",
    "AutoShutdown",
    "BadReturnValue",
    "Call",
    "CallCycle",
    "CallOrCast",
    "Cast",
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
    "ChildCounts",
    "ChildError",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "ChildStartFailed",
    "ChildStatus",
    "Down",
    "DuplicateRegistry",
    "DynamicSupervisor",
    "DynamicSupervisorRef",
    "Entry",
    "Envelope",
    "From",
    "GenServer",
    "Ignore",
    "InitIgnored",
    "InitStopped",
    "Instrument",
    "InvalidSpec",
    "KeyedPool",
    "LoggingInstrument",
    "MailboxFull",
    "MaxChildrenReached",
    "Monitor",
    "NoPartitions",
    "NotRegistered",
    "Overflow",
    "PartitionSupervisor",
    "PartitionSupervisorRef",
    "Refuse",
    "Registered",
    "Registry",
    "Request",
    "RequestAbandoned",
    "Restart",
    "RestartIntensityExceeded",
    "ServerCrashed",
    "ServerError",
    "ServerName",
    "ServerNotRunning",
    "ServerRef",
    "ServerStopped",
    "Shutdown",
    "Stop",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "UnhandledMessage",
    "Unregistered",
    "add_instrument",
    "as_completed",
    "child_spec",
    "dynamic_supervisor_spec",
    "handle_call",
    "handle_cast",
    "monitor",
    "open_dynamic_supervisor",
    "open_partition_supervisor",
    "open_server",
    "open_supervisor",
    "partition_supervisor_spec",
    "remove_instrument",
    "run_server",
    "stable_hash",
    "start_server",
    "supervisor_spec",
    "wait_all",
]
