"""Statements about channels, queues and streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable

import trio
import trio.testing

from tests.sim.strategies.trio_grammar.synchronization import simple
from tests.sim.strategies.trio_grammar.world import Act, Maker, World

checkpoint = trio.lowlevel.checkpoint


channel = simple(
    lambda world, which, number: world.channels[which][0].send_nowait(number),
    lambda world, which, number: world.channels[which][1].receive_nowait(),
    lambda world, which, number: world.channels[which][0].close(),
    lambda world, which, number: world.channels[which][1].close(),
)

channel_look = simple(
    lambda world, which, number: world.channels[which][0].statistics().current_buffer_used,
    lambda world, which, number: world.channels[which][1].statistics().tasks_waiting_receive,
    lambda world, which, number: world.channels[which][1].statistics().tasks_waiting_send,
    lambda world, which, number: world.channels[which][0].statistics().open_send_channels,
    lambda world, which, number: world.channels[which][0].statistics().open_receive_channels,
)


def channel_wait(maker: Maker) -> Act:
    which, number, sends = maker.which(), maker.random.randint(1, 9), maker.random.random() < 0.5

    async def act(world: World) -> Hashable:
        if sends:
            await world.channels[which][0].send(number)
            return "sent"
        return await world.channels[which][1].receive()

    return act


def channel_aclose(maker: Maker) -> Act:
    which, end = maker.which(), maker.random.randint(0, 1)

    async def act(world: World) -> Hashable:
        await world.channels[which][end].aclose()
        return "closed"

    return act


def channel_clone(maker: Maker) -> Act:
    which, number, sends = maker.which(), maker.random.randint(1, 9), maker.random.random() < 0.5
    waits = maker.random.random() < 0.5

    async def act(world: World) -> Hashable:
        if sends:
            with world.channels[which][0].clone() as sender:
                if waits:
                    await sender.send(number)
                else:
                    await checkpoint()
                    sender.send_nowait(number)
            return "sent"
        async with world.channels[which][1].clone() as receiver:
            if waits:
                return await receiver.receive()
            await checkpoint()
            return receiver.receive_nowait()

    return act


def channel_loop(maker: Maker) -> Act:
    which = maker.which()

    async def act(world: World) -> Hashable:
        return tuple([item async for item in world.channels[which][1]])

    return act


def channel_branch(maker: Maker) -> Act:
    which, number = maker.which(), maker.random.randint(1, 9)
    sent, full = maker.block(1), maker.block(1)

    async def act(world: World) -> Hashable:
        try:
            world.channels[which][0].send_nowait(number)
        except trio.WouldBlock:
            await full.run(world)
            return "full"
        await sent.run(world)
        return "sent"

    return act


def safe_channel(maker: Maker) -> Act:
    which, breaks = maker.which(), maker.random.random() < 0.5

    async def act(world: World) -> Hashable:
        @trio.as_safe_channel
        async def values() -> AsyncGenerator[int]:
            for _ in range(2):
                await checkpoint()
                yield world.cells[which].get()

        seen: list[int] = []
        async with values() as received:
            async for value in received:
                seen.append(value)
                if breaks:
                    break
        return tuple(seen)

    return act


queue = simple(
    lambda world, which, number: world.queue.put_nowait(number),
    lambda world, which, number: tuple(world.queue.get_batch_nowait()),
    lambda world, which, number: world.queue.qsize(),
    lambda world, which, number: world.queue.empty(),
    lambda world, which, number: world.queue.statistics().tasks_waiting,
)


def queue_wait(maker: Maker) -> Act:
    async def act(world: World) -> Hashable:
        return tuple(await world.queue.get_batch())

    return act


def stream(maker: Maker) -> Act:
    which, end = maker.which(), maker.random.randint(0, 1)
    action = maker.random.choice(("send", "receive", "receive", "ready", "eof", "close"))

    async def act(world: World) -> Hashable:
        stream = world.streams[which][end]
        match action:
            case "send":
                await stream.send_all(b"x")
            case "receive":
                return bytes(await stream.receive_some(1))
            case "ready":
                await stream.wait_send_all_might_not_block()
            case "eof":
                await stream.send_eof()
            case _:
                await stream.aclose()
        return action

    return act


def stream_nowait(maker: Maker) -> Act:
    end = maker.random.randint(0, 1)
    action = maker.random.choice(("get", "put", "put_eof", "close_send", "close_receive", "pump", "hook"))

    async def act(world: World) -> Hashable:
        stream = world.streams[0][end]
        sender: trio.testing.MemorySendStream = stream.send_stream
        receiver: trio.testing.MemoryReceiveStream = stream.receive_stream
        match action:
            case "get":
                return bytes(sender.get_data_nowait())
            case "put":
                receiver.put_data(b"y")
            case "put_eof":
                receiver.put_eof()
            case "close_send":
                sender.close()
            case "close_receive":
                receiver.close()
            case "pump":
                return trio.testing.memory_stream_pump(sender, receiver)
            case _:
                had, sender.send_all_hook = sender.send_all_hook, None
                return had is not None
        return action

    return act


STATEMENTS = (
    channel,
    channel,
    channel_look,
    channel_wait,
    channel_wait,
    channel_aclose,
    channel_clone,
    channel_loop,
    channel_branch,
    safe_channel,
    queue,
    queue_wait,
    stream,
    stream,
    stream_nowait,
)
