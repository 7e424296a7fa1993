"""A thread that runs only while the simulator waits for it.

The function of a simulated thread may have to stop in its middle, with the stack it has by then: for
`trio.from_thread.run`, or for `time.sleep`. Only a real thread can do that. So it gets one, and the two
take turns: whoever gives the turn away waits until it comes back. Nothing ever runs at the same time, and
nothing is left to the operating system's scheduler.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

import outcome

from sim._escapes import this_thread_belongs_to_the_run, unguarded

Outcome: TypeAlias = outcome.Outcome[Any]

_JOIN: Final = object()


@final
class _Mine(threading.local):
    """The worker that this thread is, if it is one."""

    worker: Worker | None = None


_mine: Final = _Mine()


def current_worker() -> Worker | None:
    """The worker in whose thread this is called; None in the simulator's own."""
    return _mine.worker


@final
class Worker:
    """One thread, for one function after the other.

    Methods are called in the simulator's thread, `ask` in the worker's.
    """

    def __init__(self) -> None:
        self._turn = _thread.allocate_lock()
        self._turn.acquire()
        self._others_turn = _thread.allocate_lock()
        self._others_turn.acquire()
        self._given: Any = None
        self._said: Any = None
        # A daemon, so that a function that never ends does not keep the process from its end.
        self._thread = threading.Thread(target=self._live, name="sim worker", daemon=True)
        with unguarded():
            self._thread.start()

    def begin(self, fn: Callable[[], Any], name: str) -> object:
        """Let the worker run a function until it has ended, or asks for something.

        Returns:
            the outcome of the function, or what was given to `ask`.
        """
        self._thread.name = name
        return self._exchange(fn)

    def go_on(self, answer: Outcome) -> object:
        """Answer what it has asked for, and let it go on; returns as `begin` does."""
        return self._exchange(answer)

    def stop(self) -> None:
        """End the thread, which must be between two functions."""
        self._given = _JOIN
        self._turn.release()
        self._thread.join()

    def ask(self, request: object) -> Any:
        """Give the turn to the simulator until it answers; returns or raises what it answers."""
        self._said = request
        self._others_turn.release()
        self._turn.acquire()
        answer: Outcome = self._given
        self._given = None
        return answer.unwrap()

    def _exchange(self, given: object) -> object:
        self._given = given
        self._turn.release()
        self._others_turn.acquire()
        said, self._said = self._said, None
        return said

    def _live(self) -> None:
        _mine.worker = self
        with this_thread_belongs_to_the_run():
            while True:
                self._turn.acquire()
                fn, self._given = self._given, None
                if fn is _JOIN:
                    return
                self._said = outcome.capture(fn)
                # So that nothing of the function lives on in this frame while the thread is idle.
                del fn
                self._others_turn.release()
