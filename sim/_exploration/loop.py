"""An exploration under way: execution after execution, until one of its bounds is met."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from sim._exploration.examination import Examination, innermost
from sim._exploration.result import Failure
from sim._kernel import Ended, Kernel
from sim._run.choices import ChoiceLog
from sim._run.errors import TaskBlocked, ThreadBlocked, WrongUse
from sim._run.strategy import Execution, RepetitionDiverged, Strategy, Verdict
from sim._run.trace import Trace
from sim._world.worker import time_limited
from sim.faults import FaultPlan
from sim.strategies._replay import Prefix

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Progress: TypeAlias = Callable[[int], None]

# From so many sampled runs on, the first is made again at the end. Of a few, `self_check` repeats every one,
# and who asks for five runs may count what they do. An exploration that claims to be complete is compared
# however small it is, and so is one with a run that fails.
_WORTH_COMPARING: Final = 21

# Taken before a run replaces it in its module.
real_seconds: Final = time.perf_counter


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `sim.explore` that bound and shape an exploration."""

    max_steps: int
    max_depth: int | None = None
    max_executions: int = 1
    max_failures: int = 1
    shrink_failures: bool = False
    faults: FaultPlan | None = None
    jobs: int = 1
    progress: Progress | None = None
    self_check: bool = False
    compare: bool = False
    """Make runs again at the end, to see whether they leave something behind."""
    known: frozenset[str] = frozenset()
    """The tokens of failing runs that have been reported already."""
    strict_exception_groups: bool = True
    """As `trio.run` takes it."""
    until: float = math.inf
    """The `real_seconds` from which on no further run begins; the first always does."""


def scenario_name(scenario: Scenario) -> str:
    """How results call a scenario: the name of its function."""
    if isinstance(scenario, partial):
        return scenario_name(scenario.func)
    return getattr(scenario, "__name__", None) or repr(scenario)


def module_of(scenario: Scenario) -> str:
    """The module that a scenario's function is of; "" if it has none."""
    if isinstance(scenario, partial):
        return module_of(scenario.func)
    return getattr(scenario, "__module__", "")


class Exploration:
    """The loop over executions, and what it has gathered so far.

    Args:
        stopped: asked now and then; once it says so, no further run begins.

    Attributes:
        unnamed: if the fault plan names tasks, and there was none of these: the names that there were.
        fair_only: whether schedules were left out in which a task does nothing but repeat itself.
        interrupted: Ctrl-C has ended it; the rest is what was found by then.
        unseen: where the program holds locks of before the run that threads take unseen.
    """

    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        options: Options,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self._scenario = scenario
        self._strategy = strategy
        self._options = options
        self._stopped = stopped
        self.executions = 0
        self.abandoned = 0
        self.steps = 0
        self.exhausted = False
        self.failures: list[Failure] = []
        self.seconds = 0.0
        self.never: tuple[str, ...] = ()
        self.fair_only = False
        self.diverged: RepetitionDiverged | None = None
        self.unnamed: tuple[str, ...] | None = None
        self._examination: Examination | None = None
        self.interrupted = False
        self.unseen: frozenset[str] = frozenset()
        # Failing runs as they were found, and as they were reported: many a run shrinks to the same one.
        self._examined: set[str] = set()
        self._reported = set(options.known)
        # By the token of a run that was reported, the run that was found and shrank to it.
        self._found_as: dict[str, ChoiceLog] = {}

    @property
    def strict_exception_groups(self) -> bool:
        """Whether nurseries that the scenario opens wrap one exception into a group, too."""
        return self._options.strict_exception_groups

    def run(self, kernel: Kernel) -> None:
        """Explore by a kernel."""
        began = real_seconds()
        try:
            package = module_of(self._scenario).partition(".")[0]
            with (
                kernel.struck_by(self._options.faults, package) as faults,
                time_limited(self._options.until),
            ):
                try:
                    self._loop(kernel)
                except RepetitionDiverged as diverged:
                    # What was found before stands.
                    self.diverged = diverged
                else:
                    if faults is not None and faults.picks and not faults.named:
                        self.unnamed = tuple(sorted(faults.others))
                self._compare()
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self.seconds = real_seconds() - began
            self.never = kernel.invariants.never
            self.unseen = kernel.unseen
            self.fair_only = kernel.was_fair

    def _loop(self, kernel: Kernel) -> None:
        strategy, scenario, stopped = self._strategy, self._scenario, self._stopped
        options = self._options
        progress = options.progress
        examination = self._examination = Examination(kernel, scenario)
        while self.executions < options.max_executions and len(self.failures) < options.max_failures:
            if not strategy.begin_execution():
                self.exhausted = True
                return
            # However little time there is, the first run is made: of none, nothing can be said.
            if (self.executions or self.abandoned) and real_seconds() >= options.until:
                return
            trace = Trace() if options.compare and not self.executions else None
            ended = kernel.execute(scenario, strategy, trace)
            self.steps += ended.steps
            if ended.abandoned:
                self.abandoned += 1
                verdict = Verdict.ABANDONED
            else:
                self.executions += 1
                verdict = Verdict.HELD if ended.error is None else Verdict.FAILED
            strategy.end_execution(Execution(verdict, ended.steps, len(kernel.log), ended.left))
            if not ended.abandoned:
                # Of the others those that are powers of two, to make again some of every age.
                if options.compare and not self.executions & (self.executions - 1):
                    examination.keep(kernel.log, ended, trace)
                if ended.error is not None:
                    self._examine(kernel, ended)
                elif options.self_check:
                    self._check(kernel, ended)
            if stopped is not None and not self.executions & 63 and stopped():
                return
            if progress is not None and not self.executions & 63:
                progress(self.executions)
        # So that "all 1,680" is not reported as unfinished when the bound was 1,680.
        if len(self.failures) < options.max_failures and strategy.exhaustive:
            self.exhausted = not strategy.begin_execution()

    def _examine(self, kernel: Kernel, ended: Ended) -> None:
        """Make a failing run twice more, traced, to draw it and to see that it can be replayed; report it,
        or the plainest one like it that was not reported yet."""
        log, token, examination = kernel.log.copy(), self._token(kernel.log), self._examination
        assert examination is not None
        if token in self._reported:
            # If by another that shrank to it, it is now that one's turn: there are as many failures as runs.
            log = self._found_as.pop(token, log)
            if self._token(log) in self._reported:
                return
            ended = kernel.execute(self._scenario, Prefix(log.indices))
        elif token in self._examined:
            return
        raised = ended.error
        if raised is None:
            return
        self._examined.add(token)
        found = log
        trace, error, besides = Trace(), innermost(raised), ""
        # Real time decides where a run is given up in which a thread or a task blocks: on a busy machine not
        # always at the same place. Each takes real time, too, and leaves a thread behind, so once is enough.
        blocked = isinstance(error, ThreadBlocked | TaskBlocked)
        try:
            trace, log, nondeterminism, told, own = examination.repeat(log, ended, compared=not blocked)
            raised = told or raised
            if nondeterminism is None and self.executions > 1 and not blocked:
                nondeterminism, besides = examination.left_behind(raised)
            besides = besides or own
            if nondeterminism is None and self._options.shrink_failures and not blocked:
                shrunk_log, shrunk = examination.shrink(log, ended, self._is_reported)
                trace, shrunk_log, nondeterminism, told, _ = examination.repeat(shrunk_log, shrunk)
                log, raised = shrunk_log, told or shrunk.error or raised
            error = nondeterminism or innermost(raised)
            if besides:
                error.add_note(besides)
        finally:
            # Also when Ctrl-C has come in between: it is a failure, if not yet the plainest.
            self._report(error, raised, log, trace)
            if self._token(log) != self._token(found):
                self._found_as[self._token(log)] = found

    def _compare(self) -> None:
        """See that the first run is still what it was, and if all runs were to be made, others too."""
        all_made = self.exhausted and self._strategy.exhaustive
        examination = self._examination
        if self.failures or examination is None:
            return
        if all_made or self.diverged is not None or self.executions >= _WORTH_COMPARING:
            different = examination.different(others=all_made)
            if different is not None:
                outlives, log, trace = different
                self._report(outlives, outlives.__cause__ or outlives, log, trace)

    def _check(self, kernel: Kernel, ended: Ended) -> None:
        """Make a run that held twice more, to see that it is a function of its choices."""
        log = kernel.log.copy()
        assert self._examination is not None
        trace, log, nondeterminism, *_ = self._examination.repeat(log, ended, strictly=True)
        if nondeterminism is not None:
            self._report(nondeterminism, nondeterminism, log, trace)

    def _report(self, error: BaseException, raised: BaseException, log: ChoiceLog, trace: Trace) -> None:
        token = self._token(log)
        self._reported.add(token)
        self.failures.append(
            Failure(
                error=error,
                raised=raised,
                token=token,
                scenario=scenario_name(self._scenario),
                steps=tuple(trace.steps),
                choices=len(log),
                logged=tuple(trace.logged),
            )
        )

    def _token(self, log: ChoiceLog) -> str:
        faults = self._options.faults
        return log.token("" if faults is None else faults.code)

    def _is_reported(self, log: ChoiceLog) -> bool:
        return bool(self._reported) and self._token(log) in self._reported


def check_names(faults: FaultPlan | None, unnamed: tuple[str, ...] | None, failed: bool) -> None:
    """See that the fault plan has named a task; a program that fails without has failed all the same."""
    if unnamed is not None and faults is not None and not failed:
        raise WrongUse(
            f"no task has a name like {faults.tasks!r}, so no fault could strike; "
            f"the tasks were called {', '.join(map(repr, unnamed))}"
        )
