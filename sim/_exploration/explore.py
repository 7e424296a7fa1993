"""Explore a scenario, replay one of its runs: what a user of the simulator calls.

Both are ordinary functions, called from outside any event loop: they start the one `trio.run` that
the kernel works in themselves.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Final

from sim._exploration.database import FailureDatabase, FailuresOf
from sim._exploration.exploration import (
    Exploration,
    Options,
    Progress,
    Scenario,
    module_of,
    real_seconds,
    scenario_name,
)
from sim._exploration.in_jobs import run_in_jobs
from sim._exploration.jobs import SAMPLING
from sim._exploration.nested import run_nested
from sim._exploration.result import Failure, Result
from sim._run import arguments
from sim._run.errors import ReplayDiverged, WrongUse
from sim._run.strategy import Strategy
from sim.faults import FaultKind, FaultPlan
from sim.strategies import SCHEDULES, DepthBounded, Sweep, make_strategy
from sim.strategies._replay import Replay

DEFAULT_MAX_STEPS: Final = 20_000


def explore(
    scenario: Scenario,
    strategy: str | Strategy = "random",
    max_executions: int = 1000,
    seed: int = 0,
    *,
    max_failures: int = 1,
    max_steps: int = DEFAULT_MAX_STEPS,
    max_depth: int | None = None,
    max_seconds: float = math.inf,
    shrink_failures: bool = True,
    faults: str | FaultPlan | None = None,
    sweep: str | FaultPlan | None = None,
    schedules: int | None = None,
    jobs: int = 1,
    database: str | os.PathLike[str] | FailuresOf | None = None,
    progress: Progress | None = None,
    self_check: bool = False,
    strict_exception_groups: bool = True,
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
        max_depth: steps a task may make in a run; each task above it in the tree of tasks counts as one.
            The task stops there. A run is over, and has held, when only stopped tasks could continue.
        max_seconds: start no further run after this many real seconds; the first always starts.
        shrink_failures: replace each failing run by the plainest one found that fails in the same
            way: with the fewest preemptions, then the fewest choices.
        faults: what may go wrong in a run: the name of a kind of fault (``"cancel"``, ``"crash"``,
            ``"expire"``, ``"delay"``, ``"fail"``, ``"lose"``) or a `FaultPlan`.
        sweep: like ``faults``, but without a ``strategy``: one execution for each point where a fault may
            strike. ``seed`` is then the first schedule: 0 is the plain one, any other number a random one.
        schedules: how many schedules a sweep uses, with the seeds from ``seed`` on; 5 by default.
        jobs: how many processes share the executions. Only the strategies random, pct and pos allow more
            than one; each process has its own seed, so the runs differ from those of a single process.
        database: a file in which failing runs are kept. Those known of this scenario are tried first, and
            those that no longer fail are forgotten.
        progress: called now and then with the number of executions so far.
        self_check: repeat every run twice, and report the first step that differs as `Nondeterminism`.
            (A failing run is always checked.)
        strict_exception_groups: as `trio.run` takes it. False: nurseries of the scenario that do not say
            otherwise let a single exception through as it is, instead of in a group. Trio warns of that.

    Raises:
        WrongUse: an argument is invalid (`WrongType`: of a wrong type), no task has a name that the fault
            plan names, or a Trio run is already under way in this thread.
        UnsupportedTrio: this release cannot control the installed Trio.
        Interrupted: Ctrl-C has ended it; the exception, a `KeyboardInterrupt`, holds the result so far.
    """
    arguments.scenario(scenario)
    arguments.instance("strategy", strategy, str, Strategy)
    arguments.whole_number("seed", seed)
    for name, bound in (
        ("max_executions", max_executions),
        ("max_failures", max_failures),
        ("max_steps", max_steps),
        ("jobs", jobs),
    ):
        arguments.whole_number(name, bound, at_least=1)
    arguments.optional(arguments.whole_number, "max_depth", max_depth, at_least=1)
    arguments.number("max_seconds", max_seconds)
    arguments.flag("shrink_failures", shrink_failures)
    arguments.flag("self_check", self_check)
    arguments.flag("strict_exception_groups", strict_exception_groups)
    arguments.optional(arguments.function, "progress", progress)
    if database is not None and not isinstance(database, FailuresOf):
        arguments.file_path("database", database)
    if sweep is not None:
        if faults is not None or strategy != "random":
            raise WrongUse("a sweep brings its own faults and strategy: leave out faults and strategy")
        faults, strategy = sweep, "sweep"
    elif strategy == "sweep" and faults is None:
        raise WrongUse("a sweep must name its fault: sweep='cancel' or sweep='crash'")
    try:
        plan = None if faults is None else FaultPlan.of(faults)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    if schedules is not None and strategy != "sweep":
        raise WrongUse("schedules needs a sweep: add sweep, or leave out schedules")
    if plan is not None and FaultKind.EXPIRE in plan.kinds and strategy == "dpor":
        raise WrongUse(
            "the fault expire moves the clock, but dpor assumes that it stands still between steps; "
            "use another strategy"
        )
    chosen: Strategy
    if isinstance(strategy, str):
        name = strategy
        try:
            if strategy == "sweep" and plan is not None:
                chosen = Sweep(
                    seed, SCHEDULES if schedules is None else schedules, plan.at_most, max_executions
                )
            else:
                chosen = make_strategy(strategy, seed)
        except ValueError as error:
            raise WrongUse(str(error)) from None
    else:
        name, chosen = type(strategy).__name__, strategy
    if max_depth is not None:
        chosen = DepthBounded(chosen, max_depth)
    if not max_seconds > 0:
        raise WrongUse(f"max_seconds must be more than 0, not {max_seconds}")
    if jobs != 1 and name.partition(":")[0] not in SAMPLING:
        raise WrongUse(
            f"{jobs} jobs of the strategy {name}: only {', '.join(SAMPLING)} can run in several processes"
        )
    options = Options(
        strategy=name,
        seed=seed,
        max_steps=max_steps,
        max_depth=max_depth,
        max_executions=max_executions,
        max_failures=max_failures,
        shrink_failures=shrink_failures,
        faults=plan,
        jobs=jobs,
        progress=progress,
        self_check=self_check,
        compare=True,
        strict_exception_groups=strict_exception_groups,
        until=real_seconds() + max_seconds,
    )
    if database is None:
        exploration = Exploration(scenario, chosen, options)
        _run(exploration)
        return exploration.result()
    if not isinstance(database, FailuresOf):
        database = FailuresOf(database, f"{module_of(scenario)}:{scenario_name(scenario)}")
    return _explore_known_first(scenario, chosen, options, database)


def _run(exploration: Exploration) -> None:
    if exploration.options.jobs == 1:
        run_nested(exploration)
    else:
        run_in_jobs(exploration)


def _explore_known_first(
    scenario: Scenario, chosen: Strategy, options: Options, database: FailuresOf
) -> Result:
    known, key = FailureDatabase(database.path), database.key
    before: list[Exploration] = []
    failures: list[Failure] = []
    interrupted = False
    for token in known.tokens(key):
        if len(failures) == options.max_failures or interrupted:
            break
        try:
            again = _replayed(scenario, token, options.max_steps, options.strict_exception_groups)
        except WrongUse:
            known.remove(key, token)
            continue
        interrupted = again.interrupted
        if not interrupted:
            before.append(again)
            failures += again.failures
            if not again.failures:
                known.remove(key, token)
    tokens = frozenset(failure.token for failure in failures)
    left = replace(options, max_failures=options.max_failures - len(failures), known=tokens)
    exploration = Exploration(scenario, chosen, left, before)
    exploration.interrupted = interrupted
    if not exploration.has_enough and not interrupted:
        _run(exploration)
    for failure in exploration.failures:
        known.add(key, failure.token)
    known.save()
    return exploration.result()


def replay(
    scenario: Scenario,
    token: str,
    *,
    max_steps: int = DEFAULT_MAX_STEPS,
    strict_exception_groups: bool = True,
) -> Result:
    """Make one particular run once more.

    Args:
        scenario: the one that the token was found with.
        token: the token of a failure.
        max_steps, strict_exception_groups: as for `explore`.

    Returns:
        A result of one execution. It has no failure if the run no longer fails.

    Raises:
        InvalidToken: the token cannot be read.
        ReplayDiverged: the scenario has other choices than it had when the token was made.
        Interrupted: Ctrl-C has ended it.
        WrongUse, UnsupportedTrio: as for `explore`.
    """
    arguments.scenario(scenario)
    arguments.text("token", token)
    arguments.whole_number("max_steps", max_steps, at_least=1)
    arguments.flag("strict_exception_groups", strict_exception_groups)
    return _replayed(scenario, token, max_steps, strict_exception_groups).result()


def _replayed(scenario: Scenario, token: str, max_steps: int, strict: bool) -> Exploration:
    try:
        return _replayed_once(scenario, token, max_steps, strict)
    except ReplayDiverged:
        # The first run of a process may have other choices than any later one, if it fills a cache.
        return _replayed_once(scenario, token, max_steps, strict)


def _replayed_once(scenario: Scenario, token: str, max_steps: int, strict: bool) -> Exploration:
    strategy = Replay(token)
    options = Options(
        strategy="replay", max_steps=max_steps, faults=strategy.faults, strict_exception_groups=strict
    )
    exploration = Exploration(scenario, strategy, options)
    run_nested(exploration)
    if not exploration.interrupted:
        strategy.check_finished()
    return exploration
