"""Steps that threads make inside of a task's step.

A task that uses a lock of threads does so in the middle of a step. Before its attempt threads may get on,
and if the lock is taken the whole of Trio stands still until a thread gives it back, for the task blocks the
event loop. So the task's step is stopped where it is, and threads, and only they, make steps inside of it.

For partial-order reduction all of this is one step of the task's, with choices inside. Which threads there
are to choose from is something that the step sees: so it is taken to have changed each of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

from outcome import Error, Outcome, Value

from sim._dependence.footprint import Recorder
from sim._kernel.findings import Findings
from sim._kernel.on_trio import RESUME
from sim._kernel.scheduler import Scheduler
from sim._kernel.step_ender import StepEnder
from sim._kernel.time import expire
from sim._kernel.waits import describe_waits
from sim._kernel.watchdog import Watchdog
from sim._run.errors import Deadlock, Escape, StepBudgetExceeded
from sim._run.step import Operation
from sim._run.strategy import ChoiceKind
from sim._run.trace import short_name
from sim._trio import CHECKPOINT, RUN_CONTEXT, WAIT, running_task
from sim._world.escapes import refused
from sim._world.locks import RunIsOver, ThreadLock
from sim._world.threads import THREADS, ThreadSimulation

_STEPPING: Final = Scheduler.step_until_idle.__code__
# How often code that cleans up after itself may wait again once the run is over, before its step is ended.
_CAUGHT: Final = 100


class InnerSteps:
    """Lets threads make steps in the middle of a task's.

    Args:
        runner: of the Trio run.
        threads: which tasks are threads.
        recorder: notes what the steps touch, if anybody wants to know.
        interrupted: whether Ctrl-C was pressed.
        ender: is told of what is raised to end a step.
        watchdog: calls off steps that last too long.
    """

    def __init__(
        self,
        runner: Any,
        scheduler: Scheduler,
        findings: Findings,
        threads: ThreadSimulation,
        recorder: Recorder | None,
        interrupted: Callable[[], bool],
        ender: StepEnder,
        watchdog: Watchdog,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._findings = findings
        self._threads = threads
        self._recorder = recorder
        self._interrupted = interrupted
        self._ender = ender
        self._watchdog = watchdog
        # A thread is in its turn, inside of a task's step.
        self._inside = False

    def task(self) -> Any:
        """The task that is in the middle of a step of its own; None if there is none."""
        return None if self._inside or self._scheduler.others < 0 else running_task()

    def point(self) -> None:
        """Before others can see what the task does: threads may get on first."""
        if self.task() is not None:
            self._let_run(lambda: True)

    def wait(self, lock: ThreadLock, timeout: float) -> bool:
        """Let threads run until the lock is free.

        Args:
            timeout: virtual seconds, or -1.

        Returns:
            False if time is up.

        Raises:
            RunIsOver: it never will be, or the run has failed meanwhile.
            Escape: it is waited for by what a thread has called in the simulator's own.
        """
        if self.task() is None:
            raise refused(
                Escape("a lock of threads that is waited for between two steps", "wait in a task or a thread")
            )
        until = math.inf if timeout < 0 else self._scheduler.clock.now + timeout
        self._let_run(lambda: lock.free, until, lock)
        return lock.free

    def _let_run(
        self, ready: Callable[[], bool], until: float = math.inf, lock: ThreadLock | None = None
    ) -> None:
        scheduler, watchdog = self._scheduler, self._watchdog
        if watchdog.called_off == scheduler.steps:
            watchdog.call_off()
        while True:
            self._note()
            runnable = self._runnable()
            can_go_on = ready() or scheduler.clock.now >= until
            if runnable or can_go_on:
                chosen = scheduler.choose(ChoiceKind.RANDOM, len(runnable) + can_go_on)
                if can_go_on and not chosen:
                    return
                self._step(runnable[chosen - can_go_on])
            elif not self._let_time_pass(until):
                assert lock is not None
                if self._findings.first is None:
                    self._findings.find(self._deadlock(lock))
                self._end()

    def _note(self) -> None:
        """Note that the step sees which threads there are and can run."""
        recorder = self._recorder
        if recorder is not None and recorder.noting:
            recorder.touched(self._threads, THREADS, Operation.READ)
            recorder.cancelled_all(self._threads.tasks)

    def _runnable(self) -> list[Any]:
        scheduler, threads = self._scheduler, self._threads.tasks
        if not threads:
            return []
        if len(self._runner.runq) > scheduler.others:
            scheduler.name_inside(RUN_CONTEXT.task)
        return [task for task in self._runner.runq if task in threads]

    def _let_time_pass(self, until: float) -> bool:
        """Nothing can go on before time passes; False if nothing will then."""
        scheduler, runner = self._scheduler, self._runner
        moment = min(until, runner.deadlines.next_deadline())
        if moment == math.inf:
            return False
        recorder = self._recorder
        if recorder is not None and recorder.noting:
            # Everything else happens before or after.
            recorder.cancelled_all(scheduler.ids)
        if scheduler.steps + scheduler.inner_steps >= scheduler.max_steps:
            # A task that waits again whenever its time is up.
            self._findings.find(StepBudgetExceeded(scheduler.max_steps, RUN_CONTEXT.task.name))
            self._end()
        scheduler.inner_steps += 1
        scheduler.time.move(moment)
        return True

    def _step(self, thread: Any) -> None:
        """Let a thread make a step.

        Raises:
            RunIsOver: something was found wrong in it.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        scheduler, runner, recorder = self._scheduler, self._runner, self._recorder
        if scheduler.steps + scheduler.inner_steps >= scheduler.max_steps:
            self._findings.find(StepBudgetExceeded(scheduler.max_steps, thread.name))
            self._end()
        scheduler.inner_steps += 1
        scheduler.drew(f"{short_name(thread.name)} to run inside the step")
        host = RUN_CONTEXT.task
        RUN_CONTEXT.task = thread
        if recorder is not None:
            recorder.task = thread
            recorder.waiting.pop(thread, None)
        self._inside = True
        try:
            self._resume(thread)
        finally:
            self._inside = False
            RUN_CONTEXT.task = host
            if recorder is not None:
                recorder.task = host
        expire(runner.deadlines, scheduler.clock.now)
        if self._findings.first is not None:
            self._end()
        if self._interrupted():
            raise KeyboardInterrupt

    def _end(self) -> NoReturn:
        """End the step that is under way."""
        self._ender.raises(self._scheduler.steps, _CAUGHT)
        raise RunIsOver

    def _resume(self, thread: Any) -> None:
        """As the scheduler does with a task, keeping its place in the run queue."""
        runner, scheduler = self._runner, self._scheduler
        place = runner.runq.index(thread)
        del runner.runq[place]
        was_before = place < scheduler.others
        scheduler.others -= was_before
        send, value = thread._next_send_fn, thread._next_send
        thread._next_send_fn = thread._next_send = None
        ended: Outcome[object] | None = None
        message: Any = None
        try:
            message = thread.context.run(send, value)
        except StopIteration as stop:
            ended = Value(stop.value)
        except BaseException as error:  # noqa: BLE001 - given to the nursery
            ended = Error(error)
        if ended is not None:
            if scheduler.faults is not None:
                ended = scheduler.faults.ends(thread, ended)
            runner.task_exited(thread, ended)
            return
        thread._schedule_points += 1
        if message is CHECKPOINT:
            thread.custom_sleep_data = None
            thread._next_send_fn, thread._next_send = thread.coro.send, RESUME
            runner.runq.insert(place, thread)
            scheduler.others += was_before
        else:
            assert type(message) is WAIT
            thread._cancel_points += 1
            thread._abort_func = message.abort_func
            thread._attempt_delivery_of_any_pending_cancel()

    def _deadlock(self, lock: ThreadLock) -> Deadlock:
        task, runner = RUN_CONTEXT.task, self._runner
        waiting = [thread for thread in runner.tasks & self._threads.tasks if thread not in runner.runq]
        blocked = {task: (_stack(), lock)}
        return Deadlock(describe_waits([task, *waiting], self._scheduler.ids.__getitem__, blocked))


def _stack() -> list[tuple[FrameType, int]]:
    """The lines that the task is in which is in the middle of a step, outermost first."""
    frames: list[tuple[FrameType, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _STEPPING:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames[::-1]
