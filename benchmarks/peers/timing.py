"""What the modules of the peers have in common: clocks, clients and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

__all__ = ["BURST", "Stopwatch", "at_once", "resident_bytes"]

# Casts are sent in bursts, with a checkpoint after each, as a program that has something else to do would.
BURST = 500


class Stopwatch:
    """Microseconds for each of `count`, from its making until `each` is asked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.begin = time.perf_counter()

    @property
    def each(self) -> float:
        return (time.perf_counter() - self.begin) / self.count * 1e6


async def at_once(client: Callable[[int], Awaitable[Any]], count: int, clients: int) -> float:
    """`clients` asyncio tasks with their share of `count` each: microseconds for one."""
    watch = Stopwatch(count)
    await asyncio.gather(*(client(count // clients) for _ in range(clients)))
    return watch.each


def resident_bytes() -> int:
    """What the process occupies of memory now, threads' stacks and native allocations included.

    Raises:
      FileNotFoundError: not on Linux.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise FileNotFoundError("there is no VmRSS in /proc/self/status")
