"""Races of tasks that are cancelled: at any checkpoint, also at the one nobody thought of.

The cancelling task does nothing but cancel, so that every schedule is a point at which it strikes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared


async def _cancel_somewhere(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work`, and cancel it after as much of it as the schedule wills."""
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def worker() -> None:
            with scope:
                await work()

        async def canceller() -> None:
            scope.cancel()

        nursery.start_soon(worker)
        nursery.start_soon(canceller)


async def cancelled_between_acquire_and_try() -> None:
    """A permit is taken, then there is a checkpoint, and only then the `try` that gives it back."""
    permit = trio.Semaphore(1)

    async def work() -> None:
        await permit.acquire()
        await checkpoint()
        try:
            await checkpoint()
        finally:
            permit.release()

    await _cancel_somewhere(work)
    async with permit:
        pass


async def cancelled_between_acquire_and_try_corrected() -> None:
    """Nothing is between the two."""
    permit = trio.Semaphore(1)

    async def work() -> None:
        await permit.acquire()
        try:
            await checkpoint()
            await checkpoint()
        finally:
            permit.release()

    await _cancel_somewhere(work)
    async with permit:
        pass


async def item_lost_on_cancel() -> None:
    """A worker has taken an item out of a queue when it is cancelled."""
    await _take_items(put_back=False)


async def item_lost_on_cancel_corrected() -> None:
    """What was taken and not done is put back."""
    await _take_items(put_back=True)


async def _take_items(*, put_back: bool) -> None:
    send, receive = trio.open_memory_channel[str](2)
    send.send_nowait("first")
    send.send_nowait("second")
    done: Shared[tuple[str, ...]] = Shared(())

    async def work() -> None:
        for _ in range(2):
            item = await receive.receive()
            try:
                await checkpoint()
                done.set((*done.get(), item))
            except trio.Cancelled:
                if put_back:
                    send.send_nowait(item)
                raise

    await _cancel_somewhere(work)
    left = receive.statistics().current_buffer_used
    require(left + len(done.get()) == 2, "each item is done or still to be done")


async def half_a_transfer() -> None:
    """Money has left one account and not reached the other."""
    ann, bob = Shared(10), Shared(10)

    async def work() -> None:
        ann.set(ann.get() - 5)
        await checkpoint()
        bob.set(bob.get() + 5)

    await _cancel_somewhere(work)
    require(ann.get() + bob.get() == 20, "no money is lost")


async def half_a_transfer_corrected() -> None:
    """Once begun, it is shielded."""
    ann, bob = Shared(10), Shared(10)

    async def work() -> None:
        await checkpoint()
        with trio.CancelScope(shield=True):
            ann.set(ann.get() - 5)
            await checkpoint()
            bob.set(bob.get() + 5)

    await _cancel_somewhere(work)
    require(ann.get() + bob.get() == 20, "no money is lost")


async def count_not_undone() -> None:
    """A count of running jobs goes up before a job and down after it, if there is an after."""
    running = Shared(0)

    async def work() -> None:
        running.set(running.get() + 1)
        await checkpoint()
        running.set(running.get() - 1)

    await _cancel_somewhere(work)
    require(running.get() == 0, "no job runs when all have ended")


async def count_not_undone_corrected() -> None:
    """It goes down however the job ends."""
    running = Shared(0)

    async def work() -> None:
        running.set(running.get() + 1)
        try:
            await checkpoint()
        finally:
            running.set(running.get() - 1)

    await _cancel_somewhere(work)
    require(running.get() == 0, "no job runs when all have ended")


async def _close_afterwards(*, shield: bool) -> None:
    is_open = Shared(False)

    async def work() -> None:
        is_open.set(True)
        try:
            await checkpoint()
        finally:
            with trio.CancelScope(shield=shield):
                await checkpoint()
                is_open.set(False)

    await _cancel_somewhere(work)
    require(not is_open.get(), "what was opened is closed")


async def cleanup_not_shielded() -> None:
    """A connection is closed in `finally` by a call that is cancelled as well."""
    await _close_afterwards(shield=False)


async def cleanup_not_shielded_corrected() -> None:
    """The closing is shielded."""
    await _close_afterwards(shield=True)


async def _order_and_retry(*, with_key: bool) -> None:
    """An order is written down, confirmed at leisure, and sent again if no confirmation came."""
    orders: Shared[tuple[str, ...]] = Shared(())
    confirmed = Shared(False)

    async def place(key: str) -> None:
        await checkpoint()
        if not with_key or key not in orders.get():
            orders.set((*orders.get(), key))
        await checkpoint()
        confirmed.set(True)

    async def work() -> None:
        await place("order 1")

    await _cancel_somewhere(work)
    if not confirmed.get():
        await place("order 1")
    require(orders.get() == ("order 1",), "what was ordered once is there once")


async def retried_although_done() -> None:
    """A call was cancelled after it had taken effect; its caller tries again."""
    await _order_and_retry(with_key=False)


async def retried_although_done_corrected() -> None:
    """The retry bears the key of the first try, and what bears it already is not done again."""
    await _order_and_retry(with_key=True)


async def _fill_together(*, forget_on_cancel: bool) -> None:
    """The first task computes a value for all; it is cancelled, and the others wait for it."""
    computing: Shared[trio.Event | None] = Shared(None)
    value: Shared[int | None] = Shared(None)

    async def get() -> int:
        while True:
            known = value.get()
            if known is not None:
                return known
            computed = computing.get()
            if computed is not None:
                await computed.wait()
                continue
            computed = trio.Event()
            computing.set(computed)
            try:
                await checkpoint()
                value.set(7)
                computed.set()
            except trio.Cancelled:
                if forget_on_cancel:
                    computing.set(None)
                    computed.set()
                raise

    async def impatient() -> None:
        await get()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_somewhere, impatient)
        nursery.start_soon(get)


async def waiting_for_a_cancelled_leader() -> None:
    """A task computes a value that others wait for, and is cancelled before it has it."""
    await _fill_together(forget_on_cancel=False)


async def waiting_for_a_cancelled_leader_corrected() -> None:
    """Those who wait are woken, and one of them computes it."""
    await _fill_together(forget_on_cancel=True)


RACES = (
    PlantedRace(cancelled_between_acquire_and_try, cancelled_between_acquire_and_try_corrected),
    PlantedRace(item_lost_on_cancel, item_lost_on_cancel_corrected),
    PlantedRace(half_a_transfer, half_a_transfer_corrected),
    PlantedRace(count_not_undone, count_not_undone_corrected),
    PlantedRace(cleanup_not_shielded, cleanup_not_shielded_corrected),
    PlantedRace(retried_although_done, retried_although_done_corrected),
    PlantedRace(waiting_for_a_cancelled_leader, waiting_for_a_cancelled_leader_corrected),
)
