"""Random programs of servers and their clients, as wide as the public interface of trio_genserver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from random import Random
from typing import NamedTuple

import trio

import sim
from tests.sim.servers.served import Operation, seen
from tests.sim.servers.server_settings import (
    Ended,
    Setting,
    a_dynamic_supervisor,
    a_server,
    a_supervisor,
    some_partitions,
    two_servers,
)
from tests.sim.servers.shared_settings import (
    a_checkout_pool,
    a_duplicate_registry,
    a_registry,
    an_agent,
    some_tasks,
)
from tests.sim.strategies.outcomes import Program, described

SETTINGS: tuple[Callable[[Random], Setting], ...] = (
    a_server,
    two_servers,
    a_supervisor,
    a_dynamic_supervisor,
    some_partitions,
    a_registry,
    a_duplicate_registry,
    a_checkout_pool,
    some_tasks,
    an_agent,
)


class Act(NamedTuple):
    """What a client does.

    Attributes:
        draw: which of the operations there are, from 0 to 1.
        by: the number for the operation.
        way: how; one of `WAYS`.
    """

    draw: float
    by: int
    way: str


WAYS = ("at once", "at once", "at once", "later", "in a task", "given up", "for a second")


class ServerProgram:
    """A program drawn by a seed.

    Args:
        seed: of the drawing.
        promises: whether it promises something of how far its clients get.
    """

    def __init__(self, seed: int, *, promises: bool = False) -> None:
        random = Random(seed)
        self.seed = seed
        self.maker = random.choice(SETTINGS)
        self.setting: Setting = self.maker(random)
        self.clients = tuple(
            tuple(
                Act(random.random(), random.randint(1, 3), random.choice(WAYS))
                for _ in range(random.choice((1, 1, 1, 2)))
            )
            for _ in range(random.choice((2, 2, 2, 2, 3)))
        )
        self._promise = _promised(random) if promises else None

    def __repr__(self) -> str:
        return f"server program {self.seed}: {self.maker.__name__}, {self.clients}"

    @property
    def program(self) -> Program:
        return self._run

    async def _run(self) -> Hashable:
        ended: Ended = {}
        saw: list[list[str]] = [[] for _ in self.clients]
        done = [sim.Shared(0) for _ in self.clients]
        if self._promise is not None:
            self._promise(done)
        last: str = ""
        try:
            async with self.setting(ended) as operations:
                names = list(operations)

                async def client(number: int) -> None:
                    for act in self.clients[number]:
                        # What is special to a setting comes first, and is drawn more often.
                        name = names[int(act.draw**1.5 * len(names))]
                        saw[number].append(f"{name}: {await self._done(act, operations[name])}")
                        done[number].set(done[number].get() + 1)

                async with trio.open_nursery() as nursery:
                    for number in range(len(self.clients)):
                        nursery.start_soon(client, number)
                if "get" in operations:
                    last = await _outcome(operations["get"], 0)
        except Exception as error:  # noqa: BLE001 - a server that crashed raises where it was opened
            return tuple(map(tuple, saw)), described(error)
        return tuple(map(tuple, saw)), last, tuple((name, tuple(how)) for name, how in sorted(ended.items()))

    async def _done(self, act: Act, operation: Operation) -> str:
        match act.way:
            case "later":
                await trio.lowlevel.checkpoint()
            case "in a task":
                # What is awaited begins in another step than it is made in.
                return await _in_a_task(operation(act.by))
            case "given up":
                return await _given_up(operation, act.by)
            case "for a second":
                with trio.move_on_after(1):
                    return await _outcome(operation, act.by)
                return "too late"
            case _:
                pass
        return await _outcome(operation, act.by)


def _promised(random: Random) -> Callable[[Sequence[sim.Shared[int]]], None]:
    """A promise about how far two clients are, of which it looks at one only if the other is so far."""
    kind, lazy, turned = (
        random.choice(("always", "eventually", "sometimes")),
        random.random() < 0.7,
        random.random(),
    )

    def promise(done: Sequence[sim.Shared[int]]) -> None:
        one, other = done[:2] if turned < 0.5 else done[1::-1]

        def ahead() -> bool:
            if lazy:
                return one.get() > 0 and other.get() == 0
            return (one.get() > 0, other.get()) == (True, 0)

        match kind:
            case "always":
                sim.always(lambda: not ahead(), "it is not ahead")
            case "eventually":
                sim.eventually(ahead, "it is ahead once")
            case _:
                sim.sometimes(ahead, "it may be ahead")

    return promise


async def _in_a_task(awaitable: Awaitable[object]) -> str:
    outcome: list[str] = []

    async def run() -> None:
        outcome.append(await _outcome(lambda _: awaitable, 0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
    return outcome[0]


async def _given_up(operation: Operation, by: int) -> str:
    outcome = "given up"

    async def give_up(scope: trio.CancelScope) -> None:
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(give_up, scope)
            outcome = await _outcome(operation, by)
    return outcome


async def _outcome(operation: Operation | Callable[[int], Awaitable[object]], by: int) -> str:
    try:
        return seen(await operation(by))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the client saw
        return seen(error)
