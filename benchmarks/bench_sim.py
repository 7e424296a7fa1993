"""What an execution costs: ours, a fresh `trio.run` each, and the peers, which explore asyncio programs.

The program is the same everywhere: 3 tasks, each 3 times reads a value, awaits, writes it back, under each
library's random walk. Nothing in it fails, so that every contender makes all of its executions and none
begins to shrink.

Then, of ours alone and on ``last_zero(10)``, a program of Concuerror's suite with 3,328 traces: all of
these by dpor against as many executions of the random walk, and two processes against one.

Each contender runs in a process of its own, in turns, as `benchmarks.harness` does it; a ratio is the
median of ratios between neighbours in time. The columns are microseconds an execution, so a target of
"1.8 times as many a second" is a ratio of at most 0.56. `make peers` makes an environment with the peers in
it, which then runs all of these, ours too; without it they are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from .harness import Row, interleave, markdown, verdicts
from .peers.environments import DEFAULT, EXPLORERS, python_of

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
TASKS: Final = 3
ROUNDS: Final = 3


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

# What measures it, and with how many executions: about half a second each. The warm-up is a tenth of it.
SIM, TRIO = "sim", "trio.run each"
OURS: Final[dict[str, tuple[Callable[[int], float], int]]] = {SIM: (measure_sim, 6_000)}
OTHERS: Final[dict[str, tuple[Callable[[int], float], int]]] = {
    TRIO: (measure_trio, 1_000),
    "detangle": (measure_detangle, 2_000),
    "simloom": (measure_simloom, 400),
    "frontrun": (measure_frontrun, 400),
}
LAST_ZERO: Final[dict[str, tuple[Callable[[int], float], int]]] = {
    "random": (measure_last_zero_at_random, LAST_ZERO_TRACES),
    "dpor": (measure_last_zero_by_dpor, LAST_ZERO_TRACES),
}
JOBS: Final[dict[str, tuple[Callable[[int], float], int]]] = {
    "1 job": (measure_one_job, 20_000),
    "2 jobs": (measure_two_jobs, 20_000),
}
EVERYTHING: Final = {**OURS, **OTHERS, **LAST_ZERO, **JOBS}


def measure_here(name: str) -> float:
    """Microseconds an execution, measured in this process after a short warm-up."""
    measure, executions = EVERYTHING[name]
    measure(max(10, executions // 10))
    return measure(executions) / executions * 1e6


def measure_apart(python: str, name: str) -> float:
    """The same in a process of its own.

    Raises:
      subprocess.CalledProcessError: it did not work, as where the contender is not installed.
    """
    command = [python, "-m", "benchmarks.bench_sim", "--one", name]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=True)
    return float(done.stdout)


def installed(python: str) -> list[str]:
    """Which of `OTHERS` there are for that interpreter; it is said of each that there is not."""
    there: list[str] = []
    for name in OTHERS:
        try:
            measure_apart(python, name)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1:]
            print(f"{name} is left out: {' '.join(reason)}", file=sys.stderr)
        else:
            there.append(name)
    return there


def rows(python: str, repeats: int) -> list[Row]:
    """All measurements.

    Args:
      python: the interpreter that the contenders run on.
      repeats: how many turns.
    """

    def samples(names: list[str], progress: str) -> dict[str, list[float]]:
        columns = {name: partial(measure_apart, python, name) for name in names}
        return interleave(columns, repeats, progress=progress)

    others = installed(python)
    walks = samples([SIM, *others], "random walks")
    last_zero = samples(list(LAST_ZERO), "last_zero(10)")
    jobs = samples(list(JOBS), "jobs")
    program = f"{TASKS} tasks x {ROUNDS} rounds at random"
    found = [Row(f"{program}, against {TRIO}", "us", walks, SIM, TRIO, 1 / 4.5)]
    peers = [name for name in others if name != TRIO]
    if peers:
        fastest = min(peers, key=lambda name: sorted(walks[name])[len(walks[name]) // 2])
        found.append(Row(f"{program}, against the fastest peer", "us", walks, SIM, fastest, 1 / 1.8))
    found.append(Row("all traces of last_zero(10)", "us", last_zero, "dpor", "random", 2.0))
    found.append(Row("last_zero(10) at random, two processes", "us", jobs, "2 jobs", "1 job", 1 / 1.8))
    return found


def main(arguments: list[str]) -> int:
    """Measure and write the table. Returns 0; a target that is not reached is said, and no error."""
    parser = argparse.ArgumentParser(prog="bench_sim", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns; the median counts")
    parser.add_argument("--python", help="run everything with this one, and not with that of `make peers`")
    parser.add_argument("--json", action="store_true", help="print JSON, and write nothing")
    parser.add_argument("--one", choices=list(EVERYTHING), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(measure_here(options.one))
        return 0
    peers_python = python_of(DEFAULT / EXPLORERS)
    python = options.python or str(peers_python if peers_python.exists() else sys.executable)
    measured = rows(python, options.repeats)
    if options.json:
        print(
            json.dumps([{"name": row.name, "ratio": row.ratio, "samples": row.samples} for row in measured])
        )
        return 0
    described = subprocess.run(
        [python, "-c", "from benchmarks.harness import machine; print(machine())"],
        cwd=DOCS.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    text = f"# What an execution costs\n\n{(__doc__ or '').partition(chr(10))[2].strip()}\n\n"
    text += f"{described}; {options.repeats} turns. {verdicts(measured)}\n{markdown(measured)}"
    (DOCS / "bench_sim.md").write_text(text, encoding="utf-8")
    print(markdown(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
