"""Operations of the kernel on Trio's internals: it cancels, crashes, and answers in place of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final, NoReturn

import trio
from outcome import capture

from sim._run.errors import Escape
from sim._run.trace import short_name
from sim._trio import RUN, THREADS, CancelStatus, Instruments, ThreadCache
from sim._world.escapes import belongs_to_the_run, guarding, refused
from sim._world.threads import Reply, ThreadCount
from sim._world.worker import current_worker
from sim.faults import InjectedCrash


class _Resume:
    """The value that a task is sent after a checkpoint. One for all: unlike `outcome.Value` it may be
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

    add_instrument = Instruments.add_instrument
    remove_instrument = Instruments.remove_instrument
    call = Instruments.call


def fresh_cancel_status() -> Any:
    """A cancel status with nothing around it, as the one of a whole run is."""
    scope: Any = trio.CancelScope()
    scope._has_been_entered = True
    scope._cancel_status = CancelStatus(scope=scope, parent=None)
    return scope._cancel_status


def scope_around(task: Any) -> Any:
    """Put a cancel scope around a task that has made no step, as whoever has started it could have."""
    scope: Any = trio.CancelScope()
    scope._has_been_entered = True
    scope._cancel_status = CancelStatus(scope=scope, parent=task._cancel_status)
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
        # As Trio delivers a KeyboardInterrupt. A call that cannot be aborted continues, as it would then.
        task._attempt_abort(raise_crash)
    else:
        # It is about to go on; what it was to be given is lost in the crash.
        task._next_send_fn = task.coro.send
        task._next_send = capture(raise_crash)


@contextlib.contextmanager
def threads_replaced(start: Callable[..., object]) -> Generator[None]:
    """Let ``start`` stand for Trio's thread cache, and threads wait for Trio's answers on its terms.

    Not for other threads, which may have a run of their own."""
    active = THREADS._active_threads_local
    send = THREADS._send_message_to_trio

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

    start_really = ThreadCache.start_thread_soon

    def start_thread_soon(cache: Any, fn: Any, deliver: Any, name: str | None = None) -> None:
        if belongs_to_the_run():
            start(fn, deliver, name)
        else:
            start_really(cache, fn, deliver, name)

    set_up_really = RUN.setup_runner

    def setup_runner(*args: Any, **kwargs: Any) -> Any:
        if guarding() and belongs_to_the_run() and not trio.lowlevel.in_trio_run():
            raise refused(
                Escape(
                    "trio.run in a thread of the run",
                    "its time and files would be real; start tasks with trio.from_thread or a portal",
                )
            )
        return set_up_really(*args, **kwargs)

    replacements = (
        (RUN, "setup_runner", setup_runner),
        # Not the function, which programs import by its name.
        (ThreadCache, "start_thread_soon", start_thread_soon),
        (THREADS, "_send_message_to_trio", send_message),
        (THREADS, "_track_active_thread", track_active_thread),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
