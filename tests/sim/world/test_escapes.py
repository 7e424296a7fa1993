"""A call that reaches out of the simulation is refused at its line."""

import contextlib
import select
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

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


async def real_sleep() -> None:
    time.sleep(0)  # noqa: ASYNC251 - the point of the test


async def real_file_descriptor() -> None:
    await trio.lowlevel.wait_readable(0)


async def real_wait() -> None:
    select.select([], [], [], 0)


async def real_lookup_of_a_number() -> None:
    socket.gethostbyaddr("127.0.0.1")


async def random_device() -> None:
    Path("/dev/urandom").open("rb").close()  # noqa: ASYNC230 - the point of the test


@pytest.mark.parametrize(
    "scenario",
    [
        real_wait,
        real_lookup_of_a_number,
        random_device,
        real_socket,
        trio_socket,
        trio_tcp,
        real_process,
        trio_process,
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


class Resolver(trio.abc.HostnameResolver):
    """A resolver of the program's own."""

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - Trio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        return "host.test", "http"


def test_addresses_that_are_numbers_need_no_lookup() -> None:
    async def scenario() -> None:
        for host in ("127.0.0.1", "::1", None):
            (found, *_) = await trio.socket.getaddrinfo(host, 80, type=trio.socket.SOCK_STREAM)
            assert found[4][1] == 80
        numeric = trio.socket.NI_NUMERICHOST | trio.socket.NI_NUMERICSERV
        assert await trio.socket.getnameinfo(("127.0.0.1", 80), numeric) == ("127.0.0.1", "80")

    sim.explore(scenario, max_executions=2).check()


def test_names_are_looked_up_by_the_resolver_that_the_program_sets() -> None:
    async def scenario() -> None:
        trio.socket.set_custom_hostname_resolver(Resolver())
        assert (await trio.socket.getaddrinfo("example.test", 80))[0][4] == ("10.0.0.1", 80)
        assert await trio.socket.getnameinfo(("127.0.0.1", 80), 0) == ("host.test", "http")

    sim.explore(scenario, max_executions=2).check()

    async def without() -> None:
        await trio.socket.getaddrinfo("example.test", 80)

    (failure,) = sim.explore(without, max_executions=2).failures
    assert isinstance(failure.error, sim.Escape)
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_sockets_are_made_by_the_factory_that_the_program_sets() -> None:
    made: list[tuple[object, ...]] = []

    class Factory(trio.abc.SocketFactory):
        def socket(self, *which: Any, **more: Any) -> Any:
            made.append(which)
            raise OSError("none left")

    async def scenario() -> None:
        trio.socket.set_custom_socket_factory(Factory())
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", 80)

    sim.explore(scenario, max_executions=1).check()
    assert made
