"""Races of tasks that wait for each other: wake-ups that are missed, and waits in a circle."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared


async def lost_wakeup() -> None:
    """A consumer finds nothing, then registers to be woken; what came in between wakes nobody."""
    items = Shared(0)
    waiter: Shared[trio.Event | None] = Shared(None)

    async def consume() -> None:
        if items.get() == 0:
            await checkpoint()
            woken = trio.Event()
            waiter.set(woken)
            await woken.wait()
        items.set(items.get() - 1)

    async def produce() -> None:
        items.set(items.get() + 1)
        woken = waiter.get()
        if woken is not None:
            woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(produce)


async def lost_wakeup_corrected() -> None:
    """Looking and registering are one step."""
    items = Shared(0)
    waiter: Shared[trio.Event | None] = Shared(None)

    async def consume() -> None:
        await checkpoint()
        if items.get() == 0:
            woken = trio.Event()
            waiter.set(woken)
            await woken.wait()
        items.set(items.get() - 1)

    async def produce() -> None:
        items.set(items.get() + 1)
        woken = waiter.get()
        if woken is not None:
            woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(produce)


async def _bounded_buffer(*, wake_all: bool) -> None:
    """Two producers and two consumers of a buffer for one item, who all wait at one condition."""
    full = Shared(False)
    changed = trio.Condition()

    def wake() -> None:
        if wake_all:
            changed.notify_all()
        else:
            changed.notify()

    async def produce() -> None:
        async with changed:
            while full.get():
                await changed.wait()
            full.set(True)
            wake()

    async def consume() -> None:
        async with changed:
            while not full.get():
                await changed.wait()
            full.set(False)
            wake()

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(produce)
            nursery.start_soon(consume)
            nursery.start_soon(produce)
            nursery.start_soon(consume)


async def notify_wakes_the_wrong_one() -> None:
    """Producers and consumers wait at one condition, and one wake-up goes to the wrong kind."""
    await _bounded_buffer(wake_all=False)


async def notify_wakes_the_wrong_one_corrected() -> None:
    """All are woken, and each looks whether it can go on."""
    await _bounded_buffer(wake_all=True)


async def _two_consumers(*, look_again: bool) -> None:
    items = Shared(0)
    changed = trio.Condition()

    async def consume() -> None:
        async with changed:
            if look_again:
                while items.get() == 0:
                    await changed.wait()
            elif items.get() == 0:
                await changed.wait()
            require(items.get() > 0, "who was woken finds an item")
            items.set(items.get() - 1)

    async def produce() -> None:
        for _ in range(2):
            async with changed:
                items.set(items.get() + 1)
                changed.notify_all()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        nursery.start_soon(consume)
        nursery.start_soon(produce)


async def woken_but_too_late() -> None:
    """A consumer that was woken takes its item for granted; another one has taken it."""
    await _two_consumers(look_again=False)


async def woken_but_too_late_corrected() -> None:
    """The condition is looked at again after each wake-up."""
    await _two_consumers(look_again=True)


async def _hold_both(*orders: Sequence[trio.Lock]) -> None:
    async def work(locks: Sequence[trio.Lock]) -> None:
        async with locks[0]:
            await checkpoint()
            async with locks[1]:
                await checkpoint()

    async with trio.open_nursery() as nursery:
        for locks in orders:
            nursery.start_soon(work, locks)


async def deadlock_by_lock_order() -> None:
    """Two tasks take the same two locks in opposite order."""
    a, b = trio.Lock(), trio.Lock()
    await _hold_both((a, b), (b, a))


async def deadlock_by_lock_order_corrected() -> None:
    """Everybody takes them in the same order."""
    a, b = trio.Lock(), trio.Lock()
    await _hold_both((a, b), (a, b))


async def dining_philosophers() -> None:
    """Four philosophers each hold their left fork and wait for the right one."""
    forks = [trio.Lock() for _ in range(4)]
    await _hold_both(*((forks[i], forks[(i + 1) % 4]) for i in range(4)))


async def dining_philosophers_corrected() -> None:
    """Everybody takes the fork with the lower number first."""
    forks = [trio.Lock() for _ in range(4)]
    await _hold_both((forks[0], forks[1]), (forks[1], forks[2]), (forks[2], forks[3]), (forks[0], forks[3]))


async def permits_one_by_one() -> None:
    """Two tasks need two permits each, of two, and take them one by one."""
    permits = trio.Semaphore(2)

    async def copy() -> None:
        async with permits:
            await checkpoint()
            async with permits:
                await checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy)
        nursery.start_soon(copy)


async def permits_one_by_one_corrected() -> None:
    """Only one task at a time is collecting."""
    permits = trio.Semaphore(2)
    collecting = trio.Lock()

    async def copy() -> None:
        async with collecting:
            await permits.acquire()
            await permits.acquire()
        await checkpoint()
        permits.release()
        permits.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy)
        nursery.start_soon(copy)


async def lock_held_while_receiving() -> None:
    """A task waits for a message with the lock held that the sender needs first."""
    await _ask_for_news(receive_outside=False)


async def lock_held_while_receiving_corrected() -> None:
    """The lock is taken when the message is there."""
    await _ask_for_news(receive_outside=True)


async def _ask_for_news(*, receive_outside: bool) -> None:
    lock = trio.Lock()
    send, receive = trio.open_memory_channel[str](1)

    async def reader() -> None:
        if receive_outside:
            await receive.receive()
            async with lock:
                await checkpoint()
        else:
            async with lock:
                await receive.receive()

    async def writer() -> None:
        async with lock:
            await send.send("news")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer)
        nursery.start_soon(reader)


async def event_replaced() -> None:
    """A gate is closed again by putting a new event in place of one that somebody waits for."""
    gate = Shared(trio.Event())

    async def pass_through() -> None:
        opened = gate.get()
        await opened.wait()

    async def close_and_open() -> None:
        gate.set(trio.Event())
        await checkpoint()
        gate.get().set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_through)
        nursery.start_soon(close_and_open)


async def event_replaced_corrected() -> None:
    """Whoever waits is woken when the gate is closed, and waits at the new one."""
    gate = Shared(trio.Event())
    is_open = Shared(False)

    async def pass_through() -> None:
        while not is_open.get():
            await gate.get().wait()

    async def close_and_open() -> None:
        is_open.set(False)
        old = gate.get()
        gate.set(trio.Event())
        old.set()
        await checkpoint()
        is_open.set(True)
        gate.get().set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_through)
        nursery.start_soon(close_and_open)


async def _two_rounds(*, a_barrier_a_round: bool) -> None:
    """Two tasks that meet after each of two rounds of work."""
    arrived = [Shared(0), Shared(0)]
    opened = [trio.Event(), trio.Event()]
    done = [Shared(0), Shared(0)]

    async def work() -> None:
        for number in range(2):
            done[number].set(done[number].get() + 1)
            await checkpoint()
            barrier = number if a_barrier_a_round else 0
            arrived[barrier].set(arrived[barrier].get() + 1)
            if arrived[barrier].get() == 2:
                opened[barrier].set()
            await opened[barrier].wait()
            require(done[number].get() == 2, "who has passed the barrier finds the round done")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(work)


async def barrier_used_twice() -> None:
    """A barrier that was opened for the first round is open in the second."""
    await _two_rounds(a_barrier_a_round=False)


async def barrier_used_twice_corrected() -> None:
    """Each round has its own."""
    await _two_rounds(a_barrier_a_round=True)


async def started_too_early() -> None:
    """A task reports that it has started before it listens."""
    listening = Shared(False)

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await checkpoint()
        listening.set(True)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        require(listening.get(), "a server that has started is listening")


async def started_too_early_corrected() -> None:
    """It reports when it does."""
    listening = Shared(False)

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        await checkpoint()
        listening.set(True)
        task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        require(listening.get(), "a server that has started is listening")


RACES = (
    PlantedRace(lost_wakeup, lost_wakeup_corrected),
    PlantedRace(notify_wakes_the_wrong_one, notify_wakes_the_wrong_one_corrected),
    PlantedRace(woken_but_too_late, woken_but_too_late_corrected),
    PlantedRace(deadlock_by_lock_order, deadlock_by_lock_order_corrected),
    PlantedRace(dining_philosophers, dining_philosophers_corrected),
    PlantedRace(permits_one_by_one, permits_one_by_one_corrected),
    PlantedRace(lock_held_while_receiving, lock_held_while_receiving_corrected),
    PlantedRace(event_replaced, event_replaced_corrected),
    PlantedRace(barrier_used_twice, barrier_used_twice_corrected),
    PlantedRace(started_too_early, started_too_early_corrected),
)
