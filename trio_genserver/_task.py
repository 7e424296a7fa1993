"""Supervised one-off tasks: work that ends, with a handle to its result (Elixir's ``Task``).

A nursery runs tasks and throws their results away; and one that fails takes all others with it. A server
is for state that is kept. Between the two is work of which the result is wanted, later, by whoever has the
handle, and whose failure may or may not concern the others.

A `Task` is a `Request`: the slot in which a result arrives, with its guarantees. It ends; any number may
wait for it; a wait that is cancelled leaves it alone; and waiting for a task that waits, over some calls,
for the server that waits, is refused with `CallCycle`. What runs it is a child task of a `TaskSupervisor`, a
server, so tasks are a part of the supervision tree and end with it.

Linked or not: where Elixir links the task to its caller, Trio has the block. The failure of a task
that was started with `TaskSupervisorRef.start` is the failure of the supervisor and so of the block that
opened it; one started with `start_nolink` concerns only those who wait for it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple, Unpack, cast

import trio
import trio.lowlevel
from outcome import Error, Outcome, Value

from ._cancellation import is_cancellation
from ._cycle import Execution, execution_var, waiting_for
from ._errors import CallCycle, ServerNotRunning, TaskStopped
from ._process_state import UNSET
from ._ref import ServerRef
from ._request import BEGUN, GIVEN_UP, Countdown, Info, Request, as_completed
from ._server import GenServer
from ._spec import ChildSpec, InvalidSpec, Shutdown, child_spec
from ._start import open_server
from ._supervisor_errors import MaxChildrenReached

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ._process import Process

__all__ = [
    "Task",
    "TaskSupervisor",
    "TaskSupervisorRef",
    "open_task_supervisor",
    "poll_many",
    "task_supervisor_spec",
]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

OF = "a task supervisor"

# The names of those who started the present task, the nearest first (Elixir's ``$callers``).
_callers: ContextVar[tuple[str, ...]] = ContextVar("trio_genserver.callers", default=())


class _Work(Execution):
    """What a task does, as one that may wait for servers, and be waited for."""

    __slots__ = ("_name", "_process")

    def __init__(self, name: str, process: Process) -> None:
        self.task = None
        self.waiting = None
        self._name = name
        self._process = process

    @property
    def server(self) -> Process:
        return self._process

    @property
    def name(self) -> str:
        return self._name


class _Job:
    """The function of a task and its arguments; the message of the request that a task is."""

    __slots__ = ("args", "async_fn")

    def __init__(self, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self.async_fn = async_fn
        self.args = args

    @property
    def name(self) -> str:
        return getattr(self.async_fn, "__qualname__", repr(self.async_fn))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.args))})"


class Task(Request[R]):
    """A handle for one task; comes from `TaskSupervisorRef.start` and `TaskSupervisorRef.start_nolink`.

    ``await task.wait()`` gives what its function returned, and raises what that raised, or `TaskStopped` if
    it was ended before. For a time limit, put the wait into a cancel scope: the task goes on, and its
    result may be collected later, or never; it reaches nobody else. What takes requests takes tasks: `check`
    and `done`, `wait_all` for several, `as_completed` for each as it ends.

    Attributes:
      name: what it is called in errors and logs.
      async_fn, args: what it runs.
      callers: the names of those who started it, the nearest first: the server or task, the one that
        started that, and so on.
      is_linked: whether its failure is its supervisor's.
    """

    __slots__ = ("_scope", "_shutdown", "_supervisor", "callers", "is_linked", "name")

    def __init__(
        self,
        supervisor: TaskSupervisor,
        job: _Job,
        *,
        is_linked: bool,
        shutdown: Shutdown,
        callers: tuple[str, ...],
    ) -> None:
        process = supervisor._process
        super().__init__(process, job)
        self.name = f"{process.name}.{job.name}"
        self.executor = _Work(self.name, process)
        self.state = BEGUN
        self.is_linked = is_linked
        self.callers = callers
        self._supervisor = supervisor
        self._shutdown = 0.0 if isinstance(shutdown, str) else shutdown
        # Who is to go on for a while in the end must not be reached by a cancellation of everything.
        self._scope = trio.CancelScope(shield=self._shutdown > 0)

    def __repr__(self) -> str:
        state = ("queued", "running", "done", "failed", "ignored")[self.state]
        return f"<Task {self.message!r} of {self.process.name}, {state}>"

    @property
    def async_fn(self) -> Callable[..., Awaitable[R]]:
        return cast("_Job", self.message).async_fn

    @property
    def args(self) -> tuple[Any, ...]:
        return cast("_Job", self.message).args

    @property
    def outcome(self) -> Outcome[R] | None:
        """How it ended, as in `outcome`: its value, or its exception; None if it has not."""
        if not self.done:
            return None
        try:
            return Value(self.check())
        except BaseException as error:  # noqa: BLE001 - it is the task's, and returned
            return Error(error)

    async def poll(self, seconds: float = 0.0) -> Outcome[R] | None:
        """Wait for at most `seconds`, and return its `outcome`, or None: it runs (Elixir's ``yield``).

        Being asked never fails, also if the task has. A checkpoint.

        Raises:
          CallCycle: `seconds` is infinite, and waiting would be for ever.
        """
        if seconds == math.inf:
            await self._settled_at_last()
        else:
            with trio.move_on_after(seconds):
                await self._settled()
        return self.outcome

    async def shutdown(self, grace: float = 0.0) -> R | None:
        """End it, and wait until it has ended.

        Args:
          grace: seconds from now until it is cancelled.

        Returns:
          its value, if it has ended with one, before or meanwhile; None if it was cancelled.

        Raises:
          Exception: what it has failed with.
          CallCycle: `grace` is infinite, and waiting would be for ever.
        """
        if not self.done:
            self._end_by(trio.current_time() + grace)
        await (self._settled_at_last() if grace == math.inf else self._settled())
        try:
            return self.check()
        except TaskStopped:
            return None

    def ignore(self) -> Outcome[R] | None:
        """Let it run on, and want nothing of it: its result is dropped, its failure is only logged.

        Who waits for it gets `RequestAbandoned`.

        Returns:
          its `outcome`, if it has ended already.
        """
        ended = self.outcome
        self.is_linked = False
        self.abandon()
        return ended

    def send_to(self, server: ServerRef[Any]) -> None:
        """Have this `Task` sent to the `handle_info` of a server as soon as it has ended, however.

        It is sent beyond the bound of the mailbox, so that it is not lost; not if the server is not running.
        In `handle_info`, `check` gives the result.
        """

        def send(task: Request[Any]) -> None:
            server._process.deliver_always(Info(task))

        if self.done:
            send(self)
        else:
            self.on_done(send)

    async def _settled(self) -> None:
        """Wait until it is `done`, however it ends. A checkpoint."""
        await Countdown([self]).wait()

    async def _settled_at_last(self) -> None:
        """`_settled`, where nothing else ends the wait."""
        if self.done:
            await self._settled()
            return
        try:
            with waiting_for(self):
                await self._settled()
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise

    async def _run(self) -> None:
        work = cast("_Work", self.executor)
        work.task = trio.lowlevel.current_task()
        execution_var.set(work)
        _callers.set(self.callers)
        process = self.process
        if process.hooks.message_received:
            process.hooks.tell("message_received", process.ref, self)
        value: Any = None
        try:
            with self._scope:
                value = await self.async_fn(*self.args)
            if self._scope.cancelled_caught:
                self._stopped()
            elif self.state == GIVEN_UP:
                process.drop(self, "late reply")
            else:
                self.reply(value)
            process._handled(self)
        except BaseException as error:
            if is_cancellation(error):
                self._stopped()
                raise
            # It is kept for those who wait, and reported.
            self._failed(error)
        finally:
            self._supervisor._forget(self)

    def _stopped(self) -> None:
        reason = self.process.reason
        if self.unanswered:
            self.fail(TaskStopped(self.name, self.message, "shutdown" if reason is UNSET else reason))

    def _failed(self, error: BaseException) -> None:
        process = self.process
        if process.hooks.task_crashed:
            process.hooks.tell("task_crashed", self, error)
        if self.unanswered:
            self.fail(error)
        # An interrupt from the keyboard is nobody's to keep.
        if self.is_linked or not isinstance(error, Exception):
            process.crashed(error, self.message)

    def _end_by(self, deadline: float) -> None:
        self._scope.deadline = min(self._scope.deadline, deadline)


class TaskSupervisorRef(ServerRef["TaskSupervisor"]):
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
          ServerNotRunning: the supervisor is not running (any more). While it is ending, the task is
            stopped at once instead, as in a cancelled nursery.
        """
        return self._start(async_fn, args, is_linked=True, shutdown=shutdown)

    def start_nolink(
        self,
        async_fn: Callable[[Unpack[Ts]], Awaitable[R]],
        *args: *Ts,
        shutdown: Shutdown | None = None,
    ) -> Task[R]:
        """`start`, but its failure concerns only those who wait for it; it is logged all the same."""
        return self._start(async_fn, args, is_linked=False, shutdown=shutdown)

    def _start(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        *,
        is_linked: bool,
        shutdown: Shutdown | None,
    ) -> Task[Any]:
        job = _Job(async_fn, args)
        return self._supervisor(f"start({job!r})")._start(job, is_linked=is_linked, shutdown=shutdown)

    @property
    def tasks(self) -> list[Task[Any]]:
        """The tasks that run, in the order of their start.

        Raises:
          ServerNotRunning: the supervisor is not running (any more).
        """
        return list(self._supervisor("tasks")._tasks)

    async def wait_idle(self) -> None:
        """Wait until no task runs. A checkpoint.

        Raises:
          ServerNotRunning: the supervisor is not running (any more).
        """
        try:
            supervisor = self._supervisor("wait_idle()")
        except ServerNotRunning:
            await trio.lowlevel.checkpoint()
            raise
        await supervisor._wait_idle()

    def _supervisor(self, request: str) -> TaskSupervisor:
        process: Process = self._process
        instance = process.instance
        if instance is None:
            raise ServerNotRunning(self.name, request)
        return cast("TaskSupervisor", instance)


class TaskSupervisor(GenServer):
    """A server whose children are tasks that end. Start one with `open_task_supervisor`, or in a tree.

    Args:
      max_children: how many may run at a time; None for no bound.
      task_shutdown: how long a task goes on, in seconds, when this supervisor ends, before it is cancelled.
        With 0 (or ``"brutal_kill"``) it is cancelled at once, as any task in a nursery; with more, no
        cancellation from outside reaches it before.

    Raises:
      InvalidSpec: one of these makes no sense; the error names it.
    """

    shutdown: ClassVar[Shutdown] = math.inf
    _ref_class: ClassVar[type[ServerRef[Any]] | None] = TaskSupervisorRef

    def __init__(self, *, max_children: int | None = None, task_shutdown: Shutdown = 0.0) -> None:
        if max_children is not None and (
            isinstance(max_children, bool) or not isinstance(max_children, int) or max_children < 0
        ):
            raise InvalidSpec("max_children", max_children, "a whole number from 0, or None", of=OF)
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
            grace = self._process.grace
            for task in self._tasks:
                deadline = now + task._shutdown
                task._end_by(deadline if grace is UNSET else min(deadline, grace))

    def format_status(self, state: dict[str, Any]) -> object:
        """The tasks that run."""
        return {"max_children": self._max_children, "tasks": list(self._tasks)}

    def _start(self, job: _Job, *, is_linked: bool, shutdown: Shutdown | None) -> Task[Any]:
        process = self._process
        if self._max_children is not None and len(self._tasks) >= self._max_children:
            raise MaxChildrenReached(process.name, job, self._max_children)
        caller = execution_var.get()
        parent = trio.lowlevel.current_task().name if caller is None else caller.name
        task: Task[Any] = Task(
            self,
            job,
            is_linked=is_linked,
            shutdown=self._task_shutdown if shutdown is None else _check_shutdown(shutdown),
            callers=(parent, *_callers.get()),
        )
        if process.hooks.message_sent:
            process.hooks.tell("message_sent", process.ref, task)
        if self._closing or not process.alive:
            # As in a cancelled nursery: a block that is cancelled together with its supervisor is to hear of
            # the cancellation, at its next checkpoint, and not of a supervisor that is not there.
            task._stopped()
            return task
        assert process.nursery is not None
        self._tasks[task] = None
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
        raise InvalidSpec("task_shutdown", shutdown, "seconds from 0, math.inf or 'brutal_kill'", of=OF)
    return shutdown


def task_supervisor_spec(
    *,
    max_children: int | None = None,
    task_shutdown: Shutdown = 0.0,
    id: object = "TaskSupervisor",
) -> ChildSpec[TaskSupervisor]:
    """A task supervisor as the child of a supervisor; see `TaskSupervisor` for the arguments.

    Its reference is a `TaskSupervisorRef`. Others may share it, so start tasks in it with `start_nolink`.

    Raises:
      InvalidSpec: one of these makes no sense; the error names it.
    """
    # Here, where it is written, and not only when it is started.
    TaskSupervisor(max_children=max_children, task_shutdown=task_shutdown)
    spec = child_spec(TaskSupervisor, max_children=max_children, task_shutdown=task_shutdown)
    return spec.replace(id=id)


def open_task_supervisor(
    *, max_children: int | None = None, task_shutdown: Shutdown = 0.0, name: str = "TaskSupervisor"
) -> AbstractAsyncContextManager[TaskSupervisorRef]:
    """Run a task supervisor for as long as the block; see `TaskSupervisor` for the arguments.

    As a nursery does, the end of the block waits for the tasks that still run. If the block raises or is
    cancelled, or a task fails that was started with `TaskSupervisorRef.start`, they are ended as
    `task_shutdown` says. None is left when this is over.

    Args:
      name: what the supervisor is called in errors and logs.

    Raises:
      InvalidSpec: one of the arguments makes no sense; the error names it.
      Exception: what a task failed with that was started with `TaskSupervisorRef.start`.
    """
    spec = task_supervisor_spec(max_children=max_children, task_shutdown=task_shutdown)
    return _open(spec.replace(name=name))


@asynccontextmanager
async def _open(spec: ChildSpec[TaskSupervisor]) -> AsyncGenerator[TaskSupervisorRef]:
    try:
        async with open_server(spec) as ref:
            tasks = cast("TaskSupervisorRef", ref)
            yield tasks
            supervisor = ref._process.instance
            if supervisor is not None:
                await supervisor._wait_idle()
    except BaseExceptionGroup as group:
        # The same failure comes twice if the block waited for the task: from the wait, and from the task.
        if len({id(error) for error in group.exceptions}) > 1:
            raise
        failure = group.exceptions[0]
    else:
        return
    raise failure


async def poll_many(
    tasks: Iterable[Task[R]], seconds: float = 0.0, *, limit: int | None = None, kill: bool = False
) -> list[tuple[Task[R], Outcome[R] | None]]:
    """Wait for at most `seconds`, or until enough of them have ended (Elixir's ``yield_many``).

    Being asked never fails, also if a task has. A checkpoint.

    Args:
      limit: how many are enough; None for all.
      kill: end those that have not ended by then, and wait until they have. Without it, they go on.

    Returns:
      each task, in the order given, with its `Task.outcome`: None if it has not ended by then.
    """
    tasks = list(tasks)
    enough = len(tasks) if limit is None else min(limit, len(tasks))
    await trio.lowlevel.checkpoint_if_cancelled()
    with trio.move_on_after(seconds):
        ended = 0
        if enough > 0:
            async for _ in as_completed(tasks):
                ended += 1
                if ended >= enough:
                    break
    outcomes = [(task, task.outcome) for task in tasks]
    if kill:
        late = [task for task, ended_with in outcomes if ended_with is None]
        for task in late:
            task._end_by(-math.inf)
        for task in late:
            await task._settled()
    await trio.lowlevel.cancel_shielded_checkpoint()
    return outcomes
