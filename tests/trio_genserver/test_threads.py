"""What threads may do with a server: answer its calls, through Trio and not past it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_genserver import From, GenServer, Request, handle_call, handle_cast, open_server
from trio_genserver.errors import AlreadyReplied


class Desk(GenServer):
    """Has every call answered by whoever takes its `waiting` one."""

    def __init__(self) -> None:
        self.waiting: list[From[str]] = []

    @handle_call(noreply=True)
    def ask(self, from_: From[str]) -> None:
        self.waiting.append(from_)

    @handle_call
    def open(self) -> int:
        return len(self.waiting)

    @handle_cast
    def note(self) -> None:
        pass

    @handle_call(child=True)
    async def ask_a_thread(self, work: Callable[[], str]) -> str:
        return await trio.to_thread.run_sync(work)


@asynccontextmanager
async def asked() -> AsyncGenerator[tuple[Request[str], From[str]]]:
    """A call that waits for its reply, and what whoever is to give it has."""
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.ask())
        await wait_all_tasks_blocked()
        (from_,) = desk._process.instance.waiting
        yield request, from_


async def test_a_thread_answers_through_trio() -> None:
    # OTP 171
    async with asked() as (request, from_):
        await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(from_.reply, "from a thread"))
        assert await request.wait() == "from a thread"


async def test_a_thread_answers_with_an_error_through_trio() -> None:
    # OTP 171
    async with asked() as (request, from_):
        await trio.to_thread.run_sync(
            lambda: trio.from_thread.run_sync(from_.reply_error, LookupError("from a thread"))
        )
        with pytest.raises(LookupError, match="from a thread"):
            await request.wait()


async def test_a_thread_that_answers_past_trio_is_refused_and_the_caller_still_waits() -> None:
    # OTP 171
    async with asked() as (request, from_):
        for answer in (lambda: from_.reply("too soon"), lambda: from_.reply_error(LookupError("too soon"))):
            with pytest.raises(RuntimeError, match=r"trio\.from_thread\.run_sync"):
                await trio.to_thread.run_sync(answer)
        assert not request.done
        from_.reply("in time")
        assert await request.wait() == "in time"


async def test_two_threads_that_answer_one_call_cannot_both_succeed() -> None:
    # OTP 171
    async with asked() as (request, from_):
        refused: list[object] = []

        def answer(name: str) -> None:
            try:
                trio.from_thread.run_sync(from_.reply, name)
            except AlreadyReplied as error:
                refused.append(error.second)

        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(trio.to_thread.run_sync, answer, name)
        assert {await request.wait(), *refused} == {"a", "b"}
        assert len(refused) == 1


async def test_work_in_a_thread_leaves_the_mailbox_open() -> None:
    # OTP 171
    replies: list[str] = []
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:

        def work() -> str:
            # The thread cannot end before the server has handled this: so it did, meanwhile.
            return str(trio.from_thread.run(desk.call, Desk.open()))

        async def ask() -> None:
            replies.append(await desk.call(Desk.ask_a_thread(work)))

        nursery.start_soon(ask)
    assert replies == ["0"]


@pytest.mark.parametrize("way", ["cast_nowait", "send_nowait", "send_request"])
async def test_a_thread_that_goes_past_trio_hurts_no_server_that_waits(way: str) -> None:
    async with open_server(Desk) as desk:
        await wait_all_tasks_blocked()
        message = {"cast_nowait": Desk.note(), "send_nowait": "hello", "send_request": Desk.open()}[way]
        with pytest.raises(RuntimeError):
            await trio.to_thread.run_sync(getattr(desk, way), message)
        assert await desk.call(Desk.open()) == 0
