"""A `From` is dropped while its caller gives up, or its server ends: the caller hears of one of them."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import sim
from trio_genserver import From, GenServer, NeverReplied, ServerError, handle_call, handle_cast, open_server


class Till(GenServer):
    def __init__(self) -> None:
        self.kept: list[From[str]] = []

    @handle_call(noreply=True)
    def keep(self, from_: From[str]) -> None:
        self.kept.append(from_)

    @handle_call(noreply=True)
    async def keep_a_while(self, from_: From[str]) -> None:
        await trio.lowlevel.checkpoint()

    @handle_cast
    def clear(self) -> None:
        self.kept.clear()

    @handle_call
    def ping(self) -> None: ...


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_a_caller_whose_from_is_dropped_hears_of_that_or_of_the_end(strategy: str) -> None:
    heard: set[str] = set()

    async def scenario() -> None:
        async with open_server(Till) as till, trio.open_nursery() as nursery:

            async def call() -> None:
                try:
                    heard.add(await till.call(Till.keep()))
                except ServerError as error:
                    heard.add(type(error).__name__)

            async def stop() -> None:
                await till.stop()

            nursery.start_soon(call)
            nursery.start_soon(till.cast, Till.clear())
            nursery.start_soon(stop)

    result = sim.explore(scenario, strategy, 30_000)
    result.check()
    assert result.complete
    assert heard == {"NeverReplied", "ServerStopped", "ServerNotRunning"}


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize("message", [Till.keep(), Till.keep_a_while()], ids=["plain", "async"])
def test_a_caller_that_gives_up_while_its_from_is_dropped_hurts_nobody(message: Any, strategy: str) -> None:
    heard: set[str] = set()

    async def scenario() -> None:
        async with open_server(Till) as till, trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def call() -> None:
                with scope:
                    try:
                        await till.call(message)
                    except NeverReplied:
                        heard.add("never")
                if scope.cancelled_caught:
                    heard.add("given up")

            async def give_up() -> None:
                scope.cancel()

            async def clear() -> None:
                await till.cast(Till.clear())
                await till.call(Till.ping())
                nursery.cancel_scope.cancel()

            nursery.start_soon(call)
            nursery.start_soon(give_up)
            nursery.start_soon(clear)

    result = sim.explore(scenario, strategy, 30_000)
    result.check()
    assert result.complete
    assert heard == {"never", "given up"}
