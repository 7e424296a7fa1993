"""A handler that its caller runs and that ends the server: nothing is handled after it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_genserver import (
    GenServer,
    Request,
    ServerCrashed,
    ServerError,
    ServerStopped,
    Stop,
    handle_call,
    handle_cast,
    open_server,
)


class Ends(GenServer):
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.request: Request[None] | None = None

    @handle_call
    def cast_and_raise(self, error: Exception) -> None:
        self.ref.cast_nowait(Ends.note("cast to itself"))
        raise error

    @handle_call
    def request_and_raise(self, error: Exception, requests: list[Request[None]]) -> None:
        requests.append(self.ref.send_request(Ends.ask("asked itself")))
        raise error

    @handle_cast
    def note(self, text: str) -> None:
        self.log.append(text)

    @handle_call
    def ask(self, text: str) -> None:
        self.log.append(text)


ENDS = pytest.mark.parametrize(
    ("error", "told"), [(ValueError("no"), ServerCrashed), (Stop("no"), ServerStopped)]
)


@ENDS
async def test_what_it_has_sent_to_itself_is_not_handled(error: Exception, told: type[ServerError]) -> None:
    log: list[str] = []
    with pytest.RaisesGroup(ValueError, ServerCrashed) if told is ServerCrashed else pytest.raises(told):
        async with open_server(Ends, log) as server:
            await server.call(Ends.cast_and_raise(error))
    assert log == []


@ENDS
async def test_what_it_has_asked_of_itself_fails_as_its_caller_does(
    error: Exception, told: type[ServerError]
) -> None:
    log: list[str] = []
    requests: list[Request[None]] = []
    with pytest.RaisesGroup(ValueError, ServerCrashed) if told is ServerCrashed else pytest.raises(told):
        async with open_server(Ends, log) as server:
            await server.call(Ends.request_and_raise(error, requests))
    with pytest.raises(told):
        requests[0].check()
    assert log == []


class Busy(GenServer):
    """Sends to itself in a handler that its caller may run."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @handle_cast
    def note(self, text: str) -> None:
        self.log.append(text)

    @handle_call
    def note_and_continue(self) -> None:
        self.ref.cast_nowait(Busy.note("cast"))
        self.ref.send_nowait("sent")
        self.continue_with("continued")

    @handle_call
    def note_and_stop(self) -> None:
        self.ref.cast_nowait(Busy.note("cast"))
        self.stop()

    @handle_call
    def note_and_time_out(self) -> None:
        self.ref.cast_nowait(Busy.note("cast"))
        self.set_timeout(1)

    @handle_call
    def flush(self) -> list[str]:
        return self.log

    async def handle_continue(self, argument: str) -> None:
        self.log.append(argument)

    async def handle_info(self, message: object) -> None:
        self.log.append(str(message))

    async def handle_timeout(self) -> None:
        self.log.append("timed out")


async def test_what_a_handler_sends_to_its_own_server_comes_after_its_continue(
    path: str,
) -> None:
    # OTP 48
    async with open_server(Busy, []) as busy:
        await wait_all_tasks_blocked()
        await busy.call(Busy.note_and_continue())
        assert await busy.call(Busy.flush()) == ["continued", "cast", "sent"]


async def test_what_a_handler_that_stops_sends_to_its_own_server_is_not_handled(path: str) -> None:
    log: list[str] = []
    async with open_server(Busy, log) as busy:
        await wait_all_tasks_blocked()
        await busy.call(Busy.note_and_stop())
        await busy.wait_stopped()
        assert log == []
        assert busy.dropped == 1


async def test_timeout_set_beside_a_message_to_itself_is_cancelled_by_that(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_server(Busy, []) as busy:
        await wait_all_tasks_blocked()
        await busy.call(Busy.note_and_time_out())
        await trio.sleep(5)
        assert await busy.call(Busy.flush()) == ["cast"]
