"""The outcomes of a program, as a strategy sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeAlias

import sim

Program: TypeAlias = Callable[[], Awaitable[Hashable]]
"""A scenario that returns what it has come to, in values that are equal in all runs that came to the same."""

_OUTCOME: Final = "outcome: "


@dataclass(frozen=True)
class Outcomes:
    """What the runs of an exploration came to.

    Attributes:
        seen: what the program returned, or the errors with which its runs failed.
        never: what the program has said should be seen sometimes, and was not.
        result: of the exploration.
    """

    seen: frozenset[Hashable]
    never: frozenset[str]
    result: sim.Result


def explored(program: Program, strategy: str, limit: int = 10_000, seed: int = 0) -> Outcomes:
    """The outcomes of a program.

    Args:
        program: called afresh for each run.
        strategy: the name of a strategy.
        limit: of runs.
        seed: of the strategy.
    """
    came_to: dict[str, Hashable] = {}

    async def scenario() -> None:
        outcome = await program()
        name = f"{_OUTCOME}{outcome!r}"
        came_to[name] = outcome
        # Not noticed once the run has failed and is being cleaned up.
        sim.sometimes(False, name)

    result = sim.explore(
        scenario, strategy, limit, seed, max_failures=limit, shrink_failures=False, max_steps=2_000
    )
    seen = {came_to[name] for name in result.never if name.startswith(_OUTCOME)}
    seen.update(described(failure.raised) for failure in result.failures)
    never = frozenset(name for name in result.never if not name.startswith(_OUTCOME))
    return Outcomes(frozenset(seen), never, result)


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
