"""Both ways to a thread do the same."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from todo.worker_thread import DedicatedThread, TrioThreads


@pytest.mark.parametrize("kind", [DedicatedThread, TrioThreads])
async def test_a_function_runs_outside_and_its_result_or_error_comes_back(
    kind: type[DedicatedThread] | type[TrioThreads],
) -> None:
    thread = kind("test")
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


async def test_the_end_of_a_job_that_an_interrupt_left_behind_is_not_taken_for_that_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = DedicatedThread("test")
    ended, answers = threading.Event(), list[str]()

    async def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    async def second() -> None:
        answers.append(await thread.run(lambda: "second" if ended.wait() else ""))

    with monkeypatch.context() as patched:
        patched.setattr(trio.lowlevel, "wait_readable", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await thread.run(lambda: "first")
    await trio.lowlevel.wait_readable(thread._done)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        ended.set()
    assert answers == ["second"]
    thread.stop()
