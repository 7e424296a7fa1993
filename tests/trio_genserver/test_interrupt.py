"""Ctrl-C while a caller is inside of the library, or runs a handler: the server is whole, or has ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import pytest
import trio
from trio.testing import MockClock

import trio_genserver
from trio_genserver import (
    From,
    GenServer,
    Refuse,
    Request,
    ServerCrashed,
    ServerError,
    ServerRef,
    Stop,
    handle_call,
    handle_cast,
    monitor,
    open_server,
    open_supervisor,
)

PACKAGE = str(Path(trio_genserver.__file__).parent)

P = ParamSpec("P")
R = TypeVar("R")
Use: TypeAlias = "Callable[[ServerRef[Any]], Awaitable[object]]"


def looks_plain(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Hides that it is async."""

    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        return function(*args, **kwargs)

    return wrapper


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

    @handle_call(noreply=True)
    def never(self, from_: From[int]) -> None:
        self.kept = from_

    @handle_call
    @looks_plain
    async def wrapped(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.value

    @handle_call(child=True, max_children=1)
    async def apart(self, by: int) -> int:
        await trio.lowlevel.checkpoint()
        self.value += by
        return self.value

    @handle_call
    def refused(self) -> None:
        raise Refuse(ValueError("not now"))

    @handle_call
    def stops(self) -> None:
        raise Stop("shutdown")

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


# What an interrupt may strike as it may the user's own function that these call.
AROUND_CALLBACKS = ("_make_instance", "await_callback", "awaited", "is_awaitable")

WAY = (
    "_loop.py",
    "_handling.py",
    "_delivery.py",
    "_mailbox.py",
    "_request.py",
    "_children.py",
    "_awaiting.py",
)

TAKES_A_MESSAGE = ("drain", "serve", "receive_nowait", "take")


class CtrlC:
    """Sends SIGINT to the process before the `number`-th bytecode that the caller runs in the library.

    With `seen`: before the first one that is not in there, on a message's way through the tasks of servers.
    That is the first of each line, but where messages are taken.
    """

    def __init__(self, number: int = 0, seen: set[tuple[CodeType, int]] | None = None) -> None:
        self.left = number
        self.seen = seen
        self.in_callback = False
        self.caller: trio.lowlevel.Task | None = None

    @property
    def struck(self) -> bool:
        return self.left < 0

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if self.struck or not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if self.seen is not None and not frame.f_code.co_filename.endswith(WAY):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.struck and self.is_meant(frame):
            self.left -= 1
            if self.struck:
                self.in_callback = frame.f_code.co_name in AROUND_CALLBACKS
                signal.raise_signal(signal.SIGINT)
        return self.trace

    def is_meant(self, frame: FrameType) -> bool:
        if not trio.lowlevel.in_trio_task():
            return False
        is_caller = trio.lowlevel.current_task() is self.caller
        if self.seen is None:
            return is_caller
        code = frame.f_code
        place = code, frame.f_lasti if code.co_name in TAKES_A_MESSAGE else frame.f_lineno
        if is_caller or place in self.seen:
            return False
        self.seen.add(place)
        return True


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
    except KeyboardInterrupt:
        # It was put off as long as possible: until after the end.
        assert not ctrl_c.in_callback
    return ctrl_c.struck


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_caller_that_is_interrupted_anywhere_in_the_library_leaves_a_whole_server(use: Use) -> None:
    number = 0
    while interrupted_at(number, use):
        number += 1
    assert number > 50


MESSAGES: list[list[Any]] = [
    [Counter.increment(), Counter.add(1, 2), Counter.put(1), Counter.increment(2)],
    [Counter.slowly(), Counter.increment(), Counter.slowly()],
    [Counter.later(), Counter.increment(), Counter.never(), Counter.later()],
    [Counter.wrapped(), Counter.increment(), Counter.wrapped()],
    [Counter.refused(), Counter.apart(1), Counter.increment(), Counter.apart(2), Counter.apart(3)],
    [Counter.increment(), Counter.stops(), Counter.increment()],
]


def server_interrupted(seen: set[tuple[CodeType, int]], messages: list[Any]) -> bool:
    """Interrupt a server's task, or a child's: what waits for an answer has one, and the rest works.

    False: there is no place left that is not in `seen`.
    """
    ctrl_c = CtrlC(seen=seen)

    async def main() -> None:
        ctrl_c.caller = trio.lowlevel.current_task()
        sys.settrace(ctrl_c.trace)
        async with open_server(Counter) as counter:
            requests: list[Request[Any]] = []
            for message in messages:
                if message == Counter.put(1):
                    counter.cast_nowait(message)
                else:
                    requests.append(counter.send_request(message))
            for request in requests:
                with trio.fail_after(60):
                    while not request.done:
                        if request.message == Counter.never() and counter.is_running:
                            with suppress(KeyboardInterrupt):
                                await counter.stop()
                        with suppress(KeyboardInterrupt, ServerError, ValueError):
                            await request.wait()
            with suppress(KeyboardInterrupt):
                await trio.lowlevel.checkpoint()
            if ctrl_c.struck and not ctrl_c.in_callback and counter.is_running:
                assert await counter.call(Counter.slowly()) >= 0
                assert await counter.call(Counter.increment()) >= 1

    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        outside: BaseExceptionGroup[Any] = BaseExceptionGroup("all", [error])
        assert outside.split((KeyboardInterrupt, ServerCrashed))[1] is None
    finally:
        sys.settrace(None)
    return ctrl_c.struck


def test_a_server_that_is_interrupted_anywhere_in_the_library_answers_all_the_same() -> None:
    seen: set[tuple[CodeType, int]] = set()
    for messages in MESSAGES:
        places = len(seen)
        while server_interrupted(seen, messages):
            pass
        assert len(seen) > places
    assert len(seen) > 300


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


class Guarded(GenServer):
    def __init__(self) -> None:
        self.written = 0

    def _write(self) -> None:
        signal.raise_signal(signal.SIGINT)
        self.written += 1

    @handle_call
    @trio.lowlevel.enable_ki_protection
    def write(self) -> None:
        self._write()

    @handle_call
    @trio.lowlevel.enable_ki_protection
    async def write_later(self) -> None:
        self._write()

    @handle_call
    def count(self) -> int:
        return self.written


@pytest.mark.parametrize("message", [Guarded.write(), Guarded.write_later()], ids=repr)
@pytest.mark.parametrize("long_way", [False, True])
def test_a_handler_that_protects_itself_is_not_interrupted(message: Any, long_way: bool) -> None:
    async def main() -> None:
        async with open_server(Guarded) as guarded:
            if long_way:
                guarded.send_request(message)
            with suppress(KeyboardInterrupt):
                await guarded.call(message)
            with suppress(KeyboardInterrupt):
                await trio.lowlevel.checkpoint()
            assert await guarded.call(Guarded.count()) == 1 + long_way

    trio.run(main)
