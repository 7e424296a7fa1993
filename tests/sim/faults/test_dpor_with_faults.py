"""Random programs with faults: `dpor` comes to each outcome that `dfs` comes to."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio

import sim

Ends = set[tuple[int, tuple[tuple[int, str], ...]]]
OPERATIONS = ("checkpoint", "wait", "set", "lock", "scope", "nursery", "shield", "add", "add")
PLANS = [
    sim.FaultPlan((sim.FaultKind.CANCEL,)),
    sim.FaultPlan((sim.FaultKind.CANCEL,), "t0"),
    sim.FaultPlan((sim.FaultKind.CANCEL,), anytime=False),
    sim.FaultPlan((sim.FaultKind.CRASH,), "t0"),
]


def program(seed: int, ends: Ends) -> Callable[[], Awaitable[None]]:
    """A program of two or three tasks; it adds what each of its runs comes to."""
    generator = random.Random(f"program {seed}")
    tasks = [
        generator.choices(OPERATIONS, k=generator.choice((1, 2))) for _ in range(generator.choice((2, 3)))
    ]

    async def scenario() -> None:
        event, lock, cell = trio.Event(), trio.Lock(), sim.Shared(0)
        seen: list[tuple[int, str]] = []

        async def add_later(number: int) -> None:
            await trio.lowlevel.checkpoint()
            cell.set(cell.get() * 2 + number)

        async def do(operation: str, number: int) -> None:
            if operation == "checkpoint":
                await trio.lowlevel.checkpoint()
            elif operation == "wait":
                await event.wait()
            elif operation == "set":
                event.set()
            elif operation == "lock":
                async with lock:
                    await add_later(number)
            elif operation == "scope":
                with trio.CancelScope() as scope:
                    await add_later(number)
                seen.append((number, f"caught {scope.cancelled_caught}"))
            elif operation == "nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(add_later, number)
            elif operation == "shield":
                with trio.CancelScope(shield=True):
                    await add_later(number)
            else:
                cell.set(cell.get() + 1)

        async def task(number: int) -> None:
            try:
                for operation in tasks[number]:
                    await do(operation, number)
                seen.append((number, "done"))
            finally:
                seen.append((number, "over"))

        try:
            async with trio.open_nursery() as nursery:
                for number in range(len(tasks)):
                    nursery.start_soon(task, number, name=f"t{number}")
                event.set()
        finally:
            ends.add((cell.get(), tuple(sorted(seen))))

    return scenario


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.code)
def test_dpor_comes_to_every_outcome_that_dfs_comes_to(plan: sim.FaultPlan) -> None:
    compared = 0
    for seed in range(8):
        everything: Ends = set()
        scenario = program(seed, everything)
        if not sim.explore(
            scenario, "dfs", 600, faults=plan, max_failures=600, shrink_failures=False
        ).complete:
            continue
        reduced: Ends = set()
        scenario = program(seed, reduced)
        result = sim.explore(scenario, "dpor", 5_000, faults=plan, max_failures=5_000, shrink_failures=False)
        assert result.complete
        assert reduced == everything, f"seed {seed}"
        compared += 1
    assert compared > 2
