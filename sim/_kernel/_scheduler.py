"""The scheduler: steps the tasks of a scenario one at a time, each where a strategy says.

It runs *inside one task of one* `trio.run`: for as long as an exploration lasts, a plain synchronous
loop here takes the place of Trio's own. It puts its run queue, clock, deadlines and nurseries into
the runner, resumes coroutines exactly as Trio's loop does, and leaves to Trio everything that a step
then does: creating tasks, cancelling, rescheduling, closing nurseries are Trio's own code, unmodified.

Why not one `trio.run` an execution: it costs more than the execution. And why not a run queue that
hands out one task at a time to Trio's loop: three quarters of the time goes into its batches, its
generator frame and its look at epoll between any two steps.

What an execution could leave behind for the next is replaced before each: run queue, tasks,
deadlines, run-local variables, instruments, callback queue, token. `sim._kernel._trio` holds the
list of all that is relied on.
"""
# Trio's internals are private by name and untyped where they are reached; being the one place that
# does so is what this module is for.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, NoReturn

import trio
from outcome import Error, Outcome, Value
from trio._util import name_asyncgen

from sim._choices import ChoiceLog
from sim._clock import VirtualClock
from sim._draw import Active as Draws
from sim._errors import (
    Deadlock,
    Escape,
    LeakedTasks,
    StepBudgetExceeded,
    SystemTaskCrashed,
    members,
)
from sim._escapes import guarded
from sim._footprint import Recorder
from sim._kernel._dependence import recorded
from sim._kernel._faults import FaultInjector
from sim._kernel._trio import (
    CHECKPOINT,
    DETACH,
    FRAMES_TO_DROP,
    RESUME,
    RUN_CONTEXT,
    WAIT,
    Deadlines,
    FastInstruments,
    fresh_cancel_status,
    threads_replaced,
)
from sim._logs import gathered
from sim._pinned import PinnedSources
from sim._stand_ins import AsyncGeneratorSet, CallbackQueue, NoInput, OuterNursery
from sim._threads import ThreadSimulation
from sim._trace import Trace
from sim._waits import describe_waits
from sim.faults import FaultKind, FaultPlan, InjectedCrash, InjectedFailure
from sim.oracles.invariants import Invariants
from sim.strategies import (
    ABANDON,
    CLOCK,
    ROOT,
    ChoiceKind,
    Ending,
    RepetitionDiverged,
    Step,
    Strategy,
    TaskId,
)

# Steps given to tasks to clean up after themselves once an execution is over early.
_CLEANUP_STEPS: Final = 10_000


class Ended:
    """How an execution ended.

    Attributes:
        error: what failed; None if it held.
        abandoned: the strategy dropped it.
        steps: how many steps were made.
    """

    __slots__ = ("abandoned", "error", "steps")

    def __init__(self, error: BaseException | None, abandoned: bool, steps: int) -> None:
        self.error = error
        self.abandoned = abandoned
        self.steps = steps


class _Budget(Exception):
    """The step budget is used up."""


class _Abandoned(Exception):
    """The strategy has asked to drop this execution."""


class Kernel:
    """Executes scenarios. Made by `nested`, and only good inside it.

    State of one execution, all replaced by `_begin`: the runner's own fields, `_ids`, `log`, and
    what the execution has ended with so far (`_root_outcome`, `_finding`).
    """

    def __init__(self, runner: Any, max_steps: int, recorder: Recorder | None) -> None:
        self._runner = runner
        self._max_steps = max_steps
        self._host_task: Any = RUN_CONTEXT.task
        self.clock = VirtualClock()
        self.log = ChoiceLog()
        self._threads = ThreadSimulation(self.spawn_background, self._strike_thread)
        self._pinned = PinnedSources(self.clock, self._choose_seed)
        self._input = NoInput(self._refuse)
        self._system_scope: Any = None
        self._outer_status: Any = fresh_cancel_status()
        spawn = runner.spawn_impl
        self._main = OuterNursery(spawn, self._outer_status, self._main_finished)
        self._background = OuterNursery(spawn, self._outer_status, self._background_finished)
        self._callbacks = CallbackQueue(self._spawn_callback_task)
        # Task -> identity, and how many children each identity has made.
        self._ids: dict[Any, TaskId] = {}
        self._children: dict[TaskId, int] = {}
        # The other way round, if the strategy has a script; and how many of its steps were made.
        self._named: dict[TaskId, Any] = {}
        self._scripted = 0
        self._recorder = recorder
        self.invariants = Invariants(lambda: self.clock.now)
        # Strikes; the same in all executions of an exploration.
        self._faults: FaultInjector | None = None
        self._root_outcome: Outcome[object] | None = None
        self._finding: BaseException | None = None
        self._escape: Escape | None = None
        self._strategy: Strategy | None = None
        self._steps = 0
        self._trace: Trace | None = None

    # What the program under test, through other modules of this package, asks for.

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        """Make a choice inside a step: a fault, a latency, a random draw."""
        if alternatives == 1 or self._strategy is None:
            return 0
        index = self._strategy.choose(kind, alternatives)
        self.log.add(index, alternatives)
        return index

    def _choose_seed(self, seeds: int) -> int:
        """Choose what the random sources of the program give."""
        if self._strategy is None:
            return 0
        index = self._strategy.choose_seed(seeds)
        self.log.add(index, seeds)
        if self._trace is not None:
            self._trace.drew(f"seed {index}")
        return index

    def _draw(self, alternatives: int, describe: Callable[[int], str]) -> int:
        """Choose for the scenario."""
        index = self.choose(ChoiceKind.RANDOM, alternatives)
        if self._trace is not None:
            self._trace.drew(describe(index))
        return index

    def current_id(self) -> TaskId:
        """The identity of the task that makes the current step."""
        return self._ids[RUN_CONTEXT.task]

    def spawn_background(self, async_fn: Callable[..., Awaitable[object]], name: str) -> Any:
        """Start a task that stands for something outside Trio: a thread, the callback queue."""
        return self._runner.spawn_impl(async_fn, (), self._background, name, system_task=True)

    def _move_clock(self, until: float) -> None:
        self.clock.now = max(self.clock.now, until)
        self._runner.deadlines.expire(self.clock.now)

    def _strike_thread(self, name: str) -> tuple[FaultKind | None, float]:
        """What strikes a thread that the task of a name has started, and how long a delay is."""
        if self._faults is None:
            return None, 0.0
        kind = self._faults.maybe_strike_thread(name)
        if kind is not None and self._trace is not None:
            self._trace.drew(f"the fault {kind.value}")
        return kind, self._faults.seconds

    def _logged(self, line: str) -> None:
        if self._trace is not None:
            self._trace.log(line)

    # One execution.

    def execute(
        self,
        scenario: Callable[[], Awaitable[object]],
        strategy: Strategy,
        trace: Trace | None = None,
    ) -> Ended:
        """Run the scenario once.

        The choices made are in `log` afterwards.

        Raises:
            BaseException: what a strategy raises, and KeyboardInterrupt; never what the
                scenario raises.
        """
        self._begin(strategy)
        self._trace = trace
        abandoned = False
        # A collection that falls into a step would run finalizers there, at a point that depends
        # on all that was allocated since the process began.
        collecting = gc.isenabled()
        gc.disable()
        try:
            # Not the runner's main task: of that one, Trio keeps the outcome to itself.
            root = self._runner.spawn_impl(scenario, (), self._main, None)
            self._ids[root] = ROOT
            self._named[ROOT] = root
            self.invariants.begin_execution()
            if strategy.wants_footprints:
                assert self._recorder is not None
                self._recorder.begin_execution(self._ids)
                # Older than the execution, but the same thing in each.
                self._recorder.made(self._callbacks, "callbacks")
                self._recorder.made(self._outer_status._scope, "scope")
            self._run(strategy, trace)
        except _Abandoned:
            abandoned = True
        except _Budget:
            self._find(StepBudgetExceeded(self._max_steps, self._busiest()))
        finally:
            self._strategy = self._trace = None
            self.invariants.end_execution()
            if self._recorder is not None:
                self._recorder.end_execution()
            try:
                self._clean_up()
            finally:
                if collecting:
                    gc.enable()
        if self._runner.ki_pending:
            self._runner.ki_pending = False
            raise KeyboardInterrupt
        return Ended(self._verdict(), abandoned, self._steps)

    def _verdict(self) -> BaseException | None:
        """What is wrong with the execution, if anything; the weightiest of what is."""
        raised = self._root_outcome.error if isinstance(self._root_outcome, Error) else None
        if self._escape is not None:
            return raised if _has_inside(raised, self._escape) else self._escape
        faults = self._faults
        if self._finding is None and faults is not None and faults.struck and _only_injected(raised):
            return None
        return self._finding or raised

    def _begin(self, strategy: Strategy) -> None:
        runner = self._runner
        self.log.clear()
        self._ids = {}
        self._children = {}
        self._named = {}
        self._scripted = 0
        self._root_outcome = None
        self._finding = None
        self._escape = None
        self._strategy = strategy
        self._system_scope = None
        if self._faults is not None:
            self._faults.begin_execution()
        self._steps = 0
        self.clock.now = 0.0
        self._pinned.reset()
        # Only what the execution before has used is made anew: most use none of it.
        if self._callbacks.used:
            self._callbacks = CallbackQueue(self._spawn_callback_task)
        self._callbacks.done = False
        if runner.deadlines._heap:
            runner.deadlines = Deadlines()
        if runner._locals:
            runner._locals = {}
        if len(runner.instruments) > 1:
            runner.instruments = FastInstruments()
        if runner.waiting_for_idle:
            runner.waiting_for_idle.clear()
        if runner.asyncgens.alive.used:
            runner.asyncgens.alive = AsyncGeneratorSet()
        runner.entry_queue = self._callbacks
        runner.trio_token = None

    def _run(self, strategy: Strategy, trace: Trace | None) -> None:
        """Make steps until nothing is left to be done."""
        while True:
            self._step_until_idle(strategy, trace)
            if self._finding is not None:
                return
            if self._wake_by_time():
                self._find_overdue(self.clock.now)
            elif not self._finish_up():
                if not isinstance(self._root_outcome, Error):
                    self._find_overdue(math.inf)
                return
            if self._finding is not None:
                return

    def _step_until_idle(self, strategy: Strategy, trace: Trace | None) -> None:
        # The hot loop: every line of it is paid once a step, hence the local names.
        runner = self._runner
        runq: list[Any] = runner.runq
        instruments = runner.instruments
        deadlines = runner.deadlines
        clock = self.clock
        invariants = self.invariants
        watched = invariants.watched
        ids = self._ids
        log_index = self.log.indices.append
        log_alternatives = self.log.alternatives.append
        recorder = self._recorder if strategy.wants_footprints else None
        faults = self._faults
        choose = strategy.choose
        choose_task = strategy.choose_task if _wants_identities(strategy) else None
        script, scripted, script_end = strategy.script, self._scripted, len(strategy.script)
        named = self._named
        schedule = ChoiceKind.SCHEDULE
        context = RUN_CONTEXT
        steps, max_steps = self._steps, self._max_steps
        previous = CLOCK if steps else ROOT
        noting = False
        try:
            while runq:
                runnable = len(runq)
                if choose_task is not None:
                    if scripted < script_end:
                        try:
                            index = runq.index(named[script[scripted]])
                        except (KeyError, ValueError):
                            self._diverge(scripted)
                        scripted += 1
                    else:
                        index = choose_task([ids[task] for task in runq], previous)
                        if index == ABANDON:
                            raise _Abandoned
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
                    raise _Budget
                steps += 1
                context.task = task
                if choose_task is not None:
                    previous = ids[task]
                if trace is not None:
                    trace.before_step(task, ids[task], index, runnable, clock.now)
                if len(instruments) > 1 and "before_task_step" in instruments:
                    instruments.call("before_task_step", task)

                if recorder is not None:
                    recorder.task = task
                    if recorder.waiting:
                        recorder.waiting.pop(task, None)
                    if noting:
                        recorder.begin_step()

                send, value = task._next_send_fn, task._next_send
                task._next_send_fn = task._next_send = None
                outcome: Outcome[object] | None = None
                again = False
                message: Any = None
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
                    if isinstance(error, KeyboardInterrupt):
                        runner.ki_pending = True
                if outcome is not None:
                    runner.task_exited(task, outcome)
                else:
                    task._schedule_points += 1
                    if message is CHECKPOINT:
                        # What runner.reschedule does, but to the front of the queue: alternative
                        # 0 is always to go on with the same task.
                        again = True
                        task._next_send_fn = task.coro.send
                        task._next_send = RESUME
                        if "task_scheduled" in instruments:
                            instruments.call("task_scheduled", task)
                    elif type(message) is WAIT:
                        task._cancel_points += 1
                        task._abort_func = message.abort_func
                        task._attempt_delivery_of_any_pending_cancel()
                    elif type(message) is DETACH:
                        runner.task_exited(task, message.final_outcome)
                    else:
                        runner.reschedule(
                            task,
                            TypeError(
                                f"the task yielded {message!r}, which is nothing that Trio knows; "
                                "is it a coroutine of another async library?"
                            ),
                        )
                        task._next_send_fn = task.coro.throw

                if deadlines._heap and deadlines._heap[0][0] <= clock.now:
                    deadlines.expire(clock.now)
                fault = ""
                if faults is not None and faults.left and outcome is None:
                    fault = faults.maybe_strike(task)
                # What this step has made runnable is at the end of the queue.
                made = 0
                if len(runq) >= runnable:
                    made = self._identify(task, runnable - 1)
                if again:
                    runq.insert(0, task)
                elif runq and runq[-1] is task:
                    runq.insert(0, runq.pop())
                if watched:
                    broken = invariants.after_step(task.name)
                    if broken is not None:
                        self._find(broken)
                if noting and recorder is not None:
                    over = outcome is not None or type(message) is DETACH
                    self._report_step(recorder, task, over, runnable - 1, made)
                if len(instruments) > 1 and "after_task_step" in instruments:
                    instruments.call("after_task_step", task)
                if trace is not None:
                    trace.after_step(task, bool(runq) and runq[0] is task, fault)
                if self._finding is not None:
                    return
                del task, send, value, message
        finally:
            self._steps = steps
            self._scripted = scripted

    def _diverge(self, scripted: int) -> NoReturn:
        """The script cannot be followed further than so many steps: who comes then cannot run."""
        assert self._strategy is not None
        runnable = [self._ids[task] for task in self._runner.runq]
        raise RepetitionDiverged(scripted, self._strategy.script[scripted], runnable)

    def _report_step(self, recorder: Recorder, task: Any, over: bool, before: int, made: int) -> None:
        """Tell the strategy what a step was.

        Args:
            recorder: has seen it.
            task: who made it; it is the first in the queue if it can go on.
            over: it was its last.
            before: how many other tasks were runnable before it.
            made: how many tasks it has created.
        """
        runq, ids = self._runner.runq, self._ids
        can_go_on = bool(runq) and runq[0] is task
        identity = ids[task]
        spawned: tuple[TaskId, ...] = ()
        if made:
            children = self._children[identity]
            spawned = tuple((*identity, number) for number in range(children - made, children))
        woken: tuple[TaskId, ...] = ()
        first = before + can_go_on
        if len(runq) > first + made:
            woken = tuple(sorted(ids[other] for other in runq[first:] if ids[other] not in spawned))
            for other in woken:
                recorder.woken(other)
        ending = Ending.FINISHED if over else Ending.RUNNABLE if can_go_on else Ending.BLOCKED
        assert self._strategy is not None
        self._strategy.step_done(Step(identity, recorder.end_step(), spawned, woken, ending))

    def _identify(self, creator: Any, start: int) -> int:
        """Name the tasks that were created in a step, and bring what it made runnable into an order
        that is the same in every process: Trio keeps waiting tasks in sets.

        Returns:
            how many tasks were created.
        """
        runq, ids = self._runner.runq, self._ids
        made = 0
        for task in runq[start:]:
            if task not in ids:
                self._name_child(ids[creator], task)
                made += 1
        if len(runq) - start > 1:
            runq[start:] = sorted(runq[start:], key=lambda task: (task is creator, ids[task]))
        return made

    def _name_child(self, parent: TaskId, task: Any) -> None:
        number = self._children.get(parent, 0)
        self._children[parent] = number + 1
        identity = (*parent, number)
        self._ids[task] = identity
        self._named[identity] = task

    def _wake_by_time(self) -> bool:
        """Nothing is runnable: let those go on that wait for that, or time pass.

        Returns:
            False if nothing will ever be runnable again.
        """
        runner, ids = self._runner, self._ids
        idle = runner.waiting_for_idle
        if idle:
            # The cushion is in real seconds, of which none pass here: the shortest comes first.
            cushion = idle.keys()[0][0]
            while idle and idle.keys()[0][0] == cushion:
                _, task = idle.popitem(0)
                runner.reschedule(task)
        else:
            while not runner.runq:
                deadline = runner.deadlines.next_deadline()
                if deadline == math.inf:
                    return False
                self.clock.now = max(self.clock.now, deadline)
                runner.deadlines.expire(self.clock.now)
        runner.runq.sort(key=ids.__getitem__)
        strategy = self._strategy
        if strategy is not None and strategy.wants_footprints:
            if self._scripted < len(strategy.script):
                if strategy.script[self._scripted] != CLOCK:
                    self._diverge(self._scripted)
                self._scripted += 1
            else:
                woken = tuple(ids[task] for task in runner.runq)
                strategy.step_done(Step(CLOCK, (), (), woken, Ending.RUNNABLE))
        return True

    def _finish_up(self) -> bool:
        """Nothing will be runnable again: the end, a task too many, or the last generators.

        Returns:
            True if there is more to be stepped.
        """
        runner = self._runner
        left = runner.tasks - {self._callbacks.task}
        if left:
            waiting = describe_waits(list(left), self._ids.__getitem__)
            over = self._root_outcome is not None
            self._find(LeakedTasks(waiting) if over else Deadlock(waiting))
            return False
        return self._close_generators()

    def _close_generators(self) -> bool:
        """Start to close the async generators that were left half-way, if there are any."""
        runner = self._runner
        # Only those that nobody is in: another is closed by the task that is.
        generators = [one for one in runner.asyncgens.alive.take() if not one.ag_running]
        if not generators:
            return False

        async def close_generators() -> None:
            for generator in generators:
                await runner.asyncgens._finalize_one(generator, name_asyncgen(generator))

        task = self.spawn_background(close_generators, "<closing of async generators>")
        self._name_child(ROOT, task)
        return True

    # What ends, and how.

    def _find(self, finding: BaseException) -> None:
        if self._finding is None:
            self._finding = finding

    def _find_overdue(self, now: float) -> None:
        if self.invariants.watched:
            overdue = self.invariants.overdue(now)
            if overdue is not None:
                self._find(overdue)

    def _refuse(self, escape: Escape) -> None:
        # The run goes on: the error is on its way to the line of the program that is to blame.
        if self._escape is None:
            self._escape = escape

    def _main_finished(self, task: Any, outcome: Outcome[object]) -> None:
        del task
        self._root_outcome = outcome
        if self._system_scope is not None:
            self._system_scope.cancel()

    def _system_finished(self, task: Any, outcome: Outcome[object]) -> None:
        if not isinstance(outcome, Error) or isinstance(outcome.error, trio.Cancelled):
            return
        crash = SystemTaskCrashed(f"the system task {task.name} raised {outcome.error!r}")
        crash.__cause__ = outcome.error
        self._find(crash)

    def _background_finished(self, task: Any, outcome: Outcome[object]) -> None:
        self._system_finished(task, outcome)

    def _system_status(self) -> Any:
        """The cancel status of system tasks, made when the first one is."""
        if self._system_scope is None:
            self._system_scope = fresh_cancel_status()._scope
            if self._root_outcome is not None:
                self._system_scope.cancel()
        return self._system_scope._cancel_status

    def _spawn_callback_task(self, async_fn: Callable[[], Awaitable[None]]) -> Any:
        return self.spawn_background(async_fn, "<TrioToken.run_sync_soon task>")

    def _busiest(self) -> str:
        name: str = max(self._runner.tasks, key=lambda task: task._schedule_points).name
        return name

    def _clean_up(self) -> None:
        """Leave nothing of this execution: no task, no coroutine that was not run to its end."""
        runner = self._runner
        if runner.tasks:
            # Threads report back through the callbacks also while their tasks clean up after themselves.
            if self._faults is not None:
                self._faults.left = 0
            self._cancel_everything()
        # What is called between two executions comes from the finalizers of what the last one has left.
        self._callbacks.done = True
        if runner.tasks:
            self._close_by_force()
            runner.runq = []
            runner.tasks = set()
        self._ids = {}
        self._named = {}
        RUN_CONTEXT.task = self._host_task

    def _cancel_everything(self) -> None:
        """Let the tasks unwind themselves: cancel them, and step them in turn.

        Nothing that happens here is a finding; the verdict was given before.
        """
        runner = self._runner
        finding, root_outcome, log = self._finding, self._root_outcome, self.log
        self.log = ChoiceLog()
        scopes = [self._outer_status._scope]
        if self._system_scope is not None:
            scopes.append(self._system_scope)
        for scope in scopes:
            scope.cancel()
        steps, self._steps = self._steps, self._max_steps - _CLEANUP_STEPS
        with contextlib.suppress(_Budget):
            self._finding = None
            self._run_quietly()
        self._steps = steps
        self._finding, self._root_outcome, self.log = finding, root_outcome, log
        self._outer_status = fresh_cancel_status()
        for nursery in (self._main, self._background):
            nursery._cancel_status = self._outer_status
            nursery._children.clear()
        runner.deadlines = Deadlines()

    def _run_quietly(self) -> None:
        turns = _TakeTurns()
        while self._runner.runq or self._wake_by_time() or self._close_generators():
            self._step_until_idle(turns, None)
            self._finding = None

    def _close_by_force(self) -> None:
        """Throw GeneratorExit into what does not end by itself."""
        runner = self._runner
        for task in list(runner.tasks):
            # It was told to end and did not; whatever it raises now comes too late to matter.
            RUN_CONTEXT.task = task
            with contextlib.suppress(BaseException):
                task.coro.close()
        for task in list(runner.tasks):
            for nursery in task._child_nurseries:
                nursery._children.clear()
            parent = task._parent_nursery
            if parent is not None:
                parent._children.discard(task)

    # The life of the kernel.

    @contextlib.contextmanager
    def struck_by(self, plan: FaultPlan | None) -> Generator[None]:
        """Let faults strike in the executions that are made in the block."""
        if plan is None:
            yield
            return
        self._faults = FaultInjector(
            plan, partial(self.choose, ChoiceKind.FAULT), lambda: self._ids, self._move_clock
        )
        try:
            with self._faults.watching():
                yield
        finally:
            self._faults = None

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        """Take the place of the runner's loop, and give it back."""
        runner = self._runner
        names = (
            "runq",
            "tasks",
            "clock",
            "deadlines",
            "_locals",
            "instruments",
            "entry_queue",
            "trio_token",
            "system_nursery",
            "io_manager",
            "waiting_for_idle",
        )
        before = {name: getattr(runner, name) for name in names}
        alive = runner.asyncgens.alive
        runner.clock = self.clock
        runner.io_manager = self._input
        runner.waiting_for_idle = type(runner.waiting_for_idle)()
        runner.runq = []
        runner.tasks = set()
        runner.deadlines = Deadlines()
        runner._locals = {}
        runner.instruments = FastInstruments()
        runner.system_nursery = _SystemNursery(self)
        runner.asyncgens.alive = AsyncGeneratorSet()
        Draws.choose = self._draw
        try:
            with (
                self._pinned.installed(),
                guarded(self._refuse),
                gathered(self._logged),
                threads_replaced(self._threads.start),
            ):
                yield
        finally:
            Draws.choose = None
            self._threads.stop()
            for name, value in before.items():
                setattr(runner, name, value)
            runner.asyncgens.alive = alive
            RUN_CONTEXT.task = self._host_task


class _SystemNursery(OuterNursery):
    """The nursery of system tasks. Its cancel scope exists from its first task on."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        super().__init__(kernel._runner.spawn_impl, None, kernel._system_finished)

    @property
    def _cancel_status(self) -> Any:
        return self._kernel._system_status()

    @_cancel_status.setter
    def _cancel_status(self, status: object) -> None:
        assert status is None


class _TakeTurns(Strategy):
    """Every task in its turn: fair, so that tasks that wait for each other's clean-up get on."""

    def begin_execution(self) -> bool:
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        return alternatives - 1 if kind is ChoiceKind.SCHEDULE else 0


def _only_injected(error: BaseException | None) -> bool:
    """Whether an error is nothing but what faults have raised."""
    if inside := members(error):
        return all(map(_only_injected, inside))
    if isinstance(error, InjectedCrash | InjectedFailure | trio.Cancelled):
        return True
    # What a server's caller is told: `ServerCrashed`, caused by the crash. An assertion is a verdict.
    cause = None if error is None or isinstance(error, AssertionError) else error.__cause__
    return cause is not None and _only_injected(cause)


def _has_inside(error: BaseException | None, wanted: BaseException) -> bool:
    return error is wanted or any(_has_inside(inside, wanted) for inside in members(error))


def _wants_identities(strategy: Strategy) -> bool:
    return strategy.wants_identities or strategy.wants_footprints


@contextlib.contextmanager
def nested(max_steps: int, footprints: bool) -> Generator[Kernel]:
    """Inside a task of a Trio run: a kernel that has the run to itself until the block ends.

    Args:
        max_steps: steps an execution may take.
        footprints: whether strategies that want footprints will be served.
    """
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(recorded()) if footprints else None
        kernel = Kernel(RUN_CONTEXT.runner, max_steps, recorder)
        stack.enter_context(kernel.installed())
        yield kernel
