"""An exploration and its findings so far: of this process, of others, and of earlier runs."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from sim._exploration.result import Failure, Interrupted, Result
from sim._run.choices import ChoiceLog
from sim._run.errors import Nondeterminism, WrongUse
from sim._run.strategy import RepetitionDiverged, Strategy
from sim._run.trace import TracedStep
from sim.faults import FaultPlan

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Progress: TypeAlias = Callable[[int], None]

# Taken before a run replaces it in its module.
real_seconds: Final = time.perf_counter


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `sim.explore` that bound and shape an exploration."""

    strategy: str
    """The name of the strategy."""
    seed: int = 0
    """The seed of the strategy."""
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
    """Many runs are made, whose first ones are made again at the end, to see whether they leave something
    behind."""
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
    """One scenario under one strategy. The code that makes its runs adds their results.

    Args:
        scenario: what is run.
        strategy: how to choose.
        options: within which bounds.
        before: failing runs of before that were made again, first of all.

    Attributes:
        executions, abandoned, steps, failures, seconds: as in `Result`, of its own runs.
        never, diverged, fair_only: as in `Result`.
        begun: whether any run was requested.
        covered: what was covered, if the strategy does not know, for others have made the runs.
        exhausted: it has come to its end, and no further run was left to be made.
        unnamed: if the fault plan names tasks, and there was none of these: the names that there were.
        interrupted: Ctrl-C has ended it; the rest is what was found by then.
        unseen: what of the program stays real, and where it is held: phrases for a report.
    """

    def __init__(
        self, scenario: Scenario, strategy: Strategy, options: Options, before: Sequence[Exploration] = ()
    ) -> None:
        self.scenario = scenario
        self.strategy = strategy
        self.options = options
        self.before = before
        self.begun = False
        self.executions = 0
        self.abandoned = 0
        self.steps = 0
        self.exhausted = False
        self.covered = ""
        self.failures: list[Failure] = []
        self.seconds = 0.0
        self.never: tuple[str, ...] = ()
        self.fair_only = False
        self.diverged: RepetitionDiverged | None = None
        self.unnamed: tuple[str, ...] | None = None
        self.interrupted = False
        self.unseen: tuple[str, ...] = ()

    @property
    def has_enough(self) -> bool:
        """Whether as many failures were found as are wanted."""
        return len(self.failures) >= self.options.max_failures

    def token(self, log: ChoiceLog) -> str:
        """The token that replays the run of these choices."""
        faults = self.options.faults
        return log.token("" if faults is None else faults.code)

    def add_failure(
        self,
        error: BaseException,
        token: str,
        choices: int = 0,
        *,
        raised: BaseException | None = None,
        steps: Sequence[TracedStep] = (),
        logged: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Add a failing run; the arguments are as in `Failure`, and ``raised`` is the error unless given."""
        name = scenario_name(self.scenario)
        raised = error if raised is None else raised
        self.failures.append(Failure(error, raised, token, name, tuple(steps), choices, tuple(logged)))

    def result(self) -> Result:
        """The result.

        Raises:
            WrongUse: no task has a name that the fault plan names, so that nothing was tried.
            Interrupted: with the result, if Ctrl-C has ended it.
        """
        if not self.interrupted:
            self._check_names()
        complete = self.exhausted and self.strategy.exhaustive
        # Then the executions were not those of one program.
        dependent = any(isinstance(failure.error, Nondeterminism) for failure in self.failures)
        runs = (*self.before, self)
        result = Result(
            scenario=scenario_name(self.scenario),
            strategy=self.options.strategy,
            executions=sum(one.executions for one in runs),
            complete=complete and not dependent and not self.unseen,
            coverage="runs that depend on those before"
            if complete and dependent
            else self._coverage(complete),
            failures=tuple(failure for one in runs for failure in one.failures),
            seconds=sum(one.seconds for one in runs),
            steps=sum(one.steps for one in runs),
            abandoned=self.abandoned,
            seed=self.options.seed,
            never=self.never,
            diverged=self.diverged,
            fair_only=self.fair_only,
        )
        if self.interrupted:
            raise Interrupted(result)
        return result

    def _coverage(self, complete: bool) -> str:
        """The coverage of the strategy, with its bounds if everything within them was explored, and with its
        reservations."""
        if not self.begun:
            return "failing runs of before"
        coverage, faults = self.covered or self.strategy.coverage, self.options.faults
        if coverage.startswith("all ") and self.options.strategy != "sweep":
            if faults is not None:
                coverage += f", with at most {faults.at_most} fault{'s' if faults.at_most != 1 else ''}"
            if self.fair_only:
                coverage += ", with fair turns"
        if complete and self.unseen:
            coverage += f", except for {' and '.join(self.unseen)}"
        return coverage

    def _check_names(self) -> None:
        """See that the fault plan has named a task; a program that fails without has failed all the same."""
        faults = self.options.faults
        if self.unnamed is not None and faults is not None and not self.failures:
            raise WrongUse(
                f"no task has a name like {faults.tasks!r}, so no fault could strike; "
                f"the tasks were called {', '.join(map(repr, self.unnamed))}"
            )
