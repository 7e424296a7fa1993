"""A program that partial-order reductions are measured and tested with, from the suite of Concuerror."""

from __future__ import annotations

import trio

import sim


def last_zero(cells: int) -> sim.Scenario:
    """Writers make each cell one more than its left neighbour was; a reader looks for the last 0.

    One use of a cell a step. With 10 cells it has 3,328 traces.
    """

    async def scenario() -> None:
        array = [sim.Shared(0) for _ in range(cells + 1)]

        async def reader() -> None:
            for cell in reversed(array[1:]):
                if cell.get() == 0:
                    return
                await trio.lowlevel.checkpoint()

        async def writer(number: int) -> None:
            left = array[number - 1].get()
            await trio.lowlevel.checkpoint()
            array[number].set(left + 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader)
            for number in range(1, cells + 1):
                nursery.start_soon(writer, number)

    return scenario
