"""Small random programs on every kind of Trio object, for tests that hold for any program.

A program is a function of its seed alone. Each run of it appends its result to a list: what every
task saw, and the final state.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

import sim

Scenario = Callable[[], Awaitable[None]]
Plan = list[tuple[str, int]]

ACTIONS = [
    "read",
    "write",
    "increment",
    "set",
    "is_set",
    "wait",
    "lock",
    "locked",
    "semaphore",
    "limiter",
    "notify",
    "condition",
    "send",
    "send_wait",
    "receive",
    "receive_nowait",
    "cancel",
    "sleep",
    "spawn",
    "checkpoint",
    "thread",
    "call back",
]


class _World:
    """The objects that the tasks of one run share."""

    def __init__(self) -> None:
        self.cells = [sim.Shared(0) for _ in range(2)]
        self.events = [trio.Event() for _ in range(2)]
        self.lock, self.semaphore = trio.Lock(), trio.Semaphore(1)
        self.limiter = trio.CapacityLimiter(1)
        self.condition = trio.Condition()
        self.channels = [trio.open_memory_channel[int](size) for size in (0, 1)]
        self.scopes = [trio.CancelScope() for _ in range(2)]
        self.log: dict[int, list[object]] = {}

    async def work(self, number: int, plan: Plan) -> None:
        mine = self.log.setdefault(number, [])
        for action, which in plan:
            try:
                mine.append((action, await self._act(action, which, number)))
            except (trio.Cancelled, trio.ClosedResourceError, trio.EndOfChannel) as error:
                mine.append((action, type(error).__name__))
                raise
            except (trio.WouldBlock, trio.BrokenResourceError) as error:
                mine.append((action, type(error).__name__))

    async def scoped(self, number: int, plan: Plan) -> None:
        with self.scopes[number]:
            await self.work(number, plan)

    async def _act(self, action: str, which: int, number: int) -> object:
        match action:
            case "read":
                return self.cells[which].get()
            case "write":
                self.cells[which].set(10 * number + which)
            case "increment":
                await self._increment(which)
            case "set":
                self.events[which].set()
            case "is_set":
                return self.events[which].is_set()
            case "wait":
                await self.events[which].wait()
            case "lock" | "semaphore" | "limiter":
                async with getattr(self, action):
                    await trio.lowlevel.checkpoint()
            case "locked":
                return self.lock.locked()
            case "notify":
                async with self.condition:
                    self.condition.notify()
            case "condition":
                async with self.condition:
                    await self.condition.wait()
            case "send":
                self.channels[which][0].send_nowait(number)
            case "send_wait":
                await self.channels[which][0].send(number)
            case "receive":
                return await self.channels[which][1].receive()
            case "receive_nowait":
                return self.channels[which][1].receive_nowait()
            case "cancel":
                self.scopes[which].cancel()
            case "sleep":
                await trio.sleep(which + 1)
            case "spawn":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.lowlevel.checkpoint)
                    nursery.start_soon(self.events[which].wait)
                    nursery.start_soon(trio.sleep, 1)
            case "thread":
                return await trio.to_thread.run_sync(self.cells[which].get)
            case "call back":
                return await trio.to_thread.run_sync(trio.from_thread.run, self._increment, which)
            case _:
                await trio.lowlevel.checkpoint()
        return None

    async def _increment(self, which: int) -> int:
        value = self.cells[which].get()
        await trio.lowlevel.checkpoint()
        self.cells[which].set(value + 1)
        return value

    def result(self) -> object:
        return (
            sorted(self.log.items()),
            [cell.get() for cell in self.cells],
            [event.is_set() for event in self.events],
            [scope.cancelled_caught for scope in self.scopes],
            trio.current_time(),
        )


def generated_program(seed: int) -> tuple[Scenario, list[object]]:
    """A program of two to four tasks with one to three actions each, and the list of results."""
    rng = random.Random(seed)
    plans: list[Plan] = [
        [(rng.choice(ACTIONS), rng.randrange(2)) for _ in range(rng.randint(1, 3))]
        for _ in range(rng.randint(2, 4))
    ]
    results: list[object] = []

    async def scenario() -> None:
        world = _World()
        with trio.move_on_after(50):
            async with trio.open_nursery() as nursery:
                for number, plan in enumerate(plans):
                    nursery.start_soon(world.scoped if number < 2 else world.work, number, plan)
        results.append(world.result())

    return scenario, results
