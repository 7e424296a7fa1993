"""An exploration that several processes share, each with seeds of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from sim._exploration.jobs import Differing, Share, held_here, run_jobs
from sim._exploration.loop import Exploration, Options, Scenario, check_names, real_seconds, scenario_name
from sim._exploration.nested import run_nested
from sim._exploration.result import Failure, Interrupted, Result
from sim._run.errors import Nondeterminism, ReplayDiverged, SimError
from sim.strategies import DepthBounded, make_strategy
from sim.strategies._replay import Replay


def explore_in_jobs(scenario: Scenario, name: str, seed: int, options: Options) -> Result:
    """`explore` of a sampling strategy.

    Args:
        scenario: see `explore`.
        name: of the strategy,
        seed: and of the first job's.
        options: `jobs` says how many processes.

    Raises:
        Interrupted: with what they have found until then.
    """

    def work(executions: int, seed: int, stopped: Callable[[], bool]) -> Share:
        strategy = make_strategy(name, seed)
        if options.max_depth is not None:
            strategy = DepthBounded(strategy, options.max_depth)
        share = replace(options, max_executions=executions, progress=None, shrink_failures=False)
        exploration = Exploration(scenario, strategy, share, stopped)
        run_nested(strategy, options.max_steps, exploration)
        return Share(
            exploration.executions,
            exploration.steps,
            exploration.abandoned,
            tuple(
                (failure.token, f"{type(failure.error).__name__}: {failure.error}")
                for failure in exploration.failures
                if not isinstance(failure.error, Nondeterminism)
            ),
            exploration.never,
            strategy.coverage,
            exploration.unnamed,
            tuple(
                Differing.of(failure.error, failure.token, failure.choices)
                for failure in exploration.failures
                if isinstance(failure.error, Nondeterminism)
            ),
            exploration.fair_only,
        )

    began = real_seconds()
    shares, interrupted = run_jobs(work, options.jobs, options.max_executions, seed)
    seconds = real_seconds() - began
    failures: list[Failure] = []
    for token, said in [found for share in shares for found in share.found]:
        if len(failures) == options.max_failures:
            break
        if interrupted:
            # It is told as it was found, and not made again.
            told = SimError(said)
            failures.append(Failure(told, told, token, scenario_name(scenario), (), 0))
            continue
        alone = Options(
            max_steps=options.max_steps,
            shrink_failures=options.shrink_failures,
            faults=options.faults,
            strict_exception_groups=options.strict_exception_groups,
            known=options.known | {failure.token for failure in failures},
        )
        strategy = Replay(token)
        exploration = Exploration(scenario, strategy, alone)
        with contextlib.suppress(ReplayDiverged):
            run_nested(strategy, options.max_steps, exploration)
        interrupted = exploration.interrupted
        failures += exploration.failures
        if not exploration.failures and not interrupted and token not in alone.known:
            held = held_here(said)
            failures.append(Failure(held, held, token, scenario_name(scenario), (), 0))
    if not interrupted and all(share.unnamed is not None for share in shares):
        names = {name for share in shares for name in share.unnamed or ()}
        check_names(options.faults, tuple(sorted(names)), bool(failures))
    for differing in [one for share in shares for one in share.differing]:
        if len(failures) < options.max_failures:
            error = differing.error()
            failures.append(
                Failure(error, error, differing.token, scenario_name(scenario), (), differing.choices)
            )
    result = Result(
        scenario=scenario_name(scenario),
        strategy=name,
        executions=sum(share.executions for share in shares),
        complete=False,
        # Of the one that has come to a bound, if any has.
        coverage=f"{max((share.coverage for share in shares), key=len, default='nothing')} by {len(shares)} "
        "processes",
        failures=tuple(failures),
        seconds=seconds,
        steps=sum(share.steps for share in shares),
        abandoned=sum(share.abandoned for share in shares),
        seed=seed,
        never=tuple(
            label
            for share in shares[:1]
            for label in share.never
            if all(label in other.never for other in shares)
        ),
        fair_only=any(share.fair_only for share in shares),
    )
    if interrupted:
        raise Interrupted(result)
    return result
