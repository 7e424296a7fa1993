"""Calls: every one ends, and whoever gives one up harms nobody."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    Call,
    From,
    GenServer,
    MailboxFull,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
)
from trio_genserver.errors import AlreadyReplied, UnhandledMessage

from .desk import Desk, Stranger, started, tag


async def test_reply_at_once_and_reply_later(path: str) -> None:
    # OTP 23, 40, 41
    async with open_server(Desk) as desk:
        assert await desk.call(Desk.add(5)) == 5
        assert await desk.call(Desk.add_slowly(2)) == 7
        assert await desk.call(Desk.answer_at_once(3)) == 3
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await desk.call(Desk.keep()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert await desk.call(Desk.add(0)) == 7  # the server is not held up by it
            kept = desk._process.instance.kept[0]
            assert kept.is_wanted
            kept.reply(42)  # from any task
            assert not kept.is_wanted
        assert replies == [42]
        with pytest.raises(AlreadyReplied) as caught:
            kept.reply(43)
        assert (caught.value.first, caught.value.second) == (42, 43)
        assert await desk.call(Desk.add(0)) == 7


async def test_second_reply_reaches_nobody_also_if_the_first_was_not_taken_yet(path: str) -> None:
    # OTP 41: there it is dropped without a word, here whoever gives it is told
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await desk.call(Desk.keep()))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        request = desk.send_request(Desk.keep())
        await trio.testing.wait_all_tasks_blocked()
        for kept in desk._process.instance.kept:
            kept.reply(42)
            with pytest.raises(AlreadyReplied):
                kept.reply(43)
            with pytest.raises(AlreadyReplied):
                kept.reply_error(LookupError())
        assert request.check() == await request.wait() == 42
        await trio.testing.wait_all_tasks_blocked()
        assert replies == [42]


async def test_error_given_as_a_reply_is_raised_at_the_caller_alone(path: str) -> None:
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.keep())
        await trio.testing.wait_all_tasks_blocked()
        error = LookupError("no such thing")
        desk._process.instance.kept[0].reply_error(error)
        with pytest.raises(LookupError) as caught:
            await request.wait()
        assert caught.value is error
        assert await desk.call(Desk.add()) == 1


@pytest.mark.parametrize(
    "message", [Desk.wait(), Desk.wait_in_child(), Desk.keep()], ids=["handler", "child", "deferred"]
)
async def test_late_reply_to_a_caller_that_timed_out_is_dropped(
    message: Call[Desk, Any], path: str, autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 24, 25, 31, 164, 175
    async with open_server(Desk) as desk:
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await desk.call(message)
        instance = desk._process.instance
        instance.open.set()
        for from_ in instance.kept:
            assert not from_.is_wanted
            from_.reply(1)
        await trio.testing.wait_all_tasks_blocked()
        # Nothing of it reaches the next call of the same task.
        assert await desk.call(Desk.add(3)) == 3
        assert desk.is_running
        assert desk.dropped == 1


async def test_message_of_another_class_fails_at_the_caller_and_not_in_the_server(path: str) -> None:
    # OTP 39
    async with open_server(Desk) as desk:
        wrong: Any = Stranger.hello()
        with (
            trio.testing.assert_checkpoints(),
            pytest.raises(UnhandledMessage, match=r"no handler for Stranger\.hello"),
        ):
            await desk.call(wrong)
        assert await desk.call(Desk.add()) == 1


async def test_wrong_kind_of_message_is_a_type_error_with_advice(path: str) -> None:
    async with open_server(Desk) as desk:
        wrong: Any = Desk.release()
        with pytest.raises(TypeError, match="it is a cast; send it with"):
            await desk.call(wrong)
        wrong = Desk.add
        with pytest.raises(TypeError, match="build one on the class"):
            await desk.call(wrong)
        wrong = Desk.add()
        with pytest.raises(TypeError, match="it is a call; send it with"):
            await desk.cast(wrong)


async def test_a_long_mailbox_does_not_make_the_calls_of_its_server_slower() -> None:
    # OTP 36: counted in lines that are run, as time proves nothing
    class Busy(GenServer):
        @handle_call
        async def lines_of_a_call(self, desk: ServerRef[Desk]) -> int:
            lines = 0

            def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
                nonlocal lines
                lines += event == "line"
                return count

            before = sys.gettrace()
            sys.settrace(count)
            try:
                assert await desk.call(Desk.add_slowly()) == 1
            finally:
                sys.settrace(before)
            return lines

        @handle_call
        def nothing(self) -> None: ...

    counts: list[int] = []
    for waiting in (0, 100_000):
        async with (
            open_server(child_spec(Busy).replace(mailbox_size=200_000)) as busy,
            open_server(Desk) as desk,
        ):
            request = busy.send_request(Busy.lines_of_a_call(desk))
            for _ in range(waiting):
                busy.send_request(Busy.nothing())
            counts.append(await request.wait())
            busy._process.kill()
    # Not the same number: it depends a little on the order in which Trio runs the tasks.
    assert 50 < counts[1] < 2 * counts[0]


@pytest.mark.parametrize("message", [Desk.add(), Desk.add_slowly(), Desk.keep(), Desk.wait_in_child()])
async def test_call_that_is_cancelled_in_the_queue_is_never_handled(
    message: Call[Desk, Any], path: str
) -> None:
    # OTP 163
    async with open_server(Desk) as desk:
        blocker = desk.send_request(Desk.wait())
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(desk.call, message)
                await trio.testing.wait_all_tasks_blocked()
                assert desk.mailbox_length == 1
                scope.cancel()
        desk._process.instance.open.set()
        assert await blocker.wait() == "done"
        await trio.testing.wait_all_tasks_blocked()
        assert desk._process.instance.log == ["waiting", "waited"]
        assert desk._process.instance.kept == []
        assert desk.dropped == 1
        assert await desk.call(Desk.add()) == 1


@pytest.mark.parametrize("message", [Desk.add(), Desk.add_slowly(), Desk.answer_at_once(1), Desk.leave()])
async def test_call_is_a_checkpoint(message: Call[Desk, Any], path: str) -> None:
    # OTP 167
    async with trio.open_nursery() as nursery:
        desk = await started(nursery)
        with trio.testing.assert_checkpoints():
            await desk.call(message)
        nursery.cancel_scope.cancel()


async def test_full_mailbox_that_refuses_does_so_with_a_checkpoint(path: str) -> None:
    async with open_server(child_spec(Desk).replace(mailbox_size=1, overflow="raise")) as desk:
        desk.send_request(Desk.wait())
        await trio.testing.wait_all_tasks_blocked()
        desk.send_request(Desk.add())
        with trio.testing.assert_checkpoints(), pytest.raises(MailboxFull) as caught:
            await desk.call(Desk.add())
        assert caught.value.capacity == 1
        desk._process.instance.open.set()


async def test_handler_sees_the_context_of_the_server(path: str) -> None:
    # OTP 174
    tag.set("the server's")
    async with open_server(Desk) as desk:
        tag.set("the caller's")
        assert await desk.call(Desk.whose()) == "the server's"


async def test_one_message_at_a_time_also_for_calls_that_could_run_inline(path: str) -> None:
    # OTP 53
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(desk.call, Desk.add_slowly())
            nursery.start_soon(desk.call, Desk.add())
        await trio.testing.wait_all_tasks_blocked()
        # add_slowly would lose updates if anything came in between.
        assert await desk.call(Desk.add(0)) == 20


async def test_message_that_was_handled_is_kept_alive_by_nobody(path: str) -> None:
    class Big:
        pass

    class Holder(GenServer):
        @handle_call
        def give_back(self, what: object) -> object:
            return what

        @handle_call
        async def take(self, what: object) -> None:
            pass

        @handle_call(child=True)
        async def take_in_child(self, what: object) -> None:
            pass

        @handle_call(noreply=True)
        def take_later(self, from_: From[None], what: object) -> None:
            from_.reply(None)

        @handle_cast
        def note(self, what: object) -> None:
            pass

        async def handle_info(self, message: object) -> None:
            pass

    async with open_server(Holder) as holder:

        async def two(message: Callable[[object], Call[Holder, Any]], big: Big) -> None:
            # The second waits in the mailbox.
            for request in [holder.send_request(message(big)), holder.send_request(message(big))]:
                await request.wait()

        async def send(what: str, big: Big) -> weakref.ref[Big]:
            if what == "cast":
                await holder.cast(Holder.note(big))
            elif what == "info":
                await holder.send(big)
            else:
                message = getattr(Holder, what)
                await holder.call(message(big))
                await two(message, big)
            return weakref.ref(big)

        for what in ("give_back", "take", "take_in_child", "take_later", "cast", "info"):
            gone = await send(what, Big())
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            assert gone() is None, what


def test_handler_read_on_an_instance_is_the_plain_method() -> None:
    desk = Desk()
    assert desk.add(5) == 5
    assert desk.add(by=1) == 6
