from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_genserver import (
    From,
    GenServer,
    MailboxFull,
    Refuse,
    Request,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    wait_all,
)
from trio_genserver.instruments import (
    Envelope,
    Instrument,
    LoggingInstrument,
    add_instrument,
    remove_instrument,
)


class Desk(GenServer):
    def __init__(self) -> None:
        self.value = 0
        self.froms: list[From[str]] = []

    async def handle_info(self, message: object) -> None:
        self.value += 1

    @handle_call
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @handle_call
    async def wait(self, event: trio.Event) -> str:
        await event.wait()
        return "waited"

    @handle_call(child=True)
    async def work(self) -> str:
        await trio.lowlevel.checkpoint()
        return "worked"

    @handle_call(noreply=True)
    def later(self, from_: From[str]) -> None:
        self.froms.append(from_)

    @handle_call
    def refuse(self) -> None:
        raise Refuse(LookupError("not here"))

    @handle_call
    def crash(self) -> None:
        raise RuntimeError("boom")

    @handle_cast
    def put(self, value: int) -> None:
        self.value = value


class Recorder(Instrument):
    """Every event, as text, and the envelopes of each message."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.envelopes: list[Envelope] = []

    def note(self, event: str, message: object = "") -> None:
        name = getattr(getattr(message, "handler", None), "name", None) or message
        self.events.append(f"{event} {name}".strip())

    def server_started(self, server: ServerRef[Any]) -> None:
        self.note("started", server.name)

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.note("sent", envelope.message)

    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.note("received", envelope.message)

    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.note("handled", envelope.message)

    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.note("replied", envelope.message)

    def message_abandoned(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.note("abandoned", envelope.message)

    def message_dropped(self, server: ServerRef[Any], envelope: Envelope, why: str) -> None:
        self.envelopes.append(envelope)
        self.note(f"dropped, {why}:", envelope.message)

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        self.note(f"crashed {error!r}", message)

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        self.note(f"restarted {restarts} {reason!r}")

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        self.note(f"stopped {reason!r}")


@pytest.fixture
async def seen() -> Recorder:
    recorder = Recorder()
    add_instrument(recorder)
    return recorder


async def test_a_call_and_a_cast_are_seen_once_at_every_step(seen: Recorder) -> None:
    async with open_server(Desk) as desk:
        await desk.call(Desk.add(1))
        await wait_all_tasks_blocked()
        await desk.cast(Desk.put(1))
        await wait_all_tasks_blocked()
        desk.cast_nowait(Desk.put(2))
        await wait_all_tasks_blocked()
        await desk.send("text")
    assert seen.events == [
        "started Desk",
        *("sent add", "received add", "replied add", "handled add"),
        *("sent put", "received put", "handled put") * 2,
        *("sent text", "received text", "handled text"),
        "stopped 'normal'",
    ]


async def test_the_envelope_of_a_message_is_one_object_all_the_way(seen: Recorder) -> None:
    async with open_server(Desk) as desk:
        await desk.call(Desk.add(1))
        await wait_all_tasks_blocked()
        assert len(set(map(id, seen.envelopes))) == 1
        assert len(seen.envelopes) == 4
        seen.envelopes.clear()
        await desk.cast(Desk.put(1))
        await wait_all_tasks_blocked()
        await desk.cast(Desk.put(1))
        await wait_all_tasks_blocked()
        first, second = seen.envelopes[:3], seen.envelopes[3:]
        # Equal messages are two messages.
        assert len(set(map(id, first))) == len(set(map(id, second))) == 1
        assert first[0] is not second[0]


async def test_a_child_task_and_a_late_answer_are_seen_when_they_happen(seen: Recorder) -> None:
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:
        assert await desk.call(Desk.work()) == "worked"
        await wait_all_tasks_blocked()
        assert seen.events[1:] == ["sent work", "received work", "replied work", "handled work"]
        del seen.events[:]
        nursery.start_soon(desk.call, Desk.later())
        await wait_all_tasks_blocked()
        assert seen.events == ["sent later", "received later", "handled later"]
        desk._process.instance.froms[0].reply("at last")
        assert seen.events[3:] == ["replied later"]


async def test_a_call_that_is_given_up_is_seen_as_withdrawn_or_as_a_late_reply(
    seen: Recorder, autojump_clock: MockClock
) -> None:
    event = trio.Event()
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:
        begun, queued = trio.CancelScope(), trio.CancelScope()

        async def call(scope: trio.CancelScope, message: Any) -> None:
            with scope:
                await desk.call(message)

        nursery.start_soon(call, begun, Desk.wait(event))
        await wait_all_tasks_blocked()
        nursery.start_soon(call, queued, Desk.add(1))
        await wait_all_tasks_blocked()
        queued.cancel()
        begun.cancel()
        await wait_all_tasks_blocked()
        event.set()
    assert seen.events == [
        "started Desk",
        *("sent wait", "received wait", "sent add"),
        *("abandoned add", "dropped, withdrawn: add", "abandoned wait"),
        *("dropped, late reply: wait", "handled wait"),
        "stopped 'normal'",
    ]


async def test_what_is_not_handled_is_seen_as_dropped_with_the_reason(seen: Recorder) -> None:
    spec = child_spec(Desk).replace(mailbox_size=1, overflow="drop_newest")
    async with open_server(spec) as desk, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(desk.call, Desk.wait(event))
        await wait_all_tasks_blocked()
        desk.cast_nowait(Desk.put(1))
        desk.cast_nowait(Desk.put(2))
        assert seen.events[-1] == "dropped, mailbox full: put"
        event.set()
        await wait_all_tasks_blocked()
        with pytest.raises(LookupError):
            await desk.call(Desk.refuse())
        await wait_all_tasks_blocked()
        assert seen.events[-4:] == ["sent refuse", "received refuse", "replied refuse", "handled refuse"]
        await desk.stop()
        await desk.cast(Desk.put(3))
        with pytest.raises(ServerNotRunning):
            await desk.call(Desk.add(1))
    assert seen.events[-3:] == ["stopped 'normal'", "dropped, not running: put", "dropped, not running: add"]


async def test_a_crash_a_restart_and_the_end_are_seen_in_order(
    seen: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_supervisor([child_spec(Desk)], name="root") as root:
        desk: ServerRef[Any] = root.child("Desk")
        with pytest.raises(ServerCrashed):
            await desk.call(Desk.crash())
        await wait_all_tasks_blocked()
        assert await desk.call(Desk.add(1)) == 1
    own = [event for event in seen.events if "root" not in event]
    assert own[:7] == [
        "started Desk",
        *("sent crash", "received crash", "crashed RuntimeError('boom') crash", "replied crash"),
        *("stopped RuntimeError('boom')", "started Desk"),
    ]
    assert own[7] == "restarted 1 RuntimeError('boom')"
    assert own[8:12] == ["sent add", "received add", "replied add", "handled add"]
    assert own[12:] == ["stopped 'shutdown'", "stopped 'normal'"]


async def test_an_instrument_sees_what_happens_from_when_it_is_installed() -> None:
    recorder = Recorder()
    async with open_server(Desk) as desk, trio.open_nursery() as nursery:
        event = trio.Event()
        await desk.call(Desk.add(1))
        nursery.start_soon(desk.call, Desk.wait(event))
        await wait_all_tasks_blocked()
        desk.cast_nowait(Desk.put(5))
        add_instrument(recorder)
        add_instrument(recorder)
        event.set()
        await wait_all_tasks_blocked()
        assert recorder.events == ["replied wait", "handled wait", "received put", "handled put"]
        remove_instrument(recorder)
        await desk.call(Desk.add(1))
        assert len(recorder.events) == 4
        with pytest.raises(KeyError):
            remove_instrument(recorder)


class Broken(Instrument):
    def __init__(self) -> None:
        self.calls = 0

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.calls += 1
        raise OSError("the instrument is broken")


async def test_an_instrument_that_raises_is_removed_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, broken, another, last = Recorder(), Broken(), Broken(), Recorder()
    for instrument in (first, broken, another, last):
        add_instrument(instrument)
    async with open_server(Desk) as desk:
        assert await desk.call(Desk.add(1)) == 1
        assert await desk.call(Desk.add(1)) == 2
    assert broken.calls == another.calls == 1
    assert first.events == last.events
    assert first.events.count("sent add") == 2
    assert [record.getMessage().split()[0] for record in caplog.records] == ["message_sent"] * 2
    assert "the instrument is broken" in caplog.text
    with pytest.raises(KeyError):
        remove_instrument(broken)


async def test_an_instrument_may_remove_itself_and_then_raise(caplog: pytest.LogCaptureFixture) -> None:
    class Once(Instrument):
        def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
            remove_instrument(self)
            raise OSError("gone")

    add_instrument(Once())
    recorder = Recorder()
    add_instrument(recorder)
    async with open_server(Desk) as desk:
        assert await desk.call(Desk.add(1)) == 1
    assert "sent add" in recorder.events


async def test_a_crash_and_a_restart_leave_one_record_each(caplog: pytest.LogCaptureFixture) -> None:
    async with open_supervisor([child_spec(Desk).replace(name="desk")]) as root:
        with pytest.raises(ServerCrashed):
            await root.child("Desk").call(Desk.crash())
        await wait_all_tasks_blocked()
    crash, restart = caplog.records
    assert (crash.name, crash.levelno) == ("trio_genserver", logging.ERROR)
    fields = vars(crash)
    assert fields["server"] == "desk"
    assert fields["message_handled"] == Desk.crash()
    assert fields["state"] == {"value": 0, "froms": []}
    assert crash.exc_info is not None
    assert repr(crash.exc_info[1]) == "RuntimeError('boom')"
    assert restart.levelno == logging.WARNING
    assert (vars(restart)["server"], vars(restart)["restarts"]) == ("desk", 1)


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", "tired")])
async def test_an_orderly_end_leaves_no_record(reason: object, caplog: pytest.LogCaptureFixture) -> None:
    async with open_server(Desk) as desk:
        await desk.stop(reason)
    assert caplog.records == []


async def test_the_default_logging_can_be_removed(caplog: pytest.LogCaptureFixture) -> None:
    remove_instrument(LoggingInstrument)
    async with open_supervisor([child_spec(Desk)]) as root:
        with pytest.raises(ServerCrashed):
            await root.child("Desk").call(Desk.crash())
        await wait_all_tasks_blocked()
    assert caplog.records == []


class Stopping(Desk):
    @handle_call
    def stop_by_raising(self) -> None:
        raise Stop("enough")

    @handle_cast
    def stop_on_cast(self) -> None:
        raise Stop("enough")

    @handle_call(child=True, max_children=1)
    async def take_turns(self, event: trio.Event) -> None:
        await event.wait()

    @handle_cast(child=True, max_children=1)
    async def take_turns_unseen(self, event: trio.Event) -> None:
        await event.wait()


async def test_a_call_that_finds_the_mailbox_full_is_answered_with_that(seen: Recorder) -> None:
    async with open_server(child_spec(Desk).replace(mailbox_size=1)) as desk, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(desk.call, Desk.wait(event))
        await wait_all_tasks_blocked()
        desk.cast_nowait(Desk.put(1))
        del seen.events[:]
        with pytest.raises(MailboxFull):
            desk.send_request(Desk.add(1))
        assert seen.events == ["sent add", "dropped, mailbox full: add", "replied add"]
        del seen.events[:]
        with pytest.raises(MailboxFull):
            desk.cast_nowait(Desk.put(2))
        assert seen.events == ["sent put", "dropped, mailbox full: put"]
        event.set()


async def test_what_is_given_up_while_it_waits_for_room_is_withdrawn(seen: Recorder) -> None:
    async with open_server(child_spec(Desk).replace(mailbox_size=1)) as desk, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(desk.call, Desk.wait(event))
        await wait_all_tasks_blocked()
        desk.cast_nowait(Desk.put(1))
        for send, message, abandoned in (
            (desk.call, Desk.add(1), ["abandoned add"]),
            (desk.cast, Desk.put(2), []),
        ):
            del seen.events[:]
            waiting: Any = send
            async with trio.open_nursery() as waits:
                waits.start_soon(waiting, message)
                await wait_all_tasks_blocked()
                waits.cancel_scope.cancel()
            name = message.handler.name
            assert seen.events == [f"sent {name}", *abandoned, f"dropped, withdrawn: {name}"]
        assert desk.dropped == 2
        event.set()


async def test_a_handler_that_stops_its_server_is_seen_to_end(seen: Recorder) -> None:
    async with open_server(Stopping) as desk:
        with pytest.raises(ServerStopped):
            await desk.call(Stopping.stop_by_raising())
    sent = ["sent stop_by_raising", "received stop_by_raising"]
    assert seen.events[1:] == [
        *sent,
        "handled stop_by_raising",
        "replied stop_by_raising",
        "stopped 'enough'",
    ]
    del seen.events[:]
    async with open_server(Stopping) as desk:
        await desk.cast(Stopping.stop_on_cast())
        await desk.wait_stopped()
    assert seen.events[1:] == [
        *("sent stop_on_cast", "received stop_on_cast", "handled stop_on_cast"),
        "stopped 'enough'",
    ]


async def test_what_waits_for_its_turn_in_a_child_task_is_received_when_that_comes(seen: Recorder) -> None:
    async with open_server(Stopping) as desk:
        event = trio.Event()
        requests = [desk.send_request(Stopping.take_turns(event)) for _ in range(3)]
        await wait_all_tasks_blocked()
        assert seen.events[1:] == ["sent take_turns"] * 3 + ["received take_turns"]
        del seen.events[:]
        requests[1].abandon()
        assert seen.events == ["abandoned take_turns", "dropped, withdrawn: take_turns"]
        event.set()
        await requests[2].wait()
        await wait_all_tasks_blocked()
        ended = ["replied take_turns", "handled take_turns"]
        assert seen.events[2:] == [*ended, "received take_turns", *ended]


async def test_what_never_had_its_turn_is_answered_or_dropped_at_the_end(seen: Recorder) -> None:
    with trio.CancelScope() as scope:
        async with open_server(Stopping) as desk:
            for _ in range(2):
                desk.send_request(Stopping.take_turns(trio.Event()))
                desk.cast_nowait(Stopping.take_turns_unseen(trio.Event()))
            await wait_all_tasks_blocked()
            del seen.events[:]
            scope.cancel()
    assert sorted(seen.events) == sorted(
        ["replied take_turns"] * 2 + ["dropped, stopped: take_turns_unseen", "stopped 'normal'"]
    )


async def test_a_crash_in_a_child_task_names_the_message_with_its_arguments(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fragile(GenServer):
        @handle_cast(child=True)
        async def fail(self, what: str) -> None:
            raise RuntimeError(what)

    with pytest.raises(RuntimeError):
        async with open_server(Fragile) as fragile:
            await fragile.cast(Fragile.fail("this"))
            await trio.sleep_forever()
    assert vars(caplog.records[0])["message_handled"] == Fragile.fail("this")


tag: ContextVar[str] = ContextVar("tag", default="unset")


async def test_what_an_instrument_sets_at_the_receipt_the_handler_sees() -> None:
    # OTP 174
    class Carrying(Instrument):
        """Carries the sender's `tag` along with each message."""

        def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
            envelope.data = {self: tag.get()}

        def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
            assert envelope.data is not None
            tag.set(envelope.data[self])

    class Reader(GenServer):
        @handle_call
        def read(self) -> str:
            return tag.get()

        @handle_call(child=True, max_children=1)
        async def read_in_child(self, event: trio.Event) -> str:
            await event.wait()
            return tag.get()

    add_instrument(Carrying())
    async with open_server(Reader) as reader:
        event = trio.Event()
        requests: list[Request[str]] = []
        for name in ("first", "second", "third"):
            tag.set(name)
            # With one at a time, the end of each begins the next: it must not inherit its context.
            requests.append(reader.send_request(Reader.read_in_child(event)))
        tag.set("caller")
        assert await reader.call(Reader.read()) == "caller"
        event.set()
        assert await wait_all(requests) == ["first", "second", "third"]
