"""triotp: gen_server, supervisor and mailbox on Trio. A server is a module; here one made at run time."""

from __future__ import annotations

import gc
import importlib
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from .timing import BURST, Stopwatch, resident_bytes

gen_server: Any = importlib.import_module("triotp.gen_server")
mailbox: Any = importlib.import_module("triotp.mailbox")
supervisor: Any = importlib.import_module("triotp.supervisor")
logbook: Any = importlib.import_module("logbook")

DISTRIBUTION = "triotp"


async def _init(_argument: object) -> int:
    return 0


async def _handle_call(message: tuple[str, int], _caller: object, state: int) -> tuple[Any, int]:
    match message:
        case ("increment", by):
            return gen_server.Reply(state + by), state + by
        case _:
            raise ValueError(message)


async def _handle_cast(message: tuple[str, int], state: int) -> tuple[Any, int]:
    match message:
        case ("add", by):
            return gen_server.NoReply(), state + by
        case ("stop", _):
            return gen_server.Stop(), state
        case _:
            raise ValueError("as asked")


async def _terminate(_reason: object, _state: int) -> None:
    """Without one, it would log each crash."""


Counter = SimpleNamespace(
    __name__="counter",
    init=_init,
    handle_call=_handle_call,
    handle_cast=_handle_cast,
    terminate=_terminate,
)


async def _start(nursery: trio.Nursery, name: str) -> None:
    nursery.start_soon(gen_server.start, Counter, None, name)
    while True:
        # It does not say when it has started.
        try:
            await gen_server.call(name, ("increment", 0))
        except mailbox.MailboxDoesNotExist:
            await trio.lowlevel.checkpoint()
        else:
            return


def call_async(count: int, clients: int) -> float:
    async def client() -> None:
        for _ in range(count // clients):
            await gen_server.call("counter", ("increment", 1))

    async def main() -> float:
        mailbox._init()
        async with trio.open_nursery() as nursery:
            await _start(nursery, "counter")
            watch = Stopwatch(count)
            async with trio.open_nursery() as clients_nursery:
                for _ in range(clients):
                    clients_nursery.start_soon(client)
            each = watch.each
            assert await gen_server.call("counter", ("increment", 0)) == count
            nursery.cancel_scope.cancel()
        return each

    return trio.run(main)


def cast(count: int) -> float:
    async def main() -> float:
        mailbox._init()
        async with trio.open_nursery() as nursery:
            await _start(nursery, "counter")
            watch = Stopwatch(count)
            for _ in range(0, count, BURST):
                for _ in range(BURST):
                    await gen_server.cast("counter", ("add", 1))
                await trio.lowlevel.checkpoint()
            assert await gen_server.call("counter", ("increment", 0)) == count
            each = watch.each
            nursery.cancel_scope.cancel()
        return each

    return trio.run(main)


# The time for one grows with how many there are; 10,000 would take minutes.
MOST = {"start_stop": 1_000}


def start_stop(count: int) -> float:
    names = [f"counter {n}" for n in range(count)]

    async def main() -> float:
        mailbox._init()
        watch = Stopwatch(count)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(gen_server.start, Counter, None, name)
            await trio.testing.wait_all_tasks_blocked()
            for name in names:
                await gen_server.cast(name, ("stop", 0))
        return watch.each

    return trio.run(main)


def memory(count: int) -> float:
    async def main() -> float:
        mailbox._init()
        async with trio.open_nursery() as nursery:
            await _start(nursery, "counter")
            gc.collect()
            before = resident_bytes()
            for number in range(count):
                await _start(nursery, f"counter {number}")
            gc.collect()
            after = resident_bytes()
            nursery.cancel_scope.cancel()
        return (after - before) / count

    return trio.run(main)


def crash_restart(count: int) -> float:
    async def main() -> float:
        mailbox._init()
        children = [
            supervisor.child_spec(id="counter", task=gen_server.start, args=[Counter, None, "counter"])
        ]
        options = supervisor.options(max_restarts=10**9, max_seconds=5)

        async def answers() -> int:
            while True:
                try:
                    reply: int = await gen_server.call("counter", ("increment", 1))
                except (mailbox.MailboxDoesNotExist, trio.BrokenResourceError, trio.ClosedResourceError):
                    await trio.lowlevel.checkpoint()
                else:
                    return reply

        with logbook.NullHandler().applicationbound():
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.start, children, options)
                await answers()
                watch = Stopwatch(count)
                for _ in range(count):
                    await gen_server.cast("counter", ("crash", 0))
                    assert await answers() == 1
                each = watch.each
                nursery.cancel_scope.cancel()
        return each

    return trio.run(main)
