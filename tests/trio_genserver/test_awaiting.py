"""A handler that returns an awaitable is an async handler, whatever it looks like."""

from __future__ import annotations

import functools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    CallCycle,
    From,
    GenServer,
    Refuse,
    Request,
    ServerCrashed,
    ServerStopped,
    Stop,
    handle_call,
    handle_cast,
    open_server,
    wait_all,
)
from trio_genserver._awaiting import PLAIN, is_awaitable, is_seen_to_be_async


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return inner


def wrapped_without_a_word(function: Any) -> Any:
    def inner(self: Any, x: Any = 1) -> Any:
        return function(self, x)

    return inner


def wrapped_as_a_whole(function: Any) -> Any:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Object:
    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, this: Any, x: Any = 1) -> Any:
        return self.function(this, x)


class AsyncObject(Object):
    async def __call__(self, this: Any, x: Any = 1) -> Any:
        return await self.function(this, x)


class OwnAwaitable:
    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.awaitable.__await__()


def returning_own(function: Any) -> Any:
    def inner(self: Any, x: Any = 1) -> Any:
        return OwnAwaitable(function(self, x))

    return inner


def partial(function: Any) -> Any:
    return functools.partial(function)


def as_generator(function: Any) -> Any:
    @types.coroutine
    def inner(self: Any, x: Any = 1) -> Generator[Any, Any, Any]:
        generator: Generator[Any, Any, Any] = function(self, x).__await__()
        return (yield from generator)

    return inner


DISGUISES: list[Callable[[Any], Any]] = [
    wrapped,
    wrapped_without_a_word,
    wrapped_as_a_whole,
    Object,
    AsyncObject,
    returning_own,
    partial,
    as_generator,
    lambda function: wrapped(partial(wrapped(function))),
    lambda function: functools.update_wrapper(AsyncObject(function), function),
]


def made(disguise: Callable[[Any], Any], **options: Any) -> Any:
    """A server whose handlers do all the same, asynchronously, in this disguise."""

    async def handle(self: Any, x: Any = 1) -> Any:
        await trio.lowlevel.checkpoint()
        self.seen.append(x)
        if isinstance(x, BaseException):
            raise x
        if hasattr(x, "call"):
            return await x.call(x.message)
        return x

    async def tell(self: Any, x: Any = 1) -> None:
        await handle(self, x)

    def begin(self: Any) -> None:
        self.seen = []

    call: Any = handle_call
    cast: Any = handle_cast
    attributes = {
        "__init__": begin,
        "ask": (call(**options) if options else call)(disguise(handle)),
        "tell": (cast(**options) if options else cast)(disguise(tell)),
    }
    return type("Made", (GenServer,), attributes)


@pytest.mark.parametrize("disguise", DISGUISES)
async def test_it_is_awaited_by_calls_and_casts(disguise: Callable[[Any], Any]) -> None:
    server_class = made(disguise)
    async with open_server(server_class) as server:
        for message in (server_class.ask(3), server_class.ask(x=3)):
            assert await server.call(message) == 3
        await server.cast(server_class.tell(4))
        replies: list[Request[int]] = [server.send_request(server_class.ask(x)) for x in range(20)]
        assert await wait_all(replies) == list(range(20))
        instance = server._process.instance
        assert instance.seen == [3, 3, 4, *range(20)]
        # On an instance it is a method.
        assert await instance.ask(5) == 5


@pytest.mark.parametrize("disguise", DISGUISES)
async def test_what_it_raises_is_what_a_handler_raises(disguise: Callable[[Any], Any]) -> None:
    server_class = made(disguise)
    async with open_server(server_class) as server:
        with pytest.raises(KeyError, match="no"):
            await server.call(server_class.ask(Refuse(KeyError("no"))))
        assert await server.call(server_class.ask(2)) == 2
        with pytest.raises(ServerStopped):
            await server.call(server_class.ask(Stop("enough")))
        assert await server.wait_stopped() == "enough"
    for message in (server_class.ask(KeyError("broken")), server_class.tell(KeyError("broken"))):
        with pytest.raises(KeyError, match="broken"):
            async with open_server(server_class) as server:
                if message.handler.name == "tell":
                    await server.cast(message)
                    await server.wait_stopped()
                else:
                    with pytest.raises(ServerCrashed):
                        await server.call(message)


@pytest.mark.parametrize("disguise", [wrapped, AsyncObject, partial, as_generator])
async def test_it_may_run_in_a_child_task(disguise: Callable[[Any], Any]) -> None:
    server_class = made(disguise, child=True)
    async with open_server(server_class) as server:
        assert await server.call(server_class.ask(3)) == 3
        await server.cast(server_class.tell(4))


async def test_a_cycle_over_it_is_found() -> None:
    server_class = made(wrapped_without_a_word)
    with pytest.raises(CallCycle):
        async with open_server(server_class) as server:
            itself = SimpleNamespace(call=server.call, message=server_class.ask(1))
            with pytest.raises(ServerCrashed):
                await server.call(server_class.ask(itself))


class Waits(GenServer):
    """Its handlers look like plain functions and wait for an event."""

    def __init__(self, event: trio.Event) -> None:
        self.event = event
        self.finished = False

    async def _wait(self) -> str:
        try:
            await self.event.wait()
        finally:
            self.finished = True
        return "set"

    async def _reply(self, from_: From[str]) -> None:
        from_.reply(await self._wait())

    @handle_call
    def wait(self) -> Any:
        return self._wait()

    @handle_call
    def wait_and_stop(self) -> Any:
        self.stop("enough")
        return self._wait()

    @handle_call
    def wait_and_go_on(self) -> Any:
        self.continue_with("next")
        return self._wait()

    @handle_call(noreply=True)
    def later(self, from_: From[str]) -> Any:
        return self._reply(from_)

    @handle_call
    def finished_before(self) -> bool:
        return self.finished

    async def handle_continue(self, argument: Any) -> None:
        assert self.finished


MESSAGES = [Waits.wait(), Waits.wait_and_stop(), Waits.wait_and_go_on(), Waits.later()]


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
async def test_the_server_handles_nothing_else_meanwhile(message: Any, nursery: trio.Nursery) -> None:
    event = trio.Event()
    replies: list[object] = []

    async def ask() -> None:
        replies.append(await server.call(message))

    async with open_server(Waits, event) as server:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        following = server.send_request(Waits.finished_before())
        await trio.testing.wait_all_tasks_blocked()
        assert not following.done
        assert not replies
        event.set()
        if message == Waits.wait_and_stop():
            with pytest.raises(ServerStopped, match="enough"):
                await following.wait()
        else:
            assert await following.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert replies == ["set"]


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
async def test_a_cancelled_server_cancels_it(message: Any) -> None:
    with trio.CancelScope() as scope:
        async with open_server(Waits, trio.Event()) as server, trio.open_nursery() as nursery:
            nursery.start_soon(server.call, message)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


@pytest.mark.usefixtures("path")
async def test_each_way_of_a_call_awaits_it() -> None:
    event = trio.Event()
    event.set()
    async with open_server(Waits, event) as server:
        for message in (Waits.wait(), Waits.later(), Waits.wait_and_go_on()):
            assert await server.call(message) == "set"


class CancelsItself(GenServer):
    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope

    async def _never(self) -> None:
        raise AssertionError("it must not begin")

    @handle_call
    def end(self) -> Any:
        self.scope.cancel()
        return self._never()


async def test_a_server_that_is_cancelled_before_it_begins_leaves_no_coroutine() -> None:
    # "never awaited" would be a warning, and so an error.
    with trio.CancelScope() as scope:
        async with open_server(CancelsItself, scope) as server:
            await server.call(CancelsItself.end())
    assert scope.cancelled_caught


async def test_what_a_decorator_remembers_needs_no_awaiting() -> None:
    def remembered(function: Any) -> Any:
        replies: dict[Any, Any] = {}

        @functools.wraps(function)
        def inner(self: Any, x: Any = 1) -> Any:
            async def ask() -> Any:
                replies[x] = await function(self, x)
                return replies[x]

            return replies[x] if x in replies else ask()

        return inner

    for options in ({}, {"child": True}):
        server_class = made(remembered, **options)
        async with open_server(server_class) as server:
            assert [await server.call(server_class.ask(3)) for _ in range(3)] == [3, 3, 3]


def annotated_as_text(self: Any) -> Coroutine[Any, Any, int]:
    raise NotImplementedError


def annotated(self: Any) -> Any:
    raise NotImplementedError


annotated.__annotations__["return"] = Awaitable[int]


def plain(self: Any) -> list[int]:
    raise NotImplementedError


def test_what_can_be_seen_beforehand() -> None:
    assert is_seen_to_be_async(annotated_as_text)
    assert is_seen_to_be_async(annotated)
    assert not is_seen_to_be_async(plain)
    assert not is_seen_to_be_async(functools.partial(plain))
    assert not is_seen_to_be_async(wrapped(plain))
    assert not is_seen_to_be_async(print)
    # It pretends to be wrapped for ever.
    assert not is_seen_to_be_async(Endless())


class Endless:
    def __init__(self) -> None:
        self.__wrapped__ = self

    def __call__(self) -> None: ...


def test_only_what_can_be_awaited_is_awaited() -> None:
    class Pretends:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("it must not be asked")

    async def coroutine() -> None: ...

    begun = coroutine()
    assert is_awaitable(begun)
    assert is_awaitable(OwnAwaitable(begun))
    begun.close()
    for value in (None, 3, "text", Pretends(), Pretends, OwnAwaitable, (x for x in "ab")):
        assert not is_awaitable(value)


def test_it_does_not_keep_classes_without_end() -> None:
    for number in range(3000):
        assert not is_awaitable(type(f"Class{number}", (), {})())
    assert len(PLAIN) <= 1000
    assert {int, str, type(None)} <= PLAIN
