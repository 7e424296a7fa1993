"""Ctrl-C while a caller is inside of the library, or runs a handler: the server is whole, or has ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

import trio_genserver
from trio_genserver import (
    From,
    GenServer,
    ServerCrashed,
    ServerRef,
    handle_call,
    handle_cast,
    monitor,
    open_server,
    open_supervisor,
)

PACKAGE = str(Path(trio_genserver.__file__).parent)

Use: TypeAlias = "Callable[[ServerRef[Any]], Awaitable[object]]"


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @handle_call
    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_call
    def add(self, one: int, two: int) -> int:
        self.value += one + two
        return self.value

    @handle_call(noreply=True)
    def later(self, from_: From[int]) -> None:
        from_.reply(self.value)

    @handle_call
    async def slowly(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.value

    @handle_cast
    def put(self, value: int) -> None:
        self.value = value

    @handle_call
    def interrupted(self) -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not to be reached: a handler is interrupted where it is")

    @handle_call(noreply=True)
    def interrupted_later(self, from_: From[None], by: str = "SIGINT") -> None:
        signal.raise_signal(getattr(signal, by))
        raise AssertionError("not to be reached")


async def send(server: ServerRef[Any]) -> None:
    await server.cast(Counter.put(1))


async def send_at_once(server: ServerRef[Any]) -> None:
    server.cast_nowait(Counter.put(1))
    await trio.lowlevel.checkpoint()


async def collect(server: ServerRef[Any]) -> None:
    await server.send_request(Counter.increment()).wait()


async def give_up(server: ServerRef[Any]) -> None:
    request = server.send_request(Counter.increment())
    request.abandon()
    await trio.lowlevel.checkpoint()


USES: dict[str, Use] = {
    "call": lambda server: server.call(Counter.increment()),
    "call with two": lambda server: server.call(Counter.add(1, 2)),
    "call, replied later": lambda server: server.call(Counter.later()),
    "call of a coroutine": lambda server: server.call(Counter.slowly()),
    "cast": send,
    "cast_nowait": send_at_once,
    "send_request": collect,
    "abandon": give_up,
}


class CtrlC:
    """Sends SIGINT to the process before the `number`-th bytecode that the caller runs in the library."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.in_handler = False
        self.caller: trio.lowlevel.Task | None = None

    @property
    def struck(self) -> bool:
        return self.left < 0

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        # What it does to the server's own task is a crash of that, as any.
        if event == "opcode" and not self.struck and trio.lowlevel.current_task() is self.caller:
            self.left -= 1
            if self.struck:
                calls = {frame.f_code.co_name, frame.f_back and frame.f_back.f_code.co_name}
                self.in_handler = not calls.isdisjoint(("_run", "_run_one", "_run_noreply"))
                signal.raise_signal(signal.SIGINT)
        return self.trace


def interrupted_at(number: int, use: Use) -> bool:
    """Interrupt a caller there, who goes on with the server. False: it does less than that."""
    ctrl_c = CtrlC(number)

    async def main() -> None:
        ctrl_c.caller = trio.lowlevel.current_task()
        async with open_server(Counter) as counter:
            with suppress(KeyboardInterrupt):
                sys.settrace(ctrl_c.trace)
                try:
                    await use(counter)
                finally:
                    sys.settrace(None)
            with suppress(KeyboardInterrupt):
                # It comes here at the latest, where it could not come at once.
                await trio.lowlevel.checkpoint()
            with trio.fail_after(60):
                assert await counter.call(Counter.increment()) >= 1
                await counter.cast(Counter.put(7))
                assert await counter.call(Counter.slowly()) == 7
                assert await counter.call(Counter.increment()) == 8

    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        # At the very begin of a handler it is the server's crash; everybody was told, and nobody waits.
        assert ctrl_c.in_handler
        outside: BaseExceptionGroup[Any] = BaseExceptionGroup("all", [error])
        assert outside.split((KeyboardInterrupt, ServerCrashed))[1] is None
    return ctrl_c.struck


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_caller_that_is_interrupted_anywhere_in_the_library_leaves_a_whole_server(use: Use) -> None:
    number = 0
    while interrupted_at(number, use):
        number += 1
    assert number > 50


@pytest.mark.parametrize("message", [Counter.interrupted(), Counter.interrupted_later("SIGINT")], ids=repr)
@pytest.mark.parametrize("long_way", [False, True])
@pytest.mark.parametrize("supervised", [False, True])
def test_an_interrupt_in_a_handler_ends_its_server_whoever_runs_it(
    message: Any, long_way: bool, supervised: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []

    async def use(counter: ServerRef[Any]) -> None:
        watch = monitor(counter)
        with pytest.raises(ServerCrashed) as caught:
            if long_way:
                # It waits in the mailbox, behind another.
                counter.cast_nowait(Counter.put(1))
            await counter.call(message)
        seen.append(type(caught.value.__cause__))
        with trio.CancelScope(shield=True):
            seen.append(type((await watch.wait()).reason))
        assert not counter.is_running

    async def main() -> None:
        if supervised:
            async with open_supervisor([Counter]) as root:
                await use(root.child("Counter"))
                await trio.sleep_forever()
        else:
            async with open_server(Counter) as counter:
                await use(counter)
                await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert seen == [KeyboardInterrupt, KeyboardInterrupt]
    assert "Counter crashed handling" in caplog.text


def test_a_handler_that_its_caller_runs_can_be_interrupted_where_the_caller_cannot() -> None:
    """A protected caller protects itself, and not the handler, which has the server's own way."""
    seen: list[object] = []

    @trio.lowlevel.enable_ki_protection
    async def call(counter: ServerRef[Counter]) -> None:
        with pytest.raises(ServerCrashed) as caught:
            await counter.call(Counter.interrupted())
        seen.append(type(caught.value.__cause__))

    async def main() -> None:
        async with open_server(Counter) as counter:
            await call(counter)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert seen == [KeyboardInterrupt]
