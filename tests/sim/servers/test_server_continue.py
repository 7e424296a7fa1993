"""`handle_continue` runs under every schedule after `continue_with`, whatever ends the server meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest
import trio

import sim
import trio_genserver
from trio_genserver import (
    GenServer,
    ServerError,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_supervisor,
    start_server,
)


class Saving(GenServer):
    """Accepts something in each kind of callback, and saves it in `handle_continue`."""

    shutdown = 5.0

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def accept(self, what: str) -> None:
        self.log.append(f"accept {what}")
        self.continue_with(what)

    async def init(self) -> None:
        self.accept("init")

    @handle_call
    def call(self) -> None:
        self.accept("call")

    @handle_call
    async def slow_call(self) -> None:
        self.accept("slow call")
        await trio.lowlevel.checkpoint()

    @handle_call(child=True)
    async def in_a_child(self) -> None:
        # The end of the server may come here, and does not cancel what follows.
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.accept("in a child")

    @handle_cast
    async def leave_slowly(self) -> None:
        self.continue_with("never")
        await trio.lowlevel.checkpoint()
        raise Stop("left")

    @handle_cast
    def cast(self) -> None:
        self.accept("cast")

    @handle_cast
    def leave(self) -> None:
        self.accept("leave")
        self.stop("left")

    @handle_cast
    def raise_stop(self) -> None:
        self.continue_with("never")
        raise Stop("raised")

    @handle_cast
    def crash(self) -> None:
        self.continue_with("never")
        raise ValueError("as planned")

    async def handle_info(self, message: object) -> None:
        self.accept("info")

    async def handle_continue(self, argument: str) -> None:
        self.log.append(f"save {argument}")

    async def terminate(self, reason: object) -> None:
        self.log.append("terminate")


def check(log: list[str]) -> None:
    """Everything that was accepted was saved at once, and before the end."""
    assert log[-1] == "terminate", log
    accepted = [entry.removeprefix("accept ") for entry in log if entry.startswith("accept")]
    expected = [entry for what in accepted for entry in (f"accept {what}", f"save {what}")]
    assert log[:-1] == expected, log


async def wait_a_step(_: ServerRef[Saving]) -> None:
    await trio.lowlevel.checkpoint()


Operation = Callable[[ServerRef[Saving]], Awaitable[object]]
ENDS: dict[str, Operation] = {
    "stop": lambda server: server.stop(),
    "sys.terminate": lambda server: trio_genserver.sys.terminate(server, "told to"),
    "nothing but its supervisor's end": wait_a_step,
}
REQUESTS: dict[str, Operation] = {
    "call": lambda server: server.call(Saving.call()),
    "slow call": lambda server: server.call(Saving.slow_call()),
    "child": lambda server: server.call(Saving.in_a_child()),
    "cast": lambda server: server.cast(Saving.cast()),
    "info": lambda server: server.send("anything"),
    "leave": lambda server: server.cast(Saving.leave()),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("request_", REQUESTS)
def test_what_was_accepted_is_continued_with_before_any_end(request_: str, end: str) -> None:
    async def scenario() -> None:
        log: list[str] = []
        async with open_supervisor([child_spec(Saving, log).replace(restart="temporary")]) as supervisor:
            server = supervisor.child("Saving", Saving)

            async def perform(operation: Operation) -> None:
                with contextlib.suppress(ServerError):
                    await operation(server)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(perform, REQUESTS[request_])
                nursery.start_soon(perform, ENDS[end])
        # A handler that is cancelled at a checkpoint of its own has not been left, so nothing follows it.
        if request_ == "slow call" and log[-2:] == ["accept slow call", "terminate"]:
            del log[-2]
        check(log)

    result = sim.explore(scenario, "dpor", 20_000)
    result.check()
    assert result.complete


def test_a_handler_that_raises_is_not_continued() -> None:
    async def scenario() -> None:
        for message in (Saving.raise_stop(), Saving.crash()):
            log: list[str] = []
            async with open_supervisor([child_spec(Saving, log).replace(restart="temporary")]) as supervisor:
                server = supervisor.child("Saving", Saving)
                await server.cast(message)
                await server.wait_stopped()
            assert log == ["accept init", "save init", "terminate"]

    result = sim.explore(scenario, "dfs", 20_000)
    result.check()
    assert result.complete


def test_what_is_continued_with_after_a_kill_is_begun_and_cancelled_at_its_first_checkpoint() -> None:
    class Long(Saving):
        async def handle_continue(self, argument: str) -> None:
            await super().handle_continue(argument)
            await trio.sleep_forever()

    async def scenario() -> None:
        log: list[str] = []
        async with open_supervisor([child_spec(Long, log).replace(restart="temporary")]):
            pass
        assert log == ["accept init", "save init", "terminate"]

    result = sim.explore(scenario, "dfs", 20_000)
    result.check()
    assert result.complete


@pytest.mark.parametrize("other", ["a cancellation from outside", "a handler that raises Stop"])
def test_what_a_child_task_accepted_is_continued_with(other: str) -> None:
    async def scenario() -> None:
        log: list[str] = []
        async with trio.open_nursery() as nursery:
            server = await start_server(nursery, Saving, log)

            async def call() -> None:
                with contextlib.suppress(ServerError):
                    await server.call(Saving.in_a_child())

            async def end() -> None:
                if other == "a handler that raises Stop":
                    await server.cast(Saving.leave_slowly())
                else:
                    await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()

            nursery.start_soon(call)
            nursery.start_soon(end)
        check(log)

    result = sim.explore(scenario, "dpor", 20_000)
    result.check()
    assert result.complete
