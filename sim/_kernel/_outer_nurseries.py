"""The nurseries above the tasks of an execution, in the place of those that a Trio run has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from outcome import Outcome

from sim._footprint import Active
from sim._kernel._findings import Findings
from sim._kernel._trio import fresh_cancel_status
from sim._stand_ins import OuterNursery
from sim.strategies import Operation


class OuterNurseries:
    """One for the scenario's own task, one for system tasks, one for what stands for things outside Trio.

    Attributes:
        main: of the task that runs the scenario.
        background: of tasks that stand for threads and the callback queue.
        system: of the program's system tasks; they are cancelled when the scenario returns.
    """

    def __init__(self, runner: Any, findings: Findings) -> None:
        spawn, first_task = runner.spawn_impl, runner.init_task
        self._findings = findings
        self._status: Any = fresh_cancel_status()
        self._system_scope: Any = None
        self.main = OuterNursery(spawn, self._status, self._main_finished, first_task)
        self.background = OuterNursery(spawn, self._status, findings.system_finished, first_task)
        self.system = _SystemNursery(spawn, findings.system_finished, self._system_status, first_task)

    @property
    def scope(self) -> Any:
        """The cancel scope around everything but the system tasks."""
        return self._status._scope

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
        for nursery in (self.main, self.background):
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
    ) -> None:
        self._status = status
        super().__init__(spawn, None, finished, parent_task)

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
