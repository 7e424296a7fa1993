"""What reaches out of the simulation is refused at its line; clock and randomness are pinned."""

import os
import random
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable

import pytest
import trio

import sim


async def real_socket() -> None:
    socket.socket()


async def trio_socket() -> None:
    trio.socket.socket()


async def trio_tcp() -> None:
    await trio.open_tcp_stream("127.0.0.1", 9)


async def real_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)  # noqa: ASYNC221 - the point of the test


async def trio_process() -> None:
    await trio.run_process([sys.executable, "-c", ""])


async def real_thread() -> None:
    threading.Thread(target=print).start()


async def real_sleep() -> None:
    time.sleep(0)  # noqa: ASYNC251 - the point of the test


async def real_file_descriptor() -> None:
    await trio.lowlevel.wait_readable(0)


@pytest.mark.parametrize(
    "scenario",
    [
        real_socket,
        trio_socket,
        trio_tcp,
        real_process,
        trio_process,
        real_thread,
        real_sleep,
        real_file_descriptor,
    ],
)
def test_escape_is_refused_at_its_line(scenario: Callable[[], Awaitable[None]]) -> None:
    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)
    assert scenario.__name__ in "".join(traceback.format_exception(failure.raised))


def test_escape_that_the_program_swallows_is_a_failure_all_the_same() -> None:
    async def scenario() -> None:
        try:
            socket.socket()
        except Exception:  # noqa: BLE001 - the point of the test
            await trio.lowlevel.checkpoint()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)


def test_nothing_is_refused_after_the_exploration() -> None:
    sim.explore(real_socket)
    socket.socket().close()
    time.sleep(0)


def test_clock_and_random_sources_are_the_same_in_every_execution() -> None:
    seen: set[tuple[object, ...]] = set()

    async def scenario() -> None:
        await trio.sleep(2)
        seen.add(
            (
                random.random(),
                random.randrange(100),
                uuid.uuid4(),
                os.urandom(8),
                time.time(),
                time.monotonic(),
                time.perf_counter_ns(),
            )
        )
        assert time.monotonic() == 2

    sim.explore(scenario, max_executions=5).check()
    assert len(seen) == 1


def test_random_state_of_the_caller_is_untouched() -> None:
    async def scenario() -> None:
        random.random()

    random.seed(5)
    expected = random.Random(5).random()
    sim.explore(scenario, max_executions=5)
    assert random.random() == expected
