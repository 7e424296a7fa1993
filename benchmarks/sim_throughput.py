"""Executions a second of the random walk: ours, a fresh `trio.run` each, and the peers on asyncio.

Then, of ours alone: dpor against the random walk, and two processes against one.

The program is the same everywhere: 3 tasks, each 3 times reads a value, awaits, writes it back.
Nothing in it fails, so that every contender makes all of its executions and none begins to shrink.

Each contender runs in a process of its own, and the rounds are interleaved, so that what the
machine does besides hits all of them; the figures are medians. Contenders that are not installed
are left out::

    python -m benchmarks.sim_throughput --rounds 7
    python -m benchmarks.sim_throughput --python path/to/a/venv/bin/python

The second runs all of them, ours too, with another Python, in which detangle, simloom and frontrun
may be installed (simloom needs Python 3.12).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

TASKS: Final = 3
ROUNDS: Final = 3
ROOT: Final = Path(__file__).resolve().parent.parent


def measure_sim(executions: int) -> float:
    import trio

    import sim

    async def scenario() -> None:
        cell = sim.Shared(0)

        async def task() -> None:
            for _ in range(ROUNDS):
                value = cell.get()
                await trio.lowlevel.checkpoint()
                cell.set(value + 1)

        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(task)

    result = sim.explore(scenario, "random", executions)
    assert result.executions == executions
    return result.seconds


def measure_trio(executions: int) -> float:
    import trio

    async def scenario() -> None:
        value = 0

        async def task() -> None:
            nonlocal value
            for _ in range(ROUNDS):
                read = value
                await trio.lowlevel.checkpoint()
                value = read + 1

        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(task)

    began = time.perf_counter()
    for _ in range(executions):
        trio.run(scenario)
    return time.perf_counter() - began


def _asyncio_scenario() -> Callable[[], Any]:
    import asyncio

    async def scenario() -> None:
        value = 0

        async def task() -> None:
            nonlocal value
            for _ in range(ROUNDS):
                read = value
                await asyncio.sleep(0)
                value = read + 1

        await asyncio.gather(*(task() for _ in range(TASKS)))

    return scenario


def _peer(name: str) -> Any:
    """A peer's module. It need not be installed, and none of them is typed."""
    import importlib

    return importlib.import_module(name)


def measure_detangle(executions: int) -> float:
    detangle = _peer("detangle")
    began = time.perf_counter()
    detangle.explore(
        _asyncio_scenario(), runs=executions, strategy="random", seed=0, shrink=False, database=False
    )
    return time.perf_counter() - began


def measure_simloom(executions: int) -> float:
    simloom = _peer("simloom")
    began = time.perf_counter()
    simloom.explore(_asyncio_scenario(), runs=executions)
    return time.perf_counter() - began


def measure_frontrun(executions: int) -> float:
    import asyncio

    frontrun = _peer("frontrun")

    class Cell:
        value = 0

    async def task(cell: Cell) -> None:
        for _ in range(ROUNDS):
            read = cell.value
            await asyncio.sleep(0)
            cell.value = read + 1

    def holds(_: Cell) -> bool:
        return True

    began = time.perf_counter()
    asyncio.run(
        frontrun.explore_async_random(
            setup=Cell,
            tasks=[task] * TASKS,
            invariant=holds,
            max_attempts=executions,
            seed=0,
        )
    )
    return time.perf_counter() - began


def measure_last_zero_at_random(executions: int) -> float:
    import sim
    from benchmarks.last_zero import last_zero

    return sim.explore(last_zero(10), "random", executions).seconds


def measure_last_zero_by_dpor(executions: int) -> float:
    import sim
    from benchmarks.last_zero import last_zero

    # A warm-up of fewer executions is of fewer traces; what is measured is all of them.
    result = sim.explore(last_zero(10), "dpor", max(executions, 10))
    assert result.executions == executions
    assert result.complete == (executions >= LAST_ZERO_TRACES)
    return result.seconds


def measure_jobs(jobs: int, executions: int) -> float:
    import sim
    from benchmarks.last_zero import last_zero

    result = sim.explore(last_zero(10), "random", executions, jobs=jobs)
    assert result.executions == executions
    return result.seconds


def measure_one_job(executions: int) -> float:
    return measure_jobs(1, executions)


def measure_two_jobs(executions: int) -> float:
    return measure_jobs(2, executions)


LAST_ZERO_TRACES: Final = 3_328

CONTENDERS: Final[dict[str, tuple[Callable[[int], float], int]]] = {
    # The number of executions is such that each takes about half a second.
    "sim": (measure_sim, 6_000),
    "trio.run each": (measure_trio, 1_000),
    "detangle": (measure_detangle, 2_000),
    "simloom": (measure_simloom, 400),
    "frontrun": (measure_frontrun, 400),
}

OURS: Final[dict[str, tuple[Callable[[int], float], int]]] = {
    "last_zero(10), random": (measure_last_zero_at_random, LAST_ZERO_TRACES),
    "last_zero(10), dpor": (measure_last_zero_by_dpor, LAST_ZERO_TRACES),
    "last_zero(10), random, 1 job": (measure_one_job, 20_000),
    "last_zero(10), random, 2 jobs": (measure_two_jobs, 20_000),
}
"""Ours only, on another program. The number of executions by dpor is that of all traces; do not scale it."""

RATIOS: Final = (
    ("last_zero(10), dpor", "last_zero(10), random"),
    ("last_zero(10), random, 2 jobs", "last_zero(10), random, 1 job"),
)
"""Each to be compared with the other, round by round."""


def run_one(name: str, scale: float) -> float:
    """Executions a second, measured in this process after a short warm-up."""
    if name in OURS:
        measure, executions = OURS[name]
        scale = 1
    else:
        measure, executions = CONTENDERS[name]
    count = max(10, int(executions * scale))
    measure(max(10, count // 10))
    return count / measure(count)


def run_all(python: str, rounds: int, scale: float) -> dict[str, list[float]]:
    """Executions a second of each contender that is installed, a list of ``rounds`` figures."""
    figures: dict[str, list[float]] = {name: [] for name in (*CONTENDERS, *OURS)}
    for _ in range(rounds):
        for name in list(figures):
            done = subprocess.run(
                [python, "-m", "benchmarks.sim_throughput", "--one", name, "--scale", str(scale)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:]
                print(f"{name} is left out: {' '.join(reason)}", file=sys.stderr)
                del figures[name]
            else:
                figures[name].append(float(done.stdout))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure executions a second of random walks.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual executions")
    parser.add_argument("--python", default=sys.executable, help="run everything with this one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=[*CONTENDERS, *OURS], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(run_one(options.one, options.scale))
        return
    figures = run_all(options.python, options.rounds, options.scale)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    if options.json:
        print(json.dumps({"medians": medians, "figures": figures}, indent=2))
        return
    print(f"{TASKS} tasks x {ROUNDS} read-await-write rounds, random walk, median of {options.rounds}")
    contenders = {name: median for name, median in medians.items() if name in CONTENDERS}
    for name, median in sorted(contenders.items(), key=lambda item: -item[1]):
        ratio = medians["sim"] / median
        print(f"{name:15} {median:>9,.0f} executions/s   sim is {ratio:.1f} times as fast")
    print(f"the program last_zero(10), all of whose {LAST_ZERO_TRACES:,} traces dpor goes through")
    for one, other in RATIOS:
        ratio = statistics.median(a / b for a, b in zip(figures[one], figures[other], strict=True))
        for name in (other, one):
            print(f"{name:30} {medians[name]:>9,.0f} executions/s")
        print(f"{'':30} {ratio:>9.2f} times as many (median of the rounds)")


if __name__ == "__main__":
    main()
