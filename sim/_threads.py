"""Threads of `trio.to_thread.run_sync`, simulated: what runs in one is a step like any other.

A thread becomes a task of the simulation. Its function runs, whole, in the step in which a strategy
picks that task; so other tasks get on before it and after it, in every order, and yet nothing
runs at the same time. The result goes back through the callback queue, as in Trio, which makes
the delivery a step of its own. `time.sleep` in a thread delays the result by that much virtual
time.

What this does not show: two threads interleaved *inside* their functions. A data race between
threads is not what this simulator is for; it is about tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import outcome
import trio

from sim._errors import Escape


class ThreadSimulation:
    """Stands for Trio's thread cache.

    Args:
        spawn: starts a task that stands for a thread.
        outside_trio: makes Trio unaware of its own run, as it is in a real thread.
        refuse: is told of what cannot be simulated.
    """

    def __init__(
        self,
        spawn: Callable[[Callable[[], Awaitable[object]], str], object],
        outside_trio: Callable[[], contextlib.AbstractContextManager[Callable[[], None]]],
        refuse: Callable[[Escape], None],
    ) -> None:
        self._spawn = spawn
        self._outside_trio = outside_trio
        self._refuse = refuse
        self._back_into_trio: Callable[[], None] | None = None
        self._slept = 0.0

    @property
    def in_thread(self) -> bool:
        """Whether the function of a thread is running."""
        return self._back_into_trio is not None

    def sleep(self, seconds: float) -> None:
        """What `time.sleep` does in a thread."""
        self._slept += seconds

    def start(
        self,
        fn: Callable[[], Any],
        deliver: Callable[[outcome.Outcome[Any]], object],
        name: str | None = None,
    ) -> None:
        """Stands for ``trio.lowlevel.start_thread_soon``."""

        async def thread() -> None:
            with self._in_thread():
                result = outcome.capture(fn)
            slept, self._slept = self._slept, 0.0
            if slept:
                await trio.sleep(slept)
            deliver(result)

        self._spawn(thread, f"<thread: {name}>")

    def send_message(self, token: object, message: Any) -> object:
        """Stands for how ``trio.from_thread`` reaches the run that the thread belongs to.

        A synchronous function is run on the spot: the thread and its step go on behind it.

        Raises:
            RuntimeError: the caller is not in a thread.
            Escape: an async function was given; the thread would have to wait in the middle.
        """
        if self._back_into_trio is None:
            del token
            raise RuntimeError("this is a blocking function; call it from a thread")
        if not hasattr(message, "run_sync"):
            escape = Escape(
                "trio.from_thread.run",
                "return from the thread and await there; trio.from_thread.run_sync is simulated",
            )
            self._refuse(escape)
            raise escape
        leave, self._back_into_trio = self._back_into_trio, None
        leave()
        try:
            message.run_sync()
        finally:
            self._back_into_trio = leave
            leave()
        return message.queue.get_nowait().unwrap()

    @contextlib.contextmanager
    def _in_thread(self) -> Generator[None]:
        with self._outside_trio() as switch:
            self._back_into_trio = switch
            try:
                yield
            finally:
                self._back_into_trio = None
