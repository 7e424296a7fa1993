"""The end of an execution: when the program is over, what happens at its exit, and what is left of it.

A program is over when its main task has ended and nobody is left but daemon threads and what waits for
callbacks. Then executors are told to end and async generators that were left half-way are closed, as Trio and
the interpreter do; whoever is still there after that has leaked.
"""

from __future__ import annotations

from typing import Any

from sim._dependence.footprint import Active
from sim._kernel.cleanup import cancel_everything, close_by_force
from sim._kernel.fakes import CallbackQueue
from sim._kernel.findings import Findings
from sim._kernel.order import Order
from sim._kernel.outer_nurseries import OuterNurseries
from sim._kernel.scheduler import Scheduler
from sim._kernel.waits import describe_waits
from sim._run.errors import Deadlock, LeakedTasks
from sim._run.step import ROOT, Operation
from sim._trio import name_asyncgen
from sim._world.own_threads import executors_go_on, let_executors_end
from sim._world.threads import ThreadSimulation


class End:
    """Brings executions to their end.

    Attributes:
        callbacks: the queue of the execution under way. It asks whether the run is over.
    """

    def __init__(
        self,
        runner: Any,
        scheduler: Scheduler,
        findings: Findings,
        threads: ThreadSimulation,
        nurseries: OuterNurseries,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._findings = findings
        self._threads = threads
        self._nurseries = nurseries
        # Nothing is left but threads of executors, and these were told to end.
        self._exiting = False
        self.callbacks = self._new_callbacks()

    def begin(self) -> None:
        """Begin an execution: it is far from its end."""
        self._exiting = False
        if self.callbacks.used:
            self.callbacks = self._new_callbacks()
        self.callbacks.done = False

    def _new_callbacks(self) -> CallbackQueue:
        return CallbackQueue(self._nurseries.spawn_callbacks, self._is_over_but_for_callbacks)

    def finish(self) -> bool:
        """Nothing will be runnable again: the end, a task too many, or the last generators.

        Returns:
            True if there is more to be stepped.
        """
        runner = self._runner
        over = self._findings.root is not None
        left = list(runner.tasks - {self.callbacks.task})
        if over:
            left = self._threads.held_open_by(left)
        if left and over and not self._exiting and self._threads.executors_only(left):
            self._begin_exit()
            return True
        if left:
            waiting = describe_waits(left, self._scheduler.ids.__getitem__)
            self._findings.find(LeakedTasks(waiting) if over else Deadlock(waiting))
            return False
        return self._close_generators()

    def is_exit(self) -> bool:
        """Whether a program would end here: not for anything that waits for time to pass."""
        if self._findings.root is None:
            return False
        left = self._runner.tasks - {self.callbacks.task}
        return bool(left) and not self._threads.held_open_by(left)

    def _begin_exit(self) -> None:
        """Do what the end of a program does to executors."""
        self._exiting = True

        async def exit_program() -> None:
            let_executors_end(self._threads.own())

        task = self._nurseries.spawn_background(exit_program, "<end of the program>")
        self._scheduler.reports.clock(spawned=[self._scheduler.identities.name_child(ROOT, task)])

    def _close_generators(self) -> bool:
        """Nobody can go on: start to close the async generators that were left half-way, if there are any."""
        task = self._start_closing_generators()
        if task is None:
            return False
        self._scheduler.reports.clock(spawned=[self._scheduler.identities.name_child(ROOT, task)])
        return True

    def _start_closing_generators(self) -> Any:
        """Start a task that closes the async generators that were left half-way; None if there are none."""
        runner = self._runner
        # Only those that nobody is in: another is closed by the task that is.
        generators = [one for one in runner.asyncgens.alive.take() if not one.ag_running]
        if not generators:
            return None

        async def close_generators() -> None:
            for generator in generators:
                await runner.asyncgens._finalize_one(generator, name_asyncgen(generator))

        return self._nurseries.spawn_background(close_generators, "<closing of async generators>")

    def _is_over_but_for_callbacks(self) -> bool:
        """Whether the scenario is over, and so are all tasks but the one for callbacks, one of which asks."""
        scheduler, recorder = self._scheduler, Active.recorder
        if scheduler.strategy is None:
            # It is cleaned up after.
            return True
        if recorder is not None:
            recorder.touched(self._nurseries.system, "system nursery", Operation.READ)
        if self._findings.root is None:
            return False
        if recorder is not None:
            # Whether there are others, each step of theirs may change.
            recorder.cancelled_all(recorder.tasks)
        if self._runner.tasks - {self.callbacks.task}:
            return False
        # As long as callbacks go on, nobody else comes to it.
        return self._start_closing_generators() is None

    def clean_up(self, order: Order) -> None:
        """Leave nothing of this execution: no task, no coroutine that was not run to its end.

        Args:
            order: makes the deadlines of the next one.
        """
        runner = self._runner
        if runner.tasks:
            faults = self._scheduler.faults
            # Threads report back through the callbacks also while their tasks clean up after themselves.
            if faults is not None:
                faults.stop()
            cancel_everything(
                runner,
                self._scheduler,
                self._nurseries,
                self._findings,
                self._close_generators,
                order.deadlines,
            )
        if self._exiting:
            executors_go_on()
        # Calls between two executions come from the finalizers of objects that the last one left.
        self.callbacks.done = True
        if runner.tasks:
            close_by_force(runner, self._scheduler, self._findings)
