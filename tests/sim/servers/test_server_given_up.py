"""A call that was given up makes room in a full mailbox, under every schedule."""

from __future__ import annotations

import pytest
import trio

import sim
from trio_genserver import GenServer, child_spec, handle_call, handle_cast, open_server


class Narrow(GenServer):
    mailbox_size = 1

    def __init__(self) -> None:
        self.let_go = trio.Event()
        self.handled: list[str] = []

    @handle_cast
    async def work(self) -> None:
        await self.let_go.wait()

    @handle_call
    def ask(self, who: str) -> str:
        self.handled.append(who)
        return who

    @handle_cast
    def tell(self, who: str) -> None:
        self.handled.append(who)


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_a_sender_gets_the_room_of_a_call_that_was_given_up(strategy: str) -> None:
    """The server works until somebody has got in behind a call that is given up; else they wait for ever."""

    async def scenario() -> None:
        async with open_server(child_spec(Narrow)) as server:
            instance = server._process.instance
            assert isinstance(instance, Narrow)
            await server.cast(Narrow.work())
            while server.mailbox_length:
                await trio.lowlevel.checkpoint()

            async def cancel() -> None:
                scope.cancel()

            async def ask() -> None:
                await server.call(Narrow.ask("caller"))

            async def send() -> None:
                await server.cast(Narrow.tell("sender"))
                instance.let_go.set()

            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask)
                    nursery.start_soon(cancel)
                    with trio.CancelScope(shield=True):
                        await send()
            assert server.mailbox_length <= 1
        # One that came in before the end of the work was taken back or is answered; none is lost.
        assert instance.handled in (["sender"], ["caller", "sender"], ["sender", "caller"])

    result = sim.explore(scenario, strategy, 50_000)
    result.check()
    assert result.complete


def test_senders_that_wait_for_room_and_give_up_lose_nobody_else_s_message() -> None:
    async def scenario() -> None:
        async with open_server(child_spec(Narrow)) as server:
            instance = server._process.instance
            assert isinstance(instance, Narrow)
            await server.cast(Narrow.work())
            sent: list[str] = []

            async def send(who: str) -> None:
                await server.cast(Narrow.tell(who))
                sent.append(who)

            async def stop_working() -> None:
                instance.let_go.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, "first")
                nursery.start_soon(send, "second")
                nursery.start_soon(stop_working)
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as given_up:
                        given_up.start_soon(send, "given up")
                        scope.cancel()
        assert sorted(instance.handled) == sorted(sent)
        assert {"first", "second"} <= set(sent)

    result = sim.explore(scenario, "dpor", 50_000)
    result.check()
    assert result.complete
