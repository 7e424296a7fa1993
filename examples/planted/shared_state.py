"""Races over a value that several tasks read and write."""

from __future__ import annotations

import trio
from trio.lowlevel import checkpoint

from examples.planted._planted import PlantedRace, require
from sim._dependence.shared import Shared


async def lost_update() -> None:
    """Two tasks read a number, then both write what they read plus one."""
    number = Shared(0)

    async def increment() -> None:
        seen = number.get()
        await checkpoint()
        number.set(seen + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    require(number.get() == 2, "two increments add two")


async def lost_update_corrected() -> None:
    """A lock is held from the read to the write."""
    number = Shared(0)
    lock = trio.Lock()

    async def increment() -> None:
        async with lock:
            seen = number.get()
            await checkpoint()
            number.set(seen + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    require(number.get() == 2, "two increments add two")


async def check_then_act() -> None:
    """An account is checked, then debited, and another task debits it in between."""
    balance = Shared(100)

    async def withdraw(amount: int) -> None:
        if balance.get() >= amount:
            await checkpoint()
            balance.set(balance.get() - amount)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw, 80)
        nursery.start_soon(withdraw, 70)
    require(balance.get() >= 0, "nobody withdraws what is not there")


async def check_then_act_corrected() -> None:
    """What takes time comes first; nothing awaits between the check and the debit."""
    balance = Shared(100)

    async def withdraw(amount: int) -> None:
        await checkpoint()
        if balance.get() >= amount:
            balance.set(balance.get() - amount)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(withdraw, 80)
        nursery.start_soon(withdraw, 70)
    require(balance.get() >= 0, "nobody withdraws what is not there")


async def aba() -> None:
    """A compare-and-set succeeds because the top of a stack is again what it was, over others."""
    below: dict[str, str | None] = {"a": "b", "b": "c", "c": None}
    top: Shared[str | None] = Shared("a")
    popped: list[str] = []

    async def pop() -> None:
        while (node := top.get()) is not None:
            after = below[node]
            await checkpoint()
            if top.get() == node:
                top.set(after)
                popped.append(node)
                return

    async def pop_two_and_push_the_first_again() -> None:
        await pop()
        await pop()
        node = popped.pop(0)
        below[node] = top.get()
        top.set(node)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pop)
        nursery.start_soon(pop_two_and_push_the_first_again)
    rest = top.get()
    while rest is not None:
        require(rest not in popped, "what was popped is not in the stack")
        rest = below[rest]


async def aba_corrected() -> None:
    """The top carries a version that no push or pop leaves as it was."""
    below: dict[str, str | None] = {"a": "b", "b": "c", "c": None}
    top: Shared[tuple[str | None, int]] = Shared(("a", 0))
    popped: list[str] = []

    async def pop() -> None:
        while True:
            node, version = top.get()
            if node is None:
                return
            after = below[node]
            await checkpoint()
            if top.get() == (node, version):
                top.set((after, version + 1))
                popped.append(node)
                return

    async def pop_two_and_push_the_first_again() -> None:
        await pop()
        await pop()
        node = popped.pop(0)
        below[node], version = top.get()
        top.set((node, version + 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pop)
        nursery.start_soon(pop_two_and_push_the_first_again)
    rest = top.get()[0]
    while rest is not None:
        require(rest not in popped, "what was popped is not in the stack")
        rest = below[rest]


async def torn_read() -> None:
    """Two values that belong together are written one after the other."""
    width, height = Shared[int](1), Shared[int](1)

    async def resize() -> None:
        for size in (2, 3):
            width.set(size)
            await checkpoint()
            height.set(size)
            await checkpoint()

    async def draw() -> None:
        require(width.get() == height.get(), "the square is a square")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(resize)
        nursery.start_soon(draw)


async def torn_read_corrected() -> None:
    """They are one value."""
    size: Shared[tuple[int, int]] = Shared((1, 1))

    async def resize() -> None:
        for side in (2, 3):
            await checkpoint()
            size.set((side, side))
            await checkpoint()

    async def draw() -> None:
        width, height = size.get()
        require(width == height, "the square is a square")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(resize)
        nursery.start_soon(draw)


async def write_skew() -> None:
    """Each of two doctors goes off call because the other is on."""
    on_call = {"ann": Shared(True), "bob": Shared(True)}

    async def leave(doctor: str, other: str) -> None:
        if on_call[other].get():
            await checkpoint()
            on_call[doctor].set(False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, "ann", "bob")
        nursery.start_soon(leave, "bob", "ann")
    require(any(cell.get() for cell in on_call.values()), "a doctor is on call")


async def write_skew_corrected() -> None:
    """Both conditions are behind one lock."""
    on_call = {"ann": Shared(True), "bob": Shared(True)}
    roster = trio.Lock()

    async def leave(doctor: str, other: str) -> None:
        async with roster:
            if on_call[other].get():
                await checkpoint()
                on_call[doctor].set(False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, "ann", "bob")
        nursery.start_soon(leave, "bob", "ann")
    require(any(cell.get() for cell in on_call.values()), "a doctor is on call")


async def stale_cache_fill() -> None:
    """A cache is filled with what was read before the write that emptied it."""
    database = Shared("old")
    cache: Shared[str | None] = Shared(None)

    async def read() -> None:
        if cache.get() is None:
            found = database.get()
            await checkpoint()
            cache.set(found)

    async def write() -> None:
        await checkpoint()
        database.set("new")
        cache.set(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
    require(cache.get() in (None, database.get()), "the cache holds nothing old for ever")


async def stale_cache_fill_corrected() -> None:
    """What was read is kept only if nothing was emptied meanwhile."""
    database = Shared("old")
    cache: Shared[str | None] = Shared(None)
    emptied = Shared(0)

    async def read() -> None:
        if cache.get() is None:
            before = emptied.get()
            found = database.get()
            await checkpoint()
            if emptied.get() == before:
                cache.set(found)

    async def write() -> None:
        await checkpoint()
        database.set("new")
        cache.set(None)
        emptied.set(emptied.get() + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
    require(cache.get() in (None, database.get()), "the cache holds nothing old for ever")


async def _read_by_sequence_lock(modulus: int) -> None:
    """A reader without a lock, which trusts what it read if a version was the same all the while.

    The version is odd during a write, and counts modulo `modulus`.
    """
    version, first, second = Shared(0), Shared(0), Shared(0)

    async def write() -> None:
        for value in (1, 2):
            version.set((version.get() + 1) % modulus)
            await checkpoint()
            first.set(value)
            await checkpoint()
            second.set(value)
            await checkpoint()
            version.set((version.get() + 1) % modulus)

    async def read() -> None:
        before = version.get()
        seen_first = first.get()
        await checkpoint()
        seen_second = second.get()
        await checkpoint()
        if before % 2 == 0 and version.get() == before:
            require(seen_first == seen_second, "a read between two looks at one version is whole")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        nursery.start_soon(read)


async def sequence_lock_wraps() -> None:
    """A version that only tells odd from even is the same again after a whole write."""
    await _read_by_sequence_lock(modulus=2)


async def sequence_lock_wraps_corrected() -> None:
    """The version does not come back in the lifetime of a read."""
    await _read_by_sequence_lock(modulus=1 << 32)


async def lost_update_in_a_crowd() -> None:
    """One unguarded increment among many guarded ones: a race that few schedules show."""
    await _count_in_a_crowd(guard_the_odd_one=False)


async def lost_update_in_a_crowd_corrected() -> None:
    """The odd one takes the lock as well."""
    await _count_in_a_crowd(guard_the_odd_one=True)


async def _count_in_a_crowd(*, guard_the_odd_one: bool) -> None:
    number = Shared(0)
    lock = trio.Lock()

    async def increment() -> None:
        async with lock:
            seen = number.get()
            await checkpoint()
            number.set(seen + 1)

    async def increment_late() -> None:
        # What it does first has it meet the others only if they are slow.
        for _ in range(6):
            await checkpoint()
        if guard_the_odd_one:
            await increment()
        else:
            number.set(number.get() + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment_late)
        nursery.start_soon(increment)
        nursery.start_soon(increment)
    require(number.get() == 3, "three increments add three")


async def _ring_buffer(*, check_lap: bool) -> None:
    """A writer that never waits, and a reader that takes its time between position and slot."""
    slots = [Shared(-1) for _ in range(4)]
    written = Shared(0)

    async def write() -> None:
        for number in range(12):
            slots[number % 4].set(number)
            written.set(number + 1)
            await checkpoint()

    async def read() -> None:
        for _ in range(2):
            await checkpoint()
            position = written.get() - 1
            if position >= 0:
                await checkpoint()
                value = slots[position % 4].get()
                if check_lap and written.get() - position > 4:
                    continue
                require(value == position, "a reader reads what was at its position")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        nursery.start_soon(read)


async def lapped_by_the_writer() -> None:
    """The writer of a ring has come round between a reader's look at its position and its read."""
    await _ring_buffer(check_lap=False)


async def lapped_by_the_writer_corrected() -> None:
    """The reader looks again, and drops what it read if it was lapped."""
    await _ring_buffer(check_lap=True)


async def _snapshot_isolation(*, validate: bool) -> None:
    """A report over a bank's accounts, read one by one while a long row of transfers goes on."""
    accounts = [Shared(100) for _ in range(3)]
    transfers = Shared(0)

    async def transfer() -> None:
        for source, target in ((0, 1), (1, 2), (2, 0)):
            accounts[source].set(accounts[source].get() - 10)
            accounts[target].set(accounts[target].get() + 10)
            transfers.set(transfers.get() + 1)
            await checkpoint()

    async def report() -> None:
        before = transfers.get()
        total = 0
        for account in accounts:
            total += account.get()
            await checkpoint()
        if not validate or transfers.get() == before:
            require(total == 300, "a report shows one moment")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer)
        nursery.start_soon(report)


async def report_of_many_moments() -> None:
    """Accounts are added up one by one while money moves between them."""
    await _snapshot_isolation(validate=False)


async def report_of_many_moments_corrected() -> None:
    """The report counts only if nothing moved meanwhile."""
    await _snapshot_isolation(validate=True)


RACES = (
    PlantedRace(lost_update, lost_update_corrected),
    PlantedRace(check_then_act, check_then_act_corrected),
    PlantedRace(aba, aba_corrected),
    PlantedRace(torn_read, torn_read_corrected),
    PlantedRace(write_skew, write_skew_corrected),
    PlantedRace(stale_cache_fill, stale_cache_fill_corrected),
    PlantedRace(sequence_lock_wraps, sequence_lock_wraps_corrected),
    PlantedRace(lost_update_in_a_crowd, lost_update_in_a_crowd_corrected),
    PlantedRace(lapped_by_the_writer, lapped_by_the_writer_corrected),
    PlantedRace(report_of_many_moments, report_of_many_moments_corrected),
)
