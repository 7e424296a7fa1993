"""An exploration that several processes share, each with seeds of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from sim._exploration.exploration import Exploration, Options, real_seconds
from sim._exploration.jobs import Differing, Share, held_here, run_jobs
from sim._exploration.nested import run_nested
from sim._run.errors import Nondeterminism, ReplayDiverged, SimError
from sim.strategies import DepthBounded, make_strategy
from sim.strategies._replay import Replay


def run_in_jobs(exploration: Exploration) -> None:
    """Run an exploration of a sampling strategy to its end.

    Args:
        exploration: its options say in how many processes; the results are added to it.
    """
    scenario, options = exploration.scenario, exploration.options

    def work(executions: int, seed: int, stopped: Callable[[], bool]) -> Share:
        strategy = make_strategy(options.strategy, seed)
        if options.max_depth is not None:
            strategy = DepthBounded(strategy, options.max_depth)
        share = replace(options, max_executions=executions, progress=None, shrink_failures=False)
        part = Exploration(scenario, strategy, share)
        run_nested(part, stopped)
        return _share_of(part)

    began = real_seconds()
    exploration.begun = True
    shares, exploration.interrupted = run_jobs(work, options.jobs, options.max_executions, options.seed)
    exploration.seconds = real_seconds() - began
    _add_up(exploration, shares)
    for share in shares:
        for token, said in share.found:
            if not exploration.has_enough:
                _make_again(exploration, token, said)
    for share in shares:
        for differing in share.differing:
            if not exploration.has_enough:
                exploration.add_failure(differing.error(), differing.token, differing.choices)


def _share_of(part: Exploration) -> Share:
    """The findings of one process, as it reports them."""
    return Share(
        part.executions,
        part.steps,
        part.abandoned,
        tuple(
            (failure.token, f"{type(failure.error).__name__}: {failure.error}")
            for failure in part.failures
            if not isinstance(failure.error, Nondeterminism)
        ),
        part.never,
        part.strategy.coverage,
        part.unnamed,
        tuple(
            Differing.of(failure.error, failure.token, failure.choices)
            for failure in part.failures
            if isinstance(failure.error, Nondeterminism)
        ),
        part.fair_only,
    )


def _add_up(exploration: Exploration, shares: list[Share]) -> None:
    """Add what is known of all runs, but for the failing ones."""
    exploration.executions = sum(share.executions for share in shares)
    exploration.steps = sum(share.steps for share in shares)
    exploration.abandoned = sum(share.abandoned for share in shares)
    # Of the one that has come to a bound, if any has.
    covered = max((share.coverage for share in shares), key=len, default="nothing")
    exploration.covered = f"{covered} by {len(shares)} processes"
    exploration.never = tuple(
        label
        for share in shares[:1]
        for label in share.never
        if all(label in other.never for other in shares)
    )
    exploration.fair_only = any(share.fair_only for share in shares)
    if all(share.unnamed is not None for share in shares):
        exploration.unnamed = tuple(sorted({name for share in shares for name in share.unnamed or ()}))


def _make_again(exploration: Exploration, token: str, said: str) -> None:
    """Make a run here that has failed in another process, and add it; said is what with."""
    if exploration.interrupted:
        # It is told as it was found.
        exploration.add_failure(SimError(said), token)
        return
    options = exploration.options
    alone = Options(
        strategy="replay",
        max_steps=options.max_steps,
        shrink_failures=options.shrink_failures,
        faults=options.faults,
        strict_exception_groups=options.strict_exception_groups,
        known=options.known | {failure.token for failure in exploration.failures},
    )
    again = Exploration(exploration.scenario, Replay(token), alone)
    with contextlib.suppress(ReplayDiverged):
        run_nested(again)
    exploration.interrupted = again.interrupted
    exploration.failures += again.failures
    if not again.failures and not again.interrupted and token not in alone.known:
        exploration.add_failure(held_here(said), token)
