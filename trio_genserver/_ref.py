"""`ServerRef`, through which everybody else talks to a server.

It is a value to pass around: it stays valid over restarts, equals itself only, and keeps nothing alive.

A call to a *sync* handler of a server that waits at an empty mailbox is run by the caller, in its own step
and in the server's context. That is legal because a sync handler is atomic in Trio: "the message arrives,
the server runs the handler at once, nobody else runs in between" is one of the schedules of the long way.
What is left is one checkpoint, for the caller; or the wait for a reply that the handler has left to others.
Everything else goes the long way: hand over, park, be answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import trio
import trio.lowlevel

from ._behaviour import Behaviour
from ._cycle import execution_var, waiting_for
from ._delivery import call, deliver, hand_over, hand_over_nowait, send, waiting_messages
from ._ends import stop_and_wait, wait_ended_awaited
from ._handling import Begun, run_inline, run_noreply_inline
from ._host import Host
from ._interrupt import protected
from ._lifecycle import RUNNING
from ._log import Window
from ._message import Call, CallOrCast, Cast
from ._process import Process
from ._request import Info, Request
from ._text import show
from ._turn import PARKED

__all__ = ["ServerRef", "bind", "ref_of"]

S_co = TypeVar("S_co", bound=Behaviour, covariant=True)
R = TypeVar("R")

_checkpoint_if_cancelled = trio.lowlevel.checkpoint_if_cancelled
_schedule_point = trio.lowlevel.cancel_shielded_checkpoint


# Not where type checkers see it, for whom a reference has no such variable.
_BEHIND = ("_process",)


class ServerRef(Generic[S_co]):
    """A reference to a server of class `S_co`; comes from `open_server`, a supervisor, a registry,
    `self.ref`.

    Attributes:
      name: what the server is called in errors and logs.
    """

    __slots__ = ("__weakref__", "_records", "name", *_BEHIND)

    # Set with `bind`.
    if TYPE_CHECKING:

        @property
        def _process(self) -> Process: ...

    def __init__(self, name: str) -> None:
        self.name = name
        # Its recent log records.
        self._records: dict[str, Window] | None = None

    def __repr__(self) -> str:
        return f"<ServerRef {self.name}, {'running' if self.is_running else 'not running'}>"

    # There is nothing to copy: it equals itself only. Copies of what refers to a server refer to that server.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    @property
    def is_running(self) -> bool:
        """Whether the server takes messages now."""
        return self._process.alive

    @property
    def mailbox_length(self) -> int:
        """How many messages wait in the mailbox, those that wait for room included."""
        return waiting_messages(self._process)

    @property
    def dropped(self) -> int:
        """How many messages this incarnation dropped: at a full mailbox, withdrawn, or not handled at its
        end.
        """
        return self._process.dropped

    @protected
    async def call(self, message: Call[S_co, R]) -> R:
        """Send `message` and wait for its reply. A checkpoint, also when it raises.

        For a time limit, put it into a cancel scope (`trio.fail_after`). A call that is cancelled is not
        handled, if the server has not begun it; else its reply is dropped. The server is not concerned.

        Returns:
          what the handler returned, or whoever has the ``from_`` replied.

        Raises:
          ServerNotRunning: there is no server.
          ServerStopped: it stopped before it answered.
          ServerCrashed: it crashed before it answered; its exception is the ``__cause__``.
          MailboxFull: its mailbox is full, and its `overflow` is not ``"wait"``.
          CallCycle: the server waits, over some calls, for the caller.
          UnhandledMessage: it has no such handler: the message is of another class. (A type error, too.)
        """
        if message.__class__ is not Call and message.__class__ is not CallOrCast:
            raise self._wrong_kind(message, "call")
        process = self._process
        if process.turn.waits == PARKED and not process.hooks.messages:
            # Unpacked, which costs less than asking it for each.
            declared, args, kwargs = message
            handler = process.handlers.get(declared)
            if handler is not None and handler.inline and not kwargs:
                await _checkpoint_if_cancelled()
                reply = run_inline(process, handler, message, args)
                if reply.__class__ is not Begun:
                    await _schedule_point()
                    return cast("R", reply)
                return await self._park(cast("Request[R]", reply.request))
            if handler is not None and handler.inline_noreply and not kwargs:
                await _checkpoint_if_cancelled()
                begun: Request[R] = run_noreply_inline(process, handler, message)
                if execution_var.get() is None:
                    return await begun.park()
                return await self._park(begun)
        request: Request[R] = Request(process, message)
        if (
            execution_var.get() is None
            and process.alive
            and message.handler in process.handlers
            and not process.hooks.messages
            and deliver(process, request)
        ):
            # Nothing has run since it was delivered, so there is no answer yet.
            request.waiter = trio.lowlevel.current_task()
            return cast("R", await trio.lowlevel.wait_task_rescheduled(request.abort_call))
        return cast("R", await call(process, request))

    async def _park(self, request: Request[R]) -> R:
        """Wait for the answer to what a caller has begun in its own step."""
        # No cycle is closed: the server waited for a message, and for nothing else.
        with waiting_for(request):
            return await request.park()

    @protected
    def send_request(self, message: Call[S_co, R], *, label: object = None) -> Request[R]:
        """Send `message` and return a handle, to collect the reply with later. Not a checkpoint.

        If the server is not running, the handle says so when it is asked: a program that is being cancelled
        together with its servers hears of its cancellation there, and not of their end here.

        Args:
          label: anything, kept in the handle: for telling many requests apart.

        Raises:
          UnhandledMessage: as `call`.
          MailboxFull: there is no room and `overflow` is not ``"drop_oldest"``; it cannot wait.
        """
        if message.__class__ is not Call and message.__class__ is not CallOrCast:
            raise self._wrong_kind(message, "send_request")
        process = self._process
        request: Request[R] = Request(process, message, label)
        request.handler = handler = process.handlers.get(message.handler)
        mailbox = process.mailbox
        if (
            mailbox is not None
            and 0 < mailbox.ready < mailbox.capacity
            and handler is not None
            and process.lifecycle.state == RUNNING
            and not process.hooks.messages
        ):
            # `_delivery.send` without its calls: with many in flight, this is where all but the first go.
            mailbox.send_nowait(request)
            mailbox.ready += 1
            return request
        send(process, request)
        return request

    @protected
    async def cast(self, message: Cast[S_co]) -> None:
        """Hand `message` over and go on; wait only for room in the mailbox. A checkpoint.

        It promises nothing: a message to a server that is not running, or that ends before it comes to it, is
        dropped. Casts of one task to one server arrive in the order sent.

        Raises:
          MailboxFull: the mailbox is full, and its `overflow` is ``"raise"``.
          CallCycle: the mailbox is full, and there will be no room, as the server waits for the sender.
          UnhandledMessage: the server has no such handler.
        """
        if message.__class__ is not Cast:
            message = self._as_cast(message, "cast")
        await hand_over(self._process, message)

    @protected
    def cast_nowait(self, message: Cast[S_co]) -> None:
        """`cast`, without waiting for room. Not a checkpoint.

        Raises:
          MailboxFull: the mailbox is full, and its `overflow` does not make room.
          UnhandledMessage: the server has no such handler.
        """
        if message.__class__ is not Cast:
            message = self._as_cast(message, "cast_nowait")
        process = self._process
        if message.handler in process.handlers and not process.hooks.messages:
            # `_delivery.hand_over_nowait` without its calls, for a first message and for a burst.
            mailbox = process.mailbox
            if process.turn.waits == PARKED:
                process.turn.go_on(message)
                return
            if (
                mailbox is not None
                and 0 < mailbox.ready < mailbox.capacity
                and process.lifecycle.state == RUNNING
            ):
                mailbox.send_nowait(message)
                mailbox.ready += 1
                return
        hand_over_nowait(process, message)

    @protected
    async def send(self, message: object) -> None:
        """Send any object, for `GenServer.handle_info`; else as `cast`."""
        await hand_over(self._process, Info(message))

    @protected
    def send_nowait(self, message: object) -> None:
        """Send any object, for `GenServer.handle_info`; else as `cast_nowait`."""
        hand_over_nowait(self._process, Info(message))

    @protected
    async def stop(self, reason: object = "normal") -> None:
        """Stop the server when it has handled what is in its mailbox now, and wait until it has ended.

        Args:
          reason: what its `terminate` is given, and its supervisor: ``"normal"``, ``"shutdown"`` and
            ``("shutdown", anything)`` are orderly ends, anything else makes a supervisor restart a
            transient child. A reason alone is never raised.

        Raises:
          ServerNotRunning: there is no server.
          ServerCrashed: it crashed before it had ended, or in its `terminate`.
          ServerStopped: something else ended it before, and for another reason that is not orderly.
          CallCycle: called by the server itself, where ``self.stop()`` does it, or by one below it, for
            which it would wait.
        """
        await stop_and_wait(self._process, reason)

    async def wait_stopped(self) -> object:
        """Wait until this incarnation of the server has ended, `terminate` included. A checkpoint.

        Returns:
          the reason: ``"normal"``, ``"shutdown"``, what `stop` was given, or the exception it crashed with.

        Raises:
          CallCycle: called by a server that this one waits for, or is, or that runs below it.
        """
        return (await wait_ended_awaited(self._process, "wait_stopped()")).reason

    def _as_cast(self, message: Any, method: str) -> Cast[Any]:
        if message.__class__ is CallOrCast:
            return Cast(*message)
        raise self._wrong_kind(message, method)

    def _wrong_kind(self, message: object, method: str) -> TypeError:
        shown = show(message)
        if isinstance(message, Call):
            advice = f"it is a call; send it with `await ref.call({shown})`"
        elif isinstance(message, Cast):
            advice = f"it is a cast; send it with `await ref.cast({shown})`"
        else:
            advice = "build one on the class, as in Counter.increment(5); ref.send takes any object"
        return TypeError(f"{method} to {self.name} does not take {shown}: {advice}")


def bind(ref: ServerRef[Any], process: Process) -> None:
    """Put a process behind `ref`: done by whoever starts the server, again at each restart."""
    slot: Any = ref
    slot._process = process


def ref_of(process: Host) -> ServerRef[Any]:
    """The reference to the server that `process` runs."""
    return cast("ServerRef[Any]", process.ref)
