"""Everything of Trio's inside that the simulator relies on, under one roof.

No other module imports what Trio keeps to itself, and only `sim._dependence` and `sim._kernel` use private
attributes of Trio's objects. `RELIED_ON` has those too, and what is public of private classes; `check_trio`
says what is missing when a release has moved it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Final

import trio

from sim._run.errors import UnsupportedTrio


class _Absent:
    """Stands for what this release of Trio has not, until `check_trio` says so."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> _Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __radd__(self, other: int) -> int:
        return other


def _inside(module: str, name: str = "") -> Any:
    """A module of Trio's, or what has a name in it."""
    try:
        found: Any = importlib.import_module(module)
        return getattr(found, name) if name else found
    except (ImportError, AttributeError):
        return _Absent(f"{module}.{name}".rstrip("."))


# Modules in which functions are replaced.
RUN: Final[Any] = _inside("trio._core._run")
PARKING_LOTS: Final[Any] = _inside("trio._core._parking_lot")
THREADS: Final[Any] = _inside("trio._threads")

RUN_CONTEXT: Final[Any] = _inside("trio._core._run", "GLOBAL_RUN_CONTEXT")
FRAMES_TO_DROP: Final[int] = 1 + _inside("trio._core._run", "CONTEXT_RUN_TB_FRAMES")
Runner: Final[Any] = _inside("trio._core._run", "Runner")
Deadlines: Final[Any] = _inside("trio._core._run", "Deadlines")
CancelStatus: Final[Any] = _inside("trio._core._run", "CancelStatus")
TaskStatus: Final[Any] = _inside("trio._core._run", "_TaskStatus")
AsyncGenerators: Final[Any] = _inside("trio._core._asyncgens", "AsyncGenerators")
name_asyncgen: Final[Any] = _inside("trio._util", "name_asyncgen")
Instruments: Final[Any] = _inside("trio._core._instrumentation", "Instruments")

CHECKPOINT: Final[Any] = _inside("trio._core._traps", "CancelShieldedCheckpoint")
WAIT: Final[Any] = _inside("trio._core._traps", "WaitTaskRescheduled")
DETACH: Final[Any] = _inside("trio._core._traps", "PermanentlyDetachCoroutineObject")

ThreadCache: Final[Any] = _inside("trio._core._thread_cache", "ThreadCache")
ParentTaskData: Final[Any] = _inside("trio._threads", "_ParentTaskData")

ConflictDetector: Final[Any] = _inside("trio._util", "ConflictDetector")
MemoryChannelState: Final[Any] = _inside("trio._channel", "MemoryChannelState")
ByteQueues: Final[tuple[Any, ...]] = (
    _inside("trio.testing._memory_streams", "_UnboundedByteQueue"),
    _inside("trio.testing._memory_streams", "_LockstepByteQueue"),
)
# The base of `Lock` and `StrictFIFOLock`, which have no methods of their own.
Lock: Final[Any] = trio.Lock.__mro__[1]

RELIED_ON: Final[dict[Any, tuple[str, ...]]] = {
    RUN: ("GLOBAL_RUN_CONTEXT", "CONTEXT_RUN_TB_FRAMES", "setup_runner"),
    PARKING_LOTS: ("GLOBAL_PARKING_LOT_BREAKER", "inspect"),
    THREADS: (
        "_active_threads_local",
        "_ParentTaskData",
        "_send_message_to_trio",
        "_track_active_thread",
    ),
    Runner: (
        "asyncgens",
        "clock",
        "deadlines",
        "entry_queue",
        "init_task",
        "instruments",
        "io_manager",
        "is_guest",
        "ki_pending",
        "_locals",
        "current_statistics",
        "runq",
        "system_nursery",
        "tasks",
        "trio_token",
        "waiting_for_idle",
        "reschedule",
        "spawn_impl",
        "task_exited",
    ),
    trio.lowlevel.Task: (
        "_abort_func",
        "_activate_cancel_status",
        "_attempt_delivery_of_any_pending_cancel",
        "_attempt_abort",
        "_cancel_points",
        "_cancel_status",
        "_counter",
        "_child_nurseries",
        "_eventual_parent_nursery",
        "_next_send",
        "_next_send_fn",
        "_parent_nursery",
        "_schedule_points",
        "context",
        "coro",
        "custom_sleep_data",
    ),
    Deadlines: ("_heap", "expire", "next_deadline"),
    CancelStatus: (
        "_children",
        "_parent",
        "_scope",
        "_tasks",
        "effectively_cancelled",
        "encloses",
        "recalculate",
    ),
    trio.CancelScope: (
        "_cancel",
        "_cancel_called",
        "_cancel_status",
        "_close",
        "_deadline",
        "_has_been_entered",
        "_registered_deadline",
        "_relative_deadline",
        "_shield",
        "__attrs_post_init__",
    ),
    trio.Nursery: (
        "_add_exc",
        "_cancel_status",
        "_check_nursery_closed",
        "_child_finished",
        "_children",
        "_closed",
        "_nested_child_finished",
        "_parent_task",
        "_parent_waiting_in_aexit",
    ),
    TaskStatus: ("started", "_old_nursery", "_new_nursery"),
    THREADS.Run: ("queue",),
    THREADS.RunSync: ("queue",),
    ThreadCache: ("start_thread_soon",),
    AsyncGenerators: ("alive", "_finalize_one"),
    ParentTaskData: ("cancel_register",),
    MemoryChannelState: ("data", "open_receive_channels"),
    trio.Event: ("_flag",),
    trio.MemorySendChannel: ("_closed", "_state"),
    trio.MemoryReceiveChannel: ("_closed", "_state"),
    trio.Semaphore: ("_value",),
    trio.CapacityLimiter: ("_borrowers",),
    Lock: ("_owner",),
    Instruments: ("add_instrument", "call", "remove_instrument"),
}


# Used as they are.
_CLASSES: Final = (
    CHECKPOINT,
    WAIT,
    DETACH,
    ConflictDetector,
    *ByteQueues,
    name_asyncgen,
)

THREAD_REGISTER: Final = "task_register"
"""The variable of `trio.to_thread.run_sync` in which its thread and its task meet."""


def missing_of(relied_on: dict[Any, tuple[str, ...]]) -> list[str]:
    """The names of the list that this release of Trio lacks."""
    owners = {id(owner): owner for owner in (*relied_on, *_CLASSES)}.values()
    return [
        *(owner.__name__ for owner in owners if isinstance(owner, _Absent)),
        *(
            f"{owner.__name__}.{name}"
            for owner, names in relied_on.items()
            for name in names
            if not isinstance(owner, _Absent) and not _has(owner, name)
        ),
    ]


def _has(owner: Any, name: str) -> bool:
    """Whether a module has a name, or a class or its instances an attribute."""
    if hasattr(owner, name) or isinstance(owner, ModuleType):
        return hasattr(owner, name)
    fields = {field.name for field in getattr(owner, "__attrs_attrs__", ())}
    fields.update(getattr(owner, "__annotations__", ()))
    constructor = getattr(owner.__init__, "__code__", None)
    return name in fields or (constructor is not None and name in constructor.co_names)


def check_trio() -> None:
    """See that the installed Trio has what is relied on.

    Raises:
        UnsupportedTrio: it has not; says what is missing.
    """
    missing = missing_of(RELIED_ON)
    if THREAD_REGISTER not in trio.to_thread.run_sync.__code__.co_cellvars:
        missing.append(f"the variable {THREAD_REGISTER} in trio.to_thread.run_sync")
    if missing:
        raise UnsupportedTrio(
            f"this release cannot control Trio {trio.__version__} (Python {sys.version.split()[0]}), "
            f"which has no {', '.join(missing)}; install a version of Trio that this release "
            "supports, or report it"
        )


def running_task() -> Any:
    """The task whose step it is; None if it is nobody's, as when a deadline passes."""
    return getattr(RUN_CONTEXT, "task", None)
