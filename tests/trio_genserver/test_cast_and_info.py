"""Casts, undeclared messages, continue, timeouts; order, room in the mailbox, fairness."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import trio_genserver
from trio_genserver import (
    GenServer,
    MailboxFull,
    ServerCrashed,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
)
from trio_genserver._turn import BATCH, STEP
from trio_genserver.errors import BadReturnValue, UnhandledMessage


def as_tuple(argument: Any) -> tuple[Any, ...]:
    return (argument,) if isinstance(argument, str) else argument


class Sink(GenServer):
    def __init__(self, *, first: object = None) -> None:
        self.seen: list[object] = []
        self.gate = trio.Event()
        self.first = first

    async def init(self) -> None:
        if self.first is not None:
            self.continue_with(self.first)

    @handle_cast
    def note(self, what: object) -> None:
        self.seen.append(what)

    @handle_cast
    async def note_slowly(self, what: object) -> None:
        await trio.lowlevel.checkpoint()
        self.seen.append(what)

    @handle_cast
    async def hold(self) -> None:
        await self.gate.wait()

    @handle_cast
    def leave(self) -> None:
        self.stop("left")

    @handle_cast
    def spoil(self) -> None:
        return 5  # type: ignore[return-value]  # what the tests are about

    @handle_cast
    def go_on(self, *steps: object) -> None:
        self.seen.append("cast")
        self.continue_with(steps)

    @handle_call
    def go_on_call(self, *steps: object) -> str:
        self.seen.append("call")
        self.continue_with(steps)
        return "reply"

    @handle_call
    def go_on_with_each(self, *steps: str) -> None:
        for step in steps:
            self.continue_with(step)

    @handle_call
    def idle_for(self, seconds: float | None) -> None:
        self.set_timeout(seconds)

    @handle_call
    def all(self) -> list[object]:
        return list(self.seen)

    async def handle_continue(self, argument: Any) -> None:
        if argument == ("boom",):
            raise ValueError("boom")
        steps = as_tuple(argument)
        self.seen.append(("continue", steps[0]))
        if len(steps) > 1:
            self.continue_with(steps[1:])

    async def handle_info(self, message: object) -> None:
        if message == "slow":
            await trio.lowlevel.checkpoint()
        if message == "leave":
            raise Stop("told to")
        if message == "continue":
            self.continue_with("after info")
        self.seen.append(("info", message))

    async def handle_timeout(self) -> None:
        self.seen.append(("timeout", trio.current_time()))


async def test_cast_is_handled_and_so_is_a_slow_one() -> None:
    # OTP 42
    async with open_server(Sink) as sink:
        await sink.cast(Sink.note_slowly(1))
        await sink.cast(Sink.note(2))
        assert await sink.call(Sink.all()) == [1, 2]


async def test_cast_can_stop_the_server() -> None:
    # OTP 42
    async with trio.open_nursery() as nursery:
        sink = await start_server(nursery, Sink)
        await sink.cast(Sink.leave())
        assert await sink.wait_stopped() == "left"


async def test_cast_to_nobody_is_dropped_without_an_error() -> None:
    # OTP 40
    async with trio.open_nursery() as nursery:
        sink = await start_server(nursery, Sink)
        await sink.stop()
        with trio.testing.assert_checkpoints():
            await sink.cast(Sink.note(1))
        sink.cast_nowait(Sink.note(1))
        await sink.send("x")
        assert sink.dropped == 3


async def test_cast_is_a_checkpoint_and_cast_nowait_is_none() -> None:
    # OTP 43, 168
    async with open_server(Sink) as sink:
        with trio.testing.assert_checkpoints():
            await sink.cast(Sink.note(1))
        with trio.testing.assert_no_checkpoints():
            sink.cast_nowait(Sink.note(2))
        with trio.testing.assert_checkpoints():
            await sink.send(3)
        assert await sink.call(Sink.all()) == [1, 2, ("info", 3)]


async def test_cast_that_no_handler_takes_fails_at_the_sender() -> None:
    # OTP 44: it cannot reach the server, so it cannot crash it
    class Other(GenServer):
        @handle_cast
        def ping(self) -> None:
            pass

    async with open_server(Sink) as sink:
        wrong: Any = Other.ping()
        with pytest.raises(UnhandledMessage):
            await sink.cast(wrong)
        with pytest.raises(UnhandledMessage):
            sink.cast_nowait(wrong)
        assert sink.is_running


async def test_cast_handler_that_returns_something_crashes_the_server() -> None:
    # OTP 26
    with pytest.raises(BadReturnValue, match="spoil"):
        async with open_server(Sink) as sink:
            await sink.cast(Sink.spoil())
            await trio.sleep_forever()


async def test_undeclared_messages_reach_handle_info() -> None:
    # OTP 45
    async with trio.open_nursery() as nursery:
        sink = await start_server(nursery, Sink)
        await sink.send("slow")
        sink.send_nowait(Sink.note)
        assert await sink.call(Sink.all()) == [("info", "slow"), ("info", Sink.note)]
        await sink.send("leave")
        assert await sink.wait_stopped() == "told to"


async def test_server_without_handle_info_logs_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    # OTP 46
    class Deaf(GenServer):
        @handle_call
        def ping(self) -> str:
            return "pong"

    async with open_server(Deaf) as deaf:
        await deaf.send("what?")
        assert await deaf.call(Deaf.ping()) == "pong"
    assert "Deaf got 'what?', which it does not handle" in caplog.text


async def test_continue_runs_before_the_next_message(path: str) -> None:
    # OTP 48
    async with open_server(child_spec(Sink, first="init")) as sink:
        assert await sink.call(Sink.all()) == [("continue", "init")]
        assert await sink.call(Sink.go_on_call("a", "b")) == "reply"
        await sink.cast(Sink.go_on("c", "d"))
        await sink.send("continue")
        assert (await sink.call(Sink.all()))[1:] == [
            "call",
            ("continue", "a"),
            ("continue", "b"),
            "cast",
            ("continue", "c"),
            ("continue", "d"),
            ("info", "continue"),
            ("continue", "after info"),
        ]


async def test_what_is_continued_with_comes_in_the_order_in_which_it_was_given(path: str) -> None:
    async with open_server(Sink) as sink:
        await sink.call(Sink.go_on_with_each("a", "b", "c"))
        assert await sink.call(Sink.all()) == [("continue", step) for step in "abc"]


async def test_nobody_comes_between_a_handler_and_its_continue(path: str) -> None:
    # OTP 48
    async with open_server(Sink) as sink, trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(sink.call, Sink.go_on_call(number))
            nursery.start_soon(sink.cast, Sink.note("other"))
        await trio.testing.wait_all_tasks_blocked()
        seen = [what for what in await sink.call(Sink.all()) if what != "other"]
        full = await sink.call(Sink.all())
        assert len(full) == 15
        for index, what in enumerate(full):
            if what == "call":
                assert isinstance(full[index + 1], tuple)
        assert len(seen) == 10


async def test_missing_handle_continue_is_a_clear_crash() -> None:
    # OTP 49
    class Forgot(GenServer):
        @handle_cast
        def go(self) -> None:
            self.continue_with("there")

    with pytest.raises(UnhandledMessage, match=r"no handler for .*continue_with\('there'\)"):
        async with open_server(Forgot) as forgot:
            await forgot.cast(Forgot.go())
            await trio.sleep_forever()


async def test_crash_in_continue_fails_what_waits() -> None:
    with pytest.raises(ValueError, match="boom"):
        async with open_server(Sink) as sink:
            sink.cast_nowait(Sink.go_on("x", "boom"))
            with pytest.raises(ServerCrashed):
                await sink._process.instance.ref.call(Sink.all())
            await trio.sleep_forever()


async def test_timeout_fires_only_if_no_message_comes(
    path: str, autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 50, 23
    async with open_server(Sink) as sink:
        await sink.call(Sink.idle_for(5))
        await trio.sleep(4)
        await sink.call(Sink.all())  # any message cancels it
        await trio.sleep(10)
        assert await sink.call(Sink.all()) == []
        await sink.call(Sink.idle_for(5))
        await trio.sleep(4)
        await sink.call(Sink.idle_for(5))  # and it may be set again
        await trio.sleep(20)
        assert await sink.call(Sink.all()) == [("timeout", 23)]
        await sink.call(Sink.idle_for(0))
        await trio.testing.wait_all_tasks_blocked()
        assert len(await sink.call(Sink.all())) == 2
        await sink.call(Sink.idle_for(None))
        await trio.sleep(100)
        assert len(await sink.call(Sink.all())) == 2


async def test_timeout_that_is_invalid_is_refused() -> None:
    with pytest.raises(ValueError, match="some seconds from 0"):
        async with open_server(Sink) as sink:
            with pytest.raises(ServerCrashed):
                await sink.call(Sink.idle_for(-1))
            await trio.sleep_forever()


async def test_messages_of_one_sender_arrive_in_the_order_sent(path: str) -> None:
    # OTP 52
    async with open_server(child_spec(Sink).replace(mailbox_size=3)) as sink:

        async def send(who: str) -> None:
            for number in range(30):
                how = number % 4
                if how == 0:
                    await sink.cast(Sink.note((who, number)))
                elif how == 1:
                    await sink.cast(Sink.note_slowly((who, number)))
                elif how == 2:
                    await sink.send((who, number))
                else:
                    await sink.call(Sink.all())
                    await sink.cast(Sink.note((who, number)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "a")
            nursery.start_soon(send, "b")
        seen: list[Any] = await sink.call(Sink.all())
        pairs = [what[1] if what[0] == "info" else what for what in seen]
        for who in "ab":
            assert [number for sender, number in pairs if sender == who] == list(range(30))


# A mailbox at its bound.


async def full(nursery: trio.Nursery, overflow: str) -> ServerRef[Sink]:
    """A server that holds, with room for two, and two in it."""
    sink = await start_server(nursery, child_spec(Sink).replace(mailbox_size=2, overflow=overflow))
    await sink.cast(Sink.hold())
    await trio.testing.wait_all_tasks_blocked()
    sink.cast_nowait(Sink.note(1))
    sink.cast_nowait(Sink.note(2))
    return sink


async def seen(sink: ServerRef[Sink]) -> list[object]:
    sink._process.instance.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    return list(sink._process.instance.seen)


async def test_full_mailbox_makes_senders_wait_in_order() -> None:
    # OTP 170, 43
    async with trio.open_nursery() as nursery:
        sink = await full(nursery, "wait")
        scopes: list[trio.CancelScope] = []

        async def send(number: int) -> None:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await sink.cast(Sink.note(number))

        for number in (3, 4, 5):
            nursery.start_soon(send, number)
            await trio.testing.wait_all_tasks_blocked()
        assert sink.mailbox_length == 5
        with pytest.raises(MailboxFull) as caught:
            sink.cast_nowait(Sink.note(9))
        assert caught.value.request == Sink.note(9)
        with pytest.raises(MailboxFull):
            sink.send_request(Sink.all())
        scopes[1].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert sink.mailbox_length == 4
        assert await seen(sink) == [1, 2, 3, 5]
        await sink.stop()


async def test_call_waits_for_room_and_gets_its_reply() -> None:
    async with trio.open_nursery() as nursery:
        sink = await full(nursery, "wait")
        replies: list[object] = []

        async def ask() -> None:
            replies.append(await sink.call(Sink.all()))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await seen(sink)
        assert replies == [[1, 2]]
        await sink.stop()


async def test_full_mailbox_that_raises() -> None:
    async with trio.open_nursery() as nursery:
        sink = await full(nursery, "raise")
        with pytest.raises(MailboxFull):
            await sink.cast(Sink.note(3))
        with pytest.raises(MailboxFull):
            await sink.call(Sink.all())
        assert sink.dropped == 2
        assert await seen(sink) == [1, 2]
        await sink.stop()


async def test_full_mailbox_that_drops_the_oldest() -> None:
    async with trio.open_nursery() as nursery:
        sink = await full(nursery, "drop_oldest")
        await sink.cast(Sink.note(3))
        request = sink.send_request(Sink.all())
        sink.cast_nowait(Sink.note(4))
        sink.cast_nowait(Sink.note(5))
        with pytest.raises(MailboxFull):
            await request.wait()
        assert await seen(sink) == [4, 5]
        assert sink.dropped == 4
        await sink.stop()


async def test_full_mailbox_that_drops_the_newest() -> None:
    async with trio.open_nursery() as nursery:
        sink = await full(nursery, "drop_newest")
        await sink.cast(Sink.note(3))
        sink.cast_nowait(Sink.note(4))
        with pytest.raises(MailboxFull):
            await sink.call(Sink.all())
        assert await seen(sink) == [1, 2]
        assert sink.dropped == 3
        await sink.stop()


async def test_end_of_a_server_frees_who_waits_for_room() -> None:
    async with trio.open_nursery() as nursery, trio.open_nursery() as senders:
        sink = await full(nursery, "wait")
        seen = sink._process.instance.seen
        senders.start_soon(sink.cast, Sink.note(3))
        senders.start_soon(sink.send, "x")
        await trio.testing.wait_all_tasks_blocked()
        assert len(senders.child_tasks) == 2
        sink._process.kill()
        await trio.testing.wait_all_tasks_blocked()
        assert len(senders.child_tasks) == 0
        assert seen == []


class Passing(trio.abc.Clock):
    """Time passes where the program says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return deadline - self.now


def flood(seconds: list[float]) -> list[tuple[int, float]]:
    """Have a server handle casts that take `seconds` each while another task wants to run.

    Returns:
      how many of them that one waited for, and for how long, each time.
    """
    clock = Passing()
    waits: list[tuple[int, float]] = []

    class Flooded(GenServer):
        def __init__(self) -> None:
            self.handled = 0

        @handle_cast
        def take(self, seconds: float) -> None:
            clock.now += seconds
            self.handled += 1

    async def main() -> None:
        async with open_server(child_spec(Flooded).replace(mailbox_size=math.inf)) as flooded:
            server = flooded._process.instance
            for each in seconds:
                flooded.cast_nowait(Flooded.take(each))
            while server.handled < len(seconds):
                handled, now = server.handled, clock.now
                await trio.lowlevel.checkpoint()
                waits.append((server.handled - handled, clock.now - now))

    trio.run(main, clock=clock)
    return waits


# Seven that are quicker than 50/7 us leave time for more: see the next test.
@pytest.mark.parametrize("seconds", [0, 8e-6, 20e-6, 1.0])
@pytest.mark.parametrize("handlers", [1, 16, 100, 2000])
def test_flood_delays_others_by_sixteen_handlers_at_most(handlers: int, seconds: float) -> None:
    # OTP 169
    assert max(count for count, _ in flood([seconds] * handlers)) <= 16


@pytest.mark.parametrize("seconds", [1e-7, 1e-6, 3e-6, 6e-6])
def test_flood_of_quick_handlers_delays_others_by_their_time_budget_at_most(seconds: float) -> None:
    waits = flood([seconds] * 5000)
    assert max(time for _, time in waits) <= 2 * (STEP + BATCH * seconds) + 1e-9
    assert max(count for count, _ in waits) > 16


def test_slow_handlers_among_quick_ones_end_the_step_after_eight_at_most() -> None:
    pattern = [1e-7] * 20 + [1e-3] + [1e-7] * 40 + [1e-3] * 30
    waits = flood(pattern * 20)
    # Two steps, each with what it had before its budget was used up and with BATCH handlers more.
    assert max(time for _, time in waits) <= 2 * (STEP + BATCH * 1e-3) + 1e-9


async def test_an_object_that_is_not_a_message_leaves_the_timeout(
    autojump_clock: MockClock,
) -> None:
    class Timed(GenServer):
        def __init__(self) -> None:
            self.fired: list[float] = []

        async def init(self) -> None:
            self.set_timeout(10)

        async def handle_timeout(self) -> None:
            self.fired.append(trio.current_time())

        @handle_call
        async def get(self) -> None:
            pass

    async with open_server(Timed) as timed:
        began = trio.current_time()
        for _ in range(9):
            await trio.sleep(1)
            timed.send_request(Timed.get()).abandon()
            await trio_genserver.sys.get_state(timed)
        await trio.sleep(5)
        assert timed._process.instance.fired == [began + 10]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_flood_of_a_server_that_opens_its_nursery_meanwhile_delays_others_no_longer(
    asynchronous: bool, autojump_clock: MockClock
) -> None:
    # OTP 169
    handled = 0

    class Flooded(GenServer):
        @handle_cast
        async def take_async(self) -> None:
            nonlocal handled
            handled += 1

        @handle_cast
        def take(self) -> None:
            nonlocal handled
            handled += 1

    async with open_server(child_spec(Flooded).replace(mailbox_size=math.inf)) as flooded:
        for position in range(100):
            plain = not asynchronous and position % 10
            flooded.cast_nowait(Flooded.take() if plain else Flooded.take_async())
        while handled < 100:
            before = handled
            await trio.lowlevel.checkpoint()
            assert handled - before <= 16
