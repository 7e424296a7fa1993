"""The ways to go through the interleavings of a program, one a file.

`STRATEGIES` maps the name that `explore(strategy=...)` and the command line take to what makes the
strategy from an integer seed; a strategy without randomness ignores the seed. Some take a number
after a colon, ``pct:5``: see `make_strategy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sim._run import arguments
from sim._run.step import CLOCK, ROOT, Access, Ending, ObjectId, Operation, Step, TaskId, conflict
from sim._run.strategy import (
    ABANDON,
    CUT,
    ChoiceKind,
    Execution,
    RepetitionDiverged,
    Strategy,
    UntrackedDependence,
    Verdict,
)
from sim.strategies._bounded import DelayBounded, PreemptionBounded
from sim.strategies._bounded_dpor import BoundedDpor
from sim.strategies._depth import DepthBounded
from sim.strategies._dfs import DepthFirst
from sim.strategies._pct import PCT
from sim.strategies._pos import PartialOrderSampling
from sim.strategies._random import RandomWalk
from sim.strategies._sweep import SCHEDULES, Sweep
from sim.strategies.dpor import Dpor

__all__ = [
    "ABANDON",
    "CLOCK",
    "CUT",
    "PCT",
    "ROOT",
    "SCHEDULES",
    "STRATEGIES",
    "Access",
    "BoundedDpor",
    "ChoiceKind",
    "DelayBounded",
    "DepthBounded",
    "DepthFirst",
    "Dpor",
    "Ending",
    "Execution",
    "ObjectId",
    "Operation",
    "PartialOrderSampling",
    "PreemptionBounded",
    "RandomWalk",
    "RepetitionDiverged",
    "Step",
    "Strategy",
    "Sweep",
    "TaskId",
    "UntrackedDependence",
    "Verdict",
    "conflict",
    "make_strategy",
]

STRATEGIES: Mapping[str, Callable[[int], Strategy]] = {
    "delay": DelayBounded,
    "dfs": DepthFirst,
    "dpor": Dpor,
    "pct": PCT,
    "pos": PartialOrderSampling,
    "preemption": PreemptionBounded,
    "random": RandomWalk,
    "sweep": Sweep,
}

_WITH_NUMBER: Mapping[str, Callable[[int, int], Strategy]] = {
    "delay": DelayBounded,
    "dpor": BoundedDpor,
    "pct": PCT,
    "preemption": PreemptionBounded,
}


def make_strategy(name: str, seed: int) -> Strategy:
    """The strategy of a name, or of a name and a number: the depth of ``pct:5``, the bound of
    ``delay:1``, ``preemption:3`` and ``dpor:2`` (on preemptions).

    Raises:
        ValueError: there is no such strategy, it takes no number, or not that one.
        WrongType: the name is no string, or the seed no whole number.
    """
    arguments.text("name", name)
    arguments.whole_number("seed", seed)
    base, colon, number = name.partition(":")
    if base not in STRATEGIES:
        raise ValueError(f"there is no strategy {base!r}; there are {', '.join(sorted(STRATEGIES))}")
    if not colon:
        return STRATEGIES[base](seed)
    if base not in _WITH_NUMBER:
        raise ValueError(f"{base} takes no number; {', '.join(sorted(_WITH_NUMBER))} do")
    if not number.isdecimal():
        raise ValueError(f"after {base}: comes a whole number, not {number!r}")
    return _WITH_NUMBER[base](seed, int(number))
