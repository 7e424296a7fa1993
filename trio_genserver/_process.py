"""The process: runs one server, from its start to its end.

A `Process` is one incarnation: a restart makes a new one, behind the same `ServerRef`. It lives in one Trio
task, and it has parts, each of which owns some of its state and changes it in one place:

- `Process.lifecycle`: how far it has come, why it ends, who hears of that;
- `Process.turn`: what its task waits for, who wakes it, and how much it does before others run;
- `Process.mailbox`: the messages that wait;
- `Process.agenda`: other work to do before the next message;
- `Process.children`: the child tasks of its handlers.

The first two are always there, since they are asked at each message; the others are made when they are
needed: a server that waits at an empty mailbox is handed its message. The parts do not know each other. Work
on several of them is here, or in the functions over a process: a message comes in (`_delivery`), the loop
takes it (`_loop`), its handler is run and settled (`_handling`), and all of it begins and ends (`_life`).

The nursery, too, is opened when a first coroutine of the user's is to run in the server (an async handler,
`init`, a child task). `serve` then returns the message in its hand and is entered again inside the nursery. A
server of sync handlers never has one: its task is parked or at a checkpoint of ours, and both can be ended
without a cancel scope.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import trio
import trio.lowlevel

from . import _delivery, _handling, _life, _loop
from ._agenda import Agenda
from ._cancellation import is_cancellation
from ._children import ChildTasks, OwnTask
from ._cycle import execution_var
from ._hooks import current_hooks
from ._host import Reference
from ._interrupt import protected
from ._lifecycle import ENDED, RUNNING, STATES, UNSET, End, Lifecycle, OnExit
from ._mailbox import Mailbox
from ._message import Call, Handler
from ._parts import Parts
from ._request import Envelope, Item, Request, is_withdrawn
from ._shown import shown_message, shown_state
from ._spec import ChildSpec
from ._system_request import SystemRequest
from ._text import name_of, show
from ._turn import Turn

__all__ = ["Process"]


# Shared by all servers that have deferred nothing; so nothing can be put into it.
NONE_DEFERRED: Mapping[Request[Any], BaseException | None] = MappingProxyType({})


class Process(Parts):
    """One incarnation of a server.

    Attributes: as those of `Host` and `Parts`, and spec: how to make and end it. dropped: how many messages
      it did not handle.
    """

    __slots__ = (
        "__weakref__",
        "_ref",
        "agenda",
        "children",
        "current",
        "deferred",
        "dropped",
        "handlers",
        "hooks",
        "instance",
        "lifecycle",
        "mailbox",
        "nursery",
        "spec",
        "supervised",
        "turn",
    )

    def __init__(
        self,
        spec: ChildSpec[Any],
        ref: Reference,
        *,
        supervised: bool = False,
        on_exit: OnExit | None = None,
    ) -> None:
        self.spec = spec
        # When it has ended: one that does not keep the reference alive, and its class.
        self._ref: Reference | tuple[weakref.ref[Reference], type[Reference]] = ref
        self.supervised = supervised
        self.hooks = current_hooks()
        self.handlers: dict[Handler, Handler] = spec.server_class._handlers
        self.task = None
        self.waiting = None
        self.token = None
        self.instance: Any = None
        self.nursery: trio.Nursery | None = None
        self.lifecycle = Lifecycle(on_exit)
        self.turn = Turn()
        self.mailbox: Mailbox[Item] | None = None
        self.agenda: Agenda | None = None
        self.children: ChildTasks | None = None
        self.deferred: Mapping[Request[Any], BaseException | None] = NONE_DEFERRED
        self.current: Item | None = None
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Process of {self.name}, {STATES[self.lifecycle.state]}>"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def server(self) -> Process:
        return self

    @property
    def ref(self) -> Reference:
        """The reference to it. While the process lives, `self.ref` needs no other holder."""
        ref = self._ref
        if isinstance(ref, tuple):
            known, ref_class = ref
            # If nothing holds it, another one is as good.
            return known() or self._another_ref(ref_class)
        return ref

    def _another_ref(self, ref_class: Any) -> Reference:
        ref: Any = ref_class(self.name)
        ref._process = self
        return cast("Reference", ref)

    # Its parts that are not there from the beginning, and what it holds for a while.

    def make_mailbox(self) -> Mailbox[Item]:
        self.mailbox = mailbox = Mailbox[Item](self.spec.mailbox_size, is_withdrawn)
        return mailbox

    def close_mailbox(self) -> list[Item]:
        mailbox = self.mailbox
        if mailbox is None:
            return []
        left = mailbox.close()
        self.mailbox = None
        return left

    def make_agenda(self) -> Agenda:
        self.agenda = agenda = Agenda()
        return agenda

    def make_children(self) -> ChildTasks:
        self.children = children = ChildTasks(self)
        return children

    def has_instance(self, instance: Any) -> None:
        self.instance = instance

    def has_nursery(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery

    def let_go(self) -> None:
        self.instance = None
        self.nursery = None
        self.children = None

    def forget_ref(self) -> None:
        ref = self.ref
        self._ref = (weakref.ref(ref), type(ref))

    def abort_park(self, raise_cancel: object) -> trio.lowlevel.Abort:
        # Doing so touches the process, and not only its turn.
        self.turn.cancelled()
        return trio.lowlevel.Abort.SUCCEEDED

    # Requests from others.

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it in `nursery` and wait until `init` has finished.

        Raises:
          InitIgnored, InitStopped: `init` said so.
          Exception: what ``__init__`` or `init` raised.
        """
        nursery.start_soon(self.run, name=self.name)
        self.lifecycle.wait_for_start()
        cancelled: list[Callable[[], object]] = []

        def abort(raise_cancel: Callable[[], object]) -> trio.lowlevel.Abort:
            # Not before the server is gone: nothing is left behind by a start that timed out.
            cancelled.append(raise_cancel)
            self.kill()
            return trio.lowlevel.Abort.FAILED

        await trio.lowlevel.wait_task_rescheduled(abort)
        error = self.lifecycle.take_start_error()
        try:
            if cancelled and self.lifecycle.state == ENDED:
                cancelled[0]()
            if error is not None:
                raise error
        finally:
            # This frame is in its traceback.
            del error

    async def wait_ended(self) -> End:
        """Wait until nothing of it is left. A checkpoint."""
        lifecycle = self.lifecycle
        if lifecycle.state == ENDED:
            await trio.lowlevel.checkpoint()
            return End(self.lifecycle.crash, self.lifecycle.reason)
        end = lifecycle.end_to_wait_for()
        await end.reached.wait()
        return end

    def stop_in_order(self, reason: object) -> None:
        """End when what is in the mailbox now has been handled, for `reason` unless that ends it before."""
        if self.lifecycle.end_in_order(reason):
            if self.mailbox is not None:
                _delivery.waiting_messages(self)
                self.mailbox.stop_after_these()
            self.turn.wake()

    def stop_now(self, reason: object) -> None:
        """End after the callback that runs."""
        self.lifecycle.end_for(reason)
        if self.mailbox is not None:
            self.mailbox.stop_at_once()
        # Asked for in a child task, it finds the loop waiting.
        self.turn.wake()

    def kill(self, reason: object = "shutdown", grace: float = UNSET) -> None:
        """End at the next checkpoint: the handler that runs is cancelled.

        Args:
          grace: seconds from now until `terminate` is cancelled as well; below 0: it is not run. May be
            called again, with less.
        """
        lifecycle = self.lifecycle
        if lifecycle.state == ENDED:
            return
        if lifecycle.kill(reason):
            self._cancel("is shut down")
        if grace is not UNSET:
            lifecycle.set_grace(grace)

    def crashed(self, error: BaseException, message: object) -> None:
        """A callback or a child task raised: the server ends with `error`."""
        self.lifecycle.crashed(self.name, error)
        if self.hooks.server_crashed:
            shown = shown_message(self, message)
            self.hooks.tell("server_crashed", self.ref, error, shown, shown_state(self))
        self._cancel(f"crashed: {show(error)}")

    def _cancel(self, why: str) -> None:
        if self.lifecycle.state == RUNNING:
            # From the next message on, all would be in vain.
            self.lifecycle.take_no_more(self)
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel(reason=f"{self.name} {why}")
        self.turn.wake()

    def continue_with(self, argument: object) -> None:
        """Have `handle_continue` called after the callback that runs."""
        (self.agenda or self.make_agenda()).continue_with(execution_var.get(), argument)
        self.turn.wake()

    def set_timeout(self, seconds: float | None) -> None:
        """See `GenServer.set_timeout`."""
        self.turn.set_timeout(seconds, by_itself=execution_var.get() is self)

    def start_task(self, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        """See `GenServer.start_task`."""
        task = OwnTask(self, async_fn, args)
        if self.nursery is not None:
            self.spawn(task)
        else:
            (self.agenda or self.make_agenda()).start(task)
            self.turn.look_again()

    def spawn(self, task: OwnTask) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(task.run, name=f"{self.name}.{name_of(task.async_fn)}")

    def run_system(self, request: SystemRequest[Any]) -> None:
        """Have the server's task serve `request` between two messages, before those that wait."""
        (self.agenda or self.make_agenda()).serve(request)
        self.turn.wake()

    def withdraw_system(self, request: SystemRequest[Any]) -> None:
        """Take `run_system` back, unless it is being served."""
        if self.agenda is not None:
            self.agenda.withdraw(request)

    def withdraw(self) -> None:
        _delivery.withdraw(self)

    def drop(self, item: Item | Call[Any, Any], why: str) -> None:
        self.dropped += 1
        if self.hooks.message_dropped:
            envelope = item if isinstance(item, Envelope) else Envelope(item)
            self.hooks.tell("message_dropped", self.ref, envelope, why)

    def settle(
        self,
        handler: Handler,
        item: Any,
        message: Any,
        request: Request[Any] | None,
        returned: object,
        error: BaseException | None = None,
    ) -> bool:
        return _handling.settle(self, handler, item, message, request, returned, error)

    # Answers that are somebody's duty.

    def defer(self, request: Request[Any], cause: BaseException | None = None) -> None:
        if not isinstance(self.deferred, dict):
            self.deferred = {}
        self.deferred[request] = cause

    def answered(self, request: Request[Any]) -> None:
        if isinstance(self.deferred, dict):
            self.deferred.pop(request, None)

    def take_deferred(self) -> list[tuple[Request[Any], BaseException | None]]:
        # A caller that has given up is still among them.
        deferred, self.deferred = self.deferred, NONE_DEFERRED
        return list(deferred.items())

    def was_handling(self, item: Item | None) -> None:
        self.current = item

    def take_current(self) -> Item | None:
        item, self.current = self.current, None
        return item

    # The life.

    @protected
    async def run(self) -> None:
        """The whole life, as the body of a Trio task."""
        lifecycle = self.lifecycle
        self.task = self.turn.task = trio.lowlevel.current_task()
        execution_var.set(self)
        try:
            await self.live()
        except BaseException as error:
            if not is_cancellation(error):
                # No callback's: an interrupt between two of them, or a scope that one has left open.
                self.crashed(error, None)
            elif lifecycle.crash is None:
                # From outside; but a crash is not lost to it.
                _life.cancelled_outside(self)
                raise
        finally:
            try:
                await _life.end(self)
            except BaseException as error:
                if not is_cancellation(error) or lifecycle.crash is None:
                    raise
        execution_var.set(None)
        if lifecycle.raises is not None:
            crash = lifecycle.take_what_it_raises()
            try:
                raise crash
            finally:
                # This frame is in its traceback.
                del crash

    def live(self) -> Awaitable[None]:
        """From its name to its last message. A supervisor has more around it."""
        return _life.live(self)

    def attend(self) -> Awaitable[Any]:
        """Do what is unusual before the next message. A supervisor has more to do."""
        return _loop.attend(self)
