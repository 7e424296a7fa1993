"""Planted races: small programs with one known bug each, and each one's corrected twin.

For trying a strategy, or the whole simulator: whatever does not find the bug is blind to it, and
whatever reports one in a twin raises false alarms. `benchmarks/bench_bugs.py` counts how many
executions each strategy needs. One of them, from the command line::

    sim explore examples.planted.waiting:lost_wakeup
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from examples.planted import cancellation, lifetimes, messages, servers, shared_state, waiting
from examples.planted._planted import PlantedRace, PromiseBroken

__all__ = ["PLANTED", "PlantedRace", "PromiseBroken"]

PLANTED: Final[Mapping[str, PlantedRace]] = {
    race.name: race
    for module in (shared_state, lifetimes, waiting, cancellation, messages, servers)
    for race in module.RACES
}
"""All of them by the name of the broken program."""
