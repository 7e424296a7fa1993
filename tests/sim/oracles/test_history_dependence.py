"""What of a history a strategy that takes schedules for equivalent has to keep apart."""

from __future__ import annotations

import trio

import sim


async def replica_that_never_follows() -> None:
    """No two steps share anything but the history: only what was over before what is wrong."""
    history = sim.History()
    primary, replica = sim.Shared(0), sim.Shared(0)

    async def write() -> None:
        with history.operation("write", 1):
            primary.set(1)
            await trio.lowlevel.checkpoint()

    async def read() -> None:
        with history.operation("read") as operation:
            await trio.lowlevel.checkpoint()
            operation.returned(replica.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
    sim.assert_linearizable(history, sim.models.Register(0))


async def two_operations() -> None:
    history = sim.History()

    async def client() -> None:
        with history.operation("read"):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        nursery.start_soon(client)


def test_a_violation_of_real_time_order_alone_is_found() -> None:
    (failure,) = sim.explore(replica_that_never_follows, "dpor").failures
    assert isinstance(failure.error, sim.NotLinearizable)


def test_two_calls_commute_and_two_returns_do() -> None:
    result = sim.explore(two_operations, "dpor")
    assert result.complete
    # They overlap; the first is over before the second begins; or the other way round.
    assert result.executions == 3
