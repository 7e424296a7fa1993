"""Starting and stopping a server."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    CallCycle,
    GenServer,
    Ignore,
    InitIgnored,
    InitStopped,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    open_server,
    run_server,
    start_server,
)
from trio_genserver.errors import BadReturnValue


def tasks() -> int:
    """How many tasks there are below the main one."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found = 0
    left = [root]
    while left:
        for nursery in left.pop().child_nurseries:
            left.extend(nursery.child_tasks)
            found += len(nursery.child_tasks)
    return found


class Recorder(GenServer):
    """Says in `log` what happens to it."""

    def __init__(self, log: list[object], *, slow: float = 0, error: BaseException | None = None) -> None:
        self.log = log
        self.slow = slow
        self.error = error

    async def init(self) -> None:
        self.log.append("init")
        if self.slow:
            await trio.sleep(self.slow)
        if self.error is not None:
            raise self.error
        self.log.append("ready")

    async def terminate(self, reason: object) -> None:
        self.log.append(("terminate", reason))

    @handle_call
    def ping(self) -> str:
        return "pong"

    @handle_call
    async def stop_myself(self) -> tuple[str, ...]:
        with pytest.raises(CallCycle) as caught:
            await self.ref.stop()
        return caught.value.cycle


async def test_start_returns_when_init_has_finished(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 1, 10
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, Recorder, log, slow=3)
        assert trio.current_time() == 3
        assert log == ["init", "ready"]
        assert await server.call(Recorder.ping()) == "pong"
        await server.stop()
        with pytest.raises(ServerNotRunning) as caught:
            await server.call(Recorder.ping())
    assert caught.value.server == "Recorder"
    assert caught.value.request == Recorder.ping()


async def test_start_that_times_out_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 2, 10
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        before = tasks()
        with trio.move_on_after(1) as scope:
            await start_server(nursery, Recorder, log, slow=5)
        assert scope.cancelled_caught
        assert trio.current_time() == 1
        assert tasks() == before
    # It never ran, so there is nothing that terminate could undo.
    assert log == ["init"]


async def test_init_that_ignores_is_told_to_the_starter() -> None:
    # OTP 3
    async with trio.open_nursery() as nursery:
        before = tasks()
        with pytest.raises(InitIgnored):
            await start_server(nursery, Recorder, [], error=Ignore())
        assert tasks() == before


async def test_init_that_stops_gives_its_reason_to_the_starter() -> None:
    # OTP 4
    async with trio.open_nursery() as nursery:
        with pytest.raises(InitStopped) as caught:
            await start_server(nursery, Recorder, [], error=Stop("no room"))
        assert not nursery.cancel_scope.cancel_called
    assert caught.value.reason == "no room"


class BadInit(GenServer):
    async def init(self) -> None:
        return 5  # type: ignore[return-value]  # what the test is about


class StopsInInit(GenServer):
    async def init(self) -> None:
        self.stop("thought better")


class CrashesInNew(GenServer):
    def __init__(self) -> None:
        raise OSError("no")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: child_spec(Recorder, [], error=Stop("x")), InitStopped),
        (lambda: child_spec(Recorder, [], error=Ignore()), InitIgnored),
        (lambda: child_spec(Recorder, [], error=ValueError("x")), ValueError),
        (lambda: child_spec(Recorder, [], error=KeyboardInterrupt()), KeyboardInterrupt),
        (lambda: child_spec(BadInit), BadReturnValue),
        (lambda: child_spec(StopsInInit), InitStopped),
        (lambda: child_spec(CrashesInNew), OSError),
        (lambda: child_spec(Recorder, [], slow=9), trio.TooSlowError),
    ],
)
async def test_every_way_init_can_fail_gives_its_error_every_time(
    make: Any, expected: type[BaseException], autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 5, 9
    async with trio.open_nursery() as nursery:
        before = tasks()
        for _ in range(5):
            with pytest.raises(expected), trio.fail_after(1):
                await start_server(nursery, make())
            assert tasks() == before


async def test_server_without_init_starts() -> None:
    # OTP 6: init has a default
    class Plain(GenServer):
        @handle_call
        def ping(self) -> str:
            return "pong"

    async with open_server(Plain) as server:
        assert await server.call(Plain.ping()) == "pong"


without_types: Any = child_spec


async def test_arguments_that_do_not_fit_fail_at_the_starter() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match="argument"):
            await start_server(nursery, without_types(Recorder, [], [], []))
        with pytest.raises(TypeError, match="subclass of GenServer"):
            without_types(dict)


async def test_stop_returns_when_the_server_is_dead_and_the_second_fails() -> None:
    # OTP 14
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, Recorder, log)
        await server.stop()
        assert log[-1] == ("terminate", "normal")
        assert tasks() == 1 + len(nursery.child_tasks) or not nursery.child_tasks
        with pytest.raises(ServerNotRunning):
            await server.stop()


async def test_terminate_sees_the_reason_given_to_stop() -> None:
    # OTP 15
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, Recorder, log)
        await server.stop("enough")
        assert log[-1] == ("terminate", "enough")
        assert await server.wait_stopped() == "enough"


async def test_stop_that_is_given_up_leaves_the_server_ending(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 16, 20: a timeout is a cancel scope; the server goes on with its end.
    class SlowEnd(GenServer):
        async def terminate(self, reason: object) -> None:
            await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, SlowEnd)
        with trio.move_on_after(1) as scope:
            await server.stop()
        assert scope.cancelled_caught
        assert not server.is_running
        assert await server.wait_stopped() == "normal"
        assert trio.current_time() == 3


async def test_server_that_stops_itself_through_its_reference_is_refused(path: str) -> None:
    # OTP 19
    async with open_server(Recorder, []) as server:
        assert await server.call(Recorder.stop_myself()) == ("Recorder", "Recorder")
        assert server.is_running


async def test_run_server_makes_a_task_of_a_nursery_a_server() -> None:
    # OTP 21
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server: ServerRef[Recorder] = await nursery.start(run_server, Recorder, log)
        assert await server.call(Recorder.ping()) == "pong"
        await server.stop()
    assert log == ["init", "ready", ("terminate", "normal")]


async def test_cancelling_the_nursery_runs_terminate_once() -> None:
    # OTP 22, 56
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_server(nursery, Recorder, log)
        nursery.cancel_scope.cancel()
    assert log == ["init", "ready", ("terminate", "shutdown")]


async def test_two_that_stop_a_server_both_return_when_it_has_stopped() -> None:
    log: list[object] = []

    async def stop() -> None:
        await server.stop()
        assert not server.is_running
        log.append("returned")

    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, Recorder, log)
        async with trio.open_nursery() as stoppers:
            stoppers.start_soon(stop)
            stoppers.start_soon(stop)
    assert log == ["init", "ready", ("terminate", "normal"), "returned", "returned"]


async def test_start_into_a_cancelled_nursery_is_cancelled_too() -> None:
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        with pytest.raises((InitStopped, trio.Cancelled)):
            await start_server(nursery, Recorder, log, slow=math.inf)
    assert ("terminate", "shutdown") not in log


async def test_block_that_raises_cancels_the_server_and_keeps_its_error() -> None:
    log: list[object] = []
    with pytest.raises(LookupError, match="mine"):
        async with open_server(Recorder, log):
            raise LookupError("mine")
    assert log[-1] == ("terminate", "shutdown")


class Bomb(GenServer):
    @handle_call
    def explode(self) -> None:
        raise ValueError("boom")

    @handle_call
    async def explode_later(self) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("boom")


@pytest.mark.parametrize("message", [Bomb.explode(), Bomb.explode_later()])
async def test_crash_leaves_open_server_as_itself(message: Any, path: str) -> None:
    # OTP 173
    told: list[BaseException | None] = []
    with pytest.raises(ValueError, match="boom") as caught:
        async with open_server(Bomb) as server:
            try:
                await server.call(message)
            except ServerCrashed as crash:
                told.append(crash.__cause__)
            await trio.sleep_forever()
    assert told == [caught.value]


async def test_crash_of_server_and_block_come_out_together() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with open_server(Bomb) as server:
            server.send_request(Bomb.explode())
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("mine")
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["LookupError", "ValueError"]


async def test_group_of_the_block_stays_a_group() -> None:
    async def fail() -> None:
        raise ValueError("of the block")

    with pytest.raises(ExceptionGroup) as caught:
        async with open_server(Bomb), trio.open_nursery() as nursery:
            nursery.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
