"""The execution of scenarios, as many times as asked, inside one Trio run.

It runs *inside one task of one* `trio.run`: for as long as an exploration lasts, our scheduler here
takes the place of Trio's own loop. It puts its run queue, clock, deadlines and nurseries into the
runner.

Why not one `trio.run` an execution: it costs more than the execution. And why not a run queue that
hands out one task at a time to Trio's loop: three quarters of the time goes into its batches, its
generator frame and its look at epoll between any two steps.

Everything that an execution could leave behind for the next is replaced before each: run queue, tasks,
deadlines, run-local variables, instruments, callback queue, token. `sim._trio` holds the list of all that is
relied on.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Awaitable, Callable, Collection, Generator
from functools import partial
from typing import Any, Final

from outcome import Error

from sim._dependence.footprint import Recorder
from sim._dependence.recording import recorded
from sim._kernel.ending import End
from sim._kernel.fakes import NoInput
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
from sim._kernel.step_ender import StepEnder, end_worker
from sim._kernel.takeover import renew, taken_over
from sim._kernel.watchdog import CALLERS, Watchdog
from sim._run.choices import ChoiceLog
from sim._run.cycle import described, find_cycle
from sim._run.draws import Active as Draws
from sim._run.errors import Escape, StepBudgetExceeded, WrongUse
from sim._run.strategy import ChoiceKind, RepetitionDiverged, Strategy
from sim._run.trace import Trace
from sim._trio import RUN_CONTEXT
from sim._world.deterministic import DeterministicSources
from sim._world.escapes import guarded
from sim._world.locks import Tasks
from sim._world.logs import gathered
from sim._world.threads import THREADS, ThreadSimulation
from sim._world.worker import Watch, current_worker
from sim.faults import FaultKind, FaultPlan

# How many refusals a step may catch before it is taken for one that tries again for ever.
_REFUSALS: Final = 1_000


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
        self._watch.end_thread = end_worker
        self._threads = ThreadSimulation(
            self._nurseries.spawn_background, self._strike_thread, self._findings.find, self._watch
        )
        # Whether the locks that the program has made before were looked for.
        self._looked_through = False
        self._sources = DeterministicSources(
            self._scheduler.clock, self._scheduler.choose_seed, self._threads
        )
        self._end = End(runner, self._scheduler, self._findings, self._threads, self._nurseries)
        self._recursion = RecursionRoom()
        self._ender = StepEnder(CALLERS)
        self._watchdog = Watchdog(self._scheduler, self._findings, self._interrupts, self._watch, self._ender)
        self._inner_steps = InnerSteps(
            runner,
            self._scheduler,
            self._findings,
            self._threads,
            recorder,
            self._interrupts.pending,
            self._ender,
            self._watchdog,
        )

    @property
    def log(self) -> ChoiceLog:
        """The choices of the last execution."""
        return self._scheduler.log

    @property
    def invariants(self) -> Invariants:
        """The promises of scenarios."""
        return self._scheduler.invariants

    @property
    def unseen(self) -> tuple[str, ...]:
        """What of the program stays real, and where it is held: phrases for a report."""
        older = self._sources.older_locks
        if older is None:
            return ()
        # Only threads take locks that others hold: a task that finds one taken waits for ever.
        return (
            *_held("locks made before the run", older.unseen if self._threads.used else ()),
            *_held("clocks kept before the run", older.clocks),
        )

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
                self._recorder.made(self._end.callbacks, "callbacks")
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
                self._end.clean_up(self._order)
                scheduler.forget_tasks()
                RUN_CONTEXT.task = self._host_task
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
                "calling the scenario returned no coroutine, so there is nothing to run: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _begin(self, strategy: Strategy, trace: Trace | None) -> None:
        scheduler, runner = self._scheduler, self._runner
        self._findings.begin()
        self._nurseries.begin()
        self._threads.begin_execution()
        self._ender.begin()
        scheduler.begin(strategy, trace)
        if scheduler.faults is not None:
            scheduler.faults.begin_execution()
        self._sources.reset()
        self._end.begin()
        renew(runner, self._order)
        runner.entry_queue = self._end.callbacks

    def _run(self, strategy: Strategy, trace: Trace | None) -> None:
        """Make steps until nothing is left to be done."""
        scheduler, findings = self._scheduler, self._findings
        while True:
            scheduler.step_until_idle(strategy, trace)
            if findings.first is not None:
                return
            if not self._end.is_exit() and scheduler.time.wake():
                scheduler.time.find_overdue(scheduler.clock.elapsed)
            elif not self._end.finish():
                if not isinstance(findings.root, Error):
                    scheduler.time.find_overdue(math.inf)
                return
            if findings.first is not None:
                return

    def _without_end(self, trace: Trace | None) -> StepBudgetExceeded:
        """The report of an abandoned run; it says more if the run was traced."""
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

    def _see_older_locks(self, scenario: Callable[[], Awaitable[object]]) -> None:
        """Make the locks that the program has made before the run locks of the run."""
        older = self._sources.older_locks
        if older is not None:
            older.replace(scenario)

    def _strike_thread(self, name: str) -> tuple[FaultKind | None, float]:
        """The fault that strikes a thread started by the named task, and the length of a delay."""
        faults = self._scheduler.faults
        if faults is None:
            return None, 0.0
        kind = faults.maybe_strike_thread(name)
        if kind is not None:
            self._scheduler.drew(f"the fault {kind.value}")
        return kind, faults.seconds

    def _refuse(self, escape: Escape) -> None:
        """Note an escape, which is about to be raised."""
        self._findings.escaped(escape)
        if current_worker() is None and self._scheduler.others >= 0:
            self._ender.raises(self._scheduler.steps, _REFUSALS)

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
        scheduler, refuse = self._scheduler, self._refuse
        with taken_over(self._runner, scheduler.clock, NoInput(refuse), self._nurseries, self._order):
            Draws.choose = scheduler.draw
            Tasks.side = self._inner_steps
            try:
                with (
                    self._recursion.kept(),
                    self._sources.installed(),
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


def _held(what: str, holders: Collection[str]) -> list[str]:
    return [f"{what} that cannot be replaced, in {', '.join(sorted(holders))}"] if holders else []
