"""Calls to a server that crashes, stops, is about to or is gone: each ends, and says why."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    Call,
    GenServer,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    Stop,
    handle_call,
    handle_cast,
    open_server,
    start_server,
)
from trio_genserver.errors import BadReturnValue

from .desk import Desk, quiet, started


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
async def test_orderly_end_is_not_a_crash_in_the_log(
    reason: object, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 28
    async with trio.open_nursery() as nursery:
        desk = await started(nursery)
        await desk.stop(reason)
    assert quiet(caplog) == 0


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 5)])
@pytest.mark.parametrize("raises", [False, True])
async def test_orderly_end_from_within_is_not_a_crash_in_the_log(
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


async def test_handlers_own_attribute_error_is_not_taken_for_a_missing_handler() -> None:
    # OTP 47
    class Sloppy(GenServer):
        @handle_call
        def slip(self) -> int:
            return self.missing  # type: ignore[attr-defined,no-any-return]  # the point

        async def terminate(self, reason: object) -> None:
            raise AttributeError("in terminate")

    with pytest.raises(AttributeError, match="in terminate"):
        async with open_server(Sloppy) as sloppy:
            with pytest.raises(ServerCrashed, match="in terminate"):
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
