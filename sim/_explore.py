"""Explore a scenario, replay one of its runs: what a user of the simulator calls.

Both are ordinary functions, called from outside any event loop: they start the one `trio.run` that
the kernel works in themselves.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import trio

from sim._choices import ChoiceLog
from sim._database import FailureDatabase, FailuresOf
from sim._errors import Nondeterminism, WrongUse, members
from sim._jobs import SAMPLING, Share, run_jobs
from sim._kernel import Kernel, check_trio, nested
from sim._result import Failure, Result
from sim._shrink import MAX_ATTEMPTS, shrink
from sim._trace import Trace, first_difference
from sim.faults import FaultKind, FaultPlan
from sim.strategies import Execution, PreemptionBounded, Strategy, Verdict, make_strategy
from sim.strategies._replay import Prefix, Replay

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Progress: TypeAlias = Callable[[int], None]

DEFAULT_MAX_STEPS: Final = 20_000

# Steps that runs may take to make a failure plainer: about a second.
_SHRINKING_STEPS: Final = 200_000

# Taken before a run replaces it in its module.
_real_seconds: Final = time.perf_counter


def explore(
    scenario: Scenario,
    strategy: str | Strategy = "random",
    max_executions: int = 1000,
    seed: int = 0,
    *,
    max_failures: int = 1,
    max_steps: int = DEFAULT_MAX_STEPS,
    max_seconds: float = math.inf,
    shrink_failures: bool = True,
    faults: str | FaultPlan | None = None,
    sweep: str | FaultPlan | None = None,
    jobs: int = 1,
    database: str | os.PathLike[str] | FailuresOf | None = None,
    progress: Progress | None = None,
    self_check: bool = False,
) -> Result:
    """Run a scenario many times, each time with other choices.

    Args:
        scenario: an async function without arguments. It is called afresh for every execution and
            must build its own state: what outlives an execution makes runs depend on their order.
        strategy: how to choose: a name as `sim.strategies.make_strategy` takes, or a strategy.
        max_executions: stop after so many.
        seed: seeds the strategy; the same seed makes the same exploration.
        max_failures: stop when so many runs have failed.
        max_steps: steps one run may take before it counts as a livelock.
        max_seconds: begin no further run once so many real seconds have passed.
        shrink_failures: replace each failing run by the plainest one found that fails in the same
            way: with the fewest preemptions, then the fewest choices.
        faults: what may go wrong in a run: the name of a kind of fault (``"cancel"``, ``"crash"``,
            ``"expire"``, ``"delay"``, ``"fail"``, ``"lose"``) or a `FaultPlan`.
        sweep: the same, and instead of by ``strategy``, the faults are gone through one by one:
            one execution for each point where one may strike. ``seed`` is then the schedule.
        jobs: how many processes share the executions. More than one is for the strategies random,
            pct and pos; each has a seed of its own, so the runs are others than with one.
        database: a file in which failing runs are kept. Those known of this scenario are tried
            first, and those that do not fail any more are forgotten.
        progress: called now and then with the number of executions so far.
        self_check: make every run twice more, and report the first step in which they differ as
            `Nondeterminism`. (With a run that fails, this is always done.)

    Raises:
        WrongUse: an argument makes no sense, or a Trio run is already under way in this thread.
        UnsupportedTrio: the installed Trio is not one that can be controlled.
    """
    if sweep is not None:
        if faults is not None or strategy != "random":
            raise WrongUse("a sweep has faults and a strategy of its own: give sweep alone")
        faults, strategy = sweep, "sweep"
    elif strategy == "sweep" and faults is None:
        raise WrongUse("a sweep needs to know of what: sweep='cancel' or sweep='crash'")
    try:
        plan = None if faults is None else FaultPlan.of(faults)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    if plan is not None and FaultKind.EXPIRE in plan.kinds and strategy == "dpor":
        raise WrongUse("the fault expire moves the clock, which dpor takes to stand still between steps")
    if isinstance(strategy, str):
        try:
            name, chosen = strategy, make_strategy(strategy, seed)
        except ValueError as error:
            raise WrongUse(str(error)) from None
    else:
        name, chosen = type(strategy).__name__, strategy
    if max_executions < 1 or max_failures < 1 or max_steps < 1:
        raise WrongUse("max_executions, max_failures and max_steps must be at least 1")
    if not max_seconds > 0:
        raise WrongUse(f"max_seconds must be more than 0, not {max_seconds}")
    options = _Options(
        max_executions,
        max_failures,
        max_steps,
        shrink_failures,
        plan,
        jobs,
        progress,
        self_check,
        _real_seconds() + max_seconds,
    )
    if database is None:
        return _explore(scenario, name, chosen, seed, options)
    if not isinstance(database, FailuresOf):
        database = FailuresOf(database, f"{_module_of(scenario)}:{scenario_name(scenario)}")
    return _explore_known_first(scenario, name, chosen, seed, options, database)


def _explore(scenario: Scenario, name: str, chosen: Strategy, seed: int, options: _Options) -> Result:
    """`explore`, its arguments made sense of."""
    jobs = options.jobs
    if jobs != 1:
        if jobs < 1 or name.partition(":")[0] not in SAMPLING:
            raise WrongUse(
                f"{jobs} jobs of the strategy {name}: only {', '.join(SAMPLING)} can be divided, "
                "among 1 job or more"
            )
        return _explore_in_jobs(scenario, name, seed, options)
    exploration = _Exploration(
        scenario,
        chosen,
        options.max_executions,
        options.max_failures,
        options.progress,
        options.shrink_failures,
        options.faults,
        self_check=options.self_check,
        until=options.until,
    )
    _run_nested(scenario, chosen, options.max_steps, exploration.run)
    return Result(
        scenario=scenario_name(scenario),
        strategy=name,
        executions=exploration.executions,
        complete=exploration.exhausted and chosen.exhaustive,
        coverage=_coverage(name, chosen, options.faults),
        failures=tuple(exploration.failures),
        seconds=exploration.seconds,
        steps=exploration.steps,
        abandoned=exploration.abandoned,
        seed=seed,
        never=exploration.never,
    )


def _coverage(name: str, strategy: Strategy, faults: FaultPlan | None) -> str:
    """What a strategy has covered, and within which bound on faults if it has gone through them."""
    if faults is None or not strategy.coverage.startswith("all ") or name == "sweep":
        return strategy.coverage
    return f"{strategy.coverage}, with at most {faults.at_most} fault{'s' if faults.at_most != 1 else ''}"


def _explore_known_first(
    scenario: Scenario,
    name: str,
    chosen: Strategy,
    seed: int,
    options: _Options,
    database: FailuresOf,
) -> Result:
    known, key = FailureDatabase(database.path), database.key
    failures: list[Failure] = []
    executions = steps = 0
    seconds = 0.0
    for token in known.tokens(key):
        if len(failures) == options.max_failures:
            break
        try:
            again = replay(scenario, token, max_steps=options.max_steps)
        except WrongUse:
            known.remove(key, token)
            continue
        executions, steps = executions + 1, steps + again.steps
        seconds += again.seconds
        failures += again.failures
        if not again.failures:
            known.remove(key, token)
    if len(failures) < options.max_failures:
        left = replace(options, max_failures=options.max_failures - len(failures))
        result = _explore(scenario, name, chosen, seed, left)
    else:
        result = Result(
            scenario=scenario_name(scenario),
            strategy=name,
            executions=0,
            complete=False,
            coverage="failing runs of before",
            failures=(),
            seconds=0.0,
            steps=0,
            abandoned=0,
            seed=seed,
        )
    for failure in result.failures:
        known.add(key, failure.token)
    known.save()
    return replace(
        result,
        executions=result.executions + executions,
        failures=(*failures, *result.failures),
        seconds=result.seconds + seconds,
        steps=result.steps + steps,
    )


def replay(scenario: Scenario, token: str, *, max_steps: int = DEFAULT_MAX_STEPS) -> Result:
    """Make one particular run once more.

    Args:
        scenario: the one that the token was found with.
        token: the token of a failure.
        max_steps: as for `explore`.

    Returns:
        A result of one execution. It has no failure if the run does not fail any more.

    Raises:
        InvalidToken: the token cannot be read.
        ReplayDiverged: the scenario has other choices than it had when the token was made.
        WrongUse, UnsupportedTrio: as for `explore`.
    """
    strategy = Replay(token)
    exploration = _Exploration(scenario, strategy, 1, 1, None, False, strategy.faults)
    _run_nested(scenario, strategy, max_steps, exploration.run)
    strategy.check_finished()
    return Result(
        scenario=scenario_name(scenario),
        strategy="replay",
        executions=1,
        complete=False,
        coverage="one run",
        failures=tuple(exploration.failures),
        seconds=exploration.seconds,
        steps=exploration.steps,
        abandoned=0,
        seed=0,
    )


@dataclass(frozen=True)
class _Options:
    """The arguments of `explore` that are handed on."""

    max_executions: int
    max_failures: int
    max_steps: int
    shrink_failures: bool
    faults: FaultPlan | None
    jobs: int
    progress: Progress | None
    self_check: bool
    until: float


def _explore_in_jobs(scenario: Scenario, name: str, seed: int, options: _Options) -> Result:
    def work(executions: int, seed: int, stopped: Callable[[], bool]) -> Share:
        strategy = make_strategy(name, seed)
        exploration = _Exploration(
            scenario,
            strategy,
            executions,
            options.max_failures,
            None,
            False,
            options.faults,
            stopped,
            options.self_check,
            options.until,
        )
        _run_nested(scenario, strategy, options.max_steps, exploration.run)
        return Share(
            exploration.executions,
            exploration.steps,
            exploration.abandoned,
            tuple(failure.token for failure in exploration.failures),
            exploration.never,
        )

    began = _real_seconds()
    shares = run_jobs(work, options.jobs, options.max_executions, seed)
    seconds = _real_seconds() - began
    failures: list[Failure] = []
    for token in [token for share in shares for token in share.tokens][: options.max_failures]:
        strategy = Replay(token)
        exploration = _Exploration(scenario, strategy, 1, 1, None, options.shrink_failures, options.faults)
        _run_nested(scenario, strategy, options.max_steps, exploration.run)
        failures += exploration.failures
    return Result(
        scenario=scenario_name(scenario),
        strategy=name,
        executions=sum(share.executions for share in shares),
        complete=False,
        coverage=f"sampled by {len(shares)} processes",
        failures=tuple(failures),
        seconds=seconds,
        steps=sum(share.steps for share in shares),
        abandoned=sum(share.abandoned for share in shares),
        seed=seed,
        never=tuple(label for label in shares[0].never if all(label in share.never for share in shares)),
    )


def scenario_name(scenario: Scenario) -> str:
    """How results call a scenario: the name of its function."""
    if isinstance(scenario, partial):
        return scenario_name(scenario.func)
    return getattr(scenario, "__name__", None) or repr(scenario)


def _module_of(scenario: Scenario) -> str:
    if isinstance(scenario, partial):
        return _module_of(scenario.func)
    return getattr(scenario, "__module__", "")


class _Exploration:
    """The loop over executions, and what it has gathered so far."""

    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        max_executions: int,
        max_failures: int,
        progress: Progress | None,
        shrinks: bool,
        faults: FaultPlan | None,
        stopped: Callable[[], bool] | None = None,
        self_check: bool = False,
        until: float = math.inf,
    ) -> None:
        self._faults = faults
        self._until = until
        self._self_check = self_check
        self._stopped = stopped
        self._shrinks = shrinks
        self._scenario = scenario
        self._strategy = strategy
        self._max_executions = max_executions
        self._max_failures = max_failures
        self._progress = progress
        self.executions = 0
        self.abandoned = 0
        self.steps = 0
        self.exhausted = False
        self.failures: list[Failure] = []
        self.seconds = 0.0
        self.never: tuple[str, ...] = ()

    def run(self, kernel: Kernel) -> None:
        began = _real_seconds()
        try:
            with kernel.struck_by(self._faults):
                self._loop(kernel)
        finally:
            self.seconds = _real_seconds() - began
            self.never = kernel.invariants.never

    def _loop(self, kernel: Kernel) -> None:
        strategy, scenario, progress = self._strategy, self._scenario, self._progress
        stopped = self._stopped
        while self.executions < self._max_executions and len(self.failures) < self._max_failures:
            if not strategy.begin_execution():
                self.exhausted = True
                return
            if _real_seconds() >= self._until:
                return
            ended = kernel.execute(scenario, strategy)
            self.steps += ended.steps
            if ended.abandoned:
                self.abandoned += 1
                verdict = Verdict.ABANDONED
            else:
                self.executions += 1
                verdict = Verdict.HELD if ended.error is None else Verdict.FAILED
            strategy.end_execution(Execution(verdict, ended.steps, len(kernel.log)))
            if not ended.abandoned:
                if ended.error is not None:
                    self.failures.append(self._examine(kernel, ended.error))
                elif self._self_check:
                    self._check(kernel)
            if stopped is not None and not self.executions & 63 and stopped():
                return
            if progress is not None and not self.executions & 63:
                progress(self.executions)
        # So that "all 1,680" is not reported as unfinished when the bound was 1,680.
        if len(self.failures) < self._max_failures and strategy.exhaustive:
            self.exhausted = not strategy.begin_execution()

    def _examine(self, kernel: Kernel, raised: BaseException) -> Failure:
        """Make a failing run twice more, traced, to draw it and to see that it can be replayed; a
        plainer one in its place, if there is one."""
        log = kernel.log.copy()
        trace, nondeterminism = self._repeat(kernel, log, raised)
        if nondeterminism is None and self._shrinks:
            log, raised = self._shrink(kernel, log, raised)
            trace, nondeterminism = self._repeat(kernel, log, raised)
        return self._failure(nondeterminism or _innermost(raised), raised, log, trace)

    def _check(self, kernel: Kernel) -> None:
        """Make a run that held twice more, to see that it is a function of its choices."""
        log = kernel.log.copy()
        trace, nondeterminism = self._repeat(kernel, log, None)
        if nondeterminism is not None:
            self.failures.append(self._failure(nondeterminism, nondeterminism, log, trace))

    def _failure(self, error: BaseException, raised: BaseException, log: ChoiceLog, trace: Trace) -> Failure:
        return Failure(
            error=error,
            raised=raised,
            token=log.token("" if self._faults is None else self._faults.code),
            scenario=scenario_name(self._scenario),
            steps=tuple(trace.steps),
            choices=len(log),
            logged=tuple(trace.logged),
        )

    def _repeat(
        self, kernel: Kernel, log: ChoiceLog, raised: BaseException | None
    ) -> tuple[Trace, Nondeterminism | None]:
        """Make a run twice more; says what differs, if anything does."""
        (first, again), (second, once_more) = self._traced(kernel, log), self._traced(kernel, log)
        difference = first_difference(first, second)
        if difference is None:
            for other in (again, once_more):
                if not _same_error(raised, other):
                    difference = len(first.steps), repr(raised), repr(other)
                    break
        if difference is None:
            return first, None
        witness = Trace(stack_at=difference[0])
        kernel.execute(self._scenario, Prefix(log.indices), witness)
        nondeterminism = Nondeterminism(*difference, witness.stack)
        nondeterminism.__cause__ = raised
        return first, nondeterminism

    def _traced(self, kernel: Kernel, log: ChoiceLog) -> tuple[Trace, BaseException | None]:
        trace = Trace()
        ended = kernel.execute(self._scenario, Prefix(log.indices), trace)
        return trace, ended.error

    def _shrink(
        self, kernel: Kernel, log: ChoiceLog, raised: BaseException
    ) -> tuple[ChoiceLog, BaseException]:
        errors: dict[int, BaseException] = {}

        def attempt(indices: Sequence[int]) -> tuple[ChoiceLog, int] | None:
            strategy = Prefix(indices)
            error = kernel.execute(self._scenario, strategy).error
            if error is None or not _same_error(raised, error):
                return None
            made = kernel.log.copy()
            errors[id(made)] = error
            return made, strategy.preemptions

        original = Prefix(log.indices)
        steps = kernel.execute(self._scenario, original).steps
        attempts = min(MAX_ATTEMPTS, _SHRINKING_STEPS // max(1, steps))
        plainest = shrink(log, original.preemptions, attempt, attempts)
        error = errors.get(id(plainest), raised)
        return self._search_fewer(kernel, plainest, error, attempts) or (plainest, error)

    def _search_fewer(
        self, kernel: Kernel, log: ChoiceLog, raised: BaseException, left: int
    ) -> tuple[ChoiceLog, BaseException] | None:
        """Look for a run with fewer preemptions than this one that fails in the same way."""
        shrunk = Prefix(log.indices)
        kernel.execute(self._scenario, shrunk)
        for bound in range(shrunk.preemptions):
            strategy = PreemptionBounded(bound=bound)
            while left and strategy.begin_execution():
                left -= 1
                error = kernel.execute(self._scenario, strategy).error
                if error is not None and _same_error(raised, error):
                    return kernel.log.copy(), error
        return None


def _same_error(one: BaseException | None, other: BaseException | None) -> bool:
    """Whether two runs failed in the same way, or not at all: with the same kind of error, raised by the
    same function. Not by its text, which tells values that another schedule makes others."""
    if one is None or other is None:
        return one is other
    one, other = _innermost(one), _innermost(other)
    return type(one) is type(other) and _raised_in(one) == _raised_in(other)


def _raised_in(error: BaseException) -> object:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback and traceback.tb_frame.f_code


def _innermost(error: BaseException) -> BaseException:
    """The one exception inside nested groups; the group itself if it holds several."""
    while len(inside := members(error)) == 1:
        error = inside[0]
    return error


def _run_nested(
    scenario: Scenario, strategy: Strategy, max_steps: int, body: Callable[[Kernel], None]
) -> None:
    if not callable(scenario):
        raise WrongUse(f"a scenario is an async function, which is called for each run, not {scenario!r}")
    if trio.lowlevel.in_trio_run():
        raise WrongUse(
            "explore() and replay() start a Trio run themselves: call them from a plain function, "
            "not from a task"
        )
    check_trio()

    async def host() -> None:
        with nested(max_steps, strategy.wants_footprints) as kernel:
            body(kernel)

    trio.run(host)
