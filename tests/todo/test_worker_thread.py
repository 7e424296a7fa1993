"""The worker's thread: what runs in it, who waits for it, and every order of the two."""

from __future__ import annotations

import signal
import threading
from functools import partial
from typing import Any

import pytest
import trio

import sim
from todo.worker_thread import DedicatedThread


async def test_a_function_runs_outside_and_its_result_or_error_comes_back() -> None:
    thread = DedicatedThread("test")
    assert await thread.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    thread.stop()


async def test_a_dedicated_thread_is_the_same_for_its_whole_life() -> None:
    thread = DedicatedThread("test")
    assert len({await thread.run(threading.get_ident) for _ in range(20)}) == 1
    assert await thread.run(lambda: threading.current_thread().name) == "test"
    running = thread._thread
    thread.stop()
    await trio.to_thread.run_sync(running.join)


async def test_a_job_that_was_begun_is_finished_though_its_caller_is_cancelled() -> None:
    thread = DedicatedThread("test")
    begun, go_on = threading.Event(), threading.Event()
    finished: list[str] = []

    def job() -> None:
        begun.set()
        go_on.wait()
        finished.append("job")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, job)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert finished == ["job"]
    with trio.CancelScope() as scope:
        scope.cancel()
        await thread.run(lambda: finished.append("never begun"))
    assert finished == ["job"]
    thread.stop()


def test_an_interrupt_after_a_job_was_handed_over_waits_for_its_end() -> None:
    """Raised at once, it would leave the end of the job to whatever its caller waits for next."""
    told: list[str] = []

    class Interrupted:
        def __init__(self, thread: DedicatedThread) -> None:
            self._jobs = thread._jobs
            self.get = self._jobs.get

        def put(self, job: Any) -> None:
            self._jobs.put(job)
            signal.raise_signal(signal.SIGINT)

    async def program() -> None:
        thread = DedicatedThread("test")
        jobs, thread._jobs = thread._jobs, Interrupted(thread)  # type: ignore[assignment]  # the point
        try:
            told.append(await thread.run(lambda: "first"))
            await trio.lowlevel.checkpoint()
        except KeyboardInterrupt:
            told.append("interrupt")
        thread._jobs = jobs
        told.append(await thread.run(lambda: "second"))
        thread.stop()

    trio.run(program)
    assert told == ["first", "interrupt", "second"]


def test_a_thread_whose_trio_is_gone_ends(capfd: pytest.CaptureFixture[str]) -> None:
    begun, go_on = threading.Event(), threading.Event()
    threads: list[DedicatedThread] = []

    def job() -> None:
        begun.set()
        go_on.wait()

    async def program() -> None:
        threads.append(DedicatedThread("test"))
        # As if Trio had died while it waits.
        threads[0]._jobs.put((job, trio.lowlevel.current_task()))
        await trio.to_thread.run_sync(begun.wait)

    trio.run(program)
    go_on.set()
    threads[0]._thread.join()
    assert capfd.readouterr().err == ""


def test_in_every_order_of_a_cancellation_a_job_is_done_and_told_or_not_begun() -> None:
    """The thread that ships, explored to the end."""
    seen: set[tuple[str, ...]] = set()

    async def scenario() -> None:
        ran: list[str] = []
        told: list[str] = []
        thread = DedicatedThread("test")

        async def caller(scope: trio.CancelScope) -> None:
            with scope:
                told.append(await thread.run(partial(work, "first")))
                told.append(await thread.run(partial(work, "second")))
            # Nothing is under way any more, whatever was cancelled.
            thread.stop()
            assert told == ran

        def work(name: str) -> str:
            ran.append(name)
            return name

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller, scope)
            await trio.lowlevel.checkpoint()
            scope.cancel()
        seen.add(tuple(told))

    result = sim.explore(scenario, "dpor", max_executions=5_000)
    result.check()
    assert result.complete, result.coverage
    assert seen == {(), ("first",), ("first", "second")}
