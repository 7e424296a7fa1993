"""Monitors: exactly one Down, in order, never lost, and none after demonitor."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    Down,
    GenServer,
    MailboxFull,
    Monitor,
    Overflow,
    ServerCrashed,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    monitor,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.registry import Registry


class Target(GenServer):
    @handle_call
    def crash(self) -> None:
        raise ValueError("crashed")

    @handle_cast
    def send_and_stop(self, to: ServerRef[Any], messages: int) -> None:
        for number in range(messages):
            to.send_nowait(number)
        self.stop("sent")


class SlowEnd(Target):
    def __init__(self, go: trio.Event) -> None:
        self.go = go

    async def terminate(self, reason: object) -> None:
        await self.go.wait()


class Watcher(GenServer):
    """Writes down what its handle_info is given."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.monitors: list[Monitor] = []

    @handle_call
    def watch(self, target: ServerRef[Any]) -> Monitor:
        self.monitors.append(self.monitor(target))
        return self.monitors[-1]

    @handle_call
    async def block(self, until: trio.Event) -> None:
        await until.wait()

    @handle_call
    async def block_and_demonitor(self, until: trio.Event, *, flush: bool) -> None:
        await until.wait()
        for each in self.monitors:
            each.demonitor(flush=flush)

    @handle_call
    def get_seen(self) -> list[object]:
        return self.seen

    async def handle_info(self, message: object) -> None:
        self.seen.append(message)


# Every way to end, and the reason that goes with it.


async def stop(ref: ServerRef[Any]) -> object:
    await ref.stop("done")
    return "done"


async def crash(ref: ServerRef[Any]) -> object:
    with pytest.raises(ServerCrashed) as caught:
        await ref.call(Target.crash())
    return caught.value.__cause__


async def kill(ref: ServerRef[Any]) -> object:
    ref._process.kill()
    await ref.wait_stopped()
    return "shutdown"


ENDS = pytest.mark.parametrize("end", [stop, crash, kill])


@ENDS
async def test_a_task_gets_one_down_with_the_reason(end: Callable[[ServerRef[Any]], Any]) -> None:
    # OTP 142
    async with open_supervisor([child_spec(Target).replace(restart="temporary")]) as supervisor:
        target = supervisor.child("Target")
        watch = monitor(target)
        assert watch.down is None
        reason = await end(target)
        down = await watch.wait()
        assert down == Down(watch, target, reason)
        assert await watch.wait() is down


@ENDS
async def test_a_server_gets_one_down_with_the_reason(end: Callable[[ServerRef[Any]], Any]) -> None:
    # OTP 142
    async with (
        open_server(Watcher) as watcher,
        open_supervisor([child_spec(Target).replace(restart="temporary")]) as supervisor,
    ):
        target = supervisor.child("Target")
        watch = await watcher.call(Watcher.watch(target))
        reason = await end(target)
        await trio.testing.wait_all_tasks_blocked()
        assert await watcher.call(Watcher.get_seen()) == [Down(watch, target, reason)]


async def test_each_monitor_of_one_server_gets_its_own_down() -> None:  # OTP 142
    async with open_server(Watcher) as watcher, trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        first = await watcher.call(Watcher.watch(target))
        second = await watcher.call(Watcher.watch(target))
        await target.stop("done")
        await trio.testing.wait_all_tasks_blocked()
        assert await watcher.call(Watcher.get_seen()) == [
            Down(first, target, "done"),
            Down(second, target, "done"),
        ]


async def test_a_dead_server_is_down_at_once() -> None:  # OTP 142
    names: Registry[Target] = Registry()
    async with open_server(Target) as target:
        pass
    async with open_server(Watcher) as watcher:
        for dead in (target, names.via("nobody")):
            watch = monitor(dead)
            assert watch.down == Down(watch, dead, "noproc")
            assert await watch.wait() is watch.down
            asked = await watcher.call(Watcher.watch(dead))
            await trio.testing.wait_all_tasks_blocked()
            assert (await watcher.call(Watcher.get_seen()))[-1] == Down(asked, dead, "noproc")
        assert len(await watcher.call(Watcher.get_seen())) == 2


async def test_a_server_that_is_ending_is_down_when_it_has_ended() -> None:  # OTP 142
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        target = await start_server(nursery, child_spec(SlowEnd, go).replace(shutdown=math.inf))
        nursery.start_soon(target.stop, "asked")
        await trio.testing.wait_all_tasks_blocked()
        watch = monitor(target)
        assert watch.down is None
        go.set()
        assert (await watch.wait()).reason == "asked"


async def test_a_monitor_is_on_one_incarnation() -> None:  # OTP 142
    async with open_supervisor([Target]) as supervisor:
        target = supervisor.child("Target", Target)
        watch = monitor(target)
        error = await crash(target)
        assert (await watch.wait()).reason is error
        await trio.testing.wait_all_tasks_blocked()
        assert target.is_running
        again = monitor(target)
        assert again.down is None
        await crash(target)
        await again.wait()


@pytest.mark.parametrize("overflow", ["wait", "raise", "drop_oldest", "drop_newest"])
async def test_a_full_mailbox_loses_no_down(overflow: Overflow) -> None:  # OTP 142
    """Whatever else the mailbox drops, before it or after it."""
    go = trio.Event()
    spec = child_spec(Watcher).replace(mailbox_size=2, overflow=overflow)
    async with open_server(spec) as watcher, trio.open_nursery() as nursery:
        targets = [await start_server(nursery, Target) for _ in range(3)]
        watches = [await watcher.call(Watcher.watch(target)) for target in targets]
        nursery.start_soon(watcher.call, Watcher.block(go))
        await trio.testing.wait_all_tasks_blocked()
        watcher.send_nowait("one")
        watcher.send_nowait("two")
        for target in targets:
            await target.stop("done")
        assert watcher.mailbox_length == 5
        for text in ("three", "four"):
            # Only some policies raise.
            with contextlib.suppress(MailboxFull):
                watcher.send_nowait(text)
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        seen = await watcher.call(Watcher.get_seen())
        assert [down for down in seen if isinstance(down, Down)] == [
            Down(watch, target, "done") for watch, target in zip(watches, targets, strict=True)
        ]
        texts = [text for text in seen if isinstance(text, str)]
        assert texts == (["three", "four"] if overflow == "drop_oldest" else ["one", "two"])
        assert watcher.mailbox_length == 0


@pytest.mark.parametrize("mailbox_size", [1, 3, 4, 100])
async def test_a_down_comes_after_all_that_the_server_sent_and_before_what_follows(
    mailbox_size: int,
) -> None:  # OTP 142
    go = trio.Event()
    spec = child_spec(Watcher).replace(mailbox_size=mailbox_size)
    async with open_server(spec) as watcher, trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        watch = await watcher.call(Watcher.watch(target))
        nursery.start_soon(watcher.call, Watcher.block(go))
        await trio.testing.wait_all_tasks_blocked()
        sent = min(mailbox_size, 3)
        await target.cast(Target.send_and_stop(watcher, sent))
        assert (await watch.wait()).reason == "sent"
        nursery.start_soon(watcher.send, "after")
        await trio.testing.wait_all_tasks_blocked()
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert await watcher.call(Watcher.get_seen()) == [*range(sent), Down(watch, target, "sent"), "after"]


async def test_a_server_that_stops_in_order_handles_the_down_that_waits() -> None:
    go = trio.Event()
    seen: list[object] = []
    async with trio.open_nursery() as nursery:
        watcher = await start_server(nursery, child_spec(Watcher).replace(mailbox_size=1))
        seen = await watcher.call(Watcher.get_seen())
        target = await start_server(nursery, Target)
        watch = await watcher.call(Watcher.watch(target))
        nursery.start_soon(watcher.call, Watcher.block(go))
        await trio.testing.wait_all_tasks_blocked()
        watcher.send_nowait("one")
        await target.stop("done")
        nursery.start_soon(watcher.stop)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert seen == ["one", Down(watch, target, "done")]


# demonitor


async def test_no_down_comes_after_demonitor() -> None:  # OTP 142
    async with open_server(Watcher) as watcher, trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        watch = await watcher.call(Watcher.watch(target))
        watch.demonitor()
        watch.demonitor()
        await target.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert await watcher.call(Watcher.get_seen()) == []
        assert watch.down is None


@pytest.mark.parametrize("flush", [True, False])
async def test_flush_removes_a_down_that_waits_in_the_mailbox(flush: bool) -> None:  # OTP 142
    go = trio.Event()
    async with open_server(Watcher) as watcher, trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        watch = await watcher.call(Watcher.watch(target))
        nursery.start_soon(watcher.call, Watcher.block_and_demonitor(go, flush=flush))
        await trio.testing.wait_all_tasks_blocked()
        await target.stop()
        watcher.send_nowait("after")
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        seen = await watcher.call(Watcher.get_seen())
        assert seen == (["after"] if flush else [Down(watch, target, "normal"), "after"])


async def test_waiting_on_a_monitor_that_is_removed_is_an_error_and_no_hang() -> None:  # OTP 142
    async with open_server(Target) as target:
        errors: list[str] = []

        async def wait(watch: Monitor) -> None:
            with pytest.raises(trio.ClosedResourceError) as caught:
                await watch.wait()
            errors.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            with monitor(target) as watch:
                nursery.start_soon(wait, watch)
                await trio.testing.wait_all_tasks_blocked()
        await wait(watch)
        assert errors == ["the monitor of Target was removed"] * 2


async def test_a_wait_that_is_cancelled_leaves_the_monitor_as_it_is() -> None:
    async with trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        watch = monitor(target)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await watch.wait()
        assert scope.cancelled_caught
        await target.stop("done")
        assert (await watch.wait()).reason == "done"


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_monitors_leave_nothing_behind() -> None:
    """In the monitored server when the watcher ends; in the watcher when the monitored one does."""
    async with open_server(Target) as target:
        with monitor(target):
            assert target._process.lifecycle.on_exit
        assert not target._process.lifecycle.on_exit
        async with open_server(Watcher) as watcher:
            await watcher.call(Watcher.watch(target))
            assert target._process.lifecycle.on_exit
        assert not target._process.lifecycle.on_exit
    async with open_server(Watcher) as watcher, trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        await watcher.call(Watcher.watch(target))
        assert watcher._process.lifecycle.on_ending
        await target.stop()
        assert not watcher._process.lifecycle.on_ending


async def test_down_that_waits_is_not_among_what_a_full_mailbox_drops() -> None:  # OTP 142
    class Flooded(Watcher):
        overflow = "drop_oldest"
        mailbox_size = 2

        @handle_call
        async def wait_for(self, event: trio.Event) -> None:
            await event.wait()

        @handle_cast
        def note(self) -> None:
            pass

        @handle_call
        def all(self) -> list[object]:
            return self.seen

    async with trio.open_nursery() as nursery:
        target = await start_server(nursery, Target)
        flooded = await start_server(nursery, Flooded)
        await flooded.call(Flooded.watch(target))
        go = trio.Event()
        nursery.start_soon(flooded.call, Flooded.wait_for(go))
        await trio.testing.wait_all_tasks_blocked()
        await target.stop()
        for _ in range(5):
            flooded.cast_nowait(Flooded.note())
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        (down,) = await flooded.call(Flooded.all())
        assert isinstance(down, Down)
        assert flooded.dropped == 3
        nursery.cancel_scope.cancel()
