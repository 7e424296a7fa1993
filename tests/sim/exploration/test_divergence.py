"""A program that cannot be repeated ends an exploration with what it has found, and says where."""

from __future__ import annotations

from collections import deque

import pytest
import trio

import sim
from sim._dependence.footprint import Active
from sim.report import describe_result
from sim.strategies import Operation, RepetitionDiverged, UntrackedDependence


class Mailbox:
    """As libraries write them: a queue and events, which nothing tracks."""

    def __init__(self) -> None:
        self._items: deque[int] = deque()
        self._waiting: deque[trio.Event] = deque()

    async def put(self, item: int) -> None:
        await trio.lowlevel.checkpoint()
        self._items.append(item)
        if self._waiting:
            self._waiting.popleft().set()

    async def get(self) -> int:
        while not self._items:
            event = trio.Event()
            self._waiting.append(event)
            await event.wait()
        return self._items.popleft()


async def untracked_mailboxes() -> None:
    requests, replies = Mailbox(), Mailbox()

    async def client(number: int) -> None:
        await requests.put(number)
        await replies.get()

    async def server() -> None:
        for _ in range(2):
            await replies.put(await requests.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        nursery.start_soon(client, 1)
        nursery.start_soon(client, 2)


def test_an_exploration_that_diverges_keeps_what_it_has_found() -> None:
    result = sim.explore(untracked_mailboxes, "dpor", 1_000)
    assert isinstance(result.diverged, RepetitionDiverged)
    assert not result.complete
    assert result.executions > 0
    assert not result.coverage.startswith("all")
    said = describe_result(result)
    assert "not complete" in said
    assert f"ended early: {result.diverged}" in said
    assert "test_divergence.py:" in said
    with pytest.raises(RepetitionDiverged, match="not tracked"):
        result.check()


def test_failures_that_were_found_before_stand_and_come_first() -> None:
    async def scenario() -> None:
        await untracked_mailboxes()
        raise ValueError("in each run")

    result = sim.explore(scenario, "dpor", 1_000, max_failures=1_000, shrink_failures=False)
    assert result.diverged is not None
    assert len(result.failures) == result.executions > 0
    with pytest.raises(ValueError, match="in each run"):
        result.check()


class Unnamed:
    """What is told of, but never named when it is made: another object in each run."""

    def __init__(self) -> None:
        self.value = 0

    def touch(self, operation: Operation) -> None:
        if Active.recorder is not None:
            Active.recorder.touched(self, "unnamed", operation)


def test_a_run_to_be_met_twice_says_that_something_is_not_tracked() -> None:
    async def scenario() -> None:
        counter = Unnamed()

        async def add() -> None:
            counter.touch(Operation.READ)
            value = counter.value
            await trio.lowlevel.checkpoint()
            counter.touch(Operation.WRITE)
            counter.value = value + 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(add)

    result = sim.explore(scenario, "dpor", 1_000)
    assert isinstance(result.diverged, UntrackedDependence)
    assert not result.complete


def test_a_depth_first_search_sees_that_a_choice_has_changed() -> None:
    runs: list[None] = []

    async def scenario() -> None:
        runs.append(None)
        async with trio.open_nursery() as nursery:
            for _ in range(2 + len(runs) % 2):
                nursery.start_soon(trio.lowlevel.checkpoint)

    result = sim.explore(scenario, "dfs", 1_000)
    assert result.diverged is not None
    assert not result.complete
    assert "alternatives" in str(result.diverged)
