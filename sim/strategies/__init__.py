"""The ways to go through the interleavings of a program, one a file.

`STRATEGIES` maps the name that `explore(strategy=...)` and the command line take to what makes the
strategy from an integer seed; a strategy without randomness ignores the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sim.strategies._base import (
    ABANDON,
    CLOCK,
    ROOT,
    Access,
    ChoiceKind,
    Ending,
    Execution,
    ObjectId,
    Operation,
    Step,
    Strategy,
    TaskId,
    Verdict,
    conflict,
)
from sim.strategies._dfs import DepthFirst
from sim.strategies._random import RandomWalk

__all__ = [
    "ABANDON",
    "CLOCK",
    "ROOT",
    "STRATEGIES",
    "Access",
    "ChoiceKind",
    "DepthFirst",
    "Ending",
    "Execution",
    "ObjectId",
    "Operation",
    "RandomWalk",
    "Step",
    "Strategy",
    "TaskId",
    "Verdict",
    "conflict",
]

STRATEGIES: Mapping[str, Callable[[int], Strategy]] = {
    "dfs": DepthFirst,
    "random": RandomWalk,
}
