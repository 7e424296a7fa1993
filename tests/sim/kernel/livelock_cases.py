"""A livelock that the tests of fair scheduling and those of its report share."""

# The programs under test poll.
# ruff: noqa: ASYNC110, ASYNC115

from __future__ import annotations

import trio

import sim


async def wait_for_each_other_politely() -> None:
    """Two tasks give way to each other for ever."""
    yours = sim.Shared(True)

    async def give_way() -> None:
        while yours.get():
            await trio.sleep(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_way)
        nursery.start_soon(give_way)
