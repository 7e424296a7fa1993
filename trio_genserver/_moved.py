"""Where the names are that the top level of the package once had, and the modules that it loads when asked.

An old path, ``from trio_genserver import KeyedPool``, works for one release, with a warning that names the
new one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["MODULES", "MOVED", "find", "renamed"]

F = TypeVar("F", bound=Callable[..., object])

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
    "tasks": "Settled Task TaskStopped TaskSupervisor TaskSupervisorRef amap amap_isolated "
    "open_task_supervisor poll_many task_supervisor_spec",
}

MODULES = frozenset({*_NAMES, "sys"})
"""The public modules that need nothing but Trio."""

MOVED = {name: module for module, names in _NAMES.items() for name in names.split()}
"""From each name that has moved to its module."""

RENAMED = {"amap_nolink": "amap_isolated"}
"""From each name of the top level that has another one in its module."""


def find(name: str) -> Any:
    """The value of ``trio_genserver.<name>`` if the package itself has no such attribute (yet).

    Called by the package's ``__getattr__``, and by nothing else: the warning is for the caller of that.

    Raises:
      AttributeError: there is no such name.
    """
    package = __name__.rpartition(".")[0]
    if name in MODULES:
        return import_module(f"{package}.{name}")
    new_name = RENAMED.get(name, name)
    module = None if name in RENAMED.values() else MOVED.get(new_name)
    if module is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
    warnings.warn(
        f"{package}.{name} has moved, and the old path goes with the next release; use: "
        f"from {package}.{module} import {new_name}",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(import_module(f"{package}.{module}"), new_name)


class _Renamed:
    """An attribute of a class under its old name, which works for one release."""

    def __init__(self, new_name: str) -> None:
        self._new_name = new_name
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        of = owner.__qualname__
        warnings.warn(
            f"{of}.{self._name} is now {of}.{self._new_name}, and the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(owner if instance is None else instance, self._new_name)


if TYPE_CHECKING:

    def renamed(method: F, /) -> F:
        """The old name of a method of the same class: ``start_nolink = renamed(start_isolated)``."""
        raise NotImplementedError

else:

    def renamed(method, /):
        return _Renamed(getattr(method, "name", None) or method.__name__)
