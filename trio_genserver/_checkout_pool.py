"""A pool of servers that are checked out: one client's alone, for as long as a block.

For what cannot be shared from message to message: a connection with a transaction open, a session, a
device. Where any message may go to any worker, the pools of `_pool` do, without anything in between.

The pool is a server in the supervision tree, and the workers are its children. Taking a worker and bringing
it back are not messages: they are synchronous, hence atomic in Trio, so a client of an idle pool waits for
nothing, and one that gives up leaves nothing in flight.

The pool replaces workers that end. A worker that dies makes room for a new one, which goes to the client that
has waited longest. If a worker fails to start, the client that would have got it gets the error, and the pool
tries again for the next client: no client waits forever, and nothing is retried in a hurry.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

import outcome
import trio
import trio.lowlevel

from ._awaiting import await_callback
from ._blocks import block
from ._child_spec import as_spec, checked_spec, identified
from ._errors import PoolFull, ServerNotRunning, ServerStopped
from ._lifecycle import UNSET
from ._log import admits, report
from ._process import Process
from ._ref import ServerRef, bind
from ._server import GenServer
from ._spec import ChildSpec, InvalidSpec, Shutdown
from ._start import open_server, takes_arguments_of
from ._text import LOGGED, show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "CheckoutOrder",
    "CheckoutPool",
    "CheckoutPoolRef",
    "PoolStatus",
    "checkout_pool_spec",
    "open_checkout_pool",
]

S = TypeVar("S", bound=GenServer)

CheckoutOrder: TypeAlias = Literal["lifo", "fifo"]
"""Which idle worker is taken: the one that came back last (the others may time out), or the one that has
been idle longest (all are used alike)."""

OF = "a checkout pool"

STARTING = "starting"
IDLE = "idle"
BUSY = "busy"  # checked out, or being pinged
ENDING = "ending"
ENDED = "ended"


@dataclasses.dataclass(frozen=True, slots=True)
class PoolStatus:
    """How a checkout pool is.

    Attributes:
      state: ``"full"``: none is idle and there can be no more; else ``"overflow"``: there are more workers
        than `size`; else ``"ready"``.
      idle, busy, starting, ending: how many workers are what.
      waiting: how many clients wait.
      size, max_overflow: as given.
    """

    state: Literal["ready", "overflow", "full"]
    idle: int
    busy: int
    starting: int
    ending: int
    waiting: int
    size: int
    max_overflow: int


class _Worker:
    """One worker, which has a place in the pool until nothing of it is left."""

    __slots__ = ("idle_since", "is_unwanted", "pool", "process", "ref", "state")

    def __init__(self, pool: CheckoutPool[Any], spec: ChildSpec[Any]) -> None:
        self.pool = pool
        self.state = STARTING
        self.idle_since = 0.0
        self.is_unwanted = False
        server_class = spec.server_class
        self.ref: ServerRef[Any] = (server_class._ref_class or ServerRef)(spec.name)
        self.process = (server_class._process_class or Process)(
            spec, self.ref, supervised=True, on_exit=self.exited
        )
        bind(self.ref, self.process)
        self.process.lifecycle.call_on_ending(self.ending)

    @property
    def is_usable(self) -> bool:
        """Whether the client to whom it was given may have it: it has not come to its end meanwhile."""
        return self.state == BUSY and not self.process.lifecycle.killed

    def ending(self, _: Process) -> None:
        """It takes no more messages, so no client may get it."""
        # While it starts, who starts it finds out.
        if self.state != STARTING:
            self.pool._idle.pop(self, None)
            self.state = ENDING

    def exited(self, _: Process, _reason: object) -> None:
        del self.pool._workers[self]
        if self.state != STARTING:
            self.state = ENDED
            self.pool._fill()

    def dismiss(self) -> None:
        """It is needed no more; what it has been sent it still handles."""
        self.state = ENDING
        self.process.stop_in_order("shutdown")

    def throw_away(self) -> None:
        """Something is wrong with it: it ends at once."""
        self.state = ENDING
        shutdown = self.process.spec.shutdown
        self.process.kill("shutdown", -1.0 if isinstance(shutdown, str) else shutdown)


class CheckoutPoolRef(ServerRef[Any], Generic[S]):
    """A reference to a `CheckoutPool`, with what can be asked of it."""

    __slots__ = ()

    def checkout(self, *, wait: bool = True) -> AbstractAsyncContextManager[ServerRef[S]]:
        """``async with pool.checkout() as worker:`` has a worker to itself for as long as the block.

        However the block is left, by its end, an exception, a timeout or a cancellation, the worker goes
        back. If a call was cancelled in the block, the worker may still be handling it when the next client
        gets it; if that must not be, `remove` it.

        For a time limit on the waiting, put this into a cancel scope. A client that gives up releases
        its place in the queue, and no worker is lost.

        Args:
          wait: whether to wait in turn when all workers are in use.

        Raises:
          PoolFull: all workers are in use, and `wait` is false.
          ServerNotRunning: the pool is not running.
          ServerStopped: the pool ended meanwhile.
          Exception: the error with which a new worker failed to start.
        """
        return self._checkout(wait)

    @block
    async def _checkout(self, wait: bool) -> AsyncGenerator[ServerRef[S]]:
        try:
            pool = self._pool("checkout()")
        except ServerNotRunning:
            # A block that is cancelled together with its pool is to hear of the cancellation.
            await trio.lowlevel.checkpoint()
            raise
        worker = await pool._take(wait)
        try:
            yield worker.ref
        finally:
            pool._bring_back(worker)

    def remove(self, worker: ServerRef[S]) -> None:
        """End a worker instead of giving it to another client; at once, or when it comes back.

        Does nothing if the worker has ended.

        Raises:
          ServerNotRunning: the pool is not running.
        """
        pool = self._pool(f"remove({show(worker)})")
        for each in pool._workers:
            if each.ref is worker:
                each.is_unwanted = True
                if each.state == IDLE:
                    pool._bring_back(each)

    def status(self) -> PoolStatus:
        """How many workers are idle and busy, and how many clients wait. Not a checkpoint.

        Raises:
          ServerNotRunning: the pool is not running.
        """
        return self._pool("status()")._status()

    def _pool(self, request: str) -> CheckoutPool[S]:
        process = self._process
        instance = process.instance
        if not process.alive or instance is None or instance._closing:
            raise ServerNotRunning(self.name, request)
        return cast("CheckoutPool[S]", instance)


class CheckoutPool(GenServer, Generic[S]):
    """A server whose children are workers to be checked out. Start it with `open_checkout_pool`.

    Args:
      worker: its specification, or a server class that needs no arguments. A worker that has ended is
        always replaced, whatever the specification says of `restart`.
      size: how many workers there are.
      max_overflow: how many more are started while clients wait; they are ended when they come back and
        nobody waits.
      order: which idle worker is taken, see `CheckoutOrder`.
      lazy: start a worker only when a client waits for one. Else `size` are there from the beginning, and
        the pool does not start if one of them does not.
      idle_timeout: after how many seconds of idleness a worker is pinged; `math.inf` for never.
      ping: called with a worker that has been idle; unless it returns True, the worker is removed. Without
        it, the worker is removed in any case. Put a time limit into it.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """

    shutdown: ClassVar[Shutdown] = math.inf
    _ref_class: ClassVar[type[ServerRef[Any]] | None] = CheckoutPoolRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> CheckoutPoolRef[S]: ...

    def __init__(
        self,
        worker: ChildSpec[S] | type[S],
        *,
        size: int,
        max_overflow: int = 0,
        order: CheckoutOrder = "lifo",
        lazy: bool = False,
        idle_timeout: float = math.inf,
        ping: Callable[[ServerRef[S]], Awaitable[bool]] | None = None,
    ) -> None:
        self._spec = as_spec(worker, (), {})
        self._size = _whole("size", size, 1)
        self._max_overflow = _whole("max_overflow", max_overflow, 0)
        if order not in ("lifo", "fifo"):
            raise InvalidSpec("order", order, "'lifo' or 'fifo'", of=OF)
        if not isinstance(idle_timeout, int | float) or not idle_timeout > 0:
            raise InvalidSpec("idle_timeout", idle_timeout, "a positive number of seconds", of=OF)
        self._order: CheckoutOrder = order
        self._lazy = lazy
        self._idle_timeout = idle_timeout
        self._ping = ping
        # The state. All are ordered sets: the workers that have a place, those of them that are idle (the
        # longest first), and the clients that wait (the longest first). Nobody waits while one is idle.
        self._workers: dict[_Worker, None] = {}
        self._idle: dict[_Worker, None] = {}
        self._waiting: dict[trio.lowlevel.Task, None] = {}
        self._closing = False
        self._became_idle = trio.Event()

    async def init(self) -> None:
        """Start the workers, all at the same time."""
        nursery = self._nursery
        nursery.start_soon(self._await_end, name=f"the end of {self._process.name}")
        if self._idle_timeout != math.inf:
            nursery.start_soon(self._look_after_idle, name=f"idle workers of {self._process.name}")
        if self._lazy:
            return
        errors: list[Exception] = []
        async with trio.open_nursery() as starting:

            async def start() -> None:
                worker = self._new_worker()
                try:
                    await worker.process.start(nursery)
                except Exception as error:  # noqa: BLE001 - the first is raised below
                    errors.append(error)
                    starting.cancel_scope.cancel(reason="another worker failed to start")
                else:
                    self._started(worker)

            for _ in range(self._size):
                starting.start_soon(start)
        if errors:
            error = errors[0]
            try:
                raise error
            finally:
                # This frame is in its traceback, and so is that of each start.
                errors.clear()
                del error

    @property
    def _nursery(self) -> trio.Nursery:
        nursery = self._process.nursery
        assert nursery is not None
        return nursery

    async def _await_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._closing = True
            process = self._process
            reason = process.lifecycle.reason
            reason = "shutdown" if reason is UNSET else reason
            waiting, self._waiting = self._waiting, {}
            for task in waiting:
                error = ServerStopped(process.name, "checkout()", reason)
                trio.lowlevel.reschedule(task, outcome.Error(error))

    def format_status(self, state: dict[str, Any]) -> object:
        """The `PoolStatus`."""
        return self._status()

    def _status(self) -> PoolStatus:
        states = [worker.state for worker in self._workers]
        count = len(states)
        return PoolStatus(
            "full"
            if not self._idle and count >= self._size + self._max_overflow
            else "overflow"
            if count > self._size
            else "ready",
            states.count(IDLE),
            states.count(BUSY),
            states.count(STARTING),
            states.count(ENDING),
            len(self._waiting),
            self._size,
            self._max_overflow,
        )

    # Taking one, and bringing it back; in the client's task.

    async def _take(self, wait: bool) -> _Worker:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._idle:
            worker = self._idle.popitem()[0] if self._order == "lifo" else next(iter(self._idle))
            self._idle.pop(worker, None)
            worker.state = BUSY
            await trio.lowlevel.cancel_shielded_checkpoint()
            if worker.is_usable:
                return worker
        task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.pop(task, None)
            return trio.lowlevel.Abort.SUCCEEDED

        waited = False
        while True:
            if self._closing:
                await trio.lowlevel.checkpoint()
                raise ServerNotRunning(self._process.name, "checkout()")
            if not wait and len(self._workers) >= self._size + self._max_overflow:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise PoolFull(self._process.name, self._size, self._max_overflow)
            if waited:
                # The worker that it was given has died on the way to it: it has still waited longest.
                self._waiting = {task: None, **self._waiting}
            else:
                self._waiting[task] = None
            self._fill()
            worker = cast("_Worker", await trio.lowlevel.wait_task_rescheduled(abort))
            if worker.is_usable:
                return worker
            waited = True

    def _bring_back(self, worker: _Worker) -> None:
        if worker.state not in (BUSY, IDLE):
            return
        if worker.is_unwanted or worker.process.lifecycle.killed:
            self._idle.pop(worker, None)
            worker.throw_away()
        else:
            self._offer(worker)

    # The fate of a worker.

    def _offer(self, worker: _Worker) -> None:
        """It is free: for the client that has waited longest, to be idle, or one too many."""
        if self._waiting and not self._closing:
            task = next(iter(self._waiting))
            del self._waiting[task]
            worker.state = BUSY
            trio.lowlevel.reschedule(task, outcome.Value(worker))
        elif self._is_one_too_many():
            worker.dismiss()
        else:
            worker.state = IDLE
            worker.idle_since = trio.current_time()
            self._idle[worker] = None
            self._became_idle.set()

    def _is_one_too_many(self) -> bool:
        if len(self._workers) <= self._size:
            return False
        return sum(each.state in (IDLE, BUSY) for each in self._workers) > self._size

    def _fill(self, *, refill: bool = True) -> None:
        """Start as many workers as clients wait for, and as there should be; as far as there are places.

        Args:
          refill: also start workers for which no client waits.
        """
        if len(self._workers) >= self._size + self._max_overflow:
            return
        starting = sum(each.state == STARTING for each in self._workers)
        while not self._closing and not self._nursery.cancel_scope.cancel_called:
            places = len(self._workers)
            wanted = starting < len(self._waiting) and places < self._size + self._max_overflow
            if not wanted and not (refill and not self._lazy and places < self._size):
                return
            starting += 1
            self._nursery.start_soon(
                self._start, self._new_worker(), name=f"start of {self._spec.name} in {self._process.name}"
            )

    def _new_worker(self) -> _Worker:
        worker = _Worker(self, self._spec)
        self._workers[worker] = None
        return worker

    async def _start(self, worker: _Worker) -> None:
        try:
            await worker.process.start(self._nursery)
        except Exception as error:  # noqa: BLE001 - a client gets it
            if self._waiting:
                task = next(iter(self._waiting))
                del self._waiting[task]
                trio.lowlevel.reschedule(task, outcome.Error(error))
            else:
                if admits(self._process.ref, "worker"):
                    report(
                        self._process.ref,
                        "worker",
                        "%s could not start a worker: %s",
                        self._process.name,
                        show(error, LOGGED),
                        error=error,
                    )
            self._fill(refill=False)
        else:
            self._started(worker)

    def _started(self, worker: _Worker) -> None:
        worker.state = BUSY
        if worker.process.alive:
            self._offer(worker)
        elif worker in self._workers:
            worker.state = ENDING
        else:
            # It was quicker than this task.
            worker.state = ENDED
            self._fill()

    # Idle ones.

    async def _look_after_idle(self) -> None:
        while True:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                self._became_idle = trio.Event()
                await self._became_idle.wait()
            elif trio.current_time() < oldest.idle_since + self._idle_timeout:
                await trio.sleep_until(oldest.idle_since + self._idle_timeout)
            else:
                del self._idle[oldest]
                oldest.state = BUSY
                self._nursery.start_soon(self._see_to, oldest, name=f"ping of {oldest.ref.name}")

    async def _see_to(self, worker: _Worker) -> None:
        keep = False
        if self._ping is not None:
            try:
                keep = await await_callback(self._process.name, self._ping, "the ping", worker.ref)
            except Exception as error:  # noqa: BLE001 - it says that the worker is no good, in a way
                if admits(self._process.ref, "ping"):
                    report(
                        self._process.ref,
                        "ping",
                        "the ping of %s failed: %s; the worker is removed",
                        worker.ref.name,
                        show(error, LOGGED),
                    )
        if worker.state != BUSY:
            return
        if keep:
            self._bring_back(worker)
        else:
            worker.throw_away()


def _whole(field: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidSpec(field, value, f"a whole number of at least {least}", of=OF)
    return value


def checkout_pool_spec(
    worker: ChildSpec[S] | type[S],
    *,
    size: int,
    max_overflow: int = 0,
    order: CheckoutOrder = "lifo",
    lazy: bool = False,
    idle_timeout: float = math.inf,
    ping: Callable[[ServerRef[S]], Awaitable[bool]] | None = None,
    id: object = "CheckoutPool",
    name: str | None = None,
) -> ChildSpec[CheckoutPool[S]]:
    """A pool as the child of a supervisor, or for a block (`open_checkout_pool`).

    See `CheckoutPool` for the other arguments. Its reference is a `CheckoutPoolRef`.

    Args:
      id: what the supervisor above knows it by.
      name: what the pool is called in errors and logs; by default its id.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """
    spec = checked_spec(
        CheckoutPool[S],
        worker,
        size=size,
        max_overflow=max_overflow,
        order=order,
        lazy=lazy,
        idle_timeout=idle_timeout,
        ping=ping,
    )
    return identified(spec, id, name)


@takes_arguments_of(checkout_pool_spec)
def open_checkout_pool(spec: ChildSpec[CheckoutPool[S]]) -> AbstractAsyncContextManager[CheckoutPoolRef[S]]:
    """Run a pool for as long as the block: ``async with open_checkout_pool(Connection, size=4) as pool:``.

    It takes the arguments of `checkout_pool_spec`. However the block ends, the workers are ended, each with
    its `terminate`; all are gone when this is over.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
      Exception: the error with which a worker failed to start, unless `lazy`.
    """
    return open_server(spec)
