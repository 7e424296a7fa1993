"""Registries: unique names, groups, and entries that are gone before anyone can find a dead server."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    GenServer,
    InitStopped,
    InvalidSpec,
    Request,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.registry import (
    AlreadyRegistered,
    AlreadyStarted,
    DuplicateRegistry,
    Entry,
    NotRegistered,
    Registered,
    Registry,
    Unregistered,
)
from trio_genserver.supervision import ChildStartFailed


class Room(GenServer):
    """A server with nothing in it."""

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.seen: list[str] = []

    @handle_call
    def get_label(self) -> str:
        return self.label

    @handle_call
    def crash(self) -> None:
        raise ValueError(self.label)

    @handle_call
    async def crash_slowly(self) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(self.label)

    @handle_call
    def get_seen(self) -> list[str]:
        return self.seen

    @handle_cast
    def say(self, text: str) -> None:
        self.seen.append(text)


class FailsInInit(GenServer):
    async def init(self) -> None:
        raise Stop("no room")


class SlowInit(Room):
    def __init__(self, go: trio.Event) -> None:
        super().__init__("slow")
        self.go = go

    async def init(self) -> None:
        await self.go.wait()


class SlowEnd(Room):
    """Its terminate takes as long as somebody says."""

    def __init__(self, go: trio.Event, log: list[str]) -> None:
        super().__init__("slow")
        self.go = go
        self.log = log

    async def init(self) -> None:
        self.log.append("init")

    async def terminate(self, reason: object) -> None:
        self.log.append("terminate")
        await self.go.wait()
        self.log.append("terminated")


class Listener(GenServer):
    mailbox_size = 1

    def __init__(self) -> None:
        self.events: list[object] = []

    async def handle_info(self, message: object) -> None:
        self.events.append(message)

    @handle_call
    def get_events(self) -> list[object]:
        return self.events

    @handle_call
    async def block(self, until: trio.Event) -> None:
        await until.wait()


# Names.


async def test_a_second_start_under_a_taken_name_is_refused_and_given_the_live_server() -> None:
    # OTP 7
    rooms: Registry[Room] = Registry("rooms")
    spec = child_spec(Room, "first").replace(via=rooms.via("lobby"))
    async with trio.open_nursery() as nursery:
        first = await start_server(nursery, spec)
        with pytest.raises(AlreadyStarted, match="'lobby'") as caught:
            await start_server(nursery, child_spec(Room, "second").replace(via=rooms.via("lobby")))
        assert caught.value.ref is first
        assert caught.value.key == "lobby"
        assert await first.call(Room.get_label()) == "first"
        await first.stop()


async def test_a_second_start_is_refused_while_the_first_is_still_in_its_init() -> None:  # OTP 7
    rooms: Registry[Room] = Registry()
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start_server, nursery, child_spec(SlowInit, go).replace(via=rooms.via(1)))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(AlreadyStarted) as caught:
            await start_server(nursery, child_spec(Room).replace(via=rooms.via(1)))
        labels: list[str] = []

        async def ask(ref: ServerRef[Room]) -> None:
            labels.append(await ref.call(Room.get_label()))

        nursery.start_soon(ask, caught.value.ref)
        await trio.testing.wait_all_tasks_blocked()
        assert labels == []
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert labels == ["slow"]
        nursery.cancel_scope.cancel()


async def test_a_name_is_free_again_when_a_start_under_it_has_failed() -> None:  # OTP 8
    rooms: Registry[Any] = Registry()
    for _ in range(5):
        with pytest.raises(InitStopped):
            async with open_server(child_spec(FailsInInit).replace(via=rooms.via("lobby"))):
                raise AssertionError("it must not start")
        assert "lobby" not in rooms
        assert len(rooms) == 0
    async with open_server(child_spec(Room, "ok").replace(via=rooms.via("lobby"))) as room:
        assert rooms["lobby"] is room


async def test_a_name_is_free_again_when_a_start_under_it_was_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:  # OTP 8
    rooms: Registry[Room] = Registry()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1) as scope:
            await start_server(nursery, child_spec(SlowInit, trio.Event()).replace(via=rooms.via("a")))
    assert scope.cancelled_caught
    assert rooms.lookup("a") is None
    assert list(rooms) == []


@pytest.mark.parametrize("via", ["lobby", 3, object(), Room])
def test_a_via_that_is_not_a_name_of_a_registry_is_refused_with_its_value(via: object) -> None:
    # OTP 11, OTP 141
    with pytest.raises(InvalidSpec, match="via of a child specification") as caught:
        child_spec(Room).replace(via=via)
    assert caught.value.value is via
    assert repr(via) in str(caught.value)


def test_a_key_that_is_not_hashable_is_refused_with_its_value() -> None:  # OTP 11
    rooms: Registry[Room] = Registry()
    with pytest.raises(TypeError, match=r"\['lobby'\]"):
        rooms.via(["lobby"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # that is the point


def test_an_unknown_key_is_an_error_that_names_key_and_registry() -> None:  # OTP 141
    rooms: Registry[Room] = Registry("rooms")
    with pytest.raises(NotRegistered, match="no server is registered under 'lobby' in rooms"):
        rooms["lobby"]
    with pytest.raises(NotRegistered):
        rooms.value("lobby")


async def test_none_is_not_a_name_so_any_number_of_servers_may_have_it() -> None:  # OTP 12
    spec = child_spec(Room, "x").replace(via=None, name=None)
    assert spec.name == "Room"
    async with open_server(spec) as one, open_server(spec) as other:
        assert await one.call(Room.get_label()) == await other.call(Room.get_label()) == "x"


async def test_a_server_is_stopped_by_its_name_which_is_free_afterwards() -> None:  # OTP 17
    rooms: Registry[Room] = Registry()
    spec = child_spec(Room, "x").replace(via=rooms.via("lobby"))
    async with trio.open_nursery() as nursery:
        first = await start_server(nursery, spec)
        await rooms.via("lobby").stop()
        assert not first.is_running
        with pytest.raises(ServerNotRunning):
            await rooms.via("lobby").stop()
        second = await start_server(nursery, spec)
        assert rooms["lobby"] is second
        await second.stop()


async def test_a_supervisor_survives_a_child_whose_name_is_taken() -> None:  # OTP 92
    rooms: Registry[Room] = Registry()
    async with (
        open_server(child_spec(Room, "outside").replace(via=rooms.via("lobby"))) as outside,
        open_supervisor([]) as supervisor,
    ):
        with pytest.raises(ChildStartFailed) as caught:
            await supervisor.start_child(child_spec(Room, "inside").replace(via=rooms.via("lobby")))
        cause = caught.value.__cause__
        assert isinstance(cause, AlreadyStarted)
        assert cause.ref is outside
        other = await supervisor.start_child(child_spec(Room, "inside").replace(via=rooms.via("attic")))
        assert await other.call(Room.get_label()) == "inside"
        assert rooms["lobby"] is outside


async def test_a_restarted_child_has_its_name_again() -> None:
    rooms: Registry[Room] = Registry()
    spec = child_spec(Room, "x").replace(via=rooms.via("lobby", {"seats": 4}))
    async with open_supervisor([spec]) as supervisor:
        assert supervisor.child("Room") is rooms["lobby"]
        with pytest.raises(ServerCrashed):
            await rooms["lobby"].call(Room.crash())
        await trio.testing.wait_all_tasks_blocked()
        assert await rooms.via("lobby").call(Room.get_label()) == "x"
        assert rooms.value("lobby") == {"seats": 4}


# Unique keys.


async def test_a_second_register_is_refused_and_given_the_holder() -> None:  # OTP 132
    rooms: Registry[Room] = Registry("rooms")
    async with open_server(Room, "a") as a, open_server(Room, "b") as b:
        rooms.register("lobby", a)
        with pytest.raises(AlreadyRegistered, match="'lobby'") as caught:
            rooms.register("lobby", b)
        assert caught.value.ref is a
        with pytest.raises(AlreadyRegistered):
            rooms.register("lobby", a)
        assert rooms.lookup("lobby") is a
        rooms.register("attic", b)
        assert rooms.lookup("attic") is b


async def test_a_name_is_usable_wherever_a_reference_is_and_carries_a_value() -> None:  # OTP 133
    rooms: Registry[Room] = Registry()
    lobby = rooms.via("lobby", "a value")
    assert not lobby.is_running
    with pytest.raises(ServerNotRunning, match="lobby is not running"):
        await lobby.call(Room.get_label())
    await lobby.cast(Room.say("to nobody"))
    async with open_server(child_spec(Room, "x").replace(via=lobby)) as room:
        assert lobby.is_running
        assert rooms.value("lobby") == "a value"
        assert await lobby.call(Room.get_label()) == "x"
        await lobby.cast(Room.say("one"))
        lobby.cast_nowait(Room.say("two"))
        request = lobby.send_request(Room.get_seen())
        assert await request.wait() == ["one", "two"]
        assert rooms.lookup("lobby") is room
    assert not lobby.is_running
    assert lobby.mailbox_length == 0
    assert await lobby.wait_stopped() == "noproc"


@pytest.mark.parametrize("key", ["lobby", None])
async def test_a_call_to_a_name_that_nobody_has_fails_at_once_and_says_to_whom_and_what(
    key: str | None, path: str
) -> None:  # OTP 29
    name = Registry[Room]("rooms").via(key)
    with (
        trio.testing.assert_checkpoints(),
        pytest.raises(ServerNotRunning, match=r"is not running.*Room\.get_label\(\)") as caught,
    ):
        await name.call(Room.get_label())
    assert (caught.value.server, caught.value.request) == (name.name, Room.get_label())
    assert str(key) in name.name
    with pytest.raises(ServerNotRunning, match=r"Room\.get_label\(\)"):
        name.send_request(Room.get_label()).check()


async def test_a_server_cannot_be_registered_when_it_has_ended() -> None:
    rooms: Registry[Room] = Registry()
    async with open_server(Room) as room:
        pass
    with pytest.raises(ServerNotRunning):
        rooms.register("lobby", room)
    assert "lobby" not in rooms


@pytest.mark.parametrize("message", [Room.crash(), Room.crash_slowly()], ids=["inline", "in the server"])
async def test_nobody_finds_a_server_that_has_crashed(message: Any) -> None:  # OTP 134
    """Whoever runs after the crash, whatever woke them up: a server that is found takes messages."""
    rooms: Registry[Any] = Registry()
    groups: DuplicateRegistry[Any] = DuplicateRegistry()
    found_dead: list[str] = []
    done = False

    async def look_at_each_step() -> None:
        while not done:
            found = [rooms.lookup("lobby"), *groups.lookup("all")]
            found_dead.extend(repr(ref) for ref in found if ref is not None and not ref.is_running)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_at_each_step)
        async with open_supervisor([child_spec(Room, "x").replace(restart="temporary")]) as supervisor:
            room = supervisor.child("Room", Room)
            rooms.register("lobby", room)
            groups.register("all", room)
            groups.register("all", room, 2)
            with pytest.raises(ServerCrashed):
                await room.call(message)
            assert rooms.lookup("lobby") is None
            assert groups.lookup("all") == []
            assert len(rooms) == len(groups) == 0
        done = True
    assert found_dead == []


class SlowChild(GenServer):
    """Its child task takes a while to end."""

    def __init__(self, go: trio.Event) -> None:
        self.go = go

    async def init(self) -> None:
        self.start_task(self.work)

    async def work(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.go.wait()

    @handle_call
    async def crash(self) -> None:
        raise ValueError("crashed")


@pytest.mark.parametrize("how", ["crash", "kill", "stop"])
async def test_nobody_finds_a_server_whose_child_tasks_are_yet_to_end(how: str) -> None:  # OTP 134
    names: Registry[SlowChild] = Registry()
    go = trio.Event()
    spec = child_spec(SlowChild, go).replace(via=names.via("x"), restart="temporary")
    async with open_supervisor([spec]) as supervisor, trio.open_nursery() as nursery:
        ref = supervisor.child("SlowChild", SlowChild)
        await trio.testing.wait_all_tasks_blocked()
        requests: list[Request[None]] = []
        if how == "crash":
            requests.append(ref.send_request(SlowChild.crash()))
        elif how == "kill":
            nursery.start_soon(supervisor.terminate_child, "SlowChild")
        else:
            nursery.start_soon(ref.stop)
        await trio.testing.wait_all_tasks_blocked()
        assert "x" not in names
        assert not ref.is_running
        with pytest.raises(ServerNotRunning):
            await ref.call(SlowChild.crash())
        go.set()
        for request in requests:
            with pytest.raises(ServerCrashed):
                await request.wait()


async def test_a_name_is_hidden_during_terminate_and_a_start_under_it_waits() -> None:  # OTP 134
    rooms: Registry[Any] = Registry()
    go = trio.Event()
    log: list[str] = []
    spec = child_spec(SlowEnd, go, log).replace(via=rooms.via("lobby"), shutdown=1000)
    async with trio.open_nursery() as nursery:
        first = await start_server(nursery, spec)
        nursery.start_soon(first.stop)
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["init", "terminate"]
        assert rooms.lookup("lobby") is None
        async with open_server(Room) as other:
            with pytest.raises(AlreadyRegistered):
                rooms.register("lobby", other)
        nursery.start_soon(start_server, nursery, spec)
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["init", "terminate"]
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["init", "terminate", "terminated", "init"]
        assert rooms["lobby"] is not first
        nursery.cancel_scope.cancel()


async def test_a_start_that_waits_for_a_name_can_be_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rooms: Registry[Any] = Registry()
    go = trio.Event()
    log: list[str] = []
    spec = child_spec(SlowEnd, go, log).replace(via=rooms.via("lobby"), shutdown=1000)
    async with trio.open_nursery() as nursery:
        first = await start_server(nursery, spec)
        nursery.start_soon(first.stop)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await start_server(nursery, spec)
        assert scope.cancelled_caught
        go.set()
    assert log == ["init", "terminate", "terminated"]
    assert rooms._holder("lobby") is None


async def test_of_two_starts_that_wait_for_a_name_one_gets_it() -> None:
    rooms: Registry[Any] = Registry()
    go = trio.Event()
    log: list[str] = []
    spec = child_spec(SlowEnd, go, log).replace(via=rooms.via("lobby"), shutdown=1000)
    outcomes: list[str] = []

    async def start() -> None:
        try:
            await start_server(nursery, spec)
        except AlreadyStarted as error:
            outcomes.append(f"refused for {error.ref.name} {error.ref is rooms['lobby']}")
        else:
            outcomes.append("started")

    async with trio.open_nursery() as nursery:
        first = await start_server(nursery, spec)
        nursery.start_soon(first.stop)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(start)
        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(outcomes) == ["refused for lobby True", "started"]
        nursery.cancel_scope.cancel()


async def test_only_the_owner_updates_the_value() -> None:  # OTP 135
    rooms: Registry[Room] = Registry("rooms")
    async with open_server(Room, "a") as a, open_server(Room, "b") as b:
        rooms.register("lobby", a, 1)
        assert rooms.update_value("lobby", a, lambda value: value + 1) == 2
        with pytest.raises(NotRegistered, match="Room is not registered under 'lobby' in rooms"):
            rooms.update_value("lobby", b, lambda _: 99)
        with pytest.raises(NotRegistered):
            rooms.update_value("attic", a, lambda _: 99)
        assert rooms.value("lobby") == 2


@pytest.mark.parametrize("make", [Registry[Room], DuplicateRegistry[Room]])
async def test_unregister_removes_only_what_is_ones_own_and_may_be_repeated(
    make: type[Registry[Room]] | type[DuplicateRegistry[Room]],
) -> None:  # OTP 136
    rooms = make()
    async with open_server(Room, "a") as a, open_server(Room, "b") as b:
        rooms.register("lobby", a)
        rooms.register("attic", a)
        rooms.unregister("lobby", b)
        assert "lobby" in rooms
        rooms.unregister("lobby", a)
        rooms.unregister("lobby", a)
        assert "lobby" not in rooms
        assert "attic" in rooms
        rooms.register("lobby", b)
        rooms.unregister_all(a)
        rooms.unregister_all(a)
        assert [entry.key for entry in rooms] == ["lobby"]
    assert len(rooms) == 0


async def test_a_registry_keeps_nothing_of_servers_that_were_unregistered() -> None:  # OTP 136
    rooms: Registry[Room] = Registry()
    async with open_server(Room) as room:
        for key in range(3):
            rooms.register(key, room)
            rooms.unregister(key, room)
        assert not room._process.lifecycle.on_ending
        assert not rooms._by_process
        assert not rooms._by_key


# Duplicate keys.


async def test_dispatch_reaches_every_server_under_a_key_and_no_other() -> None:  # OTP 137
    topics: DuplicateRegistry[Room] = DuplicateRegistry()
    async with open_server(Room, "a") as a, open_server(Room, "b") as b, open_server(Room, "c") as c:
        topics.register("news", a, "first")
        topics.register("news", b, "second")
        topics.register("news", a, "third")
        topics.register("sport", c)
        assert topics.lookup("news") == [a, b, a]
        values: list[object] = []

        def tell(entry: Entry[Room]) -> None:
            values.append(entry.value)
            entry.ref.cast_nowait(Room.say(f"{entry.key}"))

        assert topics.dispatch("news", tell) == 3
        assert topics.dispatch("weather", tell) == 0
        assert values == ["first", "second", "third"]
        assert await a.call(Room.get_seen()) == ["news", "news"]
        assert await b.call(Room.get_seen()) == ["news"]
        assert await c.call(Room.get_seen()) == []


async def test_a_dispatch_that_fails_for_one_server_reaches_the_others() -> None:  # OTP 137
    topics: DuplicateRegistry[Room] = DuplicateRegistry("topics")
    async with open_server(Room, "a") as a, open_server(Room, "b") as b:
        topics.register("news", a)
        topics.register("news", b)

        def tell(entry: Entry[Room]) -> None:
            if entry.ref is a:
                raise RuntimeError("not to a")
            entry.ref.cast_nowait(Room.say("news"))

        with pytest.raises(ExceptionGroup, match="dispatching to 'news' in topics") as caught:
            topics.dispatch("news", tell)
        assert [str(error) for error in caught.value.exceptions] == ["not to a"]
        assert await b.call(Room.get_seen()) == ["news"]


# Introspection.


async def test_a_registry_is_searched_by_iterating_over_it() -> None:  # OTP 138
    rooms: DuplicateRegistry[Room] = DuplicateRegistry("rooms")
    async with open_server(Room, "a") as a, open_server(Room, "b") as b:
        for seats, (key, ref) in enumerate([("x", a), ("y", b), ("x", b)]):
            rooms.register(key, ref, seats)
        assert len(rooms) == rooms.count() == 3
        assert rooms.count(lambda entry: entry.value > 0) == 2
        assert sorted(entry.value for entry in rooms) == [0, 1, 2]
        assert rooms.entries("x") == [Entry("x", a, 0), Entry("x", b, 2)]
        assert rooms.entries("z") == []
        assert rooms.keys_of(b) == ["y", "x"]
        assert [entry.value for entry in rooms if entry.ref is b] == [2, 1]
        for entry in rooms:
            if entry.value == 0:
                rooms.unregister(entry.key, entry.ref)
        assert rooms.lookup("x") == [b]
        assert "rooms, 2 entries" in repr(rooms)


# Listeners.


async def test_a_listening_server_is_told_of_every_change_even_with_a_full_mailbox() -> None:  # OTP 139
    rooms: Registry[Room] = Registry()
    go = trio.Event()
    async with trio.open_nursery() as nursery, open_server(Listener) as listener:
        rooms.listen(listener)
        nursery.start_soon(listener.call, Listener.block(go))
        await trio.testing.wait_all_tasks_blocked()
        listener.send_nowait("fills the mailbox")
        async with open_server(Room) as room:
            for key in range(3):
                rooms.register(key, room, key * 10)
            rooms.unregister(1, room)
        go.set()
        assert await listener.call(Listener.get_events()) == [
            "fills the mailbox",
            Registered(rooms, 0, room, 0),
            Registered(rooms, 1, room, 10),
            Registered(rooms, 2, room, 20),
            Unregistered(rooms, 1, room),
            Unregistered(rooms, 0, room),
            Unregistered(rooms, 2, room),
        ]
        rooms.unlisten(listener)
        async with open_server(Room) as room:
            rooms.register("late", room)
        assert len(await listener.call(Listener.get_events())) == 7


async def test_a_listening_function_finds_no_entry_of_the_server_that_ends() -> None:  # OTP 139
    rooms: Registry[Room] = Registry()
    seen: list[tuple[type, int]] = []
    rooms.listen(lambda event: seen.append((type(event), len(rooms))))
    async with open_server(Room) as room:
        rooms.register(1, room)
        rooms.register(2, room)
    assert seen == [(Registered, 1), (Registered, 2), (Unregistered, 0), (Unregistered, 0)]


async def test_a_listening_function_that_raises_is_removed_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:  # OTP 139
    rooms: Registry[Room] = Registry("rooms")
    calls: list[object] = []

    def broken(event: object) -> None:
        calls.append(event)
        raise RuntimeError("a broken listener")

    rooms.listen(broken)
    async with open_server(Room) as room:
        rooms.register(1, room)
        rooms.register(2, room)
        assert len(rooms) == 2
    assert len(calls) == 1
    assert "of rooms raised; it is removed" in caplog.text


# Locks.


async def test_a_lock_is_held_by_one_a_key_and_passed_on_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:  # OTP 140
    rooms: Registry[Room] = Registry()
    log: list[str] = []

    async def hold(key: str, who: str) -> None:
        async with rooms.lock(key):
            log.append(f"{who} in")
            await trio.sleep(1)
            log.append(f"{who} out")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, "x", "a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(hold, "x", "b")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(hold, "y", "other")
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["a in", "other in"]
    assert [entry for entry in log if "other" not in entry] == ["a in", "a out", "b in", "b out"]
    assert not rooms._locks


async def test_a_lock_is_free_again_when_its_holder_or_a_waiter_is_cancelled() -> None:  # OTP 140
    rooms: Registry[Room] = Registry()
    inside = trio.Event()
    scopes = [trio.CancelScope() for _ in range(2)]

    async def hold(scope: trio.CancelScope) -> None:
        with scope:
            async with rooms.lock("x"):
                await trio.sleep_forever()

    async def take() -> None:
        async with rooms.lock("x"):
            inside.set()

    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(hold, scope)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        scopes[1].cancel()  # the waiter
        await trio.testing.wait_all_tasks_blocked()
        assert not inside.is_set()
        scopes[0].cancel()  # the holder
        await trio.testing.wait_all_tasks_blocked()
        assert inside.is_set()
    assert not rooms._locks


async def test_a_lock_is_free_again_when_its_holder_raises() -> None:  # OTP 140
    rooms: Registry[Room] = Registry()
    with pytest.raises(RuntimeError):
        async with rooms.lock("x"):
            raise RuntimeError
    async with rooms.lock("x"):
        pass
    assert not rooms._locks
