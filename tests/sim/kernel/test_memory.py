"""An exploration needs no more memory for many executions than for few."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import resource, sys
import trio, sim

async def scenario():
    cell = sim.Shared(0)
    async def task():
        for _ in range(rounds):
            value = cell.get()
            await trio.lowlevel.checkpoint()
            cell.set(value + 1)
        with trio.move_on_after(1):
            await trio.sleep_forever()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(task)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

strategy, many, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sim.explore(scenario, strategy, 1_000)
first = peak()
assert sim.explore(scenario, strategy, many).executions == many
print(first, peak())
"""


def growth(strategy: str, executions: int) -> float:
    """Peak memory after so many executions, in parts of that after a thousand."""
    # Enough for the reduction not to come to its end before.
    rounds = 4 if strategy == "dpor" else 3
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, strategy, str(executions), str(rounds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = map(int, done.stdout.split())
    return last / first


@pytest.mark.parametrize("strategy", ["random", "pct", "dpor"])
def test_memory_does_not_grow_with_the_number_of_executions(strategy: str) -> None:
    assert growth(strategy, 5_000) < 1.2


@pytest.mark.torture
@pytest.mark.parametrize("strategy", ["random", "pct", "pos", "dfs", "dpor"])
def test_memory_is_flat_from_a_thousand_to_a_hundred_thousand_executions(
    strategy: str, dose: Callable[[int], int]
) -> None:
    assert growth(strategy, dose(100_000)) < 2
