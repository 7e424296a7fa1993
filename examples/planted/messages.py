"""Races of tasks that send each other messages: late, lost, twice, or in another order."""

from __future__ import annotations

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared


async def _ask_twice(*, a_channel_each: bool) -> None:
    """A client gives a question up and asks another one."""
    questions, inbox = trio.open_memory_channel[tuple[str, trio.MemorySendChannel[str]]](2)
    reply_here, replies = trio.open_memory_channel[str](2)

    async def server() -> None:
        async with inbox:
            async for question, reply in inbox:
                await checkpoint()
                reply.send_nowait(f"answer to {question}")

    async def give_up(patience: trio.CancelScope) -> None:
        patience.cancel()

    async def client() -> None:
        nonlocal reply_here, replies
        async with questions:
            patience = trio.CancelScope()
            nursery.start_soon(give_up, patience)
            with patience:
                await questions.send(("q1", reply_here))
                await replies.receive()
            if a_channel_each:
                reply_here, replies = trio.open_memory_channel[str](2)
            await questions.send(("q2", reply_here))
            require(await replies.receive() == "answer to q2", "the answer is to the question")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        nursery.start_soon(client)


async def late_reply() -> None:
    """The reply to a question that was given up is taken for the reply to the next one."""
    await _ask_twice(a_channel_each=False)


async def late_reply_corrected() -> None:
    """Each question has a reply channel of its own."""
    await _ask_twice(a_channel_each=True)


async def _two_paths(*, same_path: bool) -> None:
    """A thing is made and removed; the news of both reach an observer through relays."""
    to_observer, observed = trio.open_memory_channel[str](2)
    to_first, first = trio.open_memory_channel[str](2)
    to_second, second = trio.open_memory_channel[str](2)

    async def relay(source: trio.MemoryReceiveChannel[str], target: trio.MemorySendChannel[str]) -> None:
        async with source, target:
            async for news in source:
                await target.send(news)

    async with trio.open_nursery() as nursery:
        async with to_observer:
            nursery.start_soon(relay, first, to_observer.clone())
            nursery.start_soon(relay, second, to_observer.clone())
        async with to_first, to_second:
            await to_first.send("made")
            await (to_first if same_path else to_second).send("removed")
        things = 0
        async for news in observed:
            things += 1 if news == "made" else -1
            require(things >= 0, "nothing is removed before it is made")


async def reordered_through_two_paths() -> None:
    """Two messages go through two relays, and the second overtakes the first."""
    await _two_paths(same_path=False)


async def reordered_through_two_paths_corrected() -> None:
    """What must stay in order takes one path."""
    await _two_paths(same_path=True)


async def _restart_server(*, keep_mailbox: bool) -> None:
    """A server ends and is started again, while a client sends to it."""
    mailbox: Shared[tuple[trio.MemorySendChannel[trio.Event], trio.MemoryReceiveChannel[trio.Event]]] = (
        Shared(trio.open_memory_channel[trio.Event](1))
    )

    async def server(*, crash: bool) -> None:
        receive = mailbox.get()[1]
        if crash:
            await checkpoint()
            return
        (await receive.receive()).set()

    async def supervisor() -> None:
        await server(crash=True)
        if not keep_mailbox:
            mailbox.set(trio.open_memory_channel[trio.Event](1))
        await server(crash=False)

    async def client() -> None:
        answered = trio.Event()
        mailbox.get()[0].send_nowait(answered)
        await answered.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor)
        nursery.start_soon(client)


async def dropped_at_restart() -> None:
    """A message waits in the mailbox of a server that is started again with a new one."""
    await _restart_server(keep_mailbox=False)


async def dropped_at_restart_corrected() -> None:
    """The mailbox outlives the server."""
    await _restart_server(keep_mailbox=True)


async def _stop_consumer(*, drain: bool) -> None:
    send, receive = trio.open_memory_channel[int](3)
    consumed = Shared(0)

    async def produce() -> None:
        async with send:
            for number in range(3):
                await send.send(number)
        if not drain:
            consuming.cancel()

    async def consume() -> None:
        with consuming:
            async for _ in receive:
                consumed.set(consumed.get() + 1)

    async with trio.open_nursery() as nursery:
        consuming = trio.CancelScope()
        nursery.start_soon(produce)
        nursery.start_soon(consume)
    require(consumed.get() == 3, "what was produced is consumed")


async def stopped_before_drained() -> None:
    """A consumer is stopped when the producer is done, whatever is still in the queue."""
    await _stop_consumer(drain=False)


async def stopped_before_drained_corrected() -> None:
    """It ends when the queue is closed and empty."""
    await _stop_consumer(drain=True)


async def _read_own_write(*, through_the_queue: bool) -> None:
    value = Shared("old")
    send, receive = trio.open_memory_channel[tuple[str, trio.Event]](2)

    async def writer() -> None:
        async for action, done in receive:
            if action == "write":
                value.set("new")
            done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer)
        async with send:
            await send.send(("write", trio.Event()))
            if through_the_queue:
                read = trio.Event()
                await send.send(("read", read))
                await read.wait()
            require(value.get() == "new", "a client sees what it wrote")


async def read_past_the_queue() -> None:
    """A write waits in a queue; the read of it goes straight to the value."""
    await _read_own_write(through_the_queue=False)


async def read_past_the_queue_corrected() -> None:
    """The read queues behind the write."""
    await _read_own_write(through_the_queue=True)


async def _apply_changes(*, workers: int) -> None:
    send, receive = trio.open_memory_channel[int](3)
    value = Shared(0)

    async def worker() -> None:
        async for change in receive:
            await checkpoint()
            value.set(change)

    async with trio.open_nursery() as nursery:
        for _ in range(workers):
            nursery.start_soon(worker)
        async with send:
            for change in (1, 2, 3):
                await send.send(change)
    require(value.get() == 3, "the last change of a key wins")


async def two_workers_for_one_key() -> None:
    """Changes of one key are taken by whichever worker is free, and end in any order."""
    await _apply_changes(workers=2)


async def two_workers_for_one_key_corrected() -> None:
    """A key has one worker."""
    await _apply_changes(workers=1)


async def _follow(*, subscribe_first: bool) -> None:
    value = Shared(0)
    subscriber: Shared[trio.MemorySendChannel[int] | None] = Shared(None)

    async def publish() -> None:
        await checkpoint()
        value.set(1)
        channel = subscriber.get()
        if channel is not None:
            channel.send_nowait(1)

    async def follow() -> None:
        send, receive = trio.open_memory_channel[int](2)
        if subscribe_first:
            subscriber.set(send)
            await checkpoint()
            seen = value.get()
        else:
            seen = value.get()
            await checkpoint()
            subscriber.set(send)
        while seen != 1:
            seen = await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        nursery.start_soon(follow)


async def snapshot_then_subscribe() -> None:
    """A follower reads the state, then subscribes to its changes; one falls in between."""
    await _follow(subscribe_first=False)


async def snapshot_then_subscribe_corrected() -> None:
    """It subscribes first."""
    await _follow(subscribe_first=True)


async def _acknowledge(*, save_first: bool) -> None:
    saved, acknowledged = Shared(False), Shared(False)

    async def server() -> None:
        with crash:
            if not save_first:
                acknowledged.set(True)
            await checkpoint()
            saved.set(True)
            if save_first:
                acknowledged.set(True)

    async def power_fails() -> None:
        crash.cancel()

    async with trio.open_nursery() as nursery:
        crash = trio.CancelScope()
        nursery.start_soon(server)
        nursery.start_soon(power_fails)
    require(saved.get() or not acknowledged.get(), "what was acknowledged is saved")


async def acknowledged_before_saved() -> None:
    """A server crashes after it has said that it saved, and before it has."""
    await _acknowledge(save_first=False)


async def acknowledged_before_saved_corrected() -> None:
    """It says so afterwards."""
    await _acknowledge(save_first=True)


async def _lease(*, fenced: bool) -> None:
    """Two leaders in turn; the first is slow to notice that its lease is over."""
    leader, term = Shared("ann"), Shared(1)
    written: Shared[tuple[int, str]] = Shared((0, "nobody"))

    def write(name: str, with_term: int) -> None:
        if not fenced or with_term >= written.get()[0]:
            written.set((with_term, name))

    async def lead(name: str) -> None:
        with_term = term.get()
        if leader.get() == name:
            await checkpoint()
            write(name, with_term)

    async def elect() -> None:
        term.set(2)
        leader.set("bob")
        await lead("bob")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lead, "ann")
        nursery.start_soon(elect)
    require(written.get()[1] == leader.get(), "the last word is the leader's")


async def two_leaders() -> None:
    """A leader writes after it was replaced, on the strength of what it looked at before."""
    await _lease(fenced=False)


async def two_leaders_corrected() -> None:
    """Each write bears its term, and one of an older term is refused."""
    await _lease(fenced=True)


RACES = (
    PlantedRace(late_reply, late_reply_corrected),
    PlantedRace(reordered_through_two_paths, reordered_through_two_paths_corrected),
    PlantedRace(dropped_at_restart, dropped_at_restart_corrected),
    PlantedRace(stopped_before_drained, stopped_before_drained_corrected),
    PlantedRace(read_past_the_queue, read_past_the_queue_corrected),
    PlantedRace(two_workers_for_one_key, two_workers_for_one_key_corrected),
    PlantedRace(snapshot_then_subscribe, snapshot_then_subscribe_corrected),
    PlantedRace(acknowledged_before_saved, acknowledged_before_saved_corrected),
    PlantedRace(two_leaders, two_leaders_corrected),
)
