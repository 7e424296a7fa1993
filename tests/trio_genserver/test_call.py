"""Calls: every one ends, and whoever gives one up harms nobody."""

from __future__ import annotations

import contextvars
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
    AlreadyReplied,
    BadReturnValue,
    Call,
    From,
    GenServer,
    MailboxFull,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    Stop,
    UnhandledMessage,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
)

tag: contextvars.ContextVar[str] = contextvars.ContextVar("tag", default="nobody's")


class Desk(GenServer):
    def __init__(self, log: list[object] | None = None) -> None:
        self.log: list[object] = [] if log is None else log
        self.value = 0
        self.open = trio.Event()
        self.kept: list[From[Any]] = []

    @handle_call
    def add(self, by: int = 1) -> int:
        self.value += by
        self.log.append(by)
        return self.value

    @handle_call
    async def add_slowly(self, by: int = 1) -> int:
        before = self.value
        await trio.lowlevel.checkpoint()
        self.value = before + by
        return self.value

    @handle_call
    async def wait(self) -> str:
        self.log.append("waiting")
        await self.open.wait()
        self.log.append("waited")
        return "done"

    @handle_call(child=True)
    async def wait_in_child(self) -> str:
        await self.open.wait()
        return "done"

    @handle_cast(child=True)
    async def release(self) -> None:
        self.open.set()

    @handle_call(noreply=True)
    def keep(self, from_: From[int]) -> None:
        self.kept.append(from_)

    @handle_call(noreply=True)
    def answer_at_once(self, from_: From[int], value: int) -> None:
        from_.reply(value)

    @handle_call
    def crash(self, text: str = "boom") -> None:
        raise ValueError(text)

    @handle_call
    async def crash_slowly(self, text: str = "boom") -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(text)

    @handle_call(child=True)
    async def crash_in_child(self, text: str = "boom") -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(text)

    @handle_call
    def leave(self) -> str:
        self.stop("left")
        return "bye"

    @handle_call
    def leave_without_a_word(self) -> str:
        raise Stop("left")

    @handle_call
    def whose(self) -> str:
        return tag.get()

    @handle_call(noreply=True)
    def badly(self, from_: From[int]) -> None:
        return 7  # type: ignore[return-value]  # what the test is about

    async def terminate(self, reason: object) -> None:
        self.log.append(("terminate", reason))


class Stranger(GenServer):
    @handle_call
    def hello(self) -> str:
        return "hello"


async def started(nursery: trio.Nursery, log: list[object] | None = None) -> ServerRef[Desk]:
    return await start_server(nursery, Desk, log)


def quiet(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelname == "ERROR" for record in caplog.records)


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


async def test_malformed_return_stops_the_server_and_tells_the_caller(path: str) -> None:
    # OTP 26
    with pytest.raises(BadReturnValue):
        async with open_server(Desk) as desk:
            with pytest.raises(ServerCrashed) as caught:
                await desk.call(Desk.badly())
            assert isinstance(caught.value.__cause__, BadReturnValue)
            await trio.sleep_forever()


@pytest.mark.parametrize("message", [Desk.crash("a"), Desk.crash_slowly("a"), Desk.crash_in_child("a")])
async def test_crash_reaches_its_caller_and_terminate_and_the_log(
    message: Call[Desk, None], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 27, 172
    told: list[ServerCrashed] = []
    log: list[object] = []
    with pytest.raises(ValueError, match="a") as out:
        async with open_server(Desk, log) as desk:
            try:
                await desk.call(message)
            except ServerCrashed as crash:
                told.append(crash)
            await trio.sleep_forever()
    (error,) = told
    assert error.server == "Desk"
    assert error.request == message
    assert error.__cause__ is out.value
    assert log == [("terminate", out.value)]
    assert quiet(caplog) == 1


async def test_no_two_callers_share_an_exception(path: str) -> None:
    # OTP 33, 172
    errors: list[ServerError] = []

    async def ask(desk: ServerRef[Desk]) -> None:
        with trio.CancelScope(shield=True), pytest.raises(ServerCrashed) as caught:
            await desk.call(Desk.add())
        errors.append(caught.value)

    with pytest.raises(ValueError, match="boom") as out:
        async with open_server(Desk) as desk, trio.open_nursery() as nursery:
            desk.send_request(Desk.crash_slowly())
            for _ in range(3):
                nursery.start_soon(ask, desk)
            await trio.sleep_forever()
    assert len({id(error) for error in errors}) == 3
    assert all(error.__cause__ is out.value for error in errors)


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 5)])
async def test_orderly_end_is_no_crash_in_the_log(
    reason: object, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 28
    async with trio.open_nursery() as nursery:
        desk = await started(nursery)
        await desk.stop(reason)
    assert quiet(caplog) == 0


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 5)])
@pytest.mark.parametrize("raises", [False, True])
async def test_orderly_end_from_within_is_no_crash_in_the_log(
    reason: object, raises: bool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 28
    class Ending(GenServer):
        def end(self) -> None:
            if raises:
                raise Stop(reason)
            self.stop(reason)

        @handle_call
        def end_in_call(self) -> None:
            self.end()

        @handle_cast
        async def end_in_cast(self) -> None:
            self.end()

        async def handle_info(self, message: object) -> None:
            self.end()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            ending = await start_server(nursery, Ending)
            if number == 0:
                ending.send_request(Ending.end_in_call())
                await trio.testing.wait_all_tasks_blocked()
            elif number == 1:
                await ending.cast(Ending.end_in_cast())
            else:
                await ending.send("end")
            assert await ending.wait_stopped() == reason
            called = await start_server(nursery, Ending)
            if raises:
                with pytest.raises(ServerStopped):
                    await called.call(Ending.end_in_call())
            else:
                await called.call(Ending.end_in_call())
            assert await called.wait_stopped() == reason
    assert quiet(caplog) == 0


async def test_call_to_nobody_fails_at_once_and_says_to_whom_and_what(path: str) -> None:
    # OTP 29, 167
    async with trio.open_nursery() as nursery:
        desk = await started(nursery)
        await desk.stop()
        for _ in range(2):
            with (
                trio.testing.assert_checkpoints(),
                pytest.raises(ServerNotRunning, match=r"Desk is not running.*Desk\.add\(1\)"),
            ):
                await desk.call(Desk.add())
        request = desk.send_request(Desk.add())
        with pytest.raises(ServerNotRunning):
            request.check()


async def test_stopping_fails_every_call_that_waits(path: str) -> None:
    # OTP 33
    outcomes: list[str] = []

    async def ask(message: Call[Desk, Any]) -> None:
        try:
            await desk.call(message)
        except ServerStopped as stopped:
            outcomes.append(f"{stopped.request} {stopped.reason}")

    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        desk = await started(nursery)
        for message in (Desk.keep(), Desk.wait_in_child(), Desk.wait(), Desk.add(), Desk.add_slowly()):
            callers.start_soon(ask, message)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(outcomes) == sorted(
        f"{message} shutdown"
        for message in (Desk.keep(), Desk.wait_in_child(), Desk.wait(), Desk.add(), Desk.add_slowly())
    )


async def test_child_tasks_of_one_server_that_ends_are_no_concern_of_another(path: str) -> None:
    async with open_server(Desk) as other:
        async with trio.open_nursery() as nursery:
            desk = await started(nursery)
            request = desk.send_request(Desk.wait_in_child())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with pytest.raises(ServerStopped):
            request.check()
        assert not other._process.deferred


async def test_stop_handles_what_waits_and_fails_what_comes_after(path: str) -> None:
    async with trio.open_nursery() as nursery:
        desk = await started(nursery)
        first = desk.send_request(Desk.add(1))
        second = desk.send_request(Desk.add(2))
        nursery.start_soon(desk.stop)
        await trio.testing.wait_all_tasks_blocked()
        assert (first.check(), second.check()) == (1, 3)


async def test_reply_and_stop_in_one(path: str) -> None:
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        desk = await started(nursery, log)
        assert await desk.call(Desk.leave()) == "bye"
        await desk.wait_stopped()
    assert log == [("terminate", "left")]


async def test_stop_without_a_reply_fails_the_call(path: str) -> None:
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        desk = await started(nursery, log)
        with pytest.raises(ServerStopped) as caught:
            await desk.call(Desk.leave_without_a_word())
    assert caught.value.reason == "left"
    assert log == [("terminate", "left")]


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
    assert counts[0] == counts[1] > 50


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


async def test_call_to_a_stopping_server_from_a_shielded_scope_fails(path: str) -> None:
    # OTP 166
    errors: list[ServerError] = []

    class Closing(GenServer):
        async def terminate(self, reason: object) -> None:
            for message in (Desk.add(), Desk.add_slowly()):
                with pytest.raises(ServerError) as caught:
                    await desk.call(message)
                errors.append(caught.value)

    class SlowDesk(Desk):
        async def terminate(self, reason: object) -> None:
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        desk = await start_server(nursery, SlowDesk)
        await start_server(nursery, Closing)
        await desk.call(Desk.add())
        nursery.cancel_scope.cancel()
    assert [type(error) for error in errors] in ([ServerNotRunning] * 2, [ServerStopped, ServerNotRunning])


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


async def test_handlers_own_attribute_error_is_not_taken_for_a_missing_handler() -> None:
    # OTP 47
    class Sloppy(GenServer):
        @handle_call
        def slip(self) -> int:
            return self.missing  # type: ignore[attr-defined,no-any-return]  # the point

        async def terminate(self, reason: object) -> None:
            raise AttributeError("in terminate")

    with pytest.raises(AttributeError, match="missing"):
        async with open_server(Sloppy) as sloppy:
            with pytest.raises(ServerCrashed, match="missing"):
                await sloppy.call(Sloppy.slip())
            await trio.sleep_forever()


async def test_keyboard_interrupt_in_a_handler_ends_server_and_block(path: str) -> None:
    class Interrupted(GenServer):
        @handle_call
        def interrupt(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with open_server(Interrupted) as server:
            with pytest.raises(ServerCrashed):
                await server.call(Interrupted.interrupt())
            await trio.sleep_forever()


async def test_group_with_a_cancellation_in_it_is_a_crash_and_the_cancellation_goes_on() -> None:
    class Grouping(GenServer):
        @handle_call
        async def group(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise LookupError("while cancelled")

    with pytest.RaisesGroup(LookupError, flatten_subgroups=True), trio.CancelScope() as scope:
        async with open_server(Grouping) as server:
            server.send_request(Grouping.group())
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancel_called


def test_handler_read_on_an_instance_is_the_plain_method() -> None:
    desk = Desk()
    assert desk.add(5) == 5
    assert desk.add(by=1) == 6
