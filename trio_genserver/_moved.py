"""Where the names are that the top level of the package once had, and the modules that it loads when asked.

An old path, ``from trio_genserver import KeyedPool``, works for one release, with a warning that names the
new one.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

__all__ = ["MODULES", "MOVED", "find"]

_NAMES = {
    "agents": "Agent AgentRef agent_spec open_agent",
    "errors": "AlreadyReplied BadReturnValue CallbackNotAsync InvalidServerClass RequestAbandoned "
    "UnhandledMessage",
    "instruments": "Envelope Instrument LoggingInstrument SharedState add_instrument remove_instrument "
    "shared_state",
    "pools": "STABLE_HASH CheckoutOrder CheckoutPool CheckoutPoolRef KeyedPool LeastLoadedPool PoolFull "
    "PoolStatus RoundRobinPool checkout_pool_spec open_checkout_pool stable_hash",
    "registry": "AlreadyRegistered AlreadyStarted DuplicateRegistry Entry NotRegistered Registered Registry "
    "ServerName Unregistered",
    "supervision": "AutoShutdown ChildAlreadyPresent ChildAlreadyStarted ChildCounts ChildError ChildInfo "
    "ChildNotFound ChildRestarting ChildRunning ChildStartFailed ChildStatus MaxChildrenReached "
    "NoPartitions PartitionSupervisor PartitionSupervisorRef RestartIntensityExceeded Strategy "
    "open_partition_supervisor partition_supervisor_spec",
    "tasks": "Settled Task TaskStopped TaskSupervisor TaskSupervisorRef amap amap_nolink "
    "open_task_supervisor poll_many task_supervisor_spec",
}

MODULES = frozenset({*_NAMES, "sys"})
"""The public modules that need nothing but Trio."""

MOVED = {name: module for module, names in _NAMES.items() for name in names.split()}
"""From each name that has moved to its module."""


def find(name: str) -> Any:
    """What ``trio_genserver.<name>`` is if the package itself has no such attribute (yet).

    Called by the package's ``__getattr__``, and by nothing else: the warning is for the caller of that.

    Raises:
      AttributeError: there is no such thing.
    """
    package = __name__.rpartition(".")[0]
    if name in MODULES:
        return import_module(f"{package}.{name}")
    module = MOVED.get(name)
    if module is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
    warnings.warn(
        f"{package}.{name} has moved, and the old path goes with the next release; use: "
        f"from {package}.{module} import {name}",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(import_module(f"{package}.{module}"), name)
