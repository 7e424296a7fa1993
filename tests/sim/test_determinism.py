"""The same choices make the same run: twice, in another process, under another hash seed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

import sim
from tests.sim.generated import generated_program
from tests.sim.test_dependence import record

ROOT = Path(__file__).resolve().parents[2]


class Done(Exception):
    """Raised at the end of a run, so that every run has a token."""


def check_run_run_replay(seed: int) -> None:
    """A run, the two that check it, and the replay of its token all give the same."""
    program, results = generated_program(seed)

    async def scenario() -> None:
        await program()
        raise Done

    found = sim.explore(scenario, seed=seed, max_executions=2, max_failures=2, shrink_failures=False)
    for failure in found.failures:
        assert isinstance(failure.error, Done | sim.Deadlock), (seed, failure.error)
        results.clear()
        (again,) = sim.replay(scenario, failure.token).failures
        assert again.steps == failure.steps, seed
        assert all(result == results[0] for result in results), seed


def test_generated_programs_run_and_replay_the_same() -> None:
    for seed in range(150):
        check_run_run_replay(seed)


@pytest.mark.torture
def test_thousands_of_generated_programs_run_and_replay_the_same() -> None:
    for seed in range(10_000, 18_000):
        check_run_run_replay(seed)


def digest(seeds: range) -> str:
    """Everything that happens in random runs of generated programs, in a few characters."""
    everything = hashlib.sha256()
    for seed in seeds:
        program, results = generated_program(seed)
        found = sim.explore(program, seed=seed, max_executions=5, max_failures=5)
        everything.update(repr([results, found.steps, found.failures]).encode())
        everything.update(repr(record(program, seed=seed).steps).encode())
    return everything.hexdigest()


def test_other_process_with_another_hash_seed_makes_the_same_runs() -> None:
    command = "from tests.sim.test_determinism import digest; print(digest(range(60)))"
    digests = [
        subprocess.run(
            [sys.executable, "-c", command],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    assert digests == [digest(range(60))] * 2


def test_order_in_which_an_event_wakes_its_waiters_is_a_choice_and_not_an_address() -> None:
    seen: list[tuple[int, ...]] = []

    async def scenario() -> None:
        event = trio.Event()
        order: list[int] = []

        async def waiter(number: int) -> None:
            await event.wait()
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(waiter, number)
            await trio.testing.wait_all_tasks_blocked()
            event.set()
        seen.append(tuple(order))

    sim.explore(scenario, max_executions=20, seed=1)
    first = list(seen)
    seen.clear()
    sim.explore(scenario, max_executions=20, seed=1)
    assert seen == first
    assert len(set(seen)) > 15
