"""What runs one server, from its start to its end: the loop over its messages.

A `Process` is one incarnation: a restart makes a new one, behind the same `ServerRef`. It lives in one Trio
task, and only what most servers need is there from the beginning:

- The mailbox is made when a first message has to wait. A server that waits at an empty one is handed its
  message.
- The nursery is opened when a first coroutine of the user's is to run in the server (an async handler,
  `init`, a child task). `_serve` then returns the message in its hand and is entered again inside the
  nursery. A server of sync handlers never has one: its task is parked or at a checkpoint of ours, and both
  can be ended without a cancel scope.

One flag, `attention`, says that something unusual is to be done before the next message (stop, continue, a
request of `sys`, a child task to start). The loop tests it once a message and `_attend` finds out what it is.

A server takes at most `BATCH` waiting messages before it lets other tasks run: a checkpoint a message would
cost more than the handlers do, none would starve everybody else.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import outcome
import trio
import trio.lowlevel

from ._cancellation import is_cancellation
from ._children import ChildTasks, run_task
from ._cycle import Execution, execution_var
from ._errors import (
    AlreadyStarted,
    BadReturnValue,
    InitIgnored,
    InitStopped,
    MailboxFull,
    ServerNotRunning,
    ServerStopped,
    UnhandledMessage,
)
from ._instrument import current_hooks, logger
from ._mailbox import Mailbox
from ._message import Call, Cast, Handler
from ._request import BEGUN, QUEUED, Envelope, From, Info, Request
from ._server import GenServer, Ignore, Refuse, Stop, resolve

if TYPE_CHECKING:
    from ._ref import ServerRef
    from ._registry import ServerName
    from ._spec import ChildSpec
    from .sys import SystemRequest

__all__ = ["Process"]

# How many messages a server handles before it lets others run. A task that is ready may have to wait for two
# steps of the server, as Trio runs the ready ones in random order: so for 16 handlers at most.
BATCH = 8

Item: TypeAlias = "Request[Any] | Envelope | Cast[Any]"
OnExit: TypeAlias = "Callable[[Process, object], None]"
OnEnding: TypeAlias = "Callable[[Process], None]"

# The life of a process. It only ever moves down this list.
STARTING = 0
RUNNING = 1
ENDING = 2  # takes no messages any more; terminate is yet to run
ENDED = 3

_UNSET: Any = object()


class Process(Execution):
    """One incarnation of a server.

    Attributes:
      parked: the task waits at an empty mailbox; a message may be handed over, or handled by its caller.
      idle: the task waits, but takes no messages (suspended, or too much waits for child tasks).
      attention: something is to be done before the next message.
      instance: the user's object, from ``__init__`` to the end.
      deferred: requests whose answer is somebody's duty: `From`, or a child task that was cancelled.
      supervised: an abnormal end is told to `on_exit`, and not raised into the nursery.
      on_ending: called when it takes no messages any more, before anyone can find that out.
      on_exit: called when nothing of it is left. Both are ordered sets.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "attention",
        "children",
        "continues",
        "crash",
        "current",
        "deferred",
        "dropped",
        "grace",
        "handlers",
        "hooks",
        "idle",
        "instance",
        "killed",
        "mailbox",
        "new_tasks",
        "nursery",
        "on_ending",
        "on_exit",
        "parked",
        "reason",
        "ref",
        "spec",
        "start_error",
        "starter",
        "state",
        "stop_left",
        "supervised",
        "suspended",
        "system",
        "timeout",
        "timeout_scope",
    )

    def __init__(
        self,
        spec: ChildSpec[Any],
        ref: ServerRef[Any],
        *,
        supervised: bool = False,
        on_exit: OnExit | None = None,
    ) -> None:
        self.spec = spec
        self.ref = ref
        self.supervised = supervised
        self.on_exit: dict[OnExit, None] | None = None if on_exit is None else {on_exit: None}
        self.on_ending: dict[OnEnding, None] | None = None
        self.hooks = current_hooks()
        self.handlers: dict[Handler, Handler] = spec.server_class._handlers
        self.state = STARTING
        self.task = None
        self.waiting = None
        self.instance: Any = None
        self.mailbox: Mailbox[Item] | None = None
        self.nursery: trio.Nursery | None = None
        self.parked = False
        self.idle = False
        self.attention = False
        self.suspended = False
        self.killed = False
        self.dropped = 0
        self.crash: BaseException | None = None
        self.reason: object = _UNSET
        self.stop_left = 0
        self.grace: float = _UNSET
        self.current: Item | None = None
        self.timeout: float | None = None
        self.starter: trio.lowlevel.Task | None = None
        self.start_error: BaseException | None = None
        # All of these are rare, and made when they are needed.
        self.children: ChildTasks | None = None
        self.continues: deque[object] | None = None
        self.new_tasks: list[tuple[Callable[..., Awaitable[object]], tuple[Any, ...]]] | None = None
        self.system: deque[SystemRequest[Any]] | None = None
        self.timeout_scope: trio.CancelScope | None = None
        self.deferred: set[Request[Any]] | frozenset[Request[Any]] = _NONE
        self._ended: trio.Event | None = None

    def __repr__(self) -> str:
        state = ("starting", "running", "ending", "ended")[self.state]
        return f"<Process of {self.name}, {state}>"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def server(self) -> Process:
        return self

    @property
    def ending(self) -> bool:
        return self.state >= ENDING

    @property
    def alive(self) -> bool:
        """Whether it takes messages."""
        return self.state <= RUNNING

    # Messages on their way in; called by senders.

    def resolve(self, message: Call[Any, Any] | Cast[Any]) -> Handler:
        """The handler that this server has for `message`.

        Raises:
          UnhandledMessage: it has none.
        """
        handler = self.handlers.get(message.handler)
        if handler is None:
            handler = resolve(self.spec.server_class, message.handler)
            if handler is None:
                raise UnhandledMessage(self.name, self.spec.server_class, message)
        return handler

    def deliver(self, item: Item) -> bool:
        """Hand `item` over or leave it in the mailbox; False if that is full. Only while `alive`."""
        if self.parked:
            self.parked = False
            assert self.task is not None
            trio.lowlevel.reschedule(self.task, outcome.Value(item))
            return True
        mailbox = self.mailbox
        if mailbox is None:
            mailbox = self.mailbox = Mailbox(self.spec.mailbox_size)
        return mailbox.put(item)

    def deliver_full(self, item: Item) -> bool:
        """The mailbox is full: do as `overflow` says. False means: wait for room.

        Raises:
          MailboxFull: `item` was not taken, and its sender is to know.
        """
        mailbox = self.mailbox
        assert mailbox is not None
        overflow = self.spec.overflow
        if overflow == "wait":
            return False
        if overflow == "drop_oldest":
            oldest: Any = mailbox.take_oldest()
            if self.stop_left:
                self.stop_left -= 1
            if oldest.__class__ is not Request:
                self.drop(oldest, "mailbox full")
            elif oldest.unanswered:
                self.drop(oldest, "mailbox full")
                oldest.fail(MailboxFull(self.name, oldest.message, mailbox.capacity))
            mailbox.put(item)
            return True
        if overflow == "drop_newest" and item.__class__ is not Request:
            self.drop(item, "mailbox full")
            return True
        raise self.full(item)

    def full(self, item: Item) -> MailboxFull:
        """`item` is not taken: the error for its sender. Everybody else knows."""
        assert self.mailbox is not None
        self.drop(item, "mailbox full")
        error = MailboxFull(self.name, message_of(item), self.mailbox.capacity)
        if isinstance(item, Request):
            item.fail(error)
        return error

    def deliver_always(self, item: Item) -> None:
        """Hand `item` over or leave it in the mailbox, also beyond its bound.

        For what is sent once and must arrive, after all that was sent before, and whose number is bounded
        elsewhere: by the monitors and the tasks that a server asked to hear of. Nobody could wait.
        """
        if not self.alive:
            self.drop(item, "not running")
            return
        if self.hooks.message_sent:
            self.hooks.tell("message_sent", self.ref, item)
        if not self.deliver(item):
            assert self.mailbox is not None
            self.mailbox.force(item)

    async def deliver_wait(self, item: Item) -> None:
        """Wait for room in the mailbox, in order. A checkpoint."""
        assert self.mailbox is not None
        try:
            await self.mailbox.put_wait(item)
        except trio.BrokenResourceError:
            if isinstance(item, Request):
                item.stop(self.reason)
            else:
                self.drop(item, "stopped")
        except trio.Cancelled:
            if isinstance(item, Request):
                item.abandon()
            else:
                self.drop(item, "withdrawn")
            raise

    def drop(self, item: Item | Call[Any, Any], why: str) -> None:
        self.dropped += 1
        if self.hooks.message_dropped:
            envelope = item if isinstance(item, Envelope) else Envelope(item)
            self.hooks.tell("message_dropped", self.ref, envelope, why)

    # What callbacks and others ask of it.

    def wake(self) -> None:
        """Have the loop look at `attention`, now if it waits."""
        self.attention = True
        if self.parked or self.idle:
            self.parked = self.idle = False
            assert self.task is not None
            trio.lowlevel.reschedule(self.task, outcome.Value(None))

    def stop_now(self, reason: object) -> None:
        """End after the callback that runs."""
        if self.reason is _UNSET:
            self.reason = reason
        self.stop_left = 0
        # Asked for in a child task, it finds the loop waiting.
        self.wake()

    def stop_in_order(self, reason: object) -> None:
        """End when what is in the mailbox now has been handled."""
        if self.reason is _UNSET:
            self.reason = reason
            if self.mailbox is not None:
                self.stop_left = self.mailbox.waiting
            self.wake()

    def kill(self, reason: object = "shutdown", grace: float = _UNSET) -> None:
        """End at the next checkpoint: the handler that runs is cancelled.

        Args:
          grace: seconds from now until `terminate` is cancelled as well; below 0: it is not run. May be
            called again, with less.
        """
        if self.state >= ENDED:
            return
        if not self.killed:
            self.killed = True
            if self.reason is _UNSET or self.state < ENDING:
                self.reason = reason
            self.stop_left = 0
            if self.state == RUNNING:
                # From the next message on, all would be in vain.
                self._take_no_more()
            if self.nursery is not None:
                self.nursery.cancel_scope.cancel(reason=f"{self.name} is shut down")
            self.wake()
        if grace is not _UNSET:
            deadline = trio.current_time() + grace if grace >= 0 else -math.inf
            if self.grace is _UNSET or deadline < self.grace:
                self.grace = deadline
                if self.ending and self.timeout_scope is not None:
                    self.timeout_scope.deadline = deadline

    def continue_with(self, argument: object) -> None:
        if self.continues is None:
            self.continues = deque()
        self.continues.append(argument)
        self.wake()

    def start_task(self, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        if self.nursery is not None:
            name = getattr(async_fn, "__qualname__", repr(async_fn))
            self.nursery.start_soon(run_task, self, async_fn, args, name=f"{self.name}.{name}")
        else:
            if self.new_tasks is None:
                self.new_tasks = []
            self.new_tasks.append((async_fn, args))
            self.attention = True

    def set_timeout(self, seconds: float | None) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"a timeout is some seconds from 0, not {seconds!r}")
        self.timeout = seconds
        if self.parked and execution_var.get() is not self:
            # Set in a child task: the loop waits already, for another time or for none.
            self.wake()

    def run_system(self, request: SystemRequest[Any]) -> None:
        """Have the server's task serve `request` between two messages, before those that wait."""
        if self.system is None:
            self.system = deque()
        self.system.append(request)
        self.wake()

    def suspend(self, suspended: bool) -> None:
        self.suspended = suspended
        self.wake()

    def defer(self, request: Request[Any]) -> None:
        """Answer `request` at the end of the server at the latest, if nobody does before."""
        if not isinstance(self.deferred, set):
            self.deferred = set()
        self.deferred.add(request)

    def answered(self, request: Request[Any]) -> None:
        """Take `defer` back."""
        if isinstance(self.deferred, set):
            self.deferred.discard(request)

    def child_ended(self) -> None:
        if self.idle:
            self.wake()

    def crashed(self, error: BaseException, message: object) -> None:
        """A callback or a child task raised: the server ends with `error`."""
        if self.crash is None:
            self.crash = error
        else:
            self.crash = BaseExceptionGroup(f"{self.name} and its child tasks", [self.crash, error])
        self.reason = self.crash
        if self.hooks.server_crashed:
            self.hooks.tell("server_crashed", self.ref, error, message, self.shown_state())
        self.killed = True
        if self.state == RUNNING:
            self._take_no_more()
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel(reason=f"{self.name} crashed: {error!r}")
        self.wake()

    def crashed_inline(self, error: BaseException, message: object) -> None:
        """A handler raised in its caller's step; from here on it is as in the server's own."""
        self._take_no_more()
        self.crashed(error, message)

    def shown_state(self) -> object:
        """The state as `format_status` shows it; if that raises, what it raised."""
        instance = self.instance
        if instance is None:
            return None
        try:
            return instance.format_status(attributes(instance))
        except Exception as error:  # noqa: BLE001 - it must not hide the crash that is being reported
            return f"<format_status raised {error!r}>"

    # The life.

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
        if cancelled and self.state == ENDED:
            cancelled[0]()
        if self.start_error is not None:
            try:
                raise self.start_error
            finally:
                self.start_error = None

    def _started(self) -> None:
        self.state = RUNNING
        if self.hooks.server_started:
            self.hooks.tell("server_started", self.ref)
        if self.starter is not None and not self.killed:
            starter, self.starter = self.starter, None
            trio.lowlevel.reschedule(starter)

    async def run(self) -> None:
        """The whole life, as the body of a Trio task."""
        self.task = trio.lowlevel.current_task()
        execution_var.set(self)
        try:
            await self._live()
        except BaseException:
            # Only a cancellation from outside comes here; but a crash is not lost to it.
            if self.crash is None:
                if self.reason is _UNSET:
                    self.reason = "shutdown"
                raise
        finally:
            await self._end()
        if self.crash is not None and not self.supervised and self.start_error is None:
            raise self.crash

    async def _live(self) -> None:
        spec = self.spec
        cls = spec.server_class
        if spec.via is not None:
            await self._take_name(spec.via)
        if self.killed or self.start_error is not None:
            return
        try:
            instance = cls.__new__(cls, *spec.args, **spec.kwargs)
            instance._process = self
            self.instance = instance
            instance.__init__(*spec.args, **spec.kwargs)
        except BaseException as error:  # noqa: BLE001 - the starter gets it, whatever it is
            self._start_failed(error)
            return
        item = None
        if cls.init is GenServer.init:
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
            serving = self._serve(None if item is _NOTHING else item)
            # This frame lasts as long as the server, and would keep its first message for as long.
            item = None
            await serving
            # Its tasks may take their time to end. What comes in from now on is not going to be handled, and
            # who sends it is told so at once.
            self._take_no_more()
            nursery.cancel_scope.cancel(reason=f"{self.name} stopped")

    async def _take_name(self, via: ServerName[Any]) -> None:
        """Register the name that the specification asks for; wait for who has it if that one is ending."""
        while not self.killed:
            holder = via.claim(self)
            if holder is None:
                return
            if holder.alive:
                self._start_failed(AlreadyStarted(self.name, via.key, holder.ref))
                return
            awaited = holder.call_on_exit(lambda _process, _reason: self.wake())
            self.idle = True
            try:
                await trio.lowlevel.wait_task_rescheduled(self._abort_park)
            finally:
                holder.forget_on_exit(awaited)

    async def _init(self) -> bool:
        try:
            returned: object = await self.instance.init()
            if returned is not None:
                raise BadReturnValue(self.name, "init", None, returned)
        except BaseException as error:
            if is_cancellation(error):
                raise
            # The starter gets it, whatever it is.
            self._start_failed(error)
            return False
        if self.reason is not _UNSET and not self.killed:
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

    async def _serve(self, item: Any) -> Any:
        """Handle messages until the end (returns None), or until there must be a nursery.

        Then it returns the message that needs one, or `_NOTHING` if it is not a message that does.
        """
        budget = BATCH
        instance = self.instance
        handlers = self.handlers
        while True:
            if item is None:
                if self.attention:
                    verdict = await self._attend()
                    if verdict is not None:
                        return None if verdict is _STOP else verdict
                if self.suspended or (
                    self.children is not None and self.children.waiting >= self.spec.mailbox_size
                ):
                    self.idle = True
                    await trio.lowlevel.wait_task_rescheduled(self._abort_park)
                    continue
                mailbox = self.mailbox
                if mailbox is not None and mailbox.ready:
                    if budget == 0:
                        budget = BATCH
                        await trio.lowlevel.checkpoint()
                        continue
                    budget -= 1
                    item = mailbox.take()
                    if self.stop_left:
                        self.stop_left -= 1
                else:
                    budget = BATCH - 1  # what it is woken with counts
                    if self.timeout is None:
                        self.parked = True
                        item = await trio.lowlevel.wait_task_rescheduled(self._abort_park)
                    else:
                        if self.nursery is None:
                            return _NOTHING
                        item = await self._park_with_timeout()
                    if item is None:
                        continue
                    if self.current is not None:
                        # It came in the step in which a caller ran the handler that has ended this server.
                        self._fail_item(item)
                        item = None
                        continue

            # What is it, and who handles it?
            request: Request[Any] | None = None
            kind = item.__class__
            if kind is Request:
                request = item
                message = item.message
                if item.state != QUEUED:
                    item = None
                    continue
            elif kind is Cast:
                message = item
            elif kind is Info:
                if item.withdrawn:
                    self.drop(item, "withdrawn")
                    item = None
                    continue
                if self.nursery is None:
                    return item
                await self._callback(instance.handle_info, item.message, "handle_info", item)
                item = None
                continue
            else:
                message = item.message
            handler = handlers.get(message.handler)
            if handler is None:
                try:
                    handler = self.resolve(message)
                except UnhandledMessage as error:
                    self.current = item
                    self.crashed(error, message)
                    return None
            if self.nursery is None and handler.is_async:
                return item

            # Handle it.
            if request is not None:
                request.state = BEGUN
            if self.hooks.messages:
                if kind is Cast:
                    # It was sent when nobody looked.
                    item = Envelope(message)
                if self.hooks.message_received and not handler.in_child:
                    self.hooks.tell("message_received", self.ref, item)
            self.timeout = None
            try:
                if handler.special:
                    if handler.in_child:
                        if self.children is None:
                            self.children = ChildTasks(self)
                        self.children.start(handler, message, request, item)
                    else:
                        # The sender of a cast reads no reply; whoever gives it needs not know.
                        await self._handle_noreply(handler, message, request or cast_request(self, message))
                        self._handled(item)
                    item = None
                    continue
                if message.kwargs:
                    reply = handler.function(instance, *message.args, **dict(message.kwargs))
                else:
                    reply = handler.function(instance, *message.args)
                if handler.is_async:
                    reply = await reply
            except Stop as stop:
                if request is not None:
                    self.current = request
                self.stop_now(stop.reason)
                self._handled(item)
                return None
            except Refuse as refusal:
                if request is None:
                    self.drop(item, "refused")
                elif request.unanswered:
                    request.fail(refusal.error)
                else:
                    self.drop(item, "late reply")
                self._handled(item)
                item = None
                continue
            except BaseException as error:
                self.current = item
                if is_cancellation(error):
                    raise
                self.crashed(error, message)
                return None
            if request is not None:
                if request.state == BEGUN:
                    request.reply(reply)
                else:
                    self.drop(item, "late reply")
            elif reply is not None and handler.message_type is Cast:
                self.current = item
                self.crashed(BadReturnValue(self.name, handler.name, message, reply), message)
                return None
            if self.hooks.messages:
                self._handled(item)
            item = None

    def _handled(self, item: Item) -> None:
        if self.hooks.message_handled and item.__class__ is not Cast:
            self.hooks.tell("message_handled", self.ref, item)

    def _abort_park(self, _: object) -> trio.lowlevel.Abort:
        self.parked = self.idle = False
        return trio.lowlevel.Abort.SUCCEEDED

    async def _park_with_timeout(self) -> Item | None:
        """Wait for a message for as long as `set_timeout` said; if none comes, tell the server."""
        assert self.timeout is not None
        with trio.CancelScope(deadline=trio.current_time() + self.timeout) as scope:
            self.timeout_scope = scope
            self.parked = True
            try:
                return cast("Item | None", await trio.lowlevel.wait_task_rescheduled(self._abort_park))
            finally:
                self.timeout_scope = None
        self.timeout = None
        await self._callback(self.instance.handle_timeout, _UNSET, "handle_timeout", None)
        return None

    def ran_inline(self) -> None:
        """A caller has run a handler, and the server waits with a timeout or is to: that was a message."""
        scope = self.timeout_scope
        if self.timeout is None or scope is None:
            self.wake()
        else:
            scope.deadline = trio.current_time() + self.timeout

    async def _handle_noreply(self, handler: Handler, message: Any, request: Request[Any]) -> None:
        self.defer(request)
        request.executor = None
        returned = handler.function(self.instance, From(request), *message.args, **dict(message.kwargs))
        if handler.is_async:
            returned = await returned
        if returned is not None:
            raise BadReturnValue(self.name, handler.name, message, returned)

    async def _callback(
        self,
        callback: Callable[..., Awaitable[object]],
        argument: object,
        name: str,
        item: Item | None,
    ) -> None:
        """Run one of the coroutines that are no handlers; what it raises is a crash."""
        if item is not None and self.hooks.message_received:
            self.hooks.tell("message_received", self.ref, item)
        self.timeout = None
        message = f"{name}()" if argument is _UNSET else argument
        try:
            returned = await (callback() if argument is _UNSET else callback(argument))
            if returned is not None:
                raise BadReturnValue(self.name, name, message, returned)
        except Stop as stop:
            self.stop_now(stop.reason)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self.crashed(error, message)
            return
        if item is not None:
            self._handled(item)

    async def _attend(self) -> Any:
        """Do what is unusual. None: go on; `_STOP`; `_NOTHING`: a nursery is needed first."""
        while True:
            self.attention = False
            if self.killed:
                self.attention = True
                return _STOP
            if self.nursery is None and (self.new_tasks or self.continues):
                self.attention = True
                return _NOTHING
            if self.new_tasks:
                tasks, self.new_tasks = self.new_tasks, None
                for async_fn, args in tasks:
                    self.start_task(async_fn, args)
            while self.system:
                self.system.popleft().serve()
            if self.reason is not _UNSET:
                self.attention = True
                # Some of those that were to come first may have been withdrawn while they waited for room.
                if self.stop_left == 0 or self.suspended or not (self.mailbox and self.mailbox.ready):
                    return _STOP
            if not self.continues:
                return None
            argument = self.continues.popleft()
            await self._callback(self.instance.handle_continue, argument, "handle_continue", None)
            # Anything may have come up meanwhile, a stop as well: look again.

    def _take_no_more(self) -> None:
        """Take no messages any more, and tell those who keep its reference for others to find."""
        if self.state == STARTING and self.start_error is None:
            # Its init did not finish, so there is nothing that terminate should undo.
            reason = "shutdown" if self.reason is _UNSET else self.reason
            self.start_error = InitStopped(self.name, reason) if self.crash is None else self.crash
        self.state = ENDING
        if self.on_ending is not None:
            on_ending, self.on_ending = self.on_ending, None
            for tell in on_ending:
                tell(self)

    async def _end(self) -> None:
        """From the last message to the last of it: nobody is left waiting."""
        self._take_no_more()
        self.parked = self.idle = False
        if self.reason is _UNSET:
            self.reason = "shutdown"
        self._fail_unhandled()
        if self.instance is not None and self.start_error is None and self.grace != -math.inf:
            await self._terminate()
        for request in list(self.deferred):
            self._fail(request)
        self._fail_unhandled()
        if self.start_error is None and self.starter is not None and self.crash is not None:
            self.start_error = self.crash
        self.state = ENDED
        self.instance = None
        self.nursery = None
        if self.on_exit is not None:
            for tell in list(self.on_exit):
                tell(self, self.reason)
        if self.hooks.server_stopped:
            self.hooks.tell("server_stopped", self.ref, self.reason)
        if self.starter is not None:
            starter, self.starter = self.starter, None
            if self.start_error is None:
                self.start_error = InitStopped(self.name, self.reason)
            trio.lowlevel.reschedule(starter)
        if self._ended is not None:
            self._ended.set()

    async def _terminate(self) -> None:
        if self.spec.server_class.terminate is GenServer.terminate:
            return
        deadline = self.grace
        if deadline is _UNSET:
            shutdown = self.spec.shutdown
            deadline = trio.current_time() + (0 if shutdown == "brutal_kill" else shutdown)
        with trio.CancelScope(shield=True, deadline=deadline) as scope:
            self.timeout_scope = scope
            try:
                await self.instance.terminate(self.reason)
            except BaseException as error:
                if is_cancellation(error):
                    raise
                # Reported; the first crash is the reason.
                if self.hooks.server_crashed:
                    self.hooks.tell("server_crashed", self.ref, error, "terminate()", self.shown_state())
                if self.crash is None:
                    self.crash = self.reason = error
            finally:
                self.timeout_scope = None
        if scope.cancelled_caught:
            logger.warning("terminate of %s took longer than its shutdown time and was cancelled", self.name)

    def _fail_unhandled(self) -> None:
        """Whoever waits for what will not be handled now is told, and nothing waits any more."""
        if self.current is not None:
            item, self.current = self.current, None
            if isinstance(item, Request):
                self._fail(cast("Any", item))
        while self.system:
            self._fail(self.system.popleft())
        if self.mailbox is not None:
            for item in self.mailbox.close():
                self._fail_item(item)
            self.mailbox = None
        if self.children is not None:
            for child in self.children.close():
                self._fail_item(child.item)

    def _fail_item(self, item: Item) -> None:
        if item.__class__ is Request:
            self._fail(item)
        else:
            self.drop(item, "stopped")

    def _fail(self, request: Any) -> None:
        if self.crash is not None:
            request.crash(self.crash)
        else:
            request.stop(self.reason)

    def call_on_ending(self, tell: OnEnding) -> None:
        """Have `tell` called when it takes no messages any more. Only while `alive`."""
        if self.on_ending is None:
            self.on_ending = {}
        self.on_ending[tell] = None

    def call_on_exit(self, tell: OnExit) -> OnExit:
        """Have `tell` called with the reason when nothing of it is left. Not after it has ended."""
        if self.on_exit is None:
            self.on_exit = {}
        self.on_exit[tell] = None
        return tell

    def forget_on_exit(self, tell: OnExit) -> None:
        if self.on_exit is not None:
            self.on_exit.pop(tell, None)

    def forget_on_ending(self, tell: OnEnding) -> None:
        if self.on_ending is not None:
            self.on_ending.pop(tell, None)

    async def wait_ended(self) -> None:
        """Wait until nothing of it is left. A checkpoint."""
        if self.state == ENDED:
            await trio.lowlevel.checkpoint()
            return
        if self._ended is None:
            self._ended = trio.Event()
        await self._ended.wait()

    def not_running(self, message: object) -> ServerNotRunning | ServerStopped:
        """The error of a call that comes too late."""
        return ServerNotRunning(self.name, message)


def cast_request(process: Process, message: object) -> Request[Any]:
    """The request of a call that was cast: nobody waits for its reply."""
    request: Request[Any] = Request(process, message)
    request.state = BEGUN
    return request


def attributes(instance: object) -> dict[str, Any]:
    """The state of a server: what it has put into itself, in slots or not."""
    state: dict[str, Any] = {}
    for base in type(instance).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in GenServer.__slots__ and hasattr(instance, name):
                state[name] = getattr(instance, name)
    state.update(getattr(instance, "__dict__", {}))
    return state


def message_of(item: Any) -> object:
    return item.message if isinstance(item, Envelope) else item


# What all servers share that have deferred nothing; so nothing can be put into it.
_NONE: frozenset[Request[Any]] = frozenset()
_STOP: Any = object()
_NOTHING: Any = object()
