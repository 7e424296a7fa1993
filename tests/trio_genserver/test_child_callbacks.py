"""A child task asks its server to stop, to continue or for a timeout: done at once, though the loop waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trio_genserver import GenServer, ServerStopped, Stop, handle_call, handle_cast, open_server, wait_all


class Parent(GenServer):
    def __init__(self) -> None:
        self.log: list[tuple[float, object]] = []

    def note(self, what: object) -> None:
        self.log.append((trio.current_time(), what))

    @handle_call(child=True)
    async def stop_later(self) -> str:
        await trio.sleep(1)
        self.stop("asked")
        return "reply"

    @handle_call(child=True)
    async def raise_stop(self) -> str:
        await trio.sleep(1)
        raise Stop("raised")

    @handle_cast(child=True)
    async def raise_stop_in_a_cast(self) -> None:
        await trio.sleep(1)
        raise Stop("raised")

    @handle_call(child=True)
    async def go_on(self) -> None:
        await trio.sleep(1)
        self.continue_with("more")

    @handle_call(child=True)
    async def arm(self, delay: float, seconds: float | None) -> None:
        await trio.sleep(delay)
        self.set_timeout(seconds)

    @handle_call
    def stop_in_a_task(self) -> None:
        async def stop() -> None:
            await trio.sleep(1)
            self.stop("from a task")

        self.start_task(stop)

    async def handle_continue(self, argument: object) -> None:
        self.note(argument)

    async def handle_timeout(self) -> None:
        self.note("timeout")


async def test_a_child_task_stops_a_server_that_waits(autojump_clock: MockClock) -> None:
    async with open_server(Parent) as parent:
        assert await parent.call(Parent.stop_later()) == "reply"
        assert await parent.wait_stopped() == "asked"
        assert trio.current_time() == 1


async def test_a_task_of_the_server_stops_it_while_it_waits(autojump_clock: MockClock) -> None:
    async with open_server(Parent) as parent:
        await parent.call(Parent.stop_in_a_task())
        assert await parent.wait_stopped() == "from a task"
        assert trio.current_time() == 1


async def test_stop_raised_in_a_child_task_is_not_a_crash(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_server(Parent) as parent:
        with pytest.raises(ServerStopped) as caught:
            await parent.call(Parent.raise_stop())
        assert caught.value.reason == "raised"
        assert await parent.wait_stopped() == "raised"
    async with open_server(Parent) as parent:
        await parent.cast(Parent.raise_stop_in_a_cast())
        assert await parent.wait_stopped() == "raised"
    # Not as crashes, but this is no orderly reason.
    assert [record.getMessage() for record in caplog.records] == ["Parent ended abnormally ('raised')"] * 2


async def test_a_child_task_has_its_server_continue_at_once(autojump_clock: MockClock) -> None:
    async with open_server(Parent) as parent:
        await parent.call(Parent.go_on())
        await trio.sleep(1)
        assert parent._process.instance.log == [(1, "more")]


async def test_a_child_task_sets_and_clears_the_timeout(autojump_clock: MockClock) -> None:
    async with open_server(Parent) as parent:
        log = parent._process.instance.log
        await parent.call(Parent.arm(1, 3))
        await trio.sleep(5)
        assert log == [(4, "timeout")]
        # Both are begun at 6: the first sets it at 7, the second takes it back at 8.
        await wait_all([parent.send_request(Parent.arm(1, 3)), parent.send_request(Parent.arm(2, None))])
        await trio.sleep(5)
        assert len(log) == 1
