"""Monitors: hearing that a server has ended, without being bound to it.

With a monitor, the holder of a reference is told when the server ends, without ending itself: exactly one
`Down` comes, whatever ends the server and whenever the monitor was made. A monitor is on the incarnation that
runs now. The reference may come back to life under its supervisor; the `Down` of the old incarnation comes
all the same, and the new one wants a monitor of its own.

There are two ways to hear it. A task waits for it (``await monitor(ref).wait()``). A server that monitors
(`GenServer.monitor`) gets it as a message, in its `handle_info`, in order: after everything that the ended
server had sent to it. It is put into the mailbox beyond its bound, since it is sent but once and nobody is
there who could wait for room; there are never more of them than there are monitors.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

import trio

from ._cycle import waiting_for_end
from ._delivery import deliver_always
from ._errors import CallCycle
from ._lifecycle import ENDED
from ._process import Process
from ._ref import ServerRef
from ._request import Info, wait_of

__all__ = ["Down", "Monitor", "monitor"]


class Down(NamedTuple):
    """A server has ended, `terminate` included.

    Attributes:
      monitor: the monitor that says so.
      ref: the server, as it was given to the monitor.
      reason: ``"normal"``, ``"shutdown"``, what `ServerRef.stop` was given, or the exception that it crashed
        with; ``"killed"`` if it was given no time for its `terminate`, or not enough; ``"noproc"`` if it had
        ended before it was monitored.
    """

    monitor: Monitor
    ref: ServerRef[Any]
    reason: object


class Monitor:
    """Watches one incarnation of one server; made by `monitor` and `GenServer.monitor`.

    As a context manager it is removed at the end of the block: ``with monitor(ref) as watch:``.

    Attributes:
      ref: the server.
      down: the `Down`, once the server has ended.
    """

    __slots__ = ("_changed", "_info", "_process", "_receiver", "_removed", "down", "ref")

    def __init__(self, ref: ServerRef[Any], receiver: Process | None = None) -> None:
        self.ref = ref
        self.down: Down | None = None
        self._process = process = ref._process
        # The server that gets the Down as a message, for as long as it could handle one.
        self._receiver = receiver if receiver is not None and receiver.alive else None
        self._info: Info | None = None
        self._removed = False
        self._changed: trio.Event | None = None
        if process.lifecycle.state == ENDED:
            self._ended(process, "noproc")
        else:
            process.lifecycle.call_on_exit(self._ended)
            if self._receiver is not None:
                self._receiver.lifecycle.call_on_ending(self._receiver_ending)

    def __repr__(self) -> str:
        state = "removed" if self._removed else "watching" if self.down is None else "down"
        return f"<Monitor of {self.ref.name}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.demonitor()

    def _ended(self, process: Process, reason: object) -> None:
        down = self.down = Down(self, self.ref, reason)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lifecycle.forget_on_ending(self._receiver_ending)
            self._info = Info(down)
            deliver_always(receiver, self._info)
        self._wake()

    def _receiver_ending(self, receiver: Process) -> None:
        self.demonitor()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()

    def demonitor(self, *, flush: bool = True) -> None:
        """Watch no more. Not a checkpoint. Does nothing if the server has ended, or the second time.

        Args:
          flush: a `Down` that waits in the monitoring server's mailbox is not handled either. Without it,
            one that has been sent still comes.
        """
        if flush and self._info is not None:
            self._info.withdrawn = True
        if self.down is not None or self._removed:
            return
        self._removed = True
        self._process.lifecycle.forget_on_exit(self._ended)
        if self._receiver is not None:
            self._receiver.lifecycle.forget_on_ending(self._receiver_ending)
            self._receiver = None
        self._wake()

    async def wait(self) -> Down:
        """Wait until the server has ended. A checkpoint; any number of tasks may wait.

        Raises:
          trio.ClosedResourceError: the monitor was removed, before or meanwhile.
          CallCycle: called by a server that the one that it watches waits for, or is, or that runs below it.
        """
        if self.down is None and not self._removed:
            if self._changed is None:
                self._changed = trio.Event()
            try:
                with waiting_for_end(wait_of(self._process, "monitor(...).wait()")):
                    await self._changed.wait()
            except CallCycle:
                await trio.lowlevel.checkpoint()
                raise
        else:
            await trio.lowlevel.checkpoint()
        if self.down is None:
            raise trio.ClosedResourceError(f"the monitor of {self.ref.name} was removed")
        return self.down


def monitor(ref: ServerRef[Any]) -> Monitor:
    """Watch the server behind `ref`, for a task: ``down = await monitor(ref).wait()``.

    In a server, `GenServer.monitor` has the `Down` sent to it as a message.
    """
    return Monitor(ref)
