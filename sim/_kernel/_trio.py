"""Everything of Trio's inside that the kernel relies on, under one roof.

`check_trio` holds the list and says what is missing when a release of Trio has moved it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any, Final, NoReturn

import trio
import trio._core._run as _trio_run
import trio._core._thread_cache as _trio_thread_cache
import trio._core._traps as _trio_traps
import trio._threads as _trio_threads
from outcome import capture
from trio._core._instrumentation import Instruments as _TrioInstruments

from sim._errors import Escape, UnsupportedTrio
from sim._escapes import belongs_to_the_run, guarding, refused
from sim._threads import Reply, ThreadCount
from sim._trace import short_name
from sim._worker import current_worker
from sim.faults import InjectedCrash

RUN_CONTEXT: Final[Any] = _trio_run.GLOBAL_RUN_CONTEXT
CHECKPOINT: Final[Any] = _trio_traps.CancelShieldedCheckpoint
WAIT: Final[Any] = _trio_traps.WaitTaskRescheduled
DETACH: Final[Any] = _trio_traps.PermanentlyDetachCoroutineObject
FRAMES_TO_DROP: Final = 1 + _trio_run.CONTEXT_RUN_TB_FRAMES

_THREAD_CACHE: Final[Any] = _trio_thread_cache.ThreadCache
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
    _THREAD_CACHE: ("start_thread_soon",),
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


class _Resume:
    """What a task is sent after a checkpoint. One for all: unlike `outcome.Value` it may be
    unwrapped any number of times."""

    __slots__ = ()

    def unwrap(self) -> None:
        return None


RESUME: Final = _Resume()


class FastInstruments(dict[str, Any]):
    """`trio._core._instrumentation.Instruments` on a dict in C: Trio asks it several times a step
    whether a hook is there."""

    def __init__(self) -> None:
        super().__init__(_all={})

    @property
    def data(self) -> dict[str, Any]:
        return self

    add_instrument = _TrioInstruments.add_instrument
    remove_instrument = _TrioInstruments.remove_instrument
    call = _TrioInstruments.call


def fresh_cancel_status() -> Any:
    """A cancel status with nothing around it, as the one of a whole run is."""
    scope: Any = trio.CancelScope()
    scope._has_been_entered = True
    scope._cancel_status = _trio_run.CancelStatus(scope=scope, parent=None)
    return scope._cancel_status


def scope_around(task: Any) -> Any:
    """Put a cancel scope around a task that has made no step, as whoever has started it could have."""
    scope: Any = trio.CancelScope()
    scope._has_been_entered = True
    scope._cancel_status = _trio_run.CancelStatus(scope=scope, parent=task._cancel_status)
    task._activate_cancel_status(scope._cancel_status)
    return scope


def injected_crash(task: Any) -> InjectedCrash:
    """The error with which a task is crashed."""
    return InjectedCrash(f"sim has crashed the task {short_name(task.name)} here")


def crash(task: Any) -> None:
    """Raise an `InjectedCrash` where the task is suspended."""

    def raise_crash() -> NoReturn:
        raise injected_crash(task)

    if task._abort_func is not None:
        # As Trio delivers a KeyboardInterrupt. What cannot be aborted goes on, as it would then.
        task._attempt_abort(raise_crash)
    else:
        # It is about to go on; what it was to be given is lost in the crash.
        task._next_send_fn = task.coro.send
        task._next_send = capture(raise_crash)


@contextlib.contextmanager
def threads_replaced(start: Callable[..., object]) -> Generator[None]:
    """Let ``start`` stand for Trio's thread cache, and threads wait for Trio's answers on its terms.

    Not for other threads, which may have a run of their own."""
    module: Any = _trio_threads
    active = module._active_threads_local
    send = module._send_message_to_trio

    def send_message(token: object, message: Any) -> object:
        worker = current_worker()
        if worker is not None:
            # The class is frozen: a message has its queue from the moment it is made.
            object.__setattr__(message, "queue", Reply(worker))
        return send(token, message)

    def track_active_thread() -> contextlib.AbstractContextManager[None]:
        try:
            count: ThreadCount = active.get()
        except LookupError:
            count = ThreadCount()
            active.set(count)
        return count.one_more()

    start_really = _THREAD_CACHE.start_thread_soon

    def start_thread_soon(cache: Any, fn: Any, deliver: Any, name: str | None = None) -> None:
        if belongs_to_the_run():
            start(fn, deliver, name)
        else:
            start_really(cache, fn, deliver, name)

    set_up_really = _trio_run.setup_runner

    def setup_runner(*args: Any, **kwargs: Any) -> Any:
        if guarding() and belongs_to_the_run() and not trio.lowlevel.in_trio_run():
            raise refused(
                Escape(
                    "trio.run in a thread of the run",
                    "its time and files would be real; start tasks with trio.from_thread or with a portal",
                )
            )
        return set_up_really(*args, **kwargs)

    replacements = (
        (_trio_run, "setup_runner", setup_runner),
        # Not the function, which programs import by its name.
        (_THREAD_CACHE, "start_thread_soon", start_thread_soon),
        (module, "_send_message_to_trio", send_message),
        (module, "_track_active_thread", track_active_thread),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
