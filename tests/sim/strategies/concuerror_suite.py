"""Programs of Concuerror's own suite, in a notation in which each takes a line.

A task is a string of accesses of cells that begin as zero, one access a step:

* ``x`` reads a cell, ``x=1`` writes one;
* ``x?`` reads a cell and ends the task if it is zero, ``x!`` ends it if it is not;
* ``?`` alone ends the task if any value that it has read was zero.

The counts are those that Concuerror's suite expects of its Optimal-DPOR, for the programs in which no
two writes of equal values meet: these it takes to commute.
"""

from __future__ import annotations

from typing import Final

import trio

import sim
from tests.sim.strategies.trio_program import Scenario

TRACES: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    # Example 5 of Abdulla and others, POPL 2014: without wakeup trees, 10 executions, half of them blocked.
    "POPL_optimal_example": (5, ("x=1", "y=1", "y! z=1", "z? y! x=2")),
    "combination_lock_1": (6, ("z=1", "x=1 a=1 y? w=1 b=0", "x? y=1 c=0 v? z", "w? v=1 d=0")),
    "conditional_readers_3": (6, ("x=1", "y! x", "x y=1")),
    "depend_1": (12, ("z=1", "x=1", "y=1", "x? y? z", "y? z")),
    "depend_2": (12, ("z=1", "y=1", "y? z", "x=1", "x? y? z")),
    "depend_3": (30, ("z=1", "x=1", "y=1 y=2", "x? y? z", "y? z")),
    "depend_5": (12, ("z=1", "x=1", "y=1 y=2", "x? y? z", "x")),
    "depend_6": (18, ("y z", "y", "z=1", "y=1 y=2")),
    "difficult_readers": (18, ("x=1", "x=2", "x", "x")),
    "ets_cross": (3, ("x=1 y=1", "y=2 x=2")),
    "ets_dependencies": (4, ("x=1", "y=2 x", "z=3 x")),
    "etsi_2": (5, ("x=1", "y=1 x", "x? y")),
    "etsi_3": (3, ("y=1", "z x! y", "x=1")),
    "etsi_8": (10, ("x=1", "y=1 x", "x? y", "x")),
    "hairbrush_teeth_1": (6, ("x=1 x=2", "x x")),
    "hairbrush_teeth_2": (20, ("x=1 x=2 x=3", "x x x")),
    "hairbrush_teeth_3": (36, ("x=1 x=2", "x x", "x x")),
    "hairbrush_teeth_4": (400, ("x=1 x=2 x=3", "x x x", "x x x")),
    "long_chain": (
        20,
        ("x=1 w=1", "x? y=1", "y? a=1", "a? b=1", "b? c=1", "c? z=1", "a? w", "z? w"),
    ),
    "many_initials": (5, ("x=1", "y=1", "z=1", "y z ? x")),
    "manywrite": (4, ("x=1", "x=2", "y=1", "y=2")),
    "manywrite_2": (16, ("w=1", "x=1", "y=1", "x=2", "y=2", "z=1", "z=2", "w=2")),
    "readers_basic": (4, ("x=1", "x", "x")),
    "readers_rrw": (4, ("y x", "y x", "y x=1")),
    "readers_rwr": (4, ("y x", "y x=1", "y x")),
    "readers_wrr": (4, ("y x=1", "y x", "y x")),
    "sleeping_races_1": (3, ("y=1", "x=1", "x? y")),
    "sleeping_races_2": (5, ("y=1", "x=1", "y=2 x? y")),
    "sleeping_races_3_read": (6, ("y=1", "x=1", "x", "x? y")),
    "sleeping_races_3_write": (10, ("y=1", "x=1", "x=2", "x? y")),
    "sleeping_races_4": (12, ("y=1", "x=1", "x", "x? y", "y")),
    "sleeping_races_5": (24, ("y=1", "x=1", "x y", "x? y", "y")),
    # 28 with source sets alone.
    "sleeping_races_6": (10, ("w=1", "x=1", "y=1", "y z=1", "y? z? x? w")),
    "two_writers_readers_1": (9, ("x=1 x=2", "y x", "y x")),
    "two_writers_readers_2": (18, ("x=1", "x=2", "y x", "y x")),
}
"""Of each program the number of its traces, and its tasks."""


def program(tasks: tuple[str, ...]) -> Scenario:
    """A Trio program with a `sim.Shared` for each cell."""

    async def scenario() -> None:
        cells = {name: sim.Shared(0, name=name) for name in "abcdvwxyz"}

        async def work(accesses: list[str]) -> None:
            found: list[int] = []
            for number, access in enumerate(accesses):
                if access == "?":
                    if 0 in found:
                        return
                    continue
                if number:
                    await trio.lowlevel.checkpoint()
                cell = cells[access[0]]
                if access[1:2] == "=":
                    cell.set(int(access[2:]))
                    continue
                found.append(cell.get())
                if (access[1:] == "?" and not found[-1]) or (access[1:] == "!" and found[-1]):
                    return

        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(work, task.split())

    return scenario
