"""The base of all supervisors: children in a nursery of their own, and the reaction when one ends.

A supervisor is a `GenServer`: what is asked of it are messages, handled one by one, and nesting needs nothing
special. Three things make its `Process` more than the usual one.

**Where the children live.** A cancellation reaches every task under a scope at once. Were the children
below the supervisor, a cancelled tree would end in no order at all. So they live in a nursery that is
shielded, which a second task of the supervisor (`SupervisorProcess._keep`) holds open; the cancellation
reaches only the supervisor's main task, and that ends the children, in order, before it ends itself. The
shield leaves no child behind: the supervisor ends them when it ends, however that comes about.

**Who hears of an end.** The end of a child is told to `Child.exited`, in the child's last step, before anyone
who waits for that end goes on. It is put into `SupervisorProcess.exits`, which is looked at before the
mailbox: who asks the supervisor after a crash finds the restart done. A restart whose start failed is
different: it goes into `retries`, and has its turn when what was in the mailbox then has been handled, as in
OTP, where it is a message; so a child that can never start keeps nobody out.

**What it waits for.** While it waits for a child's `init` or `terminate`, it says so (`_waits_for`), so that
a child that calls its supervisor from there is refused with `CallCycle`, and does not hang.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, cast

import trio

from ._cancellation import is_cancellation
from ._cycle import fail_waits_for
from ._errors import InitIgnored, ServerNotRunning
from ._interrupt import protected
from ._kept import kept
from ._life import fail_withheld, in_its_end
from ._lifecycle import ENDED, OnExit
from ._log import say_left_out
from ._process import Process
from ._ref import ServerRef, bind
from ._request import Request
from ._restart import RestartWindow, wants_restart
from ._server import GenServer
from ._shown import shown_state
from ._supervisor_errors import ChildStartFailed, RestartIntensityExceeded
from ._text import show

if TYPE_CHECKING:
    from ._spec import ChildSpec
    from ._startable import ChildRef

__all__ = [
    "BaseSupervisor",
    "BaseSupervisorRef",
    "Child",
    "ChildCounts",
    "ChildInfo",
    "ChildStatus",
    "SupervisorProcess",
]

S_co = TypeVar("S_co", bound="GenServer", covariant=True)

ChildStatus: TypeAlias = Literal["starting", "running", "restarting", "stopping", "stopped"]
"""What a child is doing. ``"starting"``: its first `init`, or that of `restart_child`, is not over.
``"restarting"``: it has ended, and its supervisor is starting it again, perhaps after failed starts.
``"stopped"``: it has ended, or never ran, and its specification is kept."""

BRUTAL = -1.0


@dataclasses.dataclass(frozen=True, slots=True)
class ChildInfo:
    """One child, as `which_children` shows it.

    Attributes:
      id: what its supervisor knows it by.
      ref: its reference, also while it does not run.
      status: see `ChildStatus`.
      is_supervisor: whether it is a supervisor itself; else it is a worker.
      spec: its specification.
    """

    id: object
    ref: ChildRef
    status: ChildStatus
    is_supervisor: bool
    spec: ChildSpec[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class ChildCounts:
    """How many children there are.

    Attributes:
      specs: all, whether they run or not.
      active: those that run.
      supervisors, workers: of all, how many are which.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class Child:
    """One child of a supervisor, over all its incarnations.

    Attributes:
      process: the present incarnation, or the last; None before the first.
      status: as `ChildStatus`, and ``"exited"``: the supervisor is yet to find out what to do about it.
      retrying: whether it is in `SupervisorProcess.retries`.
    """

    __slots__ = ("process", "ref", "retrying", "spec", "status", "supervisor")

    def __init__(
        self, supervisor: SupervisorProcess, spec: ChildSpec[Any], ref: ServerRef[Any] | None = None
    ) -> None:
        self.supervisor = supervisor
        self.spec = spec
        self.ref: ServerRef[Any] = (
            (spec.server_class._ref_class or ServerRef)(spec.name) if ref is None else ref
        )
        self.process: Process | None = None
        self.retrying = False
        self.status: ChildStatus | Literal["exited"] = "stopped"

    @property
    def is_supervisor(self) -> bool:
        return issubclass(self.spec.server_class, BaseSupervisor)

    @property
    def alive(self) -> bool:
        """Whether there is a task of it."""
        return self.process is not None and self.process.lifecycle.state != ENDED

    def new_process(self) -> Process:
        """A new incarnation, behind the same reference."""
        on_exit: OnExit = self.exited
        process = (self.spec.server_class._process_class or Process)(
            self.spec, self.ref, supervised=True, on_exit=on_exit
        )
        self.process = process
        bind(self.ref, process)
        return process

    def exited(self, process: Process, reason: object) -> None:
        """Called in the last step of an incarnation."""
        # The task that starts or stops it waits for it, and need not be told.
        if self.status == "running" and process is self.process:
            self.status = "exited"
            self.supervisor.exits.append(self)
            self.supervisor.turn.wake()

    def info(self) -> ChildInfo:
        status: ChildStatus
        if self.status == "exited":
            assert self.process is not None
            again = wants_restart(self.spec.restart, self.process.lifecycle.reason)
            status = "restarting" if again else "stopped"
        else:
            status = self.status
        return ChildInfo(self.spec.id, cast("ChildRef", self.ref), status, self.is_supervisor, self.spec)


class SupervisorProcess(Process):
    """The process of one supervisor.

    Attributes:
      table: the children by what they are known by, in the order of their first start.
      exits: children that ended by themselves, not dealt with yet.
      retries: children whose restart failed, to be tried again, and before which message.
      rounds: how often the mailbox was returned to while there were some.
      home: the nursery in which the children live.
      gave_up: the error, if restarting did not help.
    """

    __slots__ = ("_close", "_closed", "exits", "gave_up", "home", "retries", "rounds", "table")

    def __init__(
        self,
        spec: ChildSpec[Any],
        ref: ServerRef[Any],
        *,
        supervised: bool = False,
        on_exit: OnExit | None = None,
    ) -> None:
        super().__init__(spec, ref, supervised=supervised, on_exit=on_exit)
        self.table: dict[object, Child] = {}
        self.exits: deque[Child] = deque()
        self.retries: deque[tuple[Child, int]] = deque()
        self.rounds = 0
        self.home: trio.Nursery | None = None
        self.gave_up: RestartIntensityExceeded | None = None
        self._close = trio.Event()
        self._closed = trio.Event()

    # The life.

    @protected
    async def run(self) -> None:
        await super().run()
        if self.gave_up is not None and not self.supervised:
            error, self.gave_up = self.gave_up, None
            try:
                raise error
            finally:
                # This frame is in its traceback.
                del error

    async def live(self) -> None:
        async with trio.open_nursery() as nursery:
            opened = trio.Event()
            nursery.start_soon(self._keep, opened, name=f"children of {self.name}")
            with trio.CancelScope(shield=True):
                await opened.wait()
            try:
                await super().live()
            finally:
                await self._end_children()

    async def _keep(self, opened: trio.Event) -> None:
        """Hold the nursery open in which the children live, out of reach of any cancellation."""
        try:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    self.home = nursery
                    opened.set()
                    await self._close.wait()
        finally:
            # Also if a child's task raised past everything that catches a crash: this is then the end.
            self._closed.set()

    async def attend(self) -> Any:
        verdict = await super().attend()
        if verdict is not None or self.turn.suspended:
            return verdict
        assert self.home is not None
        while (self.exits or self._has_retry()) and not self.home.cancel_scope.cancel_called:
            policy = cast("BaseSupervisor", self.instance)
            try:
                if self.exits:
                    await policy._child_exited(self.exits.popleft())
                else:
                    await policy._try_again(self.retries.popleft()[0])
            except BaseException as error:
                if is_cancellation(error):
                    raise
                # No child's: the supervisor's own crash.
                self.crashed(error, None)
            if self.turn.attention:
                # It has been woken up meanwhile: perhaps to stop.
                verdict = await super().attend()
                if verdict is not None or self.turn.suspended:
                    return verdict
        if self.retries:
            # Look again before the next message.
            self.rounds += 1
            self.turn.look_again()
        return None

    def _has_retry(self) -> bool:
        """Whether to try a child again before the next message."""
        if not self.retries:
            return False
        return self.mailbox is None or not self.mailbox.ready or self.retries[0][1] <= self.rounds

    def try_later(self, child: Child) -> None:
        """Have the start of `child` tried again."""
        ahead = self.mailbox.ready if self.mailbox is not None else 0
        self.retries.append((child, self.rounds + ahead))

    async def _end_children(self) -> None:
        """End all children and close the nursery in which they lived; in a shield, and in time."""
        # Not one of them, in its end, is to wait for an answer from here.
        self.lifecycle.take_no_more(self)
        self.lifecycle.end_for("shutdown")
        fail_withheld(self)
        try:
            await self._stop_all()
        finally:
            self._close.set()
            with trio.CancelScope(shield=True):
                await self._closed.wait()

    async def _stop_all(self) -> None:
        children = list(self.table.values())
        if not children:
            return
        in_parallel = cast("type[BaseSupervisor]", self.spec.server_class)._stops_in_parallel
        stop = self.stop_in_parallel if in_parallel else self.stop_in_reverse
        try:
            if not self.lifecycle.out_of_time:
                await in_its_end(self, partial(stop, children))
        finally:
            # The children that remain when the time is up.
            with trio.CancelScope(shield=True):
                for child in children:
                    if child.alive:
                        self._kill(child, BRUTAL)
                for child in reversed(children):
                    if child.alive:
                        assert child.process is not None
                        await child.process.wait_ended()

    # Starting and stopping children. All of these run in the supervisor's main task.

    @contextmanager
    def _waits_for(self, child: Child, what: str) -> Generator[None]:
        assert child.process is not None
        if self.lifecycle.ending:
            # A call now fails because it is not running, and does not wait.
            yield
            return
        request: Request[None] = Request(child.process, what)
        if self.waiting is None:
            self.waiting = []
        self.waiting.append(request)
        try:
            yield
        finally:
            self.waiting.remove(request)

    async def start_child(self, child: Child) -> None:
        """Start it, and wait until its `init` has finished.

        Raises:
          InitIgnored: its `init` raised `Ignore`.
          ChildStartFailed: its start failed; the child is ``"stopped"``.
          BaseException: what no supervisor is to hold up, as a `KeyboardInterrupt` in its `init`.
        """
        assert self.home is not None
        process = child.new_process()
        if child.status != "restarting":
            child.status = "starting"
        try:
            with self._waits_for(child, "start"):
                await process.start(self.home)
        except InitIgnored:
            child.status = "stopped"
            raise
        except Exception as error:
            child.status = "stopped"
            raise ChildStartFailed(self.name, child.spec.id, error) from error
        except BaseException:
            child.status = "stopped"
            raise
        child.status = "running"
        if process.lifecycle.state == ENDED:
            # It ran, and was quicker than this task.
            child.exited(process, process.lifecycle.reason)

    async def stop_child(self, child: Child, then: ChildStatus = "stopped") -> None:
        """End it as its `shutdown` says, and wait until it has ended; or give up a restart.

        Args:
          then: what its status is to be.
        """
        if child.alive:
            assert child.process is not None
            child.status = "stopping"
            self._kill(child)
            with self._waits_for(child, "shutdown"):
                # Those that its `terminate` waits for; a cancellation does not reach them.
                fail_waits_for(self, child.process)
                await child.process.wait_ended()
        child.status = then
        if then == "stopped" and not self.lifecycle.ending:
            say_left_out(child.ref)

    async def stop_in_reverse(self, children: Iterable[Child], then: ChildStatus = "stopped") -> None:
        """`stop_child` each, the last first."""
        for child in reversed(list(children)):
            await self.stop_child(child, then)

    async def stop_in_parallel(self, children: Iterable[Child]) -> None:
        """`stop_child` all of them at the same time, each with the time that it has itself."""
        stopping: list[Child] = []
        for child in children:
            if child.alive:
                child.status = "stopping"
                self._kill(child)
                stopping.append(child)
            else:
                child.status = "stopped"
        for child in stopping:
            assert child.process is not None
            if child.process.lifecycle.state != ENDED:
                await child.process.wait_ended()
            child.status = "stopped"

    def _kill(self, child: Child, grace: float | None = None) -> None:
        assert child.process is not None
        if grace is None:
            shutdown = child.spec.shutdown
            grace = BRUTAL if shutdown == "brutal_kill" else shutdown
        child.process.kill("shutdown", grace)

    has_family = True

    @property
    def family(self) -> list[ServerRef[Any]]:
        return [child.ref for child in self.table.values()]

    # Giving up.

    def give_up(self, child: Child, reason: object, window: RestartWindow) -> None:
        """One end too many: this supervisor ends, and says why."""
        if isinstance(reason, BaseException):
            # The child keeps its own.
            reason = kept(reason)
        error = RestartIntensityExceeded(
            self.name, child.spec.id, reason, window.max_restarts, window.max_seconds
        )
        process = child.process
        if isinstance(process, SupervisorProcess) and process.gave_up is not None:
            error.__cause__ = kept(process.gave_up)
        self.gave_up = error
        if self.hooks.server_crashed:
            self.hooks.tell("server_crashed", self.ref, error, None, shown_state(self))
        self.stop_now("shutdown")


class BaseSupervisorRef(ServerRef[S_co]):
    """A reference to a supervisor of any kind: what can be seen of its children.

    The answer comes at once, even while the supervisor is busy; this is not a message.
    """

    __slots__ = ()

    def which_children(self) -> list[ChildInfo]:
        """All children, in the order of their first start.

        Raises:
          ServerNotRunning: the supervisor is not running.
        """
        return [child.info() for child in self._table("which_children").values()]

    def count_children(self) -> ChildCounts:
        """How many children there are.

        Raises:
          ServerNotRunning: the supervisor is not running.
        """
        children = self._table("count_children").values()
        active = sum(child.status == "running" for child in children)
        supervisors = sum(child.is_supervisor for child in children)
        return ChildCounts(len(children), active, supervisors, len(children) - supervisors)

    def _table(self, method: str, *args: object) -> dict[object, Child]:
        process = self._process
        if not process.alive:
            raise ServerNotRunning(self.name, f"{method}({', '.join(map(show, args))})")
        return cast("SupervisorProcess", process).table


class BaseSupervisor(GenServer):
    """The common base of `Supervisor` and `DynamicSupervisor`. Not to be subclassed by users."""

    shutdown: ClassVar[Any] = math.inf
    mailbox_size: ClassVar[float] = math.inf
    _process_class = SupervisorProcess
    _stops_in_parallel: ClassVar[bool] = False

    _window: RestartWindow

    __slots__ = ()

    def format_status(self, state: dict[str, Any]) -> object:
        """How many children there are and how often one was restarted of late, in place of the machinery."""
        children = self._tree.table.values()
        return {
            "children": len(children),
            "active": sum(child.status == "running" for child in children),
            "restarts": self._window.count,
        }

    @property
    def _tree(self) -> SupervisorProcess:
        return cast("SupervisorProcess", self._process)

    async def _child_exited(self, child: Child) -> None:
        """`child` has ended by itself."""
        assert child.process is not None
        if child.status != "exited":
            # Stopped, or started again, while it waited for its turn.
            return
        reason = child.process.lifecycle.reason
        if isinstance(reason, BaseException) and not isinstance(reason, Exception):
            # An interrupt from the keyboard is not the child's, and no restart answers it.
            self._tree.crashed(reason, None)
        elif wants_restart(child.spec.restart, reason):
            child.status = "restarting"
            await self._count_and_restart(child, reason)
        else:
            child.status = "stopped"
            say_left_out(child.ref)
            self._child_finished(child)

    async def _try_again(self, child: Child) -> None:
        """The start of `child` in a restart has failed."""
        child.retrying = False
        # Unless somebody has stopped or started it meanwhile.
        if child.status == "restarting":
            assert child.process is not None
            await self._count_and_restart(child, child.process.lifecycle.reason)

    async def _count_and_restart(self, child: Child, reason: object) -> None:
        if self._window.add(trio.current_time()):
            await self._restart(child, reason)
        else:
            child.status = "stopped"
            self._tree.give_up(child, reason, self._window)

    async def _restart(self, child: Child, reason: object) -> None:
        """Start `child` again, and whatever else the strategy says."""
        raise NotImplementedError

    def _child_finished(self, child: Child) -> None:
        """`child` has ended by itself and is not to be restarted."""
        raise NotImplementedError

    async def _start_again(self, child: Child, reason: object) -> bool:
        """Start one child as part of a restart; False: that failed, and will be tried again."""
        process = self._tree
        try:
            await process.start_child(child)
        except InitIgnored:
            self._ignored(child)
            return True
        except ChildStartFailed as failure:
            child.status = "restarting"
            if process.hooks.server_restart_failed:
                error = failure.__cause__
                process.hooks.tell("server_restart_failed", child.ref, error, self._window.count)
            if not child.retrying:
                child.retrying = True
                process.try_later(child)
            return False
        if process.hooks.server_restarted:
            process.hooks.tell("server_restarted", child.ref, reason, self._window.count)
        return True

    def _ignored(self, child: Child) -> None:
        """The `init` of `child` raised `Ignore` in a restart."""
        raise NotImplementedError
