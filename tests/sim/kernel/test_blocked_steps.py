"""A call that really blocks, in a task or a thread, is reported with its stack; Ctrl-C and the end of time
reach it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from typing import cast

import pytest
import trio

import sim


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    receive, send = os.pipe()
    yield receive, send
    os.close(receive)
    os.close(send)


def test_task_that_blocks_in_a_system_call_is_reported_with_its_stack(pipe: tuple[int, int]) -> None:
    def reads() -> None:
        os.read(pipe[0], 1)

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(blocks)

    async def blocks() -> None:
        reads()

    (failure,) = sim.explore(scenario).failures
    error = cast("sim.TaskBlocked", failure.error)
    assert isinstance(error, sim.TaskBlocked)
    assert error.name == "blocks"
    assert "in reads" in error.stack[-1]
    assert "in blocks" in error.stack[-2]
    (again,) = sim.replay(scenario, failure.token).failures
    assert isinstance(again.error, sim.TaskBlocked)


def test_task_that_handles_it_and_blocks_again_does_not_go_on(pipe: tuple[int, int]) -> None:
    async def scenario() -> None:
        while True:
            try:
                os.read(pipe[0], 1)
            except Exception:  # noqa: BLE001 - the point of the test
                continue

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.TaskBlocked)


def test_run_in_which_a_task_blocks_elsewhere_the_next_time_is_still_that(pipe: tuple[int, int]) -> None:
    # As on a busy machine, where real time decides what a step has come to when it is given up.
    runs: list[int] = []

    async def scenario() -> None:
        runs.append(1)
        for _ in runs:
            await trio.lowlevel.checkpoint()
        os.read(pipe[0], 1)

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.TaskBlocked)


@pytest.mark.parametrize("in_thread", [False, True])
def test_step_that_computes_without_end_ends_with_the_time_of_the_exploration(in_thread: bool) -> None:
    over: list[int] = []

    def computes() -> None:
        while not over:
            pass

    async def scenario() -> None:
        if in_thread:
            await trio.to_thread.run_sync(computes)
        else:
            computes()

    try:
        (failure,) = sim.explore(scenario, max_seconds=0.1).failures
    finally:
        # Else the thread, which is given up, would compute for as long as the tests run.
        over.append(1)
    assert isinstance(failure.error, sim.ThreadBlocked if in_thread else sim.TaskBlocked)
    assert "in computes" in str(failure.error)


PROGRAM = """
    import os, threading, sys
    import trio
    import sim
    from sim._kernel import watchdog
    from sim._world import worker

    # However slow this machine is, it is Ctrl-C that ends the wait.
    worker.PATIENCE = watchdog.PATIENCE = 10 ** 9

    receive, send = os.pipe()

    def blocks():
        print("now", flush=True)
        {what}

    async def in_task():
        blocks()

    async def in_thread():
        await trio.to_thread.run_sync(blocks)

    async def in_own_thread():
        thread = threading.Thread(target=blocks)
        thread.start()
        thread.join()

    try:
        sim.explore({where}, max_executions=1)
    except sim.Interrupted as interrupted:
        print("interrupted after", interrupted.result.executions, flush=True)
        os._exit(7)
"""


@pytest.mark.parametrize("where", ["in_task", "in_thread", "in_own_thread"])
@pytest.mark.parametrize("what", ["os.read(receive, 1)", "while True: pass"])
def test_ctrl_c_ends_what_does_not_come_back(where: str, what: str) -> None:
    program = textwrap.dedent(PROGRAM).format(where=where, what=what)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().startswith("interrupted after")
        assert process.wait() == 7
