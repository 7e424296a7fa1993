"""Servers under many orders of Trio's scheduler; and that a seed gives one order, and seeds give many.

`make torture` runs the whole suite of trio_genserver so, with ``--scheduler-seeds``; here is one program.
"""

from __future__ import annotations

import random

import pytest
import trio

from trio_genserver import (
    GenServer,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_supervisor,
)
from trio_genserver.instruments import LoggingInstrument, remove_instrument

CLIENTS = 4
EACH = 6


class Ledger(GenServer):
    """Keeps what its clients send, and crashes once it is told to."""

    def __init__(self, entries: list[tuple[int, int]]) -> None:
        self.entries = entries

    @handle_cast
    def note(self, client: int, number: int) -> None:
        self.entries.append((client, number))

    @handle_call
    async def settle(self, client: int, number: int) -> int:
        before = len(self.entries)
        await trio.lowlevel.checkpoint()
        # One message at a time: nobody has come in between.
        assert len(self.entries) == before
        self.entries.append((client, number))
        return number

    @handle_call
    def crash(self) -> None:
        raise RuntimeError("as asked")


async def program() -> list[tuple[int, int]]:
    """Clients that call and cast, a crash in between: returns what the ledger has in the end, in order."""
    entries: list[tuple[int, int]] = []
    ended: list[int] = []
    remove_instrument(LoggingInstrument)

    async def client(ledger: ServerRef[Ledger], which: int) -> None:
        for number in range(EACH):
            if number % 2:
                await ledger.cast(Ledger.note(which, number))
                continue
            try:
                assert await ledger.call(Ledger.settle(which, number)) == number
            except (ServerCrashed, ServerNotRunning):
                await trio.lowlevel.checkpoint()
        ended.append(which)

    async with open_supervisor([child_spec(Ledger, entries)]) as supervisor:
        ledger: ServerRef[Ledger] = supervisor.child("Ledger")
        async with trio.open_nursery() as nursery:
            for which in range(CLIENTS):
                nursery.start_soon(client, ledger, which)
            with pytest.raises(ServerCrashed):
                await ledger.call(Ledger.crash())
        # It has been started again, and nothing of before is in its way.
        assert await ledger.call(Ledger.settle(CLIENTS, 0)) == 0
    assert sorted(ended) == list(range(CLIENTS))
    return entries


def run(seed: int) -> list[tuple[int, int]]:
    trio._core._run._r.seed(seed)
    return trio.run(program)


def test_a_program_of_servers_holds_under_many_seeds() -> None:
    # OTP 176
    orders: set[tuple[tuple[int, int], ...]] = set()
    for seed in range(60):
        entries = run(seed)
        orders.add(tuple(entries))
        assert len(set(entries)) == len(entries)
        for which in range(CLIENTS):
            # What the crash took with it is missing; the rest is in the order sent.
            numbers = [number for client, number in entries if client == which]
            assert numbers == sorted(numbers)
    assert len(orders) > 10


def test_the_same_seed_gives_the_same_order() -> None:
    assert run(7) == run(7)


def test_each_test_begins_with_its_seed(scheduler_seed: int) -> None:
    assert trio._core._run._r.getstate() == random.Random(scheduler_seed).getstate()
