"""Everything of Trio's inside that the simulator relies on, under one roof.

`check_trio` holds the list and says what is missing when a release of Trio has moved it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import trio
import trio._core._run as _trio_run
import trio._core._thread_cache as _trio_thread_cache
import trio._core._traps as _trio_traps
import trio._threads as _trio_threads
from trio._core._instrumentation import Instruments as _TrioInstruments

from sim._run.errors import UnsupportedTrio

RUN_CONTEXT: Final[Any] = _trio_run.GLOBAL_RUN_CONTEXT
CHECKPOINT: Final[Any] = _trio_traps.CancelShieldedCheckpoint
WAIT: Final[Any] = _trio_traps.WaitTaskRescheduled
DETACH: Final[Any] = _trio_traps.PermanentlyDetachCoroutineObject
FRAMES_TO_DROP: Final = 1 + _trio_run.CONTEXT_RUN_TB_FRAMES

THREAD_CACHE: Final[Any] = _trio_thread_cache.ThreadCache
Deadlines: Final[Any] = _trio_run.Deadlines
CancelStatus: Final[Any] = _trio_run.CancelStatus

_RELIED_ON: Final[dict[Any, tuple[str, ...]]] = {
    _trio_run.Runner: (
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
        "runq",
        "system_nursery",
        "tasks",
        "trio_token",
        "waiting_for_idle",
        "reschedule",
        "spawn_impl",
        "task_exited",
    ),
    _trio_run.Task: (
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
        "_schedule_points",
        "context",
        "coro",
        "custom_sleep_data",
    ),
    _trio_run.Deadlines: ("_heap", "expire", "next_deadline"),
    _trio_run.CancelStatus: (
        "_children",
        "_parent",
        "_scope",
        "_tasks",
        "effectively_cancelled",
        "encloses",
        "recalculate",
    ),
    _trio_run.CancelScope: (
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
    _trio_run.Nursery: ("_add_exc", "_check_nursery_closed", "_child_finished", "_nested_child_finished"),
    _trio_run._TaskStatus: ("started",),
    _trio_threads.Run: ("queue",),
    _trio_threads.RunSync: ("queue",),
    THREAD_CACHE: ("start_thread_soon",),
    trio.Event: ("_flag",),
    trio.MemorySendChannel: ("_state",),
    trio.MemoryReceiveChannel: ("_state",),
    _TrioInstruments: ("add_instrument", "call", "remove_instrument"),
}


def check_trio() -> None:
    """See that the installed Trio has what this module relies on.

    Raises:
        UnsupportedTrio: it has not; says what is missing.
    """
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in _RELIED_ON.items()
        for name in names
        if not hasattr(owner, name)
        and name not in {field.name for field in getattr(owner, "__attrs_attrs__", ())}
    ]
    missing += [name for name in ("trio._core._run.setup_runner",) if not hasattr(_trio_run, "setup_runner")]
    missing += [
        f"trio._threads.{name}"
        for name in (
            "_send_message_to_trio",
            "_track_active_thread",
            "_active_threads_local",
            "_ParentTaskData",
        )
        if not hasattr(_trio_threads, name)
    ]
    if missing:
        raise UnsupportedTrio(
            f"Trio {trio.__version__} (Python {sys.version.split()[0]}) is not one this release "
            f"can control: it has no {', '.join(missing)}; install a release of Trio that this "
            "one declares, or report it"
        )


def running_task() -> Any:
    """The task whose step it is; None if it is nobody's, as when a deadline passes."""
    return getattr(RUN_CONTEXT, "task", None)
