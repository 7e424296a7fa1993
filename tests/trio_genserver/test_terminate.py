"""The end of a server: `terminate`, its time, and what it reports."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import GenServer, ServerCrashed, child_spec, handle_call, open_server, start_server


class Plain(GenServer):
    @handle_call
    def crash(self) -> None:
        raise LookupError("mine")


async def test_without_terminate_an_end_is_fine_and_a_crash_keeps_its_own_reason() -> None:
    # OTP 54
    async with open_server(Plain):
        pass
    with pytest.raises(LookupError, match="mine"):
        async with open_server(Plain) as plain:
            with pytest.raises(ServerCrashed):
                await plain.call(Plain.crash())
            await trio.sleep_forever()


class BadEnd(GenServer):
    def __init__(self) -> None:
        self.secret = "s3cret"

    @handle_call
    def crash(self) -> None:
        raise LookupError("first")

    def format_status(self, state: dict[str, object]) -> object:
        return {"secret": "..."}

    async def terminate(self, reason: object) -> None:
        raise OSError("in terminate")


async def test_crash_in_terminate_is_reported_with_the_formatted_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # OTP 55, 57
    with pytest.raises(OSError, match="in terminate"):
        async with open_server(BadEnd):
            pass
    assert "crashed handling 'terminate()'" in caplog.text
    assert "s3cret" not in caplog.text


async def test_crash_in_terminate_is_the_reason_and_the_first_one_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # OTP 55
    with pytest.raises(OSError, match="in terminate"):
        async with open_server(BadEnd) as server:
            with pytest.raises(ServerCrashed, match="in terminate"):
                await server.call(BadEnd.crash())
            await trio.sleep_forever()
    assert "in terminate" in caplog.text
    assert "first" in caplog.text


class SlowEnd(GenServer):
    def __init__(self, log: list[object], seconds: float) -> None:
        self.log = log
        self.seconds = seconds

    async def terminate(self, reason: object) -> None:
        self.log.append(reason)
        await trio.sleep(self.seconds)
        self.log.append("done")


async def test_terminate_is_shielded_for_as_long_as_shutdown_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # OTP 56
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_server(nursery, child_spec(SlowEnd, log, 4))
        nursery.cancel_scope.cancel()
    assert log == ["shutdown", "done"]
    assert trio.current_time() == 4


async def test_terminate_that_takes_longer_is_cancelled(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 56
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_server(nursery, child_spec(SlowEnd, log, 4).replace(shutdown=2))
        nursery.cancel_scope.cancel()
    assert log == ["shutdown"]
    assert trio.current_time() == 2
    assert "took longer than its shutdown time" in caplog.text


class BrokenStatus(GenServer):
    @handle_call
    def crash(self) -> None:
        raise LookupError("the crash")

    def format_status(self, state: dict[str, object]) -> object:
        raise RuntimeError("broken")


async def test_broken_format_status_does_not_hide_the_crash(caplog: pytest.LogCaptureFixture) -> None:
    # OTP 58
    with pytest.raises(LookupError, match="the crash"):
        async with open_server(BrokenStatus) as server:
            with pytest.raises(ServerCrashed):
                await server.call(BrokenStatus.crash())
            await trio.sleep_forever()
    assert "the crash" in caplog.text
    assert "format_status raised RuntimeError" in caplog.text


async def test_one_record_a_crash_with_server_message_and_state(caplog: pytest.LogCaptureFixture) -> None:
    # OTP 59
    with pytest.raises(OSError, match="in terminate"):
        async with open_server(child_spec(BadEnd).replace(name="cash desk")) as server:
            with pytest.raises(ServerCrashed):
                await server.call(BadEnd.crash())
            await trio.sleep_forever()
    record = caplog.records[0]
    assert record.name == "trio_genserver"
    assert vars(record)["server"] == "cash desk"
    assert vars(record)["message_handled"] == BadEnd.crash()
    assert vars(record)["state"] == {"secret": "..."}
    assert record.exc_info is not None
