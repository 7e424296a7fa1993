"""What runs one server, from its start to its end.

A `Process` is one incarnation: a restart makes a new one, behind the same `ServerRef`. It lives in one Trio
task, and only what most servers need is there from the beginning:

- The mailbox is made when a first message has to wait. A server that waits at an empty one is handed its
  message.
- The nursery is opened when a first coroutine of the user's is to run in the server (an async handler,
  `init`, a child task). `_serve` then returns the message in its hand and is entered again inside the
  nursery. A server of sync handlers never has one: its task is parked or at a checkpoint of ours, and both
  can be ended without a cancel scope.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio
import trio.lowlevel

from ._awaiting import await_callback
from ._cancellation import is_cancellation
from ._cycle import execution_var, waiting_for, waiting_for_end
from ._empty import is_left_empty
from ._errors import (
    BadReturnValue,
    CallCycle,
    InitIgnored,
    InitStopped,
    ServerCrashed,
    ServerNotRunning,
    ServerStopped,
)
from ._interrupt import protected, struck_where_it_is
from ._kept import kept
from ._log import admits, ended, report
from ._process_loop import NEEDS_NURSERY, Loop
from ._process_state import ENDED, ENDING, HELD, NONE_DEFERRED, RUNNING, STARTING, UNSET, End
from ._request import wait_of
from ._restart import is_orderly
from ._signals import Ignore, Stop
from ._spec import Name
from ._text import CallbackName, show

__all__ = ["Process"]


class Process(Loop):
    """One incarnation of a server: its life."""

    __slots__ = ("raises",)

    # What it crashed with, on its way to the nursery.
    raises: BaseException | None

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it in `nursery` and wait until `init` has finished.

        Raises:
          InitIgnored, InitStopped: `init` said so.
          Exception: what ``__init__`` or `init` raised.
        """
        nursery.start_soon(self.run, name=self.name)
        self.starter = trio.lowlevel.current_task()
        cancelled: list[Callable[[], object]] = []

        def abort(raise_cancel: Callable[[], object]) -> trio.lowlevel.Abort:
            # Not before the server is gone: nothing is left behind by a start that timed out.
            cancelled.append(raise_cancel)
            self.kill()
            return trio.lowlevel.Abort.FAILED

        await trio.lowlevel.wait_task_rescheduled(abort)
        error, self.start_error = self.start_error, None
        try:
            if cancelled and self.state == ENDED:
                cancelled[0]()
            if error is not None:
                raise error
        finally:
            # This frame is in its traceback.
            del error

    def _started(self) -> None:
        self.state = RUNNING
        if self.hooks.server_started:
            self.hooks.tell("server_started", self.ref)
        if self.starter is not None and not self.killed:
            starter, self.starter = self.starter, None
            trio.lowlevel.reschedule(starter)

    @protected
    async def run(self) -> None:
        """The whole life, as the body of a Trio task."""
        self.task = trio.lowlevel.current_task()
        self.raises = None
        execution_var.set(self)
        try:
            await self._live()
        except BaseException as error:
            if not is_cancellation(error):
                # No callback's: an interrupt between two of them, or a scope that one has left open.
                self.crashed(error, None)
            elif self.crash is None:
                # From outside; but a crash is not lost to it.
                self.cancelled_outside()
                raise
        finally:
            try:
                await self._end()
            except BaseException as error:
                if not is_cancellation(error) or self.crash is None:
                    raise
        execution_var.set(None)
        crash, self.raises = self.raises, None
        if crash is not None:
            try:
                raise crash
            finally:
                # This frame is in its traceback.
                del crash

    async def _live(self) -> None:
        spec = self.spec
        cls = spec.server_class
        if spec.via is not None:
            await self._take_name(spec.via)
        if self.killed or self.start_error is not None:
            return
        try:
            self._make_instance()
        except BaseException as error:  # noqa: BLE001 - the starter gets it, whatever it is
            self._start_failed(error)
            return
        item = None
        if is_left_empty(cls.init):
            self._started()
            item = await self._serve(None)
            if item is None:
                return
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            if self.killed:
                nursery.cancel_scope.cancel(reason=f"{self.name} is shut down")
            if self.state == STARTING and not await self._init():
                # It may have started child tasks before it failed.
                nursery.cancel_scope.cancel(reason=f"the init of {self.name} failed")
                return
            serving = self._serve(None if item is NEEDS_NURSERY else item)
            # This frame lasts as long as the server, and would keep its first message for as long.
            item = None
            await serving
            # Its tasks may take their time to end. What comes in from now on is not going to be handled, and
            # who sends it is told so at once.
            self._take_no_more()
            nursery.cancel_scope.cancel(reason=f"{self.name} stopped")

    @struck_where_it_is
    def _make_instance(self) -> None:
        spec = self.spec
        cls = spec.server_class
        instance = cls.__new__(cls, *spec.args, **spec.kwargs)
        # Not by the class's own `__setattr__`: that of a frozen dataclass refuses.
        object.__setattr__(instance, "_process", self)
        self.instance = instance
        instance.__init__(*spec.args, **spec.kwargs)

    async def _take_name(self, via: Name) -> None:
        """Register the name that the specification asks for; wait for who has it if that one is ending."""
        while not self.killed:
            holder: Process | None = via.claim(self)
            if holder is None:
                return
            if holder.alive:
                self._start_failed(via.taken(self.name, holder))
                return
            try:
                # The end of that one may wait, over some calls, for whoever starts this one.
                with waiting_for(wait_of(holder, f"the end of {holder.name}")):
                    await self._wait_for_exit(holder)
            except CallCycle as error:
                self._start_failed(error)
                return

    async def _wait_for_exit(self, holder: Process) -> None:
        awaited = holder.call_on_exit(lambda _process, _reason: self.wake())
        try:
            await self.park(HELD)
        finally:
            holder.forget_on_exit(awaited)

    async def _init(self) -> bool:
        try:
            returned: object = await await_callback(self.name, self.instance.init, "init")
            if returned is not None:
                raise BadReturnValue(self.name, "init", None, returned)
        except BaseException as error:
            if is_cancellation(error):
                raise
            # The starter gets it, whatever it is.
            self._start_failed(error)
            return False
        if self.reason is not UNSET and not self.killed:
            self._start_failed(Stop(self.reason))
            return False
        self._started()
        return True

    def _start_failed(self, error: BaseException) -> None:
        if isinstance(error, Ignore):
            error = InitIgnored(self.name)
            self.reason = "normal"
        elif isinstance(error, Stop):
            self.reason = error.reason
            error = InitStopped(self.name, error.reason)
        else:
            self.reason = error
        self.start_error = error

    async def _end(self) -> None:
        """From the last message to the last of it: nobody is left waiting."""
        self._take_no_more()
        if self.reason is UNSET:
            self.reason = "shutdown"
        self._withhold_unhandled()
        try:
            if self.instance is not None and self.start_error is None and self.grace != -math.inf:
                await self._terminate()
        finally:
            self._ended_at_last()

    def _ended_at_last(self) -> None:
        """Tell everybody. As in OTP, that is after `terminate`, and what became of that is the reason."""
        if self.grace == -math.inf:
            self.reason = "killed"
            if self.supervised:
                # Known by its record in the log; those who wait hear what ended it.
                self.crash = None
        self._withhold_unhandled()
        for request, cause in list(self.deferred.items()):
            if cause is None:
                self._fail(request)
            else:
                request.crash(cause)
        # Who has given up is still among them.
        self.deferred = NONE_DEFERRED
        if self.start_error is None and self.starter is not None and self.crash is not None:
            self.start_error = self.crash
        self.state = ENDED
        self.instance = None
        self.nursery = None
        self.children = None
        if self.on_exit is not None:
            for tell in list(self.on_exit):
                tell(self, self.reason)
            self.on_exit = None
        if self.hooks.server_stopped:
            self.hooks.tell("server_stopped", self.ref, self.reason)
        self._say_what_was_left_out()
        if self.starter is not None:
            starter, self.starter = self.starter, None
            if self.start_error is None:
                self.start_error = InitStopped(self.name, self.reason)
            trio.lowlevel.reschedule(starter)
        if self._ended is not None:
            end, self._ended = self._ended, None
            end.crash, end.reason = self.crash, self.reason
            end.reached.set()
        self._keep_copies()
        self.forget_ref()

    def _keep_copies(self) -> None:
        """All have been told why it ended. What is raised now is in no cycle with those who can ask later."""
        crash = self.crash
        if crash is not None and not self.supervised and self.start_error is None:
            self.raises = crash
        if crash is not None:
            self.crash = kept(crash)
        if self.reason is crash:
            self.reason = self.crash
        elif self.reason is self.start_error and self.start_error is not None:
            self.reason = kept(self.start_error)

    def _say_what_was_left_out(self) -> None:
        if self.ref._records is not None:
            ended(self.ref, {})

    async def _terminate(self) -> None:
        if is_left_empty(self.spec.server_class.terminate):
            return
        try:
            await self.in_its_end(self._call_terminate)
        finally:
            if self.grace == -math.inf and admits(self.ref, "late terminate"):
                report(
                    self.ref,
                    "late terminate",
                    "terminate of %s took longer than its shutdown time and was cancelled",
                    self.name,
                )

    async def _call_terminate(self) -> None:
        try:
            await await_callback(self.name, self.instance.terminate, "terminate", self.reason)
        except Stop as stop:
            self.crash = None
            self.reason = stop.reason
        except BaseException as error:
            if is_cancellation(error):
                raise
            # As in OTP, this is the reason now; the first crash was reported when it came.
            self.crash = self.reason = error
            if self.hooks.server_crashed:
                message = CallbackName("terminate()")
                self.hooks.tell("server_crashed", self.ref, error, message, self.shown_state())

    def cancelled_outside(self) -> None:
        """Whoever runs the server has cancelled it: it has as much time as `shutdown` says, from now on."""
        if self.reason is UNSET:
            self.reason = "shutdown" if self.stop_reason is UNSET or self.stop_left else self.stop_reason
        if self.grace is UNSET:
            shutdown = self.spec.shutdown
            self.set_grace(0 if shutdown == "brutal_kill" else shutdown)

    async def in_its_end(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run `function` out of reach of cancellations: as long as it takes, if the server ends by itself.

        Its supervisor (`kill`) bounds that, and so does a cancellation from outside, which is raised when
        `function` is over. If it was cut short, there is no time left (`grace`).
        """
        if self.supervised or self.grace is not UNSET or self.spec.shutdown == math.inf:
            await self._in_a_shield(function)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._await_cancellation, name=f"cancellation of {self.name}")
            await self._in_a_shield(function)
            nursery.cancel_scope.cancel(reason=f"{self.name} has ended")

    async def _in_a_shield(self, function: Callable[[], Awaitable[None]]) -> None:
        with trio.CancelScope(shield=True, deadline=math.inf if self.grace is UNSET else self.grace) as scope:
            self.timeout_scope = scope
            try:
                await function()
            finally:
                self.timeout_scope = None
        if scope.cancelled_caught:
            self.grace = -math.inf

    async def _await_cancellation(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self.timeout_scope is not None:
                self.cancelled_outside()

    async def start_awaited(self, nursery: trio.Nursery) -> None:
        """`start`, for somebody who cannot go on meanwhile, and may be a server himself."""
        if execution_var.get() is None:
            await self.start(nursery)
        else:
            with waiting_for(wait_of(self, f"the start of {self.name}")):
                await self.start(nursery)

    async def wait_ended_awaited(self, what: str) -> End:
        """`wait_ended`, the same.

        Raises:
          CallCycle: it waits for whoever waits for it, or is above.
        """
        if execution_var.get() is None:
            return await self.wait_ended()
        try:
            with waiting_for_end(wait_of(self, what)):
                return await self.wait_ended()
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise

    async def wait_ended(self) -> End:
        """Wait until nothing of it is left. A checkpoint."""
        if self.state == ENDED:
            await trio.lowlevel.checkpoint()
            return End(self.crash, self.reason)
        if self._ended is None:
            self._ended = End(None, UNSET)
        end = self._ended
        await end.reached.wait()
        return end

    def check_end(self, end: End, request: str | None, reason: object) -> None:
        """Raise, as OTP's ``stop`` does, if it did not end for `reason`, nor for another orderly one.

        Args:
          request: what is said to have been asked of it; None: ``stop(reason)``.
        """
        if end.crash is None and (end.reason == reason or is_orderly(end.reason)):
            return
        if request is None:
            request = f"stop({show(reason)})"
        if end.crash is not None:
            raise ServerCrashed(self.name, request, end.crash)
        raise ServerStopped(self.name, request, end.reason)

    async def stop_and_wait(self, reason: object) -> None:
        """See `ServerRef.stop`."""
        if not self.alive and self.state != ENDING:
            await trio.lowlevel.checkpoint()
            raise ServerNotRunning(self.name, f"stop({show(reason)})")
        if execution_var.get() is None:
            self.stop_in_order(reason)
            self.check_end(await self.wait_ended(), None, reason)
            return
        try:
            with waiting_for_end(wait_of(self, f"stop({show(reason)})")):
                self.stop_in_order(reason)
                end = await self.wait_ended()
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise
        self.check_end(end, None, reason)
