"""Parking lots, and what is built on them: locks, semaphores, limiters, conditions.

A lot keeps its tasks in the order in which they came, so everything that is done to a lot is a
write of it. A lock, semaphore or limiter that is taken or given back is written; one that could
not be taken has only been looked at (what follows, parking, is a write of its lot). A condition is
a lock and a lot, and needs nothing of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, calling, looking, making, reading
from sim._run.step import Operation
from sim._trio import Lock

_LOT = "lot"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    lot = trio.lowlevel.ParkingLot
    yield making(recorder, lot, _LOT)
    yield _parking(recorder)
    for name in ("unpark", "break_lot"):
        yield calling(recorder, lot, name, _LOT, Operation.WRITE)
    yield _reparking(recorder)
    for name in ("__len__", "__bool__", "statistics", "__repr__"):
        yield calling(recorder, lot, name, _LOT, Operation.READ)
    yield looking(recorder, lot, "broken_by", _LOT)

    for owner, kind, take, give, looks in (
        (Lock, "lock", "acquire_nowait", "release", ("locked", "statistics", "__repr__")),
        (trio.Semaphore, "semaphore", "acquire_nowait", "release", ("statistics", "__repr__")),
        (
            trio.CapacityLimiter,
            "limiter",
            "acquire_on_behalf_of_nowait",
            "release_on_behalf_of",
            ("statistics", "__repr__"),
        ),
    ):
        yield making(recorder, owner, kind)
        yield _taking(recorder, owner, take, kind)
        yield calling(recorder, owner, give, kind, Operation.WRITE)
        for name in looks:
            yield calling(recorder, owner, name, kind, Operation.READ)
    yield reading(recorder, trio.Semaphore, "value", "semaphore")
    for name in ("total_tokens", "borrowed_tokens", "available_tokens"):
        yield reading(recorder, trio.CapacityLimiter, name, "limiter")


def _parking(recorder: Recorder) -> Wrapper:
    park = trio.lowlevel.ParkingLot.park

    @functools.wraps(park)
    async def parked(self: Any) -> None:
        recorder.touched(self, _LOT, Operation.WRITE)
        await park(self)

    return trio.lowlevel.ParkingLot, "park", parked


def _reparking(recorder: Recorder) -> Wrapper:
    repark = trio.lowlevel.ParkingLot.repark

    @functools.wraps(repark)
    def reparked(self: Any, new_lot: Any, *, count: float = 1) -> None:
        recorder.touched(self, _LOT, Operation.WRITE)
        if isinstance(new_lot, trio.lowlevel.ParkingLot):
            recorder.touched(new_lot, _LOT, Operation.WRITE)
        repark(self, new_lot, count=count)

    return trio.lowlevel.ParkingLot, "repark", reparked


def _taking(recorder: Recorder, owner: Any, name: str, kind: str) -> Wrapper:
    original: Callable[..., None] = getattr(owner, name)

    @functools.wraps(original)
    def taken(self: Any, *args: Any) -> None:
        recorder.touched(self, kind, Operation.READ)
        original(self, *args)
        recorder.touched(self, kind, Operation.WRITE)

    return owner, name, taken
