"""What a Trio programmer writes without the library: the columns that ours is measured against.

All of it runs in one thread that never waits for anything outside. So that thread's processor time is what it
takes on a machine that has nothing else to do; it is the `clock`, unless another is asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio
import trio.testing

Message: TypeAlias = "tuple[int, trio.MemorySendChannel[int]]"
Clock: TypeAlias = Callable[[], float]
Task: TypeAlias = Callable[[], Awaitable[None]]

__all__ = ["Clock", "call", "call_nowait", "call_with_timeout", "one_way", "spawn_stop"]


async def call(clients: int, calls: int, *, clock: Clock = time.thread_time) -> float:
    """Two persistent memory channels, one each way, no timeout: microseconds a call."""
    requests, served = trio.open_memory_channel[Message](0)

    async def server() -> None:
        value = 0
        async for by, reply in served:
            value += by
            await reply.send(value)

    async def client() -> None:
        reply, replies = trio.open_memory_channel[int](0)
        for _ in range(calls // clients):
            await requests.send((1, reply))
            await replies.receive()

    return await _timed(server, client, clients, calls, clock)


async def call_nowait(clients: int, calls: int, *, clock: Clock = time.thread_time) -> float:
    """The same with unbounded buffers and `send_nowait` both ways: no backpressure, and the least ticks."""
    requests, served = trio.open_memory_channel[Message](math.inf)

    async def server() -> None:
        value = 0
        async for by, reply in served:
            value += by
            reply.send_nowait(value)

    async def client() -> None:
        reply, replies = trio.open_memory_channel[int](1)
        for _ in range(calls // clients):
            requests.send_nowait((1, reply))
            await replies.receive()

    return await _timed(server, client, clients, calls, clock)


async def call_with_timeout(clients: int, calls: int, *, clock: Clock = time.thread_time) -> float:
    """A channel for each reply and a cancel scope for each call, as the tutorials have it."""
    requests, served = trio.open_memory_channel[Message](0)

    async def server() -> None:
        value = 0
        async for by, reply in served:
            value += by
            await reply.send(value)

    async def client() -> None:
        for _ in range(calls // clients):
            reply, replies = trio.open_memory_channel[int](1)
            with trio.fail_after(5):
                await requests.send((1, reply))
                await replies.receive()

    return await _timed(server, client, clients, calls, clock)


async def _timed(server: Task, client: Task, clients: int, calls: int, clock: Clock) -> float:
    async with trio.open_nursery() as servers:
        servers.start_soon(server)
        await trio.testing.wait_all_tasks_blocked()
        begin = clock()
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(client)
        took = clock() - begin
        servers.cancel_scope.cancel()
    return took / calls * 1e6


async def one_way(messages: int, *, clock: Clock = time.thread_time) -> float:
    """`send_nowait` into a memory channel and `receive` on the other side: microseconds a message."""
    send, receive = trio.open_memory_channel[int](math.inf)
    value = 0

    async def server() -> None:
        nonlocal value
        async for by in receive:
            value += by

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        await trio.testing.wait_all_tasks_blocked()
        begin = clock()
        for start in range(0, messages, 500):
            for _ in range(start, start + 500):
                send.send_nowait(1)
            await trio.lowlevel.checkpoint()
        send.close()
    took = clock() - begin
    assert value == messages
    return took / messages * 1e6


async def spawn_stop(servers: int, *, clock: Clock = time.thread_time) -> float:
    """A nursery task with a memory channel each, started, ready, closed, gone: microseconds a server."""

    async def server(receive: trio.MemoryReceiveChannel[Message], task_status: trio.TaskStatus[None]) -> None:
        value = 0
        task_status.started()
        async for by, reply in receive:
            value += by
            reply.send_nowait(value)

    begin = clock()
    async with trio.open_nursery() as nursery:
        sends: list[trio.MemorySendChannel[Message]] = []
        for _ in range(servers):
            send, receive = trio.open_memory_channel[Message](1000)
            await nursery.start(server, receive)
            sends.append(send)
        for send in sends:
            send.close()
    return (clock() - begin) / servers * 1e6
