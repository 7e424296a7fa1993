"""Races over things that begin and end: used before they are ready, or after they are gone."""

from __future__ import annotations

from dataclasses import dataclass

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared


async def double_start() -> None:
    """A service is started by each task that finds none while the first start is under way."""
    service: Shared[str | None] = Shared(None)
    starts = Shared(0)

    async def use() -> None:
        if service.get() is None:
            starts.set(starts.get() + 1)
            await checkpoint()
            service.set("running")

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(use)
    require(starts.get() == 1, "the service is started once")


async def double_start_corrected() -> None:
    """The start is noted before it is awaited; whoever comes later waits for it."""
    running: Shared[trio.Event | None] = Shared(None)
    starts = Shared(0)

    async def use() -> None:
        started = running.get()
        if started is not None:
            await started.wait()
            return
        started = trio.Event()
        running.set(started)
        starts.set(starts.get() + 1)
        await checkpoint()
        started.set()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(use)
    require(starts.get() == 1, "the service is started once")


async def published_before_ready() -> None:
    """A flag says that the settings are loaded before they are."""
    loaded = Shared(False)
    settings: Shared[str | None] = Shared(None)

    async def load() -> None:
        loaded.set(True)
        await checkpoint()
        settings.set("dark mode")

    async def use() -> None:
        await checkpoint()
        if loaded.get():
            require(settings.get() is not None, "loaded settings are there")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        nursery.start_soon(use)


async def published_before_ready_corrected() -> None:
    """The flag is set last."""
    loaded = Shared(False)
    settings: Shared[str | None] = Shared(None)

    async def load() -> None:
        await checkpoint()
        settings.set("dark mode")
        loaded.set(True)

    async def use() -> None:
        await checkpoint()
        if loaded.get():
            require(settings.get() is not None, "loaded settings are there")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        nursery.start_soon(use)


async def delivered_after_unsubscribe() -> None:
    """News goes to a list of subscribers that was read before one of them left."""
    subscribers: Shared[tuple[str, ...]] = Shared(("ann", "bob"))
    gone = Shared(False)

    async def publish() -> None:
        for subscriber in subscribers.get():
            require(not (subscriber == "bob" and gone.get()), "who has left gets no news")
            await checkpoint()

    async def leave() -> None:
        subscribers.set(("ann",))
        gone.set(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        nursery.start_soon(leave)


async def delivered_after_unsubscribe_corrected() -> None:
    """Each delivery looks whether its subscriber is still there."""
    subscribers: Shared[tuple[str, ...]] = Shared(("ann", "bob"))
    gone = Shared(False)

    async def publish() -> None:
        for subscriber in subscribers.get():
            if subscriber in subscribers.get():
                require(not (subscriber == "bob" and gone.get()), "who has left gets no news")
            await checkpoint()

    async def leave() -> None:
        subscribers.set(("ann",))
        gone.set(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        nursery.start_soon(leave)


@dataclass(slots=True)
class _Connection:
    users: Shared[int]
    is_open: Shared[bool]


async def closed_while_in_use() -> None:
    """The last user of a connection closes it, while the next one has just taken it."""
    connection = _Connection(users=Shared(0), is_open=Shared(True))

    async def use() -> None:
        if not connection.is_open.get():
            return
        connection.users.set(connection.users.get() + 1)
        await checkpoint()
        require(connection.is_open.get(), "a connection in use is open")
        connection.users.set(connection.users.get() - 1)
        if connection.users.get() == 0:
            await checkpoint()
            connection.is_open.set(False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        nursery.start_soon(use)


async def closed_while_in_use_corrected() -> None:
    """The count is looked at again when the close is about to happen."""
    connection = _Connection(users=Shared(0), is_open=Shared(True))

    async def use() -> None:
        if not connection.is_open.get():
            return
        connection.users.set(connection.users.get() + 1)
        await checkpoint()
        require(connection.is_open.get(), "a connection in use is open")
        connection.users.set(connection.users.get() - 1)
        await checkpoint()
        if connection.users.get() == 0:
            connection.is_open.set(False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        nursery.start_soon(use)


async def _shut_down_slowly(*, look_again: bool) -> None:
    """A worker that registers itself, and a shutdown of many steps that ends what is registered."""
    registered = Shared(False)
    is_shut_down = Shared(False)
    ended = Shared(False)

    async def work() -> None:
        if look_again and is_shut_down.get():
            ended.set(True)
            return
        registered.set(True)

    async def shut_down() -> None:
        for _ in range(8):
            await checkpoint()
        is_shut_down.set(True)
        if registered.get():
            ended.set(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(shut_down)
    require(ended.get(), "a shutdown ends every worker")


async def registered_after_shutdown() -> None:
    """A worker is so slow to start that the whole shutdown is over before it registers."""
    await _shut_down_slowly(look_again=False)


async def registered_after_shutdown_corrected() -> None:
    """It looks whether there is anything to register with."""
    await _shut_down_slowly(look_again=True)


RACES = (
    PlantedRace(double_start, double_start_corrected),
    PlantedRace(published_before_ready, published_before_ready_corrected),
    PlantedRace(delivered_after_unsubscribe, delivered_after_unsubscribe_corrected),
    PlantedRace(closed_while_in_use, closed_while_in_use_corrected),
    PlantedRace(registered_after_shutdown, registered_after_shutdown_corrected),
)
