"""A message that was given up leaves the mailbox at once: its room is free, and it is counted no more."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

import trio_genserver
from trio_genserver import (
    GenServer,
    Overflow,
    Request,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    monitor,
    open_server,
)
from trio_genserver._mailbox import FEW
from trio_genserver._spec import OVERFLOWS


class Token:
    """What a message carries, to see how long it is kept."""


class Busy(GenServer):
    """Works for as long as it is not let go, and notes what it handled."""

    def __init__(self) -> None:
        self.let_go = trio.Event()
        self.handled: list[object] = []

    @handle_cast
    async def work(self) -> None:
        await self.let_go.wait()

    @handle_call
    def ask(self, what: object) -> object:
        self.handled.append(what)
        return what

    @handle_cast
    def tell(self, what: object) -> None:
        self.handled.append(what)

    async def handle_info(self, message: object) -> None:
        self.handled.append(message)


@asynccontextmanager
async def busy(
    mailbox_size: float, overflow: Overflow = "wait"
) -> AsyncGenerator[tuple[ServerRef[Busy], Busy]]:
    spec = child_spec(Busy).replace(mailbox_size=mailbox_size, overflow=overflow)
    async with open_server(spec) as server:
        instance = server._process.instance
        assert isinstance(instance, Busy)
        await server.cast(Busy.work())
        await trio.testing.wait_all_tasks_blocked()
        yield server, instance
        instance.let_go.set()


async def give_up(server: ServerRef[Busy], what: object) -> None:
    with trio.move_on_after(1) as scope:
        await server.call(Busy.ask(what))
    assert scope.cancelled_caught


@pytest.mark.parametrize("overflow", OVERFLOWS)
async def test_calls_that_were_given_up_fill_no_mailbox(
    overflow: Overflow, autojump_clock: trio.testing.MockClock
) -> None:
    async with busy(3, overflow) as (server, instance):
        for number in range(10):
            await give_up(server, number)
            assert server.mailbox_length == 0
        requests = [server.send_request(Busy.ask(number)) for number in range(3)]
        assert server.mailbox_length == 3
        requests[1].abandon()
        assert server.mailbox_length == 2
        server.cast_nowait(Busy.tell("in its place"))
        with trio.fail_after(1):
            requests[0].abandon()
            await server.send("and here")
        instance.let_go.set()
        await requests[2].wait()
        await server.call(Busy.ask("end"))
        assert instance.handled == [2, "in its place", "and here", "end"]
        assert server.dropped == 12


async def test_senders_that_wait_for_room_move_up_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with busy(2) as (server, instance), trio.open_nursery() as nursery:
        first, second = (server.send_request(Busy.ask(number)) for number in range(2))
        got_in: list[int] = []

        async def wait_for_room(number: int, within: float = math.inf) -> None:
            with trio.move_on_after(within):
                await server.cast(Busy.tell(number))
                got_in.append(number)

        for number in range(10, 15):
            nursery.start_soon(wait_for_room, number, 5 if number == 11 else math.inf)
            await trio.testing.wait_all_tasks_blocked()
        assert server.mailbox_length == 7
        await trio.sleep(6)
        assert server.mailbox_length == 6
        for request, inside in ((second, [10]), (first, [10, 12])):
            request.abandon()
            await trio.testing.wait_all_tasks_blocked()
            assert got_in == inside
        assert server.mailbox_length == 4
        instance.let_go.set()
        await server.call(Busy.ask("end"))
        assert instance.handled == [10, 12, 13, 14, "end"]


async def test_the_same_message_may_wait_for_room_twice(autojump_clock: trio.testing.MockClock) -> None:
    async with busy(1) as (server, instance), trio.open_nursery() as nursery:
        message = Busy.tell("twice")
        await server.cast(message)

        async def wait_for_room(within: float) -> None:
            with trio.move_on_after(within):
                await server.cast(message)

        nursery.start_soon(wait_for_room, 1)
        nursery.start_soon(wait_for_room, math.inf)
        await trio.sleep(2)
        assert server.mailbox_length == 2
        instance.let_go.set()
        await server.call(Busy.ask("end"))
        assert instance.handled == ["twice", "twice", "end"]


@pytest.mark.parametrize("count", [5, 3 * FEW, 3000])
async def test_a_message_that_was_given_up_is_not_kept(count: int) -> None:
    gc.collect()
    gc.disable()
    try:
        async with busy(math.inf) as (server, _):
            tokens = [Token() for _ in range(count)]
            alive = [weakref.ref(token) for token in tokens]
            requests = [server.send_request(Busy.ask(token)) for token in tokens]
            tokens.clear()
            for number in range(0, count, 2):
                requests[number].abandon()
            del requests[::2]
            # In a long mailbox, what was given up last may wait for company; asking makes the count exact.
            kept = sum(each() is not None for each in alive[::2])
            assert kept <= (0 if count <= FEW else count / 8)
            assert server.mailbox_length == len(requests) == count - len(alive[::2])
            assert not any(each() for each in alive[::2])
            assert all(each() for each in alive[1::2])
    finally:
        gc.enable()


async def test_a_stop_counts_only_what_was_sent_before_it_and_not_given_up() -> None:
    async with trio.open_nursery() as nursery, busy(math.inf) as (server, instance):
        before: list[Request[object]] = [server.send_request(Busy.ask(number)) for number in range(4)]
        nursery.start_soon(server.stop)
        await trio.testing.wait_all_tasks_blocked()
        after = [server.send_request(Busy.ask(number)) for number in range(10, 14)]
        before[0].abandon()
        before[2].abandon()
        after[0].abandon()
        instance.let_go.set()
        await server.wait_stopped()
        assert instance.handled == [1, 3]


async def test_a_down_that_was_forced_in_keeps_its_place_and_its_sender_s_order() -> None:
    async with busy(2) as (server, instance), open_server(Busy) as other:
        requests = [server.send_request(Busy.ask(number)) for number in range(2)]
        watch = instance.monitor(other)
        await other.stop()
        assert server.mailbox_length == 3
        requests[0].abandon()
        await server.cast(Busy.tell("after"))
        assert server.mailbox_length == 3
        instance.let_go.set()
        await server.call(Busy.ask("end"))
        assert instance.handled == [1, watch.down, "after", "end"]
        assert monitor(other).down is not None


async def test_a_look_into_a_busy_server_that_is_given_up_is_kept_no_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with busy(2) as (server, _):
        for _number in range(5):
            with trio.move_on_after(1):
                await trio_genserver.sys.get_state(server)
        assert server._process.agenda is not None
        assert not server._process.agenda.system
