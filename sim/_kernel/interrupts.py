"""Telling Ctrl-C from a program that raises `KeyboardInterrupt` itself.

The first ends the exploration, whatever the program does with the exception; the second is an exception like
any other, which the program may handle, and fails the run otherwise.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any


class _Nobody:
    """Takes callbacks and calls none."""

    def run_sync_soon(self, *ignored: object, **options: object) -> None:
        """Do nothing."""


class Interrupts:
    """Notes that Ctrl-C was pressed.

    Args:
        runner: of the Trio run, which notes it where no `KeyboardInterrupt` can be raised at once.

    Attributes:
        heard: whether its signal comes to the handler of this object.
        taken: asked first, with where the signal came in: whether it is no Ctrl-C at all.
        noticed: called when it is one. The exception may be lost where Python ignores exceptions or the
            program catches them; where Trio must not be interrupted, none is raised.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._raised = False
        self.heard = False
        self.taken: Callable[[FrameType | None], bool] = lambda _: False
        self.noticed: Callable[[], None] = lambda: None

    def pending(self) -> bool:
        """Whether Ctrl-C was pressed, and nobody has been told with `check`."""
        return self._raised or bool(self._runner.ki_pending)

    def check(self) -> None:
        """See that it was not.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.pending():
            self._raised = self._runner.ki_pending = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def noted(self) -> Generator[None]:
        """Note what the handler of the signal raises, until the block ends."""
        handler = signal.getsignal(signal.SIGINT)
        # Only the main thread is interrupted, and only it may set a handler. None is one set in C.
        if threading.current_thread() is not threading.main_thread() or handler is None:
            yield
            return

        def note(signum: int, frame: FrameType | None) -> None:
            if self.taken(frame):
                return
            if not callable(handler):
                # Ctrl-C is ignored, as in the background, or ends the process.
                if handler == signal.SIG_DFL:
                    signal.signal(signum, handler)
                    signal.raise_signal(signum)
                return
            self.noticed()
            # Where nothing may be raised, Trio queues a callback, which would start a task of the execution
            # here, in the middle of anything.
            queue, self._runner.entry_queue = self._runner.entry_queue, _Nobody()
            try:
                handler(signum, frame)
            except KeyboardInterrupt:
                self._raised = True
                raise
            finally:
                self._runner.entry_queue = queue

        signal.signal(signal.SIGINT, note)
        self.heard = True
        try:
            yield
        finally:
            self.heard = False
            if signal.getsignal(signal.SIGINT) is note:
                signal.signal(signal.SIGINT, handler)
