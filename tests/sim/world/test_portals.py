"""anyio's portals, with which threads call a run: what they wait for is a `Future`."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import sim
from sim._world.clock import CLOCK_START

# Not by an import: what of anyio is used here is no part of its types' promises.
anyio: Any = importlib.import_module("anyio")
from_thread: Any = importlib.import_module("anyio.from_thread")
to_thread: Any = importlib.import_module("anyio.to_thread")


@pytest.mark.parametrize("strategy", ["random", "pct", "dpor"])
def test_thread_calls_the_run_through_a_portal(strategy: str) -> None:
    async def scenario() -> None:
        async with from_thread.BlockingPortal() as portal:
            await to_thread.run_sync(portal.call, anyio.sleep, 3)
        assert trio.current_time() == CLOCK_START + 3

    result = sim.explore(scenario, strategy, 100, self_check=True)
    result.check()
    assert result.complete == (strategy == "dpor")


def test_thread_of_the_programs_own_calls_the_run_and_gets_the_error() -> None:
    async def fail() -> None:
        raise ValueError("in the task")

    async def scenario() -> None:
        seen: list[str] = []

        def work(portal: Any) -> None:
            try:
                portal.call(fail)
            except ValueError as error:
                seen.append(str(error))
            seen.append(portal.start_task_soon(lambda: None).result() or "none")

        async with from_thread.BlockingPortal() as portal:
            thread = threading.Thread(target=work, args=(portal,))
            thread.start()
            await to_thread.run_sync(thread.join)
        assert seen == ["in the task", "none"]

    sim.explore(scenario, max_executions=50, self_check=True).check()


# What the portal was asked for is never begun.
@pytest.mark.filterwarnings("ignore:coroutine 'BlockingPortal._call_func' was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_portal_that_the_task_itself_waits_for_is_a_deadlock() -> None:
    async def scenario() -> None:
        async with from_thread.BlockingPortal() as portal:
            thread = threading.Thread(target=portal.call, args=(anyio.sleep, 1))
            thread.start()
            thread.join()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)
    del failure
    gc.collect()


def test_portal_with_an_event_loop_of_its_own_is_refused() -> None:
    def in_thread() -> None:
        with from_thread.start_blocking_portal("trio") as portal:
            portal.call(anyio.sleep, 1)

    async def scenario(call: Callable[[], None]) -> None:
        await to_thread.run_sync(call)

    (failure,) = sim.explore(lambda: scenario(in_thread)).failures
    assert isinstance(failure.error, sim.Escape)
    assert "trio.run" in str(failure.error)
