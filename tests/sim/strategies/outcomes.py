"""What a program can come to, as a strategy sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

import sim

Program: TypeAlias = Callable[[], Awaitable[Hashable]]
"""A scenario that returns what it has come to, in values that are equal in all runs that came to the same."""


@dataclass(frozen=True)
class Outcomes:
    """What the runs of an exploration came to.

    Attributes:
        seen: what the program returned, or the errors with which its runs failed.
        result: of the exploration.
    """

    seen: frozenset[Hashable]
    result: sim.Result


def explored(program: Program, strategy: str, limit: int = 10_000, seed: int = 0) -> Outcomes:
    """The outcomes of a program.

    Args:
        program: called afresh for each run.
        strategy: the name of a strategy.
        limit: of runs.
        seed: of the strategy.
    """
    seen: set[Hashable] = set()

    async def scenario() -> None:
        seen.add(await program())

    result = sim.explore(
        scenario, strategy, limit, seed, max_failures=limit, shrink_failures=False, max_steps=2_000
    )
    seen.update(described(failure.raised) for failure in result.failures)
    return Outcomes(frozenset(seen), result)


def described(error: BaseException) -> Hashable:
    """An error as a value: its class, what it says, and what is in it, in order."""
    inside: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if inside:
        return type(error).__name__, tuple(map(described, inside))
    if isinstance(error, sim.Deadlock):
        return "Deadlock"
    return type(error).__name__, tuple(map(repr, error.args))


def missed(program: Program, limit: int = 10_000) -> frozenset[Hashable]:
    """What some interleaving comes to and no trace of a complete `dpor`."""
    everything = explored(program, "dfs", limit)
    assert everything.result.complete, "the program has too many interleavings"
    traces = explored(program, "dpor", limit)
    assert traces.result.complete
    return everything.seen - traces.seen
