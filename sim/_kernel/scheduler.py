"""The scheduler: steps the tasks of an execution one at a time, each where a strategy says.

A plain synchronous loop. It resumes coroutines exactly as Trio's own does, and leaves to Trio
everything that a step then does: creating tasks, cancelling, rescheduling, closing nurseries are
Trio's own code, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from outcome import Error, Outcome, Value

from sim._dependence.footprint import Recorder
from sim._kernel.fairness import UNSEEN, Fairness
from sim._kernel.faults import FaultInjector
from sim._kernel.findings import Findings
from sim._kernel.identities import Identities
from sim._kernel.invariants import Invariants
from sim._kernel.looked_at import WATCHED, LoopWatch
from sim._kernel.on_trio import RESUME
from sim._kernel.step_reports import StepReports
from sim._kernel.time import Time, expire
from sim._run.choices import ChoiceLog
from sim._run.step import CLOCK, ROOT, TaskId
from sim._run.strategy import CUT, ChoiceKind, Strategy
from sim._run.trace import Trace
from sim._trio import CHECKPOINT, DETACH, FRAMES_TO_DROP, RUN_CONTEXT, WAIT
from sim._world.clock import VirtualClock


class BudgetUsedUp(Exception):
    """The step budget is used up."""


class Abandoned(Exception):
    """The strategy has asked to drop this execution."""


class Cut(Exception):
    """The strategy has asked to end this execution here."""


class Scheduler:
    """Steps tasks, and notes the choices that are made.

    Attributes:
        clock: the time of the execution.
        time: lets it pass.
        log: its choices so far.
        identities: which task is which.
        reports: what the strategy is told of the steps.
        steps: how many were made, the current one included.
        max_steps: how many may be.
        strategy: makes the choices; None between executions, and while one is cleaned up after.
        invariants: looked at after each step.
        faults: what strikes after a step; the same in all executions of an exploration.
        fairness: who stands back for others.
        watch: in a run that is traced, what the loops of its tasks look at when it is about to be given up.
        others: in a step, how many tasks were runnable before it besides its own, and still are: the first
            in the run queue. Otherwise -1.
        left: who could have made the last step in place of its task, if that ended the run.
        inner_steps: how many threads have made inside of the current step (`sim._kernel.inner_steps`).
        inner_tasks: how many tasks were named inside of it.
    """

    def __init__(self, runner: Any, max_steps: int, recorder: Recorder | None, findings: Findings) -> None:
        self._runner = runner
        self.max_steps = max_steps
        self._recorder = recorder
        self._findings = findings
        self._trace: Trace | None = None
        self.clock = VirtualClock()
        self.log = ChoiceLog()
        self.identities = Identities()
        self.steps: int = 0
        self.left: tuple[TaskId, ...] = ()
        self.inner_steps: int = 0
        self.strategy: Strategy | None = None
        self.invariants = Invariants(lambda: self.clock.elapsed, lambda: self.identities.ids)
        self.faults: FaultInjector | None = None
        self.fairness = Fairness()
        self.reports = StepReports(runner, self.identities, self.invariants)
        self.time = Time(
            runner, self.clock, self.identities, self.reports, self.fairness, self.invariants, findings
        )
        self.watch: LoopWatch | None = None
        self.begin_inside()

    def begin(self, strategy: Strategy, trace: Trace | None) -> None:
        """Begin an execution: no task, no choice, no time."""
        self.strategy = strategy
        self._trace = trace
        self.watch = LoopWatch() if trace is not None else None
        self.identities.begin()
        self.reports.begin(strategy)
        self.clock.start_clock()
        self.fairness.begin()
        self.log.clear()
        self.steps = 0
        self.left = ()
        self.begin_inside()

    def close(self) -> None:
        """Make no further choice by the strategy, and note nothing in the trace."""
        self.strategy = self.reports.strategy = self._trace = self.watch = None
        self.fairness.release(self._runner.runq)

    def forget_tasks(self) -> None:
        """Release all tasks."""
        self.identities.forget()
        self.fairness.begin()

    @property
    def ids(self) -> dict[Any, TaskId]:
        """The identity of each task of the execution."""
        return self.identities.ids

    def let_strike(self, faults: FaultInjector | None) -> None:
        """Let faults strike after the steps of the next executions, or stop them."""
        self.faults = self.reports.faults = faults
        self.identities.on_birth = None if faults is None else faults.begins

    # Choices and notes of the program's, through other modules of this package.

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        """Make a choice inside a step: a fault, a random draw."""
        if alternatives == 1 or self.strategy is None:
            return 0
        index = self.strategy.choose(kind, alternatives)
        self.log.add(index, alternatives)
        return index

    def choose_seed(self, seeds: int) -> int:
        """Choose what the random sources of the program give."""
        if self.strategy is None:
            return 0
        index = self.strategy.choose_seed(seeds)
        self.log.add_seed(index, seeds)
        self.drew(f"seed {index}")
        return index

    def draw(self, alternatives: int, describe: Callable[[int], str]) -> int:
        """Choose for the scenario."""
        index = self.choose(ChoiceKind.RANDOM, alternatives)
        if self._trace is not None:
            self._trace.drew(describe(index))
        return index

    def drew(self, what: str) -> None:
        """Note what was chosen in a step."""
        if self._trace is not None:
            self._trace.drew(what)

    def logged(self, line: str) -> None:
        """Note what the program has logged."""
        if self._trace is not None:
            self._trace.log(line)

    def begin_inside(self) -> None:
        """Nobody is in the middle of a step."""
        self.others = -1
        self.inner_steps = self.inner_tasks = 0

    def name_inside(self, creator: Any) -> None:
        """In the middle of a step: name the tasks that it has created so far."""
        self.inner_tasks += self.identities.name_new(self._runner.runq, self.others, creator)

    # Steps.

    def step_until_idle(self, strategy: Strategy, trace: Trace | None) -> None:
        """Make steps for as long as a task is runnable and nothing is found wrong."""
        # The hot loop: every line of it is paid once a step, hence the local names.
        runner = self._runner
        runq: list[Any] = runner.runq
        instruments = runner.instruments
        deadlines = runner.deadlines
        clock = self.clock
        invariants = self.invariants
        findings = self._findings
        watched = invariants.watched
        ids = self.identities.ids
        name_new = self.identities.name_new
        reports = self.reports
        log_index = self.log.indices.append
        log_alternatives = self.log.alternatives.append
        recorder = self._recorder if strategy.wants_footprints else None
        faults = self.faults
        choose = strategy.choose
        choose_task = strategy.choose_task if _wants_identities(strategy) else None
        script, scripted, script_end = strategy.script, reports.scripted, len(strategy.script)
        named = self.identities.tasks
        schedule = ChoiceKind.SCHEDULE
        context = RUN_CONTEXT
        steps, max_steps = self.steps, self.max_steps
        watched_from = max(max_steps - WATCHED, max_steps // 2)
        previous = CLOCK if steps else ROOT
        noting = False
        # While it is cleaned up after an execution, each task has its turn anyway.
        fairness = None if self.strategy is None else self.fairness
        spinning = self.fairness.spinning
        turns, streaks = self.fairness.turns, self.fairness.streaks
        try:
            while runq:
                if spinning and self.fairness.is_round_over(runq):
                    reports.scripted = scripted
                    self.time.end_round()
                    scripted = reports.scripted
                    previous = CLOCK
                    if findings.first is not None:
                        return
                runnable = len(runq)
                if choose_task is not None:
                    if scripted < script_end:
                        try:
                            index = runq.index(named[script[scripted]])
                        except (KeyError, ValueError):
                            reports.diverge(scripted)
                        scripted += 1
                    else:
                        if spinning and recorder is not None:
                            index = self._choose_awake(choose_task, previous)
                        else:
                            index = choose_task([ids[task] for task in runq], previous)
                        if index < 0:
                            raise Cut if index == CUT else Abandoned
                        noting = recorder is not None
                    if runnable > 1:
                        log_index(index)
                        log_alternatives(runnable)
                elif runnable > 1:
                    index = choose(schedule, runnable)
                    log_index(index)
                    log_alternatives(runnable)
                else:
                    index = 0
                task = runq.pop(index)
                if steps == max_steps:
                    raise BudgetUsedUp
                steps += 1
                self.steps = steps
                context.task = task
                if choose_task is not None:
                    previous = ids[task]
                if trace is not None:
                    trace.before_step(task, ids[task], index, runnable, clock.elapsed, len(self.log))
                if len(instruments) > 1 and "before_task_step" in instruments:
                    instruments.call("before_task_step", task)

                if recorder is not None:
                    recorder.task = task
                    if recorder.waiting:
                        recorder.waiting.pop(task, None)
                    if noting:
                        recorder.begin_step()

                if streaks and fairness is not None:
                    streak = streaks.get(task)
                    if streak is not None and streak.is_close:
                        fairness.begins(task, streak)
                send, value = task._next_send_fn, task._next_send
                task._next_send_fn = task._next_send = None
                outcome: Outcome[object] | None = None
                again = False
                message: Any = None
                made = 0
                self.others = runnable - 1
                try:
                    message = task.context.run(send, value)
                except StopIteration as stop:
                    outcome = Value(stop.value)
                except BaseException as error:  # noqa: BLE001 - given to the nursery
                    # Trio drops the frames of its loop from the traceback; so that a failure
                    # reads the same here, so do we.
                    traceback = error.__traceback__
                    for _ in range(FRAMES_TO_DROP):
                        if traceback is not None:
                            traceback = traceback.tb_next
                    outcome = Error(error.with_traceback(traceback))
                    del traceback
                if self.inner_steps:
                    runnable = self.others + 1
                    steps += self.inner_steps
                    made = self.inner_tasks
                self.others = -1
                if outcome is not None:
                    if faults is not None:
                        outcome = faults.ends(task, outcome)
                    runner.task_exited(task, outcome)
                else:
                    task._schedule_points += 1
                    if message is CHECKPOINT:
                        # Like runner.reschedule, but to the front of the queue: alternative 0 always
                        # continues with the same task.
                        again = True
                        task.custom_sleep_data = None
                        task._next_send_fn = task.coro.send
                        task._next_send = RESUME
                        if "task_scheduled" in instruments:
                            instruments.call("task_scheduled", task)
                    elif type(message) is WAIT:
                        task._cancel_points += 1
                        task._abort_func = message.abort_func
                        task._attempt_delivery_of_any_pending_cancel()
                    elif type(message) is DETACH:
                        left: Outcome[object] = message.final_outcome
                        outcome = left if faults is None else faults.ends(task, left)
                        runner.task_exited(task, outcome)
                    else:
                        runner.reschedule(
                            task,
                            TypeError(
                                f"the task yielded {message!r}, which Trio does not know; "
                                "it may be a coroutine of another async library"
                            ),
                        )
                        task._next_send_fn = task.coro.throw

                if deadlines._heap and deadlines._heap[0][0] <= clock.now:
                    expire(deadlines, clock.now)
                fault = ""
                if faults is not None and (faults.left or recorder is not None):
                    # Whom the step has started may be struck before its own first step.
                    if len(runq) >= runnable:
                        made += name_new(runq, runnable - 1, task)
                    fault = faults.maybe_strike(task, outcome is not None)
                # The tasks that this step made runnable are at the end of the queue.
                if len(runq) >= runnable:
                    made += name_new(runq, runnable - 1, task)
                if again:
                    runq.insert(0, task)
                elif runq and runq[-1] is task:
                    runq.insert(0, runq.pop())
                if watched:
                    broken = invariants.after_step(task)
                    if broken is not None:
                        findings.find(broken)
                if noting and recorder is not None:
                    reports.step(recorder, task, outcome is not None, runnable - 1, made, self.inner_tasks)
                if self.inner_steps:
                    self.inner_steps = self.inner_tasks = 0
                if len(instruments) > 1 and "after_task_step" in instruments:
                    instruments.call("after_task_step", task)
                if fairness is not None:
                    repeated = False
                    if again:
                        turn = turns[task] = turns.get(task, 0) + 1
                        if turn >= UNSEEN:
                            repeated = not fault and fairness.repeats(task)
                    elif task in turns:
                        del turns[task]
                        streaks.pop(task, None)
                    if repeated or spinning:
                        fairness.stepped(task, runq, repeated=repeated)
                if trace is not None:
                    trace.after_step(task, bool(runq) and runq[0] is task, fault)
                    if steps > watched_from and self.watch is not None:
                        self.watch.note(task, ids[task])
                if findings.first is not None:
                    if self.strategy is not None:
                        first = bool(runq) and runq[0] is task
                        others = runq[first : first + runnable - 1]
                        # A spinning task could not have been chosen.
                        self.left = tuple(ids[other] for other in others if other not in spinning)
                    return
                del task, send, value, message
        finally:
            self.steps = steps
            reports.scripted = scripted

    def _choose_awake(self, choose_task: Callable[[Sequence[TaskId], TaskId], int], previous: TaskId) -> int:
        """Choose among the tasks that do not spin, for a strategy that reduces by partial order."""
        runq, ids, spinning = self._runner.runq, self.identities.ids, self.fairness.spinning
        awake = [place for place, task in enumerate(runq) if task not in spinning]
        index = choose_task([ids[runq[place]] for place in awake], previous)
        return index if index < 0 else awake[index]


def _wants_identities(strategy: Strategy) -> bool:
    return strategy.wants_identities or strategy.wants_footprints
