"""Erlang/OTP's GenServer on Trio's structured concurrency: servers, supervisors, registries, pools."""

from __future__ import annotations

from . import sys as sys
from ._agent import Agent, AgentRef, agent_spec, open_agent
from ._amap import Settled, amap, amap_nolink
from ._checkout_pool import (
    CheckoutOrder,
    CheckoutPool,
    CheckoutPoolRef,
    PoolStatus,
    checkout_pool_spec,
    open_checkout_pool,
)
from ._child_spec import child_spec
from ._declarations import InvalidServerClass
from ._decorators import handle_call, handle_cast
from ._dynamic_supervisor import (
    DynamicSupervisor,
    DynamicSupervisorRef,
    dynamic_supervisor_spec,
    open_dynamic_supervisor,
)
from ._errors import (
    AlreadyReplied,
    BadReturnValue,
    CallbackNotAsync,
    CallCycle,
    InitIgnored,
    InitStopped,
    MailboxFull,
    NeverReplied,
    NotRegistered,
    PoolFull,
    RequestAbandoned,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerStopped,
    TaskStopped,
    UnhandledMessage,
)
from ._instrument import Instrument, LoggingInstrument, add_instrument, remove_instrument
from ._message import Call, CallOrCast, Cast
from ._monitor import Down, Monitor, monitor
from ._partition_supervisor import (
    NoPartitions,
    PartitionSupervisor,
    PartitionSupervisorRef,
    open_partition_supervisor,
    partition_supervisor_spec,
)
from ._pool import STABLE_HASH, KeyedPool, LeastLoadedPool, RoundRobinPool, stable_hash
from ._ref import ServerRef
from ._registry import DuplicateRegistry, Entry, Registered, Registry, ServerName, Unregistered
from ._registry_errors import AlreadyRegistered, AlreadyStarted
from ._request import Envelope, From, Request
from ._request_collection import as_completed, wait_all
from ._server import GenServer
from ._shared_state import SharedState, shared_state
from ._signals import Ignore, Refuse, Stop
from ._spec import ChildSpec, InvalidSpec, Overflow, Restart, Shutdown
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
from ._task import Task, poll_many
from ._task_supervisor import (
    TaskSupervisor,
    TaskSupervisorRef,
    open_task_supervisor,
    task_supervisor_spec,
)

# The name by which a tool that must know what tasks share finds it in any library.
__shared_state__ = shared_state

__all__ = [
    "STABLE_HASH",
    "Agent",
    "AgentRef",
    "AlreadyRegistered",
    "AlreadyReplied",
    "AlreadyStarted",
    "AutoShutdown",
    "BadReturnValue",
    "Call",
    "CallCycle",
    "CallOrCast",
    "CallbackNotAsync",
    "Cast",
    "CheckoutOrder",
    "CheckoutPool",
    "CheckoutPoolRef",
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
    "InvalidServerClass",
    "InvalidSpec",
    "KeyedPool",
    "LeastLoadedPool",
    "LoggingInstrument",
    "MailboxFull",
    "MaxChildrenReached",
    "Monitor",
    "NeverReplied",
    "NoPartitions",
    "NotRegistered",
    "Overflow",
    "PartitionSupervisor",
    "PartitionSupervisorRef",
    "PoolFull",
    "PoolStatus",
    "Refuse",
    "Registered",
    "Registry",
    "Request",
    "RequestAbandoned",
    "Restart",
    "RestartIntensityExceeded",
    "RoundRobinPool",
    "ServerCrashed",
    "ServerError",
    "ServerName",
    "ServerNotRunning",
    "ServerRef",
    "ServerStopped",
    "Settled",
    "SharedState",
    "Shutdown",
    "Stop",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "Task",
    "TaskStopped",
    "TaskSupervisor",
    "TaskSupervisorRef",
    "UnhandledMessage",
    "Unregistered",
    "add_instrument",
    "agent_spec",
    "amap",
    "amap_nolink",
    "as_completed",
    "checkout_pool_spec",
    "child_spec",
    "dynamic_supervisor_spec",
    "handle_call",
    "handle_cast",
    "monitor",
    "open_agent",
    "open_checkout_pool",
    "open_dynamic_supervisor",
    "open_partition_supervisor",
    "open_server",
    "open_supervisor",
    "open_task_supervisor",
    "partition_supervisor_spec",
    "poll_many",
    "remove_instrument",
    "run_server",
    "shared_state",
    "stable_hash",
    "start_server",
    "supervisor_spec",
    "task_supervisor_spec",
    "wait_all",
]
