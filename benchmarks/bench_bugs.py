"""How many executions each strategy needs to find each planted race: `make bench`.

The cost of a bug is counted in executions, not in seconds: it is a property of the strategy and of
the program, the same on every machine. A strategy with a seed is tried with several; the figure is
the median.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import sim
from examples.planted import PLANTED, PlantedRace
from sim._exploration.jobs import SAMPLING
from sim.strategies import STRATEGIES

__all__ = ["executions_to_failure", "main", "markdown"]

MISSED = 0
# What goes through faults, and not through schedules, has nothing to look for here.
OF_SCHEDULES = sorted(set(STRATEGIES) - {"sweep"})
DOCS = Path(__file__).parent.parent / "docs"


def executions_to_failure(
    race: PlantedRace, strategy: str, seeds: Sequence[int], max_executions: int
) -> list[int | None]:
    """For each seed, in which execution the race showed.

    None if in none of them, and `MISSED` if the strategy claims to have seen every schedule by then.

    Args:
        race: the race.
        strategy: a name in `sim.strategies.STRATEGIES`.
        seeds: the seeds to try.
        max_executions: when to give up.
    """
    found: list[int | None] = []
    for seed in seeds:
        result = sim.explore(race.broken, strategy, max_executions, seed, shrink_failures=False)
        if result.failures:
            found.append(result.executions)
        else:
            found.append(MISSED if result.complete else None)
    return found


def median(found: Sequence[int | None]) -> float:
    """The median; infinite if most were not found."""
    return statistics.median(count or float("inf") for count in found)


def markdown(table: Mapping[str, Mapping[str, Sequence[int | None]]], max_executions: int) -> str:
    """The table: a line for each race, a column for each strategy, and the sums below.

    Args:
        table: race -> strategy -> what `executions_to_failure` gave.
        max_executions: what was given.
    """
    strategies = list(next(iter(table.values())))
    lines = [
        "| race | " + " | ".join(strategies) + " |",
        "|---" + "|--:" * len(strategies) + "|",
    ]
    for name, row in table.items():
        cells = [_cell(row[strategy], max_executions) for strategy in strategies]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    found = [sum(median(row[strategy]) < float("inf") for row in table.values()) for strategy in strategies]
    lines.append(f"| **found, of {len(table)}** | " + " | ".join(f"**{count}**" for count in found) + " |")
    within = [
        statistics.fmean(min(median(row[strategy]), max_executions) for row in table.values())
        for strategy in strategies
    ]
    lines.append("| **executions, mean** | " + " | ".join(f"**{mean:,.0f}**" for mean in within) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[int | None], max_executions: int) -> str:
    if MISSED in found:
        return "missed"
    executions = median(found)
    return f"> {max_executions:,}" if executions == float("inf") else f"{executions:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--max-executions", type=int, default=5_000)
    parser.add_argument("--strategy", action="append", choices=OF_SCHEDULES, help="may be repeated")
    parser.add_argument("--json", action="store_true", help="print all counts, write nothing")
    arguments = parser.parse_args()
    # Some of the races restart servers, thousands of times.
    logging.disable(logging.ERROR)
    strategies: list[str] = arguments.strategy or OF_SCHEDULES
    seeds = {name: range(arguments.seeds if name in SAMPLING else 1) for name in strategies}
    table: dict[str, dict[str, list[int | None]]] = {}
    for number, (name, race) in enumerate(PLANTED.items(), 1):
        if sys.stderr.isatty():
            print(f"\r{number} of {len(PLANTED)}: {name}\033[K", end="", file=sys.stderr)
        table[name] = {
            strategy: executions_to_failure(race, strategy, seeds[strategy], arguments.max_executions)
            for strategy in strategies
        }
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if arguments.json:
        json.dump(table, sys.stdout)
        return
    text = markdown(table, arguments.max_executions)
    print(text)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "bench_bugs.md").write_text(
        "# Executions to the first failure\n\n"
        f"Of each planted race, by strategy; medians over {arguments.seeds} seeds (1 for a strategy that "
        f"has none), at most {arguments.max_executions:,} executions each. A race is `missed` by a "
        "strategy that says it has seen all there is, and has not seen the bug. `make bench` counts "
        "again.\n\n" + text,
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
