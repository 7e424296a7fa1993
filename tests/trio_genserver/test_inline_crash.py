"""A call that crashes the server in its caller's step is a call like any other until the server has ended."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.trio_genserver.paths import path
from trio_genserver import (
    CallCycle,
    GenServer,
    ServerCrashed,
    ServerRef,
    handle_call,
    run_server,
    start_server,
)

__all__ = ["path"]


class Fragile(GenServer):
    """Crashes; its `terminate` asks `caller`, and then waits for `gate`."""

    def __init__(self, caller: list[ServerRef[Caller]], gate: trio.Event) -> None:
        self.caller = caller
        self.gate = gate
        self.refused: list[CallCycle] = []

    @handle_call
    def crash(self) -> None:
        raise ValueError("crash")

    async def terminate(self, reason: object) -> None:
        for caller in self.caller:
            try:
                await caller.call(Caller.ping())
            except CallCycle as error:
                self.refused.append(error)
        await self.gate.wait()


class Caller(GenServer):
    def __init__(self, fragile: ServerRef[Fragile]) -> None:
        self.fragile = fragile

    @handle_call
    async def have_it_crash(self) -> str:
        try:
            await self.fragile.call(Fragile.crash())
        except ServerCrashed as error:
            return repr(error.__cause__)
        return "it did not crash"

    @handle_call
    def ping(self) -> None:
        pass


async def host(
    callers: list[ServerRef[Caller]], gate: trio.Event, task_status: trio.TaskStatus[ServerRef[Fragile]]
) -> None:
    with pytest.raises(ValueError, match="crash"):
        await run_server(Fragile, callers, gate, task_status=task_status)


async def test_a_terminate_that_calls_who_waits_for_the_crash_is_refused(path: str) -> None:
    callers: list[ServerRef[Caller]] = []
    gate = trio.Event()
    gate.set()
    async with trio.open_nursery() as nursery:
        fragile: ServerRef[Fragile] = await nursery.start(host, callers, gate)
        instance = fragile._process.instance
        callers.append(await start_server(nursery, Caller, fragile))
        with trio.fail_after(5):
            assert await callers[0].call(Caller.have_it_crash()) == "ValueError('crash')"
        (refused,) = instance.refused
        assert refused.cycle == ("Fragile", "Caller", "Fragile")
        nursery.cancel_scope.cancel()


async def test_giving_up_a_call_that_has_crashed_the_server_drops_no_message(path: str) -> None:
    gate = trio.Event()
    async with trio.open_nursery() as nursery:
        fragile: ServerRef[Fragile] = await nursery.start(host, [], gate)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_all_wait, scope)
            await fragile.call(Fragile.crash())
        assert scope.cancelled_caught
        assert fragile.dropped == 0
        gate.set()


async def _cancel_when_all_wait(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()
