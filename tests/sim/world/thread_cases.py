"""What tests of threads in several places ask for."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, cast

import sim

Together = Callable[[Callable[[], object], Callable[[], object]], Awaitable[object]]
"""Runs two functions at the same time."""


async def in_opposite_order(one: Any, other: Any, together: Together) -> None:
    """Take two locks in opposite order, `together`."""

    def forwards() -> None:
        with one, other:
            pass

    def backwards() -> None:
        with other, one:
            pass

    await together(forwards, backwards)


def deadlock_of(scenario: Callable[[], Awaitable[None]], strategy: str, *said: str) -> None:
    """See that a scenario of `in_opposite_order` ends in a deadlock, that says so, and that it replays."""
    (failure,) = sim.explore(scenario, strategy, 5_000).failures
    error = cast("sim.Deadlock", failure.error)
    assert isinstance(error, sim.Deadlock)
    text = str(error)
    for part in ("in forwards", "in backwards", *said):
        assert part in text
    (again,) = sim.replay(scenario, failure.token).failures
    assert again.steps == failure.steps
    assert str(again.error) == text


def works_of_two() -> tuple[list[str], Callable[[str], None]]:
    """What takes a lock twice and notes its name each time; and the notes."""
    lock = threading.Lock()
    order: list[str] = []

    def work(name: str) -> None:
        for _ in range(2):
            with lock:
                order.append(name)

    return order, work
