"""Tasks: a handle to the result of work that ends (Elixir's ``Task``).

A `Task` is a `Request`: the slot in which a result arrives, with its guarantees. It ends; any number may wait
for it; a wait that is cancelled leaves it alone; and waiting for a task that waits, over some calls, for the
server that waits, is refused with `CallCycle`. It runs in a child task of a `TaskSupervisor`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import trio
import trio.lowlevel
from outcome import Error, Outcome, Value

from ._awaiting import await_callback
from ._cancellation import is_cancellation
from ._cycle import execution_var, waiting_for
from ._delivery import deliver_always
from ._errors import CallCycle, RequestAbandoned, TaskStopped
from ._handling import handled
from ._host import Execution, Host
from ._interrupt import protected
from ._kept import kept, without_own_frames
from ._lifecycle import UNSET
from ._process import Process
from ._ref import ServerRef
from ._request import BEGUN, FAILED, GIVEN_UP, Countdown, Info, Request
from ._request_collection import as_completed
from ._spec import Shutdown
from ._text import name_of, show

__all__ = ["Job", "Task", "callers_var", "poll_many"]

R = TypeVar("R")

# The names of those who started the present task, the nearest first (Elixir's ``$callers``).
callers_var: ContextVar[tuple[str, ...]] = ContextVar("trio_genserver.callers", default=())


class _Work(Execution):
    """A task in the graph of waits: it may wait for servers, and others for it."""

    __slots__ = ("_is_never_cancelled", "_name", "_process")

    def __init__(self, name: str, process: Process, *, is_never_cancelled: bool) -> None:
        self.task = None
        self.waiting = None
        self._name = name
        self._process = process
        self._is_never_cancelled = is_never_cancelled

    @property
    def server(self) -> Process:
        return self._process

    @property
    def name(self) -> str:
        return self._name

    def keeps_running(self, server: Host) -> bool:
        """As in its base, unless it is cancelled when a supervisor above it ends."""
        return self._is_never_cancelled and super().keeps_running(server)


class Job:
    """The function of a task and its arguments; the message of the request that a task is."""

    __slots__ = ("args", "async_fn")

    def __init__(self, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self.async_fn = async_fn
        self.args = args

    @property
    def name(self) -> str:
        return name_of(self.async_fn)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(show, self.args))})"


class Task(Request[R]):
    """A handle for one task; comes from `TaskSupervisorRef.start` and `TaskSupervisorRef.start_isolated`.

    ``await task.wait()`` gives what its function returned, and raises what that raised, or `TaskStopped` if
    it was ended before. For a time limit, put the wait into a cancel scope: the task goes on, and its result
    may be collected later, or never; it reaches nobody else. Functions that take requests also take tasks:
    `check` and `done`, `wait_all` for several, `as_completed` for each as it ends.

    Attributes:
      name: what it is called in errors and logs.
      async_fn, args: what it runs.
      callers: the names of those who started it, the nearest first: the server or task, the one that
        started that, and so on.
      is_isolated: whether its failure only reaches the tasks that wait for it, and is not its supervisor's.
    """

    __slots__ = ("_forget", "_over", "_runs", "_scope", "_shutdown", "callers", "is_isolated", "name")

    def __init__(
        self,
        process: Process,
        job: Job,
        *,
        is_isolated: bool,
        shutdown: Shutdown,
        callers: tuple[str, ...],
        forget: Callable[[Task[Any]], object],
    ) -> None:
        super().__init__(process, job)
        self.name = f"{process.name}.{job.name}"
        self.state = BEGUN
        self.is_isolated = is_isolated
        self.callers = callers
        self._forget = forget
        self._shutdown = 0.0 if isinstance(shutdown, str) else shutdown
        self.executor = _Work(self.name, process, is_never_cancelled=self._shutdown == math.inf)
        # A cancellation of everything must not reach a task that may continue for a while at the end.
        self._scope = trio.CancelScope(shield=self._shutdown > 0)
        # Not `done`, which says that there is an answer: one that is ignored runs on.
        self._runs = False
        self._over: trio.Event | None = None

    def __repr__(self) -> str:
        state = ("queued", "running", "done", "failed", "ignored")[self.state]
        return f"<Task {show(self.message)} of {self.process.name}, {state}>"

    @property
    def async_fn(self) -> Callable[..., Awaitable[R]]:
        return cast("Job", self.message).async_fn

    @property
    def args(self) -> tuple[Any, ...]:
        return cast("Job", self.message).args

    @property
    def outcome(self) -> Outcome[R] | None:
        """How it ended, as in `outcome`: its value, or its exception; None if it has not."""
        if not self.done:
            return None
        if self.state == FAILED:
            return Error(self.take_error())
        try:
            return Value(self.check())
        except RequestAbandoned as error:
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
        """End it, and wait until it has ended. One that was ignored, before or meanwhile, is ended as well.

        Args:
          grace: seconds from now until it is cancelled.

        Returns:
          its value, if it has ended with one, before or meanwhile; None if it was cancelled, or is ignored.

        Raises:
          Exception: what it has failed with.
          CallCycle: `grace` is infinite, and waiting would be for ever.
        """
        if self._runs:
            end_by(self, trio.current_time() + grace)
        await (self._run_out_at_last() if grace == math.inf else self._run_out())
        if self.state == GIVEN_UP:
            return None
        try:
            return self.check()
        except TaskStopped:
            return None

    @property
    def is_linked(self) -> bool:
        """The opposite of `is_isolated`; goes with the next release."""
        warnings.warn("Task.is_linked is now not Task.is_isolated", DeprecationWarning, stacklevel=2)
        return not self.is_isolated

    def ignore(self) -> Outcome[R] | None:
        """Let it run on, and want nothing of it: its result is dropped, its failure is only logged.

        A task that waits for it gets `RequestAbandoned`.

        Returns:
          its `outcome`, if it has ended already.
        """
        ended = self.outcome
        self.is_isolated = True
        self.abandon()
        return ended

    def send_to(self, server: ServerRef[Any]) -> None:
        """Have this `Task` sent to the `handle_info` of a server as soon as it has ended, however.

        It is sent beyond the bound of the mailbox, so that it is not lost; not if the server is not running.
        In `handle_info`, `check` gives the result.
        """

        def send(task: Request[Any]) -> None:
            deliver_always(server._process, Info(task))

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

    async def _run_out(self) -> None:
        """Wait until nothing of it is running, even if it is ignored. A checkpoint."""
        if not self._runs:
            await trio.lowlevel.checkpoint()
            return
        if self._over is None:
            self._over = trio.Event()
        await self._over.wait()

    async def _run_out_at_last(self) -> None:
        """`_run_out`, where nothing else ends the wait."""
        if not self._runs:
            await self._run_out()
            return
        # In its own place: if it is ignored, nobody waits for its answer, and no cycle would be seen.
        end: Request[R] = Request(self.process, self.message)
        end.executor = self.executor
        try:
            with waiting_for(end):
                await self._run_out()
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise

    @protected
    async def _run(self) -> None:
        work = cast("_Work", self.executor)
        work.task = trio.lowlevel.current_task()
        execution_var.set(work)
        callers_var.set(self.callers)
        process = self.process
        if process.hooks.message_received:
            process.hooks.tell("message_received", process.ref, self)
        value: Any = None
        try:
            with self._scope:
                job = cast("Job", self.message)
                value = await await_callback(process.name, job.async_fn, job.name, *job.args)
            if self._scope.cancelled_caught:
                self._stopped()
            elif self.state == GIVEN_UP:
                process.drop(self, "late reply")
            else:
                self.reply(value)
            handled(process, self)
        except BaseException as error:
            if is_cancellation(error):
                self._stopped()
                raise
            # It is kept for those who wait, and reported.
            self._failed(error)
        finally:
            self._forget(self)
            execution_var.set(None)
            self._runs = False
            if self._over is not None:
                self._over.set()

    def _stopped(self) -> None:
        reason = self.process.lifecycle.reason
        if self.unanswered:
            self.fail(TaskStopped(self.name, self.message, "shutdown" if reason is UNSET else reason))

    def _failed(self, error: BaseException) -> None:
        process = self.process
        if process.hooks.task_crashed:
            process.hooks.tell("task_crashed", self, error)
        # An interrupt from the keyboard is nobody's to keep.
        ends_all = not self.is_isolated or not isinstance(error, Exception)
        if self.unanswered:
            # The exception of the supervisor must not be in a cycle with a task that the program holds.
            self.fail(kept(error) if ends_all else error)
        if ends_all:
            process.crashed(error, self.message)

    def _hold_error(self, error: BaseException) -> None:
        # The frames of its function do not know this task, and are of use to who looks for the reason.
        without_own_frames(error)


def end_by(task: Task[Any], deadline: float) -> None:
    """Cancel what `task` runs at `deadline`, in seconds of Trio's clock, unless it has less time already."""
    task._scope.deadline = min(task._scope.deadline, deadline)


def not_run(task: Task[Any]) -> None:
    """Its supervisor ends: tell who waits for `task`, which is not begun."""
    task._stopped()


async def poll_many(
    tasks: Iterable[Task[R]], seconds: float = 0.0, *, limit: int | None = None, kill: bool = False
) -> list[tuple[Task[R], Outcome[R] | None]]:
    """Wait for at most `seconds`, or until enough of them have ended (Elixir's ``yield_many``).

    Being asked never fails, also if a task has. A checkpoint.

    Args:
      limit: how many are enough; None for all.
      kill: end those that have not ended by then, also those that are ignored, and wait until they have.
        Without it, they go on.

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
        late = [task for task in tasks if task._runs]
        for task in late:
            end_by(task, -math.inf)
        for task in late:
            await task._run_out()
    await trio.lowlevel.cancel_shielded_checkpoint()
    return outcomes
