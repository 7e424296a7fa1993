"""What the library lets threads and tasks look at without a lock: `dpor` meets what they see."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable
from typing import Any, Final

import pytest
import trio

from tests.sim.strategies.outcomes import explored
from tests.sim.strategies.test_outcomes import together

# What is made, what a thread does with it, and what somebody else sees of it meanwhile.
LOOKS: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], object], Callable[[Any], Hashable]]]] = {
    "SimpleQueue.empty": (lambda: queue.SimpleQueue[int](), lambda one: one.put(1), lambda one: one.empty()),
    "SimpleQueue.qsize": (
        lambda: queue.SimpleQueue[int](),
        lambda one: one.put_nowait(1),
        lambda one: one.qsize(),
    ),
    "Queue.full": (lambda: queue.Queue[int](1), lambda one: one.put(1), lambda one: one.full()),
    "Queue.unfinished_tasks": (queue.Queue, lambda one: one.put(1), lambda one: one.unfinished_tasks),
    "Queue.queue": (queue.Queue, lambda one: one.put(1), lambda one: len(one.queue)),
    "Barrier.broken": (lambda: threading.Barrier(2), lambda one: one.abort(), lambda one: one.broken),
    "Barrier, shown": (
        lambda: threading.Barrier(2),
        lambda one: one.abort(),
        lambda one: repr(one).endswith("broken>"),
    ),
    "Semaphore, shown": (
        lambda: threading.Semaphore(0),
        lambda one: one.release(),
        lambda one: repr(one).endswith("=1>"),
    ),
    "Event, shown": (threading.Event, lambda one: one.set(), lambda one: repr(one).endswith(" set>")),
    "Lock, shown": (threading.Lock, lambda one: one.acquire(), lambda one: "unlocked" in repr(one)),
}


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("name", LOOKS)
def test_what_is_looked_at_without_its_lock(name: str, in_thread: bool) -> None:
    make, change, look = LOOKS[name]

    async def program() -> Hashable:
        shared = make()
        seen: list[Hashable] = []

        async def work() -> None:
            await trio.to_thread.run_sync(change, shared, limiter=trio.CapacityLimiter(1))

        async def watch() -> None:
            if in_thread:
                seen.append(await trio.to_thread.run_sync(look, shared, limiter=trio.CapacityLimiter(1)))
            else:
                await trio.lowlevel.checkpoint()
                seen.append(look(shared))

        await together(work, watch)
        return tuple(seen)

    traces = explored(program, "dpor")
    assert traces.result.complete
    assert len(traces.seen) == 2


def test_what_waits_at_a_barrier_is_seen() -> None:
    async def program() -> Hashable:
        barrier = threading.Barrier(2)
        seen: list[Hashable] = []

        async def wait() -> None:
            await trio.to_thread.run_sync(barrier.wait, limiter=trio.CapacityLimiter(1))

        async def watch() -> None:
            await trio.lowlevel.checkpoint()
            seen.append(barrier.n_waiting)
            await wait()

        await together(wait, watch)
        return tuple(seen)

    traces = explored(program, "dpor")
    assert traces.result.complete
    assert traces.seen == {(0,), (1,)}


def test_queues_have_their_attributes_after_the_run() -> None:
    kept: list[queue.Queue[int]] = []

    async def program() -> Hashable:
        kept.append(queue.Queue())
        kept[-1].put(1)
        with pytest.raises(AttributeError, match="no attribute 'queue'"):
            del kept[-1].__dict__["queue"]
            _ = kept[-1].queue
        return None

    assert explored(program, "dpor").seen == {None}
    assert kept[0].unfinished_tasks == 1
    assert "queue" not in vars(queue.Queue)
