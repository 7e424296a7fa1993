"""Between a server's last message and its end."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import (
    GenServer,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    handle_call,
    open_server,
    start_server,
)


class Leaving(GenServer):
    async def init(self) -> None:
        self.let_go = trio.Event()
        self.start_task(self.linger)

    async def linger(self) -> None:
        with trio.CancelScope(shield=True):
            await self.let_go.wait()

    @handle_call
    async def leave(self) -> trio.Event:
        self.stop()
        return self.let_go


async def test_a_message_after_the_last_is_refused_at_once_and_was_not_sent() -> None:
    """A child task still runs; who calls then must not wait for it, and may send the same again elsewhere."""
    async with open_server(Leaving) as server:
        let_go = await server.call(Leaving.leave())
        await trio.testing.wait_all_tasks_blocked()
        assert not server.is_running
        with pytest.raises(ServerNotRunning):
            await server.call(Leaving.leave())
        let_go.set()
        assert await server.wait_stopped() == "normal"


class Continuing(GenServer):
    """Its `handle_continue` takes until it is let go."""

    def __init__(self, *, stops: bool = False) -> None:
        self.let_go = trio.Event()
        self.stops = stops
        self.ended: list[object] = []
        self.continue_with(None)

    async def handle_continue(self, argument: object) -> None:
        await self.let_go.wait()
        if self.stops:
            self.stop("done")

    async def terminate(self, reason: object) -> None:
        self.ended.append(reason)

    @handle_call
    def get(self) -> int:
        return 1


def instance(server: ServerRef[Continuing]) -> Continuing:
    found = server._process.instance
    assert isinstance(found, Continuing)
    return found


async def test_a_stop_that_comes_during_handle_continue_is_not_forgotten(nursery: trio.Nursery) -> None:
    server = await start_server(nursery, Continuing)
    running = instance(server)
    nursery.start_soon(server.stop)
    await trio.testing.wait_all_tasks_blocked()
    running.let_go.set()
    assert await server.wait_stopped() == "normal"
    assert running.ended == ["normal"]


async def test_messages_before_a_stop_are_handled_after_handle_continue(nursery: trio.Nursery) -> None:
    server = await start_server(nursery, Continuing)
    running = instance(server)
    request = server.send_request(Continuing.get())
    nursery.start_soon(server.stop)
    await trio.testing.wait_all_tasks_blocked()
    running.let_go.set()
    assert await request.wait() == 1
    assert await server.wait_stopped() == "normal"


async def test_a_server_can_stop_itself_in_handle_continue(nursery: trio.Nursery) -> None:
    server = await start_server(nursery, Continuing, stops=True)
    instance(server).let_go.set()
    assert await server.wait_stopped() == "done"


async def test_a_call_handled_in_a_child_task_at_the_end_is_not_a_duty_of_other_servers() -> None:
    class Slow(GenServer):
        @handle_call(child=True)
        async def wait(self) -> None:
            await trio.sleep_forever()

    async with open_server(Slow) as other, trio.open_nursery() as nursery:

        async def caller(server: ServerRef[Slow]) -> None:
            with pytest.raises(ServerStopped):
                await server.call(Slow.wait())

        async with open_server(Slow) as server:
            nursery.start_soon(caller, server)
            await trio.testing.wait_all_tasks_blocked()
        assert not other._process.deferred
