"""The same choices make the same run: twice, in another process, under another hash seed."""

import hashlib
import math
import os
import random
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing

import sim
from tests.sim.dependence.generated import generated_program
from tests.sim.dependence.test_dependence import record

ROOT = Path(__file__).resolve().parents[3]


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
    for seed in range(60):
        check_run_run_replay(seed)


@pytest.mark.torture
def test_thousands_of_generated_programs_run_and_replay_the_same(dose: Callable[[int], int]) -> None:
    for seed in range(10_000, 10_000 + dose(2_000)):
        check_run_run_replay(seed)


async def draws_from_everywhere() -> list[object]:
    """What a program gets that asks every source there is, in tasks and threads."""
    drawn: list[object] = []

    def ask(name: str) -> None:
        drawn.append((name, random.random(), random.Random().random(), uuid.uuid1(), uuid.uuid4()))
        drawn.append((secrets.token_hex(), os.urandom(4), time.time(), datetime.now(UTC)))
        drawn.append(sim.choose(range(1_000)))
        time.sleep(sim.choose([0.5, 1]))
        drawn.append(time.monotonic())

    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            nursery.start_soon(trio.to_thread.run_sync, ask, name)
    return drawn


def digest(seeds: range) -> str:
    """Everything that happens in random runs of generated programs, in a few characters."""
    everything = hashlib.sha256()

    async def drawing() -> None:
        everything.update(repr([await draws_from_everywhere(), await seen_in_sets()]).encode())
        raise Done

    found = sim.explore(drawing, max_executions=20, max_failures=20, shrink_failures=False)
    for failure in found.failures:
        everything.update(repr([failure.token, failure.steps]).encode())
        everything.update(repr(sim.replay(drawing, failure.token).failures[0].steps).encode())
    for seed in seeds:
        program, results = generated_program(seed)
        found = sim.explore(program, seed=seed, max_executions=5, max_failures=5)
        everything.update(repr([results, found.steps, found.failures]).encode())
        everything.update(repr(record(program, seed=seed).steps).encode())
    return everything.hexdigest()


def test_other_process_with_another_hash_seed_makes_the_same_runs() -> None:
    command = "from tests.sim.exploration.test_determinism import digest; print(digest(range(20)))"
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
    assert digests == [digest(range(20))] * 2


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


async def seen_in_sets() -> list[object]:
    """What a program sees of the order in which Trio goes through its sets of tasks."""
    seen: list[object] = []

    async def waiter(number: int, after: float) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            seen.append(number)
            return trio.lowlevel.Abort.SUCCEEDED

        with trio.CancelScope(deadline=trio.current_time() + after):
            await trio.lowlevel.wait_task_rescheduled(abort)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(waiter, number, 5 if number < 4 else math.inf)
        await trio.testing.wait_all_tasks_blocked()
        seen.append([task.name for task in nursery.child_tasks])
        await trio.sleep(6)
        seen.append("all others")
        nursery.cancel_scope.cancel()
    limiter = trio.CapacityLimiter(8)
    for name in "abcdefgh":
        limiter.acquire_on_behalf_of_nowait(name)
    return [*seen, *limiter.statistics().borrowers]


def test_sets_of_tasks_are_gone_through_in_the_order_of_the_tasks() -> None:
    seen: list[list[object]] = []

    async def scenario() -> None:
        junk.append([object() for _ in range(len(junk))])  # so that addresses differ
        seen.append(await seen_in_sets())

    junk: list[object] = []
    sim.explore(scenario, max_executions=10).check()
    names = [f"{__name__}.seen_in_sets.<locals>.waiter"] * 8
    # Ten runs, and the first twice more.
    assert seen == [[names, *range(4), "all others", *range(4, 8), *"abcdefgh"]] * 12


leftover: list[int] = []


async def depends_on_what_is_left_over() -> None:
    async def second() -> None:
        await trio.lowlevel.checkpoint()
        leftover.append(1)
        if len(leftover) % 2:
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(second)
        nursery.start_soon(trio.lowlevel.checkpoint)


def test_self_check_names_the_step_in_which_two_runs_of_the_same_choices_part_and_its_stack() -> None:
    (failure,) = sim.explore(depends_on_what_is_left_over, max_executions=4).failures
    assert isinstance(failure.error, sim.StateOutlivesRun)
    result = sim.explore(depends_on_what_is_left_over, max_executions=4, self_check=True)
    (failure,) = result.failures
    assert isinstance(failure.error, sim.Nondeterminism)
    assert result.executions == 1
    assert failure.steps[: failure.error.step]
    differs = failure.steps[failure.error.step]
    assert differs.name == "second"
    assert str(differs) in (failure.error.first, failure.error.second)
    assert any("in second" in line for line in failure.error.stack)
    assert failure.error.stack[-1] in str(failure.error)


def test_self_check_notices_that_only_the_first_run_was_another() -> None:
    cached: list[int] = []

    async def warms_a_cache() -> None:
        async def ask() -> None:
            if not cached:
                await trio.lowlevel.checkpoint()
                cached.append(1)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(trio.lowlevel.checkpoint)

    (failure,) = sim.explore(warms_a_cache, self_check=True).failures
    assert isinstance(failure.error, sim.Nondeterminism)


@pytest.mark.parametrize("strategy", ["random", "dfs", "dpor"])
def test_self_check_of_a_deterministic_program_finds_nothing(strategy: str) -> None:
    async def scenario() -> None:
        await draws_from_everywhere()

    result = sim.explore(scenario, strategy, 20, self_check=True)
    assert not result.failures
    assert result.executions == 20
