"""A call under way: the slot in which its reply arrives.

A channel for each call would cost more than the call. A request is one object: the server puts the
outcome in, and reschedules the caller if it is parked. Two things follow, both tested for:

- The caller gives its task to the slot only when the message is in the mailbox. While it still waits for
  room in a full one, a reply must not reschedule it: it is parked elsewhere.
- A caller that gives up marks the request. The server skips it if it was not begun, and drops the reply
  if it was. Neither can hurt the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, NoReturn, Self, TypeAlias, TypeVar, cast

import outcome
import trio
import trio.lowlevel

from ._cycle import waiting_for
from ._emit import emit
from ._errors import (
    AlreadyReplied,
    CallCycle,
    NeverReplied,
    RequestAbandoned,
    ServerCrashed,
    ServerStopped,
)
from ._host import Execution, Host
from ._kept import hold_no_frames, kept
from ._message import Cast, Handler
from ._text import show

__all__ = ["Envelope", "From", "Item", "Request"]

R = TypeVar("R")
Item: TypeAlias = "Request[Any] | Envelope | Cast[Any]"
Notify: TypeAlias = "Callable[[Request[Any]], object]"
R_contra = TypeVar("R_contra", contravariant=True)

# The states of a request. It only ever moves down this list.
QUEUED = 0  # in the mailbox, or on its way there
BEGUN = 1  # taken out of the mailbox
REPLIED = 2
FAILED = 3
GIVEN_UP = 4  # no task waits for the reply

# In place of a reply, while there is none: no `From` is left.
DROPPED: Any = object()


class Envelope:
    """One message on its way, as instruments see it.

    Attributes:
      message: the message.
      data: for instruments, each under a key of its own.
    """

    __slots__ = ("data", "message")

    def __init__(self, message: object) -> None:
        self.message = message
        self.data: dict[object, Any] | None = None


class Info(Envelope):
    """A message sent with `ServerRef.send`: any object, for `GenServer.handle_info`.

    Attributes:
      withdrawn: its sender has withdrawn it.
    """

    __slots__ = ("withdrawn",)

    def __init__(self, message: object) -> None:
        self.message = message
        self.data = None
        self.withdrawn = False


class Request(Envelope, Generic[R]):
    """A handle for a call in flight, made by `ServerRef.send_request`.

    It has the guarantees of `ServerRef.call`: it ends, with the reply or with the same errors, and giving
    it up harms nobody. Any number may be in flight at a time.

    Attributes:
      label: what `ServerRef.send_request` was given, for telling many requests apart.
    """

    __slots__ = ("_answer", "_notify", "executor", "handler", "label", "process", "state", "waiter")

    def __init__(self, process: Host, message: object, label: object = None) -> None:
        self.message = message
        self.data = None
        self.process = process
        self.label = label
        # The server's own handler, if the sender has looked for it already.
        self.handler: Handler | None = None
        # What works on it, or will; call cycles are found by this. None: unknown, because a `From` is out.
        self.executor: Execution | None = process
        self.state = QUEUED
        self._answer: Any = None
        # The waiters: the task that `ServerRef.call` parks, or the first that waits for a handle; and the
        # callbacks of other holders of the handle.
        self.waiter: trio.lowlevel.Task | Countdown | None = None
        self._notify: list[Notify] | None = None

    def __repr__(self) -> str:
        state = ("queued", "begun", "replied", "failed", "given up")[self.state]
        return f"<Request {show(self.message)} to {self.process.name}, {state}>"

    # The server's side.

    @property
    def unanswered(self) -> bool:
        return self.state <= BEGUN

    def reply(self, value: R) -> None:
        if self.state > BEGUN:
            self._second_answer(value)
            return
        self.state = REPLIED
        self._answer = value
        if self.process.deferred:
            self.process.answered(self)
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if isinstance(waiter, Countdown):
                waiter.left -= 1
                if not waiter.left:
                    waiter.wake()
            else:
                trio.lowlevel.reschedule(waiter, outcome.Value(value))
        if self._notify is not None:
            self._tell()
        if self.process.hooks.message_replied:
            self.process.hooks.tell("message_replied", self.process.ref, self)

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, which is this caller's own and raised as it is."""
        if self.state > BEGUN:
            self._second_answer(error)
            return
        self.state = FAILED
        self._answer = error
        if self.process.deferred:
            self.process.answered(self)
        waiter = self.waiter
        if isinstance(waiter, trio.lowlevel.Task):
            self.waiter = None
            trio.lowlevel.reschedule(waiter, outcome.Error(self.take_error()))
        else:
            self._hold_error(error)
        self._tell()
        if self.process.hooks.message_replied:
            self.process.hooks.tell("message_replied", self.process.ref, self)

    def never_sent(self, error: BaseException) -> None:
        """Fail with `error` before anybody, an instrument or one that waits, knows of the request."""
        self.state = FAILED
        self._answer = error

    def _hold_error(self, error: BaseException) -> None:
        """Nobody waits: keep `error` until it is asked for, which may be never."""
        hold_no_frames(error)

    def take_error(self) -> BaseException:
        """The exception to raise for a failed request; a new copy each time, because the frame that raises it
        may hold the request."""
        error = cast("BaseException", self._answer)
        self._answer = kept(error)
        return error

    def crash(self, cause: BaseException) -> None:
        """The server crashed: fail with an error of this caller's own, so that no two share one."""
        if self.state <= BEGUN:
            self.fail(ServerCrashed(self.process.name, self.message, cause))

    def stop(self, reason: object) -> None:
        """The server stopped without an answer."""
        if self.state <= BEGUN:
            self.fail(ServerStopped(self.process.name, self.message, reason))

    def let_go(self) -> None:
        """The `From` was dropped. Called in any thread, in the middle of anything: only a note is made.

        While the handler runs, its end looks whether there is one: it may yet crash, or refuse.
        """
        self._answer = DROPPED
        process = self.process
        if self.executor is process or process.token is None:
            return
        # Trio's run may be over; then nobody waits.
        with suppress(trio.RunFinishedError):
            process.token.run_sync_soon(self.fail_if_dropped)

    def fail_if_dropped(self) -> None:
        """Tell the caller that there will be no reply, unless there is one, or an end that says more."""
        process = self.process
        if self._answer is not DROPPED or self.state > BEGUN or process.is_to_end:
            return
        if self.message.__class__ is Cast:
            # There is no caller.
            self.state = GIVEN_UP
            process.answered(self)
        else:
            self.fail(NeverReplied(process.name, self.message))

    def _second_answer(self, answer: object) -> None:
        if self.state == GIVEN_UP:
            # Dropped, as everything after a caller has gone. The next one is the second.
            if self._answer is None:
                self._answer = (answer,)
                self.process.drop(self, "late reply")
                return
            first = self._answer[0]
        else:
            first = self._answer
            if isinstance(first, ServerStopped | ServerCrashed) and first.request is self.message:
                # It has ended, and whoever answers for it cannot know.
                self.process.drop(self, "late reply")
                return
        if self.state == FAILED:
            # It is raised elsewhere.
            first = kept(first)
        raise AlreadyReplied(self.process.name, self.message, first, answer)

    def _tell(self) -> None:
        notify, self._notify = self._notify, None
        for each in notify or ():
            try:
                each(self)
            except Exception as error:  # noqa: BLE001 - the client's; the server that answers is not to stumble
                emit(logging.ERROR, "a callback for the end of %s raised", show(self), error=error)
        if self.state != REPLIED and isinstance(self.waiter, Countdown):
            self.waiter.fail(self)

    # The caller's side.

    @trio.lowlevel.enable_ki_protection
    async def park(self) -> R:
        """Wait as the only one: what `ServerRef.call` does. Being cancelled gives the request up."""
        if self.state <= BEGUN:
            self.waiter = trio.lowlevel.current_task()
            return cast("R", await trio.lowlevel.wait_task_rescheduled(self.abort_call))
        await trio.lowlevel.cancel_shielded_checkpoint()
        return self.check()

    def abort_call(self, _: object) -> trio.lowlevel.Abort:
        self.waiter = None
        self.abandon()
        return trio.lowlevel.Abort.SUCCEEDED

    def check(self) -> R:
        """The reply, if it is there. Not a checkpoint.

        Raises:
          trio.WouldBlock: there is none yet.
          ServerError: as `wait`.
        """
        if self.state == REPLIED:
            return cast("R", self._answer)
        if self.state == FAILED:
            raise self.take_error()
        if self.state == GIVEN_UP:
            raise RequestAbandoned(self.process.name, self.message)
        raise trio.WouldBlock

    @property
    def done(self) -> bool:
        """Whether `check` would return or raise an answer: replied, failed, or abandoned."""
        return self.state > BEGUN

    @trio.lowlevel.enable_ki_protection
    async def wait(self) -> R:
        """Wait for the reply. Cancelling the wait leaves the request in flight: wait again, or `abandon`.

        Returns:
          the reply.

        Raises:
          ServerNotRunning, ServerStopped, ServerCrashed, MailboxFull: as `ServerRef.call`.
          CallCycle: waiting would be for ever.
          RequestAbandoned: `abandon` was called.
        """
        if self.state > BEGUN:
            await trio.lowlevel.checkpoint()
            return self.check()
        try:
            with waiting_for(self):
                await Countdown([self]).wait()
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise
        return self.check()

    def on_done(self, notify: Notify) -> None:
        """Have ``notify(self)`` called once, as soon as the request is `done`.

        It is called where the reply is given, and should only pass the news on. If it raises, that is logged.
        """
        if self._notify is None:
            self._notify = []
        self._notify.append(notify)

    def not_on_done(self, notify: Notify) -> None:
        """Take `on_done` back, if it has not been called."""
        if self._notify is not None and notify in self._notify:
            self._notify.remove(notify)

    @trio.lowlevel.enable_ki_protection
    def abandon(self) -> None:
        """Give the request up: not handled if it was not begun, its reply dropped if it was.

        A task that waits gets `RequestAbandoned`. Abandoning an answered request does nothing.
        """
        if self.state > BEGUN:
            return
        was_queued = self.state == QUEUED
        self.state = GIVEN_UP
        if self.process.hooks.message_abandoned:
            self.process.hooks.tell("message_abandoned", self.process.ref, self)
        if was_queued:
            self.process.drop(self, "withdrawn")
            self.process.withdraw()
        elif self.executor is not None:
            self.executor.given_up()
        if self.process.deferred:
            self.process.answered(self)
        self._tell()


def wait_of(process: Host, what: object) -> Request[Any]:
    """A stand-in in `waiting_for` for a wait that is not a call, such as one for an end: it gets no reply."""
    return Request(process, what)


def is_withdrawn(item: object) -> bool:
    """Whether `item`, which waits in a mailbox, is a request that was given up there."""
    return isinstance(item, Request) and item.state != QUEUED


class Countdown:
    """One task that waits until some requests have replied, or the first of them has failed.

    A request counts itself down, rather than call somebody: with a hundred in flight, that is what a
    reply costs.
    """

    __slots__ = ("failed", "left", "requests", "task")

    def __init__(self, requests: Sequence[Request[Any]]) -> None:
        self.requests = requests
        left = 0
        self.task: trio.lowlevel.Task | None = None
        self.failed: Request[Any] | None = None
        for request in requests:
            if request.state > BEGUN:
                if request.state != REPLIED and self.failed is None:
                    self.failed = request
            else:
                left += 1
                if request.waiter is None:
                    request.waiter = self
                else:
                    # Another task waits for it as well.
                    request.on_done(self._other_done)
        self.left = left

    async def wait(self) -> None:
        """A checkpoint in any case."""
        if not self.left or self.failed is not None:
            self._forget()
            await trio.lowlevel.checkpoint()
            return
        self.task = trio.lowlevel.current_task()
        try:
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            if self.left:
                self._forget()
            self.requests = ()

    def _forget(self) -> None:
        """The wait is over: leave no trace in the requests still in flight, and no cycle with them."""
        for request in self.requests:
            if request.waiter is self:
                request.waiter = None
            else:
                request.not_on_done(self._other_done)
        self.requests = ()

    def wake(self) -> None:
        if self.task is not None:
            task, self.task = self.task, None
            trio.lowlevel.reschedule(task)

    def fail(self, request: Request[Any]) -> None:
        if self.failed is None:
            self.failed = request
        self.wake()

    def _other_done(self, request: Request[Any]) -> None:
        self.left -= 1
        if request.state != REPLIED:
            self.fail(request)
        elif not self.left:
            self.wake()

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class From(Generic[R_contra]):
    """Where the reply to one call goes: what a ``noreply=True`` handler is given (OTP's ``from``).

    Any task of the same Trio run may answer, once. It may be kept for as long as the server lives; what
    is not answered when the server ends fails with `ServerStopped` or `ServerCrashed`, and an answer that
    comes later is dropped. If nobody keeps it, and it was not used, the caller gets `NeverReplied`.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Request[Any]) -> None:
        self._request = request
        process = request.process
        if process.token is None:
            process.token = trio.lowlevel.current_trio_token()

    def __del__(self) -> None:
        try:
            request = self._request
        except AttributeError:
            # An interrupt has come before it had one.
            return
        if request.state <= BEGUN:
            request.let_go()

    # There is one of each: with a copy that lives on, the end of the first would say nothing.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be pickled: only this process can reply")

    def __repr__(self) -> str:
        return f"<From {show(self._request)}>"

    @trio.lowlevel.enable_ki_protection
    def reply(self, value: R_contra) -> None:
        """Answer with `value`. Not a checkpoint. If the caller has given up, or the server has ended, the
        answer is dropped.

        Raises:
          AlreadyReplied: it was answered before; the error has both answers.
          RuntimeError: called from outside of Trio, as from a thread; go through `trio.from_thread`.
        """
        self._check_thread()
        self._request.reply(value)

    @trio.lowlevel.enable_ki_protection
    def reply_error(self, error: BaseException) -> None:
        """Answer with an error, which the caller's `call` raises. The server is not concerned by it.

        Raises:
          AlreadyReplied, RuntimeError: as `reply`.
        """
        self._check_thread()
        if not isinstance(error, BaseException):
            raise TypeError(f"reply_error takes an exception, not {show(error)}; pass a value to reply")
        self._request.fail(error)

    @property
    def is_wanted(self) -> bool:
        """Whether the caller still waits: false once it was answered, or gave up."""
        return self._request.unanswered

    def _check_thread(self) -> None:
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError(
                f"the reply to {show(self._request.message)} must be given inside Trio; "
                f"from a thread, use trio.from_thread.run_sync(from_.reply, value)"
            )
