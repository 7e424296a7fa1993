"""Plain handlers that leave the reply to somebody: the same, whether the caller runs them or the server."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_genserver import (
    From,
    GenServer,
    Refuse,
    ServerCrashed,
    ServerRef,
    ServerStopped,
    Stop,
    handle_call,
    open_server,
    start_server,
)

pytestmark = pytest.mark.usefixtures("path")

tag: ContextVar[str] = ContextVar("tag", default="none")


class Till(GenServer):
    """Keeps whoever asks waiting, and does other things to them."""

    def __init__(self, kept: list[From[Any]] | None = None) -> None:
        tag.set("the server's")
        self.kept = [] if kept is None else kept
        self.seen: list[object] = []

    @handle_call(noreply=True)
    def keep(self, from_: From[str]) -> None:
        self.kept.append(from_)

    @handle_call(noreply=True)
    def keep_for_now(self, from_: From[str], seconds: float) -> None:
        self.set_timeout(seconds)
        self.kept.append(from_)

    @handle_call(noreply=True)
    def whose(self, from_: From[str]) -> None:
        from_.reply(tag.get())

    @handle_call(noreply=True)
    def refuse(self, from_: From[str], first: str | None = None) -> None:
        if first is not None:
            from_.reply(first)
        raise Refuse(KeyError("no"))

    @handle_call(noreply=True)
    def crash(self, from_: From[str]) -> None:
        raise ValueError("boom")

    @handle_call(noreply=True)
    def leave(self, from_: From[str]) -> None:
        raise Stop("left")

    @handle_call(noreply=True)
    def stop_after(self, from_: From[str]) -> None:
        self.stop("left")

    @handle_call(noreply=True)
    def by_a_task(self, from_: From[str]) -> None:
        self.start_task(self.answer, from_)

    @handle_call(noreply=True)
    def to_itself(self, from_: From[str]) -> None:
        self.ref.send_nowait("what it sent to itself")
        from_.reply("sent")

    async def answer(self, from_: From[str]) -> None:
        await trio.lowlevel.checkpoint()
        from_.reply("by a task")

    @handle_call
    def settle(self) -> int:
        count = len(self.kept)
        while self.kept:
            self.kept.pop().reply("settled")
        return count

    @handle_call
    async def ask(self, other: ServerRef[Counter]) -> str:
        return await other.call(Counter.ping())

    @handle_call
    def all_seen(self) -> list[object]:
        return self.seen

    async def handle_info(self, message: object) -> None:
        self.seen.append(message)

    async def handle_timeout(self) -> None:
        self.seen.append(trio.current_time())


class Counter(GenServer):
    """Asks a till, and is asked back."""

    @handle_call
    async def ask(self, till: ServerRef[Till]) -> str:
        return await till.call(Till.keep())

    @handle_call
    def ping(self) -> str:
        return "pong"


async def test_the_reply_comes_from_whoever_gives_it() -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:
        replies: list[str] = []

        async def ask() -> None:
            replies.append(await till.call(Till.keep()))

        for _ in range(3):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert replies == []
        assert await till.call(Till.settle()) == 3
        await wait_all_tasks_blocked()
        assert replies == ["settled"] * 3
        assert await till.call(Till.by_a_task()) == "by a task"
        assert await till.call(Till.whose()) == "the server's"


async def test_what_it_sends_to_its_server_is_handled_after_it() -> None:
    async with open_server(Till) as till:
        assert await till.call(Till.to_itself()) == "sent"
        assert await till.call(Till.all_seen()) == ["what it sent to itself"]


async def test_a_refusal_is_the_callers_and_a_late_one_is_dropped() -> None:
    async with open_server(Till) as till:
        with pytest.raises(KeyError):
            await till.call(Till.refuse())
        assert await till.call(Till.refuse("first")) == "first"
        assert till.dropped == 1
        assert await till.call(Till.whose()) == "the server's"


async def test_a_crash_is_the_servers_and_its_caller_is_told() -> None:
    with pytest.raises(ValueError, match="boom"):
        async with open_server(Till) as till:
            with pytest.raises(ServerCrashed):
                await till.call(Till.crash())
            assert not till.is_running


@pytest.mark.parametrize("message", [Till.leave(), Till.stop_after()])
async def test_who_is_kept_waiting_by_a_server_that_stops_is_told(message: Any) -> None:
    async with trio.open_nursery() as nursery:
        till = await start_server(nursery, Till)
        with pytest.raises(ServerStopped):
            await till.call(message)
        assert await till.wait_stopped() == "left"


async def test_who_gives_up_is_not_answered() -> None:
    async with open_server(Till) as till:
        with trio.CancelScope() as scope:
            scope.cancel()
            await till.call(Till.keep())
        assert await till.call(Till.settle()) == 0
        dropped = till.dropped
        async with trio.open_nursery() as nursery:
            nursery.start_soon(till.call, Till.keep())
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await till.call(Till.settle()) == 1
        assert till.dropped == dropped + 1


async def test_it_is_a_message_that_ends_the_wait_for_one(autojump_clock: MockClock) -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:
        nursery.start_soon(till.call, Till.keep_for_now(10))
        await trio.sleep(5)
        nursery.start_soon(till.call, Till.keep())
        await trio.sleep(20)
        assert await till.call(Till.all_seen()) == []
        nursery.start_soon(till.call, Till.keep_for_now(10))
        await trio.sleep(20)
        assert await till.call(Till.all_seen()) == [35.0]
        nursery.cancel_scope.cancel()


async def test_a_server_that_has_left_its_reply_to_others_may_ask_its_caller() -> None:
    kept: list[From[Any]] = []
    replies: list[str] = []
    async with open_server(Till, kept) as till, open_server(Counter) as counter:
        async with trio.open_nursery() as nursery:

            async def ask_back() -> None:
                replies.append(await till.call(Till.ask(counter)))

            nursery.start_soon(counter.call, Counter.ask(till))
            await wait_all_tasks_blocked()
            # Whoever replies to the counter need not be the till, so nobody waits in a circle.
            nursery.start_soon(ask_back)
            await wait_all_tasks_blocked()
            kept.pop().reply("from elsewhere")
        assert replies == ["pong"]


async def test_an_answer_that_comes_when_the_server_has_ended_is_dropped() -> None:
    kept: list[From[Any]] = []
    async with trio.open_nursery() as nursery:
        till = await start_server(nursery, Till, kept)
        request = till.send_request(Till.keep())
        await wait_all_tasks_blocked()
        await till.stop()
        with pytest.raises(ServerStopped):
            await request.wait()
        kept[0].reply("late")
        kept[0].reply_error(LookupError("late"))
    assert not kept[0].is_wanted
