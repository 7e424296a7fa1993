"""The execution of scenarios, as many times as asked, inside one Trio run.

It runs *inside one task of one* `trio.run`: for as long as an exploration lasts, our scheduler here
takes the place of Trio's own loop. It puts its run queue, clock, deadlines and nurseries into the
runner.

Why not one `trio.run` an execution: it costs more than the execution. And why not a run queue that
hands out one task at a time to Trio's loop: three quarters of the time goes into its batches, its
generator frame and its look at epoll between any two steps.

What an execution could leave behind for the next is replaced before each: run queue, tasks,
deadlines, run-local variables, instruments, callback queue, token. `sim._trio` holds the
list of all that is relied on.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from outcome import Error

from sim._dependence.footprint import Active, Recorder
from sim._dependence.recording import recorded
from sim._kernel.cleanup import cancel_everything, close_by_force
from sim._kernel.faults import FaultInjector
from sim._kernel.findings import Ended, Findings
from sim._kernel.inner_steps import InnerSteps
from sim._kernel.interrupts import Interrupts
from sim._kernel.invariants import Invariants
from sim._kernel.on_trio import threads_replaced
from sim._kernel.order import Order
from sim._kernel.outer_nurseries import OuterNurseries
from sim._kernel.recursion import RecursionRoom
from sim._kernel.scheduler import Abandoned, BudgetUsedUp, Cut, Scheduler
from sim._kernel.stand_ins import CallbackQueue, NoInput
from sim._kernel.takeover import renew, taken_over
from sim._kernel.waits import describe_waits
from sim._kernel.watchdog import Watchdog
from sim._run.choices import ChoiceLog
from sim._run.cycle import described, find_cycle
from sim._run.draws import Active as Draws
from sim._run.errors import Deadlock, LeakedTasks, StepBudgetExceeded, WrongUse
from sim._run.step import ROOT, Operation
from sim._run.strategy import ChoiceKind, RepetitionDiverged, Strategy
from sim._run.trace import Trace
from sim._trio import RUN_CONTEXT, name_asyncgen
from sim._world.escapes import guarded
from sim._world.locks import Tasks
from sim._world.logs import gathered
from sim._world.own_threads import executors_go_on, let_executors_end
from sim._world.pinned import PinnedSources
from sim._world.threads import THREADS, ThreadSimulation
from sim._world.worker import Watch
from sim.faults import FaultKind, FaultPlan


class Kernel:
    """Executes scenarios. Made by `nested`, and only good inside it."""

    def __init__(self, runner: Any, max_steps: int, recorder: Recorder | None) -> None:
        self._runner = runner
        self._recorder = recorder
        self._host_task: Any = RUN_CONTEXT.task
        self._findings = Findings()
        self._scheduler = Scheduler(runner, max_steps, recorder, self._findings)
        self._order = Order(lambda: self._scheduler.ids)
        self._nurseries = OuterNurseries(runner, self._findings, self._order.ordered)
        self._interrupts = Interrupts(runner)
        # So that the run ends with the step that is under way.
        self._interrupts.noticed = lambda: self._findings.find(KeyboardInterrupt())
        self._watch = Watch(self._interrupts.pending)
        self._threads = ThreadSimulation(
            self._spawn_background, self._strike_thread, self._findings.find, self._watch
        )
        # Whether the locks that the program has made before were looked for.
        self._looked_through = False
        self._pinned = PinnedSources(self._scheduler.clock, self._scheduler.choose_seed, self._threads)
        self._callbacks = CallbackQueue(self._spawn_callback_task, self._is_over_but_for_callbacks)
        self._recursion = RecursionRoom()
        # Nothing is left but threads of executors, and these were told to end.
        self._exiting = False
        self._watchdog = Watchdog(self._scheduler, self._findings, self._interrupts, self._watch)
        self._inner_steps = InnerSteps(
            runner, self._scheduler, self._findings, self._threads, recorder, self._interrupts.pending
        )

    @property
    def log(self) -> ChoiceLog:
        """The choices of the last execution."""
        return self._scheduler.log

    @property
    def invariants(self) -> Invariants:
        """What scenarios have promised."""
        return self._scheduler.invariants

    @property
    def unseen(self) -> frozenset[str]:
        """Where the program holds locks of before the run that threads take unseen."""
        older = self._pinned.older_locks
        return frozenset(older.unseen) if older is not None and self._threads.used else frozenset()

    @property
    def was_fair(self) -> bool:
        """Whether a task had to stand back for others, in any execution, because it repeated itself."""
        return self._scheduler.fairness.has_limited

    def execute(
        self,
        scenario: Callable[[], Awaitable[object]],
        strategy: Strategy,
        trace: Trace | None = None,
    ) -> Ended:
        """Run the scenario once.

        The choices made are in `log` afterwards.

        Raises:
            WrongUse: the scenario is no async function.
            BaseException: what a strategy raises, and KeyboardInterrupt if Ctrl-C was pressed; never what
                the scenario raises.
        """
        scheduler = self._scheduler
        if not self._looked_through:
            self._looked_through = True
            self._see_older_locks(scenario)
        self._begin(strategy, trace)
        self._interrupts.check()
        abandoned = cut = False
        self._recursion.give()
        # A collection that falls into a step would run finalizers there, at a point that depends
        # on all that was allocated since the process began.
        collecting = gc.isenabled()
        gc.disable()
        try:
            # Not the runner's main task: of that one, Trio keeps the outcome to itself.
            root = self._spawn_root(scenario)
            scheduler.identities.name_root(root)
            self.invariants.begin_execution()
            if strategy.wants_footprints:
                assert self._recorder is not None
                self._recorder.begin_execution(scheduler.ids)
                # Older than the execution, but the same thing in each.
                self._recorder.made(self._callbacks, "callbacks")
                self._recorder.made(self._threads, THREADS)
                self._recorder.made(self._nurseries.scope, "scope")
                self._recorder.made(self._nurseries.system, "system nursery")
                if scheduler.faults is not None:
                    self._recorder.made(scheduler.faults, "faults")
            self._run(strategy, trace)
        except RepetitionDiverged as diverged:
            diverged.where = scheduler.reports.describe_places(diverged.task)
            raise
        except Abandoned:
            abandoned = True
        except Cut:
            cut = True
        except BudgetUsedUp:
            self._findings.find(self._without_end(trace))
        finally:
            scheduler.close()
            self.invariants.end_execution()
            if self._recorder is not None:
                self._recorder.end_execution()
            try:
                self._clean_up()
            finally:
                if collecting:
                    gc.enable()
        self._interrupts.check()
        faults = scheduler.faults
        struck = faults is not None and faults.struck
        return Ended(
            self._findings.verdict(struck),
            abandoned,
            cut,
            scheduler.steps,
            struck,
            scheduler.left,
            self.invariants.outdated,
        )

    def _spawn_root(self, scenario: Callable[[], Awaitable[object]]) -> Any:
        try:
            return self._runner.spawn_impl(scenario, (), self._nurseries.main, None)
        except Exception as error:
            raise WrongUse(
                "calling the scenario gave no coroutine, so that there is nothing to run: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _begin(self, strategy: Strategy, trace: Trace | None) -> None:
        scheduler, runner = self._scheduler, self._runner
        self._findings.begin()
        self._nurseries.begin()
        self._threads.begin_execution()
        self._exiting = False
        scheduler.begin(strategy, trace)
        if scheduler.faults is not None:
            scheduler.faults.begin_execution()
        self._pinned.reset()
        if self._callbacks.used:
            self._callbacks = CallbackQueue(self._spawn_callback_task, self._is_over_but_for_callbacks)
        self._callbacks.done = False
        renew(runner, self._order)
        runner.entry_queue = self._callbacks

    def _run(self, strategy: Strategy, trace: Trace | None) -> None:
        """Make steps until nothing is left to be done."""
        scheduler, findings = self._scheduler, self._findings
        while True:
            scheduler.step_until_idle(strategy, trace)
            if findings.first is not None:
                return
            if not self._only_daemons_left() and scheduler.time.wake():
                scheduler.time.find_overdue(scheduler.clock.elapsed)
            elif not self._finish_up():
                if not isinstance(findings.root, Error):
                    scheduler.time.find_overdue(math.inf)
                return
            if findings.first is not None:
                return

    def _finish_up(self) -> bool:
        """Nothing will be runnable again: the end, a task too many, or the last generators.

        Returns:
            True if there is more to be stepped.
        """
        runner = self._runner
        over = self._findings.root is not None
        left = list(runner.tasks - {self._callbacks.task})
        if over:
            left = self._threads.held_open_by(left)
        if left and over and not self._exiting and self._threads.executors_only(left):
            self._exit()
            return True
        if left:
            waiting = describe_waits(left, self._scheduler.ids.__getitem__)
            self._findings.find(LeakedTasks(waiting) if over else Deadlock(waiting))
            return False
        return self._close_generators()

    def _only_daemons_left(self) -> bool:
        """Whether a program would end here: not for anything that waits for time to pass."""
        if self._findings.root is None:
            return False
        left = self._runner.tasks - {self._callbacks.task}
        return bool(left) and not self._threads.held_open_by(left)

    def _exit(self) -> None:
        """Do what the end of a program does to executors."""
        self._exiting = True

        async def exit_program() -> None:
            let_executors_end(self._threads.own())

        task = self._spawn_background(exit_program, "<end of the program>")
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

        return self._spawn_background(close_generators, "<closing of async generators>")

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
        if self._runner.tasks - {self._callbacks.task}:
            return False
        # As long as callbacks go on, nobody else comes to it.
        return self._start_closing_generators() is None

    def _without_end(self, trace: Trace | None) -> StepBudgetExceeded:
        """What is said of a run that was given up: more, if it was traced."""
        scheduler = self._scheduler
        busiest: str = max(self._runner.tasks, key=lambda task: task._schedule_points).name
        if trace is None or scheduler.watch is None:
            return StepBudgetExceeded(scheduler.max_steps, busiest)
        cycle, looks = find_cycle(trace.steps), scheduler.watch.looks()
        return StepBudgetExceeded(
            scheduler.max_steps,
            busiest,
            cycle=cycle,
            repeated=() if cycle is None else described(cycle, trace.steps),
            unchanged=looks.unchanged,
            changed=looks.changed,
            watched=looks.steps,
        )

    def _clean_up(self) -> None:
        """Leave nothing of this execution: no task, no coroutine that was not run to its end."""
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
                self._order.deadlines,
            )
        if self._exiting:
            executors_go_on()
        # What is called between two executions comes from the finalizers of what the last one has left.
        self._callbacks.done = True
        if runner.tasks:
            close_by_force(runner)
        self._scheduler.forget_tasks()
        RUN_CONTEXT.task = self._host_task

    # What tasks are started for that no task of the program starts.

    def _spawn_background(self, async_fn: Callable[..., Awaitable[object]], name: str) -> Any:
        """Start a task that stands for something outside Trio: a thread, or what Trio does at the end."""
        return self._runner.spawn_impl(async_fn, (), self._nurseries.background, name, system_task=True)

    def _spawn_callback_task(self, async_fn: Callable[[], Awaitable[None]]) -> Any:
        nursery, name = self._nurseries.callbacks, "<TrioToken.run_sync_soon task>"
        return self._runner.spawn_impl(async_fn, (), nursery, name, system_task=True)

    def _see_older_locks(self, scenario: Callable[[], Awaitable[object]]) -> None:
        """Make the locks that the program has made before the run locks of the run."""
        older = self._pinned.older_locks
        if older is not None:
            older.replace(scenario)

    def _strike_thread(self, name: str) -> tuple[FaultKind | None, float]:
        """What strikes a thread that the task of a name has started, and how long a delay is."""
        faults = self._scheduler.faults
        if faults is None:
            return None, 0.0
        kind = faults.maybe_strike_thread(name)
        if kind is not None:
            self._scheduler.drew(f"the fault {kind.value}")
        return kind, faults.seconds

    # The life of the kernel.

    @contextlib.contextmanager
    def limited(self, steps: int) -> Generator[None]:
        """Let executions that are made in the block take no more than so many steps."""
        scheduler = self._scheduler
        before, scheduler.max_steps = scheduler.max_steps, min(steps, scheduler.max_steps)
        try:
            yield
        finally:
            scheduler.max_steps = before

    @contextlib.contextmanager
    def time_limited(self, until: float) -> Generator[None]:
        """Do not wait much longer than until a moment, in real seconds, for what computes."""
        before, self._watch.until = self._watch.until, until
        try:
            yield
        finally:
            self._watch.until = before

    @contextlib.contextmanager
    def struck_by(self, plan: FaultPlan | None, package: str) -> Generator[FaultInjector | None]:
        """Let faults strike in the executions that are made in the block.

        Args:
            plan: which, if any.
            package: the top-level package of the scenario, whose cancel scopes may be struck.
        """
        if plan is None:
            yield None
            return
        scheduler = self._scheduler
        faults = FaultInjector(
            plan,
            package,
            partial(scheduler.choose, ChoiceKind.FAULT),
            lambda: scheduler.ids,
            lambda: scheduler.clock.now,
            scheduler.time.move,
            self._recorder,
        )
        scheduler.let_strike(faults)
        try:
            with faults.watching():
                yield faults
        finally:
            scheduler.let_strike(None)

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        """Take the place of the runner's loop, and give it back."""
        scheduler, refuse = self._scheduler, self._findings.escaped
        with taken_over(self._runner, scheduler.clock, NoInput(refuse), self._nurseries, self._order):
            Draws.choose = scheduler.draw
            Tasks.side = self._inner_steps
            try:
                with (
                    self._recursion.kept(),
                    self._pinned.installed(),
                    guarded(refuse),
                    gathered(scheduler.logged),
                    threads_replaced(self._threads.start),
                    self._interrupts.noted(),
                    self._watchdog.watching(),
                ):
                    yield
            finally:
                Draws.choose = None
                Tasks.side = None
                self._threads.stop()


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
