"""Races between a server of `trio_genserver` and its clients: one message at a time is not enough."""

from __future__ import annotations

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared
from trio_genserver import (
    From,
    GenServer,
    ServerError,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
)


class Number(GenServer):
    """A number; with a `saved` cell, one that outlives the server."""

    def __init__(self, saved: Shared[int] | None = None) -> None:
        self.saved = Shared(0) if saved is None else saved

    @handle_call
    def get(self) -> int:
        return self.saved.get()

    @handle_call
    def put(self, value: int) -> None:
        self.saved.set(value)

    @handle_call
    def add(self, by: int) -> int:
        self.saved.set(self.saved.get() + by)
        return self.saved.get()

    @handle_cast
    def add_sometime(self, by: int) -> None:
        self.saved.set(self.saved.get() + by)

    @handle_cast
    def end(self) -> None:
        self.stop()


async def get_then_put() -> None:
    """Two clients get a number from its server and put back what they got plus one."""
    async with open_server(Number) as number:

        async def increment() -> None:
            seen = await number.call(Number.get())
            await number.call(Number.put(seen + 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)
        require(await number.call(Number.get()) == 2, "two increments add two")


async def get_then_put_corrected() -> None:
    """The server does the addition."""
    async with open_server(Number) as number:

        async def increment() -> None:
            await number.call(Number.add(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)
        require(await number.call(Number.get()) == 2, "two increments add two")


class Cache(GenServer):
    """Starts what it is asked for, once."""

    def __init__(self) -> None:
        self.running: Shared[frozenset[str]] = Shared(frozenset())
        self.starts = Shared(0)

    async def _start(self, name: str) -> int:
        if name not in self.running.get():
            self.starts.set(self.starts.get() + 1)
            await checkpoint()
            self.running.set(self.running.get() | {name})
        return self.starts.get()

    @handle_call
    async def start(self, name: str) -> int:
        return await self._start(name)

    @handle_call(child=True)
    async def start_in_a_child(self, name: str) -> int:
        return await self._start(name)


async def handler_in_a_child_task() -> None:
    """A cache looks a name up in child tasks, which interleave where its handlers do not."""
    async with open_server(Cache) as cache:

        async def use() -> None:
            starts = await cache.call(Cache.start_in_a_child("bob"))
            require(starts == 1, "one server a name")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)


async def handler_in_a_child_task_corrected() -> None:
    """The lookup is a handler like any other: the mailbox waits."""
    async with open_server(Cache) as cache:

        async def use() -> None:
            starts = await cache.call(Cache.start("bob"))
            require(starts == 1, "one server a name")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)


class Disk(GenServer):
    """Keeps a value; writing takes a while."""

    def __init__(self) -> None:
        self.value = Shared("old")

    @handle_call
    def load(self) -> str:
        return self.value.get()

    @handle_call
    async def save(self, value: str) -> None:
        await checkpoint()
        self.value.set(value)

    @handle_cast(child=True)
    async def save_in_a_child(self, value: str) -> None:
        await checkpoint()
        self.value.set(value)


class Document(GenServer):
    """Loads itself from a disk when it starts, and saves itself there when it changes."""

    def __init__(self, disk: ServerRef[Disk]) -> None:
        self.disk = disk
        self.text = ""

    async def init(self) -> None:
        self.text = await self.disk.call(Disk.load())

    @handle_call
    def read(self) -> str:
        return self.text

    @handle_call
    async def write(self, text: str) -> None:
        self.text = text
        await self.disk.call(Disk.save(text))

    @handle_call
    async def write_behind(self, text: str) -> None:
        self.text = text
        await self.disk.cast(Disk.save_in_a_child(text))


async def _write_and_restart(*, write_behind: bool) -> None:
    write = Document.write_behind if write_behind else Document.write
    async with open_server(Disk) as disk:
        async with open_server(Document, disk) as document:
            await document.call(write("new"))
        async with open_server(Document, disk) as document:
            text = await document.call(Document.read())
            require(text == "new", "what was acknowledged is there after a restart")


async def stale_read_after_restart() -> None:
    """A server is started again, and loads what was there before its last write had ended."""
    await _write_and_restart(write_behind=True)


async def stale_read_after_restart_corrected() -> None:
    """It answers when the write has ended."""
    await _write_and_restart(write_behind=False)


class Bank(GenServer):
    """Two accounts in one server."""

    def __init__(self) -> None:
        self.ann, self.bob = Shared(10), Shared(0)

    @handle_call
    def transfer(self, amount: int) -> None:
        self.ann.set(self.ann.get() - amount)
        self.bob.set(self.bob.get() + amount)

    @handle_call
    def total(self) -> int:
        return self.ann.get() + self.bob.get()


async def two_servers_one_invariant() -> None:
    """Money goes from one server to another by two calls, and is counted in between."""
    async with open_server(Number, Shared(10)) as ann, open_server(Number) as bob:

        async def transfer() -> None:
            await ann.call(Number.add(-5))
            await bob.call(Number.add(5))

        async def audit() -> None:
            total = await ann.call(Number.get()) + await bob.call(Number.get())
            require(total == 10, "money is neither made nor lost")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(transfer)
            nursery.start_soon(audit)


async def two_servers_one_invariant_corrected() -> None:
    """What belongs together is in one server."""
    async with open_server(Bank) as bank:

        async def transfer() -> None:
            await bank.call(Bank.transfer(5))

        async def audit() -> None:
            total = await bank.call(Bank.total())
            require(total == 10, "money is neither made nor lost")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(transfer)
            nursery.start_soon(audit)


class Versioned(GenServer):
    """A version that clients can wait for."""

    def __init__(self) -> None:
        self.version = Shared(0)
        self.waiting: list[From[int]] = []

    @handle_call
    def current(self) -> int:
        return self.version.get()

    @handle_call(noreply=True)
    def next_change(self, from_: From[int]) -> None:
        self.waiting.append(from_)

    @handle_call(noreply=True)
    def later_than(self, from_: From[int], seen: int) -> None:
        if self.version.get() > seen:
            from_.reply(self.version.get())
        else:
            self.waiting.append(from_)

    @handle_cast
    def change(self) -> None:
        self.version.set(self.version.get() + 1)
        for from_ in self.waiting:
            from_.reply(self.version.get())
        self.waiting.clear()


async def _wait_for_a_change(*, later_than_seen: bool) -> None:
    async with open_server(Versioned) as server:

        async def follow() -> None:
            seen = await server.call(Versioned.current())
            if seen == 0:
                if later_than_seen:
                    seen = await server.call(Versioned.later_than(seen))
                else:
                    seen = await server.call(Versioned.next_change())
            require(seen == 1, "a follower sees the change")

        async def change() -> None:
            await server.cast(Versioned.change())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            nursery.start_soon(change)


async def change_missed_between_calls() -> None:
    """A client asks for the state, then to be told of the next change; it came in between."""
    await _wait_for_a_change(later_than_seen=False)


async def change_missed_between_calls_corrected() -> None:
    """It asks for what is later than what it has seen."""
    await _wait_for_a_change(later_than_seen=True)


async def _count_over_a_restart(*, with_answer: bool) -> None:
    saved = Shared(0)
    spec = child_spec(Number, saved).replace(id="number")
    async with open_supervisor([spec]) as supervisor:
        number = supervisor.child("number")

        async def add() -> None:
            if not with_answer:
                await number.cast(Number.add_sometime(1))
                return
            while True:
                try:
                    await number.call(Number.add(1))
                except ServerError:
                    await trio.sleep(1)
                else:
                    return

        async def end() -> None:
            await number.cast(Number.end())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(end)
        await trio.sleep(1)
        require(saved.get() == 1, "what was sent to a server is done")


async def cast_dropped_at_restart() -> None:
    """A cast waits in the mailbox of a server that ends with the message before it."""
    await _count_over_a_restart(with_answer=False)


async def cast_dropped_at_restart_corrected() -> None:
    """A call says whether it was done; this one is sent again if it was not."""
    await _count_over_a_restart(with_answer=True)


RACES = (
    PlantedRace(get_then_put, get_then_put_corrected),
    PlantedRace(handler_in_a_child_task, handler_in_a_child_task_corrected),
    PlantedRace(stale_read_after_restart, stale_read_after_restart_corrected),
    PlantedRace(two_servers_one_invariant, two_servers_one_invariant_corrected),
    PlantedRace(change_missed_between_calls, change_missed_between_calls_corrected),
    PlantedRace(cast_dropped_at_restart, cast_dropped_at_restart_corrected),
)
