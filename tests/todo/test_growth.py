"""Long lists and many lists: both work, and lists that nobody uses give their memory back."""

from __future__ import annotations

import datetime
import gc
from pathlib import Path

import pytest
import trio
import trio.testing

from todo import Entry, TodoList, TodoServer, open_system

DAY = datetime.date(2023, 12, 19)
LONG = 100_000


async def test_a_list_of_a_hundred_thousand_entries_is_saved_loaded_and_changed(tmp_path: Path) -> None:
    async with open_system(tmp_path / "db", workers=1) as system:
        entries = (
            Entry(title=f"entry {n}", date=DAY + datetime.timedelta(days=n % 100)) for n in range(LONG)
        )
        added = await system.call("bob", TodoServer.add_entries(entries))
        assert len(added) == LONG
    async with open_system(tmp_path / "db") as system:
        assert len(await system.call("bob", TodoServer.entries(DAY))) == LONG // 100
        assert (await system.call("bob", TodoServer.add_entry(Entry(title="one more")))).id == LONG + 1
        assert (await system.call("bob", TodoServer.delete_entry(77))) is not None
        assert await system.call("bob", TodoServer.size()) == LONG
        assert len(await system.database.search("99999")) == 1


async def use_many_lists(place: Path, count: int, clock: trio.testing.MockClock) -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(found, TodoServer | TodoList) for found in gc.get_objects())

    before = alive()
    async with open_system(place, workers=4, idle_seconds=60) as system:
        for start in range(0, count, 500):
            async with trio.open_nursery() as nursery:
                for number in range(start, min(start + 500, count)):
                    message = TodoServer.add_entry(Entry(title=f"entry of {number}"))
                    nursery.start_soon(system.call, f"list {number}", message)
        assert len(system.cache) == count
        # Looked after twice in that time; and once more to forget who is gone.
        for _ in range(5):
            clock.jump(30)
            await trio.testing.wait_all_tasks_blocked()
        assert len(system.cache) == 0
        assert alive() == before
        for number in (0, count // 2, count - 1):
            (entry,) = await system.call(f"list {number}", TodoServer.entries())
            assert entry.title == f"entry of {number}"
        assert len(await system.database.lists()) == count


async def test_two_thousand_lists_work_and_idle_ones_leave_nothing_in_memory(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    await use_many_lists(tmp_path / "db", 2_000, mock_clock)


@pytest.mark.torture
async def test_a_hundred_thousand_lists_work_and_idle_ones_leave_nothing_in_memory(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    await use_many_lists(tmp_path / "db", 100_000, mock_clock)
