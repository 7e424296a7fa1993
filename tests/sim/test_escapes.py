"""What reaches out of the simulation is refused at its line."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
import traceback
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
        with contextlib.suppress(Exception):
            socket.socket()
        await trio.lowlevel.checkpoint()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Escape)


def test_nothing_is_refused_after_the_exploration() -> None:
    sim.explore(real_socket)
    socket.socket().close()
    time.sleep(0)
