"""Supervised one-off tasks: work that ends, with a handle to its result (Elixir's ``Task.Supervisor``).

A nursery runs tasks and throws their results away; and one that fails takes all others with it. A server
is for state that is kept. Between the two is work of which the result is wanted, later, by whoever has the
handle, and whose failure may or may not concern the others.

A `Task` runs in a child task of a `TaskSupervisor`, which is a server, so tasks are part of the supervision
tree and end with it.

Isolated or not: where Elixir links the task to its caller, Trio has the block. The failure of a task that was
started with `TaskSupervisorRef.start` is the failure of the supervisor and so of the block that opened it;
the failure of one started with `start_isolated` only reaches the tasks that wait for it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, TypeVarTuple, Unpack, cast

import trio
import trio.lowlevel

from ._blocks import block, raise_alone
from ._child_spec import checked_spec, identified
from ._cycle import execution_var
from ._errors import ServerNotRunning
from ._lifecycle import UNSET
from ._moved import renamed
from ._ref import ServerRef
from ._server import GenServer
from ._spec import ChildSpec, InvalidSpec, Shutdown
from ._start import open_server, sole_exception, takes_arguments_of
from ._supervisor_errors import MaxChildrenReached
from ._task import Job, Task, callers_var, end_by, not_run
from ._text import show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ._process import Process

__all__ = ["TaskSupervisor", "TaskSupervisorRef", "open_task_supervisor", "task_supervisor_spec"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

OF = "a task supervisor"


if TYPE_CHECKING:
    # As that of `SupervisorRef`.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_co = TypeVarWithDefault("T_co", bound="TaskSupervisor", covariant=True, default="TaskSupervisor")
else:
    T_co = TypeVar("T_co", bound="TaskSupervisor", covariant=True)


class TaskSupervisorRef(ServerRef[T_co]):
    """A reference to a `TaskSupervisor`, with what can be asked of it. Nothing here waits for its mailbox."""

    __slots__ = ()

    def start(
        self,
        async_fn: Callable[[Unpack[Ts]], Awaitable[R]],
        *args: *Ts,
        shutdown: Shutdown | None = None,
    ) -> Task[R]:
        """Run ``async_fn(*args)`` in a task; its failure is the supervisor's. Not a checkpoint.

        If it raises, the supervisor crashes, with all its tasks; the block of `open_task_supervisor` is
        cancelled and raises that exception.

        Args:
          shutdown: seconds that it may go on when the supervisor ends, before it is cancelled; the
            supervisor's own `task_shutdown` by default.

        Raises:
          MaxChildrenReached: there are as many as there may be.
          ServerNotRunning: the supervisor is not running. While it is ending, the task is stopped at once
            instead, as in a cancelled nursery.
        """
        return self._start(async_fn, args, is_isolated=False, shutdown=shutdown)

    def start_isolated(
        self,
        async_fn: Callable[[Unpack[Ts]], Awaitable[R]],
        *args: *Ts,
        shutdown: Shutdown | None = None,
    ) -> Task[R]:
        """Like `start`, but its failure only reaches the tasks that wait for it; it is logged anyway."""
        return self._start(async_fn, args, is_isolated=True, shutdown=shutdown)

    start_nolink = renamed(start_isolated)

    def _start(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        *,
        is_isolated: bool,
        shutdown: Shutdown | None,
    ) -> Task[Any]:
        job = Job(async_fn, args)
        return self._supervisor("start", job)._start(job, is_isolated=is_isolated, shutdown=shutdown)

    @property
    def tasks(self) -> list[Task[Any]]:
        """The tasks that run, in the order of their start.

        Raises:
          ServerNotRunning: the supervisor is not running.
        """
        return list(self._supervisor("tasks")._tasks)

    async def wait_idle(self) -> None:
        """Wait until no task runs. A checkpoint.

        Raises:
          ServerNotRunning: the supervisor is not running.
        """
        try:
            supervisor = self._supervisor("wait_idle")
        except ServerNotRunning:
            await trio.lowlevel.checkpoint()
            raise
        await supervisor._wait_idle()

    def _supervisor(self, method: str, *args: object) -> TaskSupervisor:
        process: Process = self._process
        instance = process.instance
        if instance is None:
            raise ServerNotRunning(self.name, f"{method}({', '.join(map(show, args))})")
        return cast("TaskSupervisor", instance)


class TaskSupervisor(GenServer):
    """A server whose children are tasks that end. Start one with `open_task_supervisor`, or in a tree.

    Args:
      max_children: how many may run at a time; None for no bound.
      task_shutdown: how long a task goes on, in seconds, when this supervisor ends, before it is cancelled.
        With 0 (or ``"brutal_kill"``) it is cancelled at once, as any task in a nursery; with more, no
        cancellation from outside reaches it before.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """

    shutdown: ClassVar[Shutdown] = math.inf
    _ref_class: ClassVar[type[ServerRef[Any]] | None] = TaskSupervisorRef
    if TYPE_CHECKING:

        @property
        def ref(self) -> TaskSupervisorRef[Self]: ...

    def __init__(self, *, max_children: int | None = None, task_shutdown: Shutdown = 0.0) -> None:
        if max_children is not None and (
            isinstance(max_children, bool) or not isinstance(max_children, int) or max_children < 0
        ):
            raise InvalidSpec("max_children", max_children, "a whole number of at least 0, or None", of=OF)
        self._max_children = max_children
        self._task_shutdown: Shutdown = _check_shutdown(task_shutdown)
        # An ordered set of those that run, who waits for the last of them, and whether there may be more.
        self._tasks: dict[Task[Any], None] = {}
        self._idle: trio.Event | None = None
        self._closing = True

    async def init(self) -> None:
        """Wait for the end, from the beginning: it comes as a cancellation."""
        assert self._process.nursery is not None
        self._process.nursery.start_soon(self._await_end, name=f"the end of {self._process.name}")
        self._closing = False

    async def _await_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._closing = True
            now = trio.current_time()
            grace = self._process.lifecycle.grace
            for task in self._tasks:
                deadline = now + task._shutdown
                end_by(task, deadline if grace is UNSET else min(deadline, grace))

    def format_status(self, state: dict[str, Any]) -> object:
        """The tasks that run."""
        return {"max_children": self._max_children, "tasks": list(self._tasks)}

    def _start(self, job: Job, *, is_isolated: bool, shutdown: Shutdown | None) -> Task[Any]:
        process = self._process
        if self._max_children is not None and len(self._tasks) >= self._max_children:
            raise MaxChildrenReached(process.name, job, self._max_children)
        caller = execution_var.get()
        parent = trio.lowlevel.current_task().name if caller is None else caller.name
        task: Task[Any] = Task(
            process,
            job,
            is_isolated=is_isolated,
            shutdown=self._task_shutdown if shutdown is None else _check_shutdown(shutdown),
            callers=(parent, *callers_var.get()),
            forget=self._forget,
        )
        if process.hooks.message_sent:
            process.hooks.tell("message_sent", process.ref, task)
        if self._closing or not process.alive:
            # As in a cancelled nursery: a block that is cancelled together with its supervisor is to hear of
            # the cancellation, at its next checkpoint, and not of a supervisor that is not there.
            not_run(task)
            return task
        assert process.nursery is not None
        self._tasks[task] = None
        task._runs = True
        process.nursery.start_soon(task._run, name=task.name)
        return task

    async def _wait_idle(self) -> None:
        if not self._tasks:
            await trio.lowlevel.checkpoint()
        while self._tasks:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()

    def _forget(self, task: Task[Any]) -> None:
        del self._tasks[task]
        if not self._tasks and self._idle is not None:
            self._idle.set()
            self._idle = None


def _check_shutdown(shutdown: Shutdown) -> Shutdown:
    seconds = isinstance(shutdown, int | float) and not isinstance(shutdown, bool) and shutdown >= 0
    if not seconds and shutdown != "brutal_kill":
        raise InvalidSpec("task_shutdown", shutdown, "seconds (at least 0), math.inf or 'brutal_kill'", of=OF)
    return shutdown


def task_supervisor_spec(
    *,
    max_children: int | None = None,
    task_shutdown: Shutdown = 0.0,
    id: object = "TaskSupervisor",
    name: str | None = None,
) -> ChildSpec[TaskSupervisor]:
    """A task supervisor as the child of a supervisor, or for a block (`open_task_supervisor`).

    See `TaskSupervisor` for the other arguments. Its reference is a `TaskSupervisorRef`. A child may have
    several users, so start tasks in it with `start_isolated`.

    Args:
      id: what the supervisor above knows it by.
      name: what the supervisor is called in errors and logs; by default its id.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
    """
    spec = checked_spec(TaskSupervisor, max_children=max_children, task_shutdown=task_shutdown)
    return identified(spec, id, name)


@takes_arguments_of(task_supervisor_spec)
def open_task_supervisor(spec: ChildSpec[TaskSupervisor]) -> AbstractAsyncContextManager[TaskSupervisorRef]:
    """Run a task supervisor for as long as the block: ``async with open_task_supervisor() as tasks:``.

    It takes the arguments of `task_supervisor_spec`. As a nursery does, the end of the block waits for the
    tasks that still run. If the block raises or is cancelled, or a task fails that was started with
    `TaskSupervisorRef.start`, they are ended as `task_shutdown` says. None is left when this is over.

    Raises:
      InvalidSpec: an argument is invalid; the error names it.
      Exception: what a task failed with that was started with `TaskSupervisorRef.start`.
    """
    return _open(spec)


@block
async def _open(spec: ChildSpec[TaskSupervisor]) -> AsyncGenerator[TaskSupervisorRef]:
    try:
        async with open_server(spec) as ref:
            tasks = ref
            yield tasks
            supervisor = ref._process.instance
            if supervisor is not None:
                await supervisor._wait_idle()
    except BaseExceptionGroup as group:
        # The same failure comes twice if the block waited for the task: from the wait, and from the task.
        failure = sole_exception(group)
        if failure is group:
            raise
    else:
        return
    try:
        raise_alone(failure)
    finally:
        # This frame is in its traceback.
        del failure
