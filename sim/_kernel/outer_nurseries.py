"""The nurseries above the tasks of an execution, in the place of those that a Trio run has."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from outcome import Outcome

from sim._dependence.footprint import Active
from sim._kernel.fakes import OuterNursery
from sim._kernel.findings import Findings
from sim._kernel.on_trio import fresh_cancel_status
from sim._run.step import Operation


class OuterNurseries:
    """For the scenario's own task, for system tasks, for callbacks, for what stands for things outside Trio.

    Attributes:
        main: of the task that runs the scenario.
        callbacks: of the task that runs callbacks. Under Trio there always is one, here only if it is needed;
            whoever looks finds that of the run in which executions are made.
        background: of tasks that stand for threads, and so are no tasks to the program.
        system: of the program's system tasks; they are cancelled when the scenario returns.
    """

    def __init__(
        self, runner: Any, findings: Findings, in_order: Callable[[frozenset[Any]], frozenset[Any]]
    ) -> None:
        spawn, first_task = runner.spawn_impl, runner.init_task
        self._spawn = spawn
        self._findings = findings
        self._status: Any = fresh_cancel_status()
        self._system_scope: Any = None
        idle = first_task._child_nurseries[0].child_tasks
        self.main = OuterNursery(spawn, self._status, self._main_finished, first_task, in_order)
        finished = findings.system_finished
        self.callbacks = OuterNursery(spawn, self._status, finished, first_task, in_order, idle)
        self.background = OuterNursery(spawn, self._status, finished, first_task, in_order)
        self.system = _SystemNursery(spawn, finished, self._system_status, first_task, in_order)

    @property
    def tree(self) -> list[OuterNursery]:
        """The nurseries of the first task, as Trio has them: what a walk from the root goes through."""
        return [self.callbacks, self.system, self.main]

    @property
    def scope(self) -> Any:
        """The cancel scope around everything but the system tasks."""
        return self._status._scope

    def spawn_background(self, async_fn: Callable[..., Awaitable[object]], name: str) -> Any:
        """Start a task that stands for something outside Trio: a thread, or what Trio does at the end."""
        return self._spawn(async_fn, (), self.background, name, system_task=True)

    def spawn_callbacks(self, async_fn: Callable[[], Awaitable[None]]) -> Any:
        """Start the task that runs callbacks."""
        return self._spawn(async_fn, (), self.callbacks, "<TrioToken.run_sync_soon task>", system_task=True)

    def begin(self) -> None:
        """There is no system task yet, and nothing is cancelled."""
        self._system_scope = None
        scope = self._status._scope
        # A program can come by it, through the parents of its tasks.
        if scope._cancel_called or scope._shield or scope._deadline < math.inf:
            self.renew()

    def cancel(self) -> None:
        """Cancel all tasks."""
        self._status._scope.cancel()
        if self._system_scope is not None:
            self._system_scope.cancel()

    def renew(self) -> None:
        """After `cancel`: be as new."""
        self._status = fresh_cancel_status()
        for nursery in (self.main, self.callbacks, self.background):
            nursery._cancel_status = self._status
            nursery._children.clear()

    def _main_finished(self, task: Any, outcome: Outcome[object]) -> None:
        del task
        self._findings.root = outcome
        # This cancels system tasks: those that have not ended, and those that are started later.
        if Active.recorder is not None:
            Active.recorder.touched(self.system, "system nursery", Operation.WRITE)
        if self._system_scope is not None:
            self._system_scope.cancel()

    def _system_status(self) -> Any:
        """The cancel status of system tasks, made when the first one is."""
        if self._system_scope is None:
            recorder = Active.recorder
            made = fresh_cancel_status() if recorder is None else recorder.of_kernel(fresh_cancel_status)
            self._system_scope = made._scope
            if self._findings.root is not None:
                self._system_scope.cancel()
        return self._system_scope._cancel_status


class _SystemNursery(OuterNursery):
    """The nursery of system tasks. Its cancel scope exists from its first task on."""

    def __init__(
        self,
        spawn: Callable[..., Any],
        finished: Callable[[Any, Outcome[object]], None],
        status: Callable[[], Any],
        parent_task: Any,
        in_order: Callable[[frozenset[Any]], frozenset[Any]],
    ) -> None:
        self._status = status
        super().__init__(spawn, None, finished, parent_task, in_order)

    def _child_finished(self, task: Any, outcome: Outcome[object]) -> None:
        if Active.recorder is not None:
            # A cancellation that comes later no longer finds it.
            Active.recorder.touched(self, "system nursery", Operation.READ)
        super()._child_finished(task, outcome)

    @property
    def _cancel_status(self) -> Any:
        return self._status()

    @_cancel_status.setter
    def _cancel_status(self, status: object) -> None:
        assert status is None
