"""A handler that its caller runs and that ends the server: nothing is handled after it."""

from __future__ import annotations

import pytest

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
