"""A callback with a nursery of its own that is cancelled raises a group: that is no crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_genserver import (
    GenServer,
    InitStopped,
    ServerRef,
    ServerStopped,
    handle_call,
    handle_cast,
    open_supervisor,
    start_server,
)
from trio_genserver._cancellation import is_cancellation
from trio_genserver.tasks import open_task_supervisor


async def sleep_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(trio.sleep_forever)


class Nested(GenServer):
    """Waits in a nursery of its own, wherever it is told to."""

    shutdown = 1

    def __init__(self, where: str = "", log: list[object] | None = None) -> None:
        self.where = where
        self.log: list[object] = [] if log is None else log

    async def init(self) -> None:
        if self.where == "init":
            await sleep_in_a_nursery()

    async def handle_continue(self, argument: object) -> None:
        await sleep_in_a_nursery()

    async def handle_info(self, message: object) -> None:
        await sleep_in_a_nursery()

    async def handle_timeout(self) -> None:
        await sleep_in_a_nursery()

    async def terminate(self, reason: object) -> None:
        self.log.append(reason)
        if self.where == "terminate":
            await sleep_in_a_nursery()

    @handle_call
    async def call(self) -> None:
        await sleep_in_a_nursery()

    @handle_call(child=True)
    async def child_call(self) -> None:
        await sleep_in_a_nursery()

    @handle_cast
    async def cast(self) -> None:
        await sleep_in_a_nursery()

    @handle_call
    def elsewhere(self, where: str) -> None:
        if where == "continue":
            self.continue_with(None)
        elif where == "task":
            self.start_task(sleep_in_a_nursery)
        else:
            self.set_timeout(0)


Put = Callable[[ServerRef[Nested]], Any]
PLACES: list[tuple[str, Put]] = [
    ("call", lambda server: server.send_request(Nested.call())),
    ("child", lambda server: server.send_request(Nested.child_call())),
    ("cast", lambda server: server.cast_nowait(Nested.cast())),
    ("info", lambda server: server.send_nowait("x")),
    ("continue", lambda server: server.send_request(Nested.elsewhere("continue"))),
    ("timeout", lambda server: server.send_request(Nested.elsewhere("timeout"))),
    ("task", lambda server: server.send_request(Nested.elsewhere("task"))),
]


@pytest.mark.parametrize("how", ["nursery", "kill"])
@pytest.mark.parametrize(("place", "put"), PLACES, ids=[place for place, _ in PLACES])
async def test_shutdown_is_not_a_crash_though_a_callback_has_a_nursery_open(
    place: str, put: Put, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 22, 28
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, Nested, "", log)
        request = put(server)
        await trio.testing.wait_all_tasks_blocked()
        if how == "kill":
            server._process.kill()
        else:
            nursery.cancel_scope.cancel()
    if place in ("call", "child"):
        with pytest.raises(ServerStopped):
            request.check()
    assert log == ["shutdown"]
    assert caplog.records == []


async def test_init_with_a_nursery_that_is_cancelled_is_a_start_that_was_stopped() -> None:
    reasons: list[object] = []
    async with trio.open_nursery() as starters:

        async def start() -> None:
            with pytest.raises(InitStopped) as caught:
                await start_server(nursery, Nested, "init")
            reasons.append(caught.value.reason)

        async with trio.open_nursery() as nursery:
            starters.start_soon(start)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert reasons == ["shutdown"]


async def test_terminate_with_a_nursery_that_takes_too_long_is_not_a_crash(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 56
    async with trio.open_nursery() as nursery:
        await start_server(nursery, Nested, "terminate")
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_supervisor_ends_children_and_tasks_with_nurseries_without_a_crash(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_supervisor([Nested]) as supervisor, open_task_supervisor() as tasks:
        server: ServerRef[Nested] = supervisor.child("Nested")
        await server.cast(Nested.cast())
        tasks.start(sleep_in_a_nursery)
        await trio.testing.wait_all_tasks_blocked()
        await tasks.stop()
    assert caplog.records == []


async def test_group_with_anything_else_in_it_is_a_crash() -> None:
    async def cancelled() -> BaseException:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                return error
        raise AssertionError("it was not cancelled")

    one = await cancelled()
    group = BaseExceptionGroup("inner", [one])
    assert is_cancellation(one)
    assert is_cancellation(BaseExceptionGroup("outer", [one, group]))
    assert not is_cancellation(BaseExceptionGroup("outer", [group, ValueError()]))
    assert not is_cancellation(KeyboardInterrupt())
