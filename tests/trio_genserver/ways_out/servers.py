"""The servers that let exceptions out, and what the ways out have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import trio

from trio_genserver import (
    From,
    GenServer,
    Ignore,
    Refuse,
    ServerRef,
    Stop,
    handle_call,
    handle_cast,
    open_server,
)
from trio_genserver.errors import AlreadyReplied


class Broken(Exception):
    pass


class Payload:
    """What was sent, and is not to outlive it."""


class Desk(GenServer):
    def __init__(self, log: list[From[None]] | None = None) -> None:
        self.kept: list[From[None]] = []

    @handle_call
    def refuse(self, sent: object) -> None:
        raise Refuse(Broken("refused"))

    @handle_call
    async def refuse_later(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Refuse(Broken("refused")) from error

    @handle_call(child=True)
    async def refuse_in_a_child(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        raise Refuse(Broken("refused"))

    @handle_call
    def refuse_what_was_raised(self, sent: object) -> None:
        try:
            raise Broken("raised")
        except Broken as error:
            raise Refuse(error) from None

    @handle_call
    def crash(self, sent: object) -> None:
        raise Broken("crashed")

    @handle_call
    async def crash_later(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Broken("crashed") from error

    @handle_call(child=True)
    async def crash_in_a_child(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        raise Broken("crashed")

    @handle_call(noreply=True)
    def crash_with_from(self, from_: From[None], sent: object) -> None:
        raise Broken("crashed")

    @handle_call(noreply=True)
    def reply_error(self, from_: From[None], sent: object) -> None:
        try:
            raise Broken("replied")
        except Broken as error:
            from_.reply_error(error)

    @handle_call(noreply=True)
    def keep(self, from_: From[None], sent: object) -> None:
        self.kept.append(from_)

    @handle_call
    def reply_twice(self) -> None:
        self.kept[0].reply_error(Broken("first"))
        try:
            self.kept[0].reply_error(Broken("second"))
        except AlreadyReplied as error:
            raise Refuse(error) from None

    @handle_call
    def stop_it(self, sent: object) -> None:
        raise Stop("enough")

    @handle_call
    def crash_below(self, sent: object) -> Any:
        return self.call_below(sent)

    async def call_below(self, sent: object) -> None:
        async with open_server(Desk) as below:
            await below.call(Desk.crash(sent))

    @handle_call
    def call_itself(self, sent: object) -> Any:
        return self.ref.call(Desk.refuse(sent))

    @handle_cast
    def crash_by_cast(self, sent: object) -> None:
        raise Broken("crashed")

    @handle_cast
    def go_on(self, sent: object) -> None:
        self.continue_with(sent)

    @handle_cast
    def start_failing(self, sent: object) -> None:
        self.start_task(fail, sent)

    async def handle_continue(self, argument: object) -> None:
        raise Broken("crashed")

    async def handle_info(self, message: object) -> None:
        raise Broken("crashed")


class Small(Desk):
    mailbox_size = 1
    overflow = "raise"


class DoesNotStart(GenServer):
    def __init__(self, how: str) -> None:
        self.how = how
        if how == "init":
            raise Broken("in __init__")

    async def init(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.how == "stop":
            raise Stop("no")
        if self.how == "ignore":
            raise Ignore
        raise Broken("in init")


class FailsInTerminate(GenServer):
    async def terminate(self, reason: object) -> None:
        raise Broken("in terminate")


class Caller(GenServer):
    @handle_call
    async def ask(self, desk: ServerRef[Desk], message: Any) -> None:
        with trio.fail_after(5):
            await desk.call(message)


async def fail(sent: object) -> None:
    await trio.lowlevel.checkpoint()
    raise Broken("failed")


async def given(sent: object) -> object:
    await trio.lowlevel.checkpoint()
    return sent


# Each way lets an exception out. What it is given is in the frames that the exception comes through.
Way = Callable[[Any], Awaitable[object]]
WAYS: list[Way] = []


def way(function: Way) -> Way:
    WAYS.append(function)
    return function


def family(error: BaseException) -> Iterator[BaseException]:
    """`error`, and all that it leads to."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += (each.__cause__, each.__context__)
            if isinstance(each, BaseExceptionGroup):
                left += cast("BaseExceptionGroup[BaseException]", each).exceptions
