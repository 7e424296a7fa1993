"""Random programs of servers and clients: what a reduced exploration sees is what a full one sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import trio

import sim
from trio_genserver import (
    GenServer,
    ServerError,
    ServerRef,
    handle_call,
    handle_cast,
    open_server,
)

Observation = tuple[tuple[str, ...], ...]


class Number(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @handle_call
    def double(self) -> int:
        self.value *= 2
        return self.value

    @handle_call
    async def add_slowly(self, by: int) -> int:
        await trio.lowlevel.checkpoint()
        self.value += by
        return self.value

    @handle_call(child=True)
    async def add_in_a_child(self, by: int) -> int:
        seen = self.value
        await trio.lowlevel.checkpoint()
        self.value = seen + by
        return self.value

    @handle_cast
    def add(self, by: int) -> None:
        self.value += by


OPERATIONS = ("double", "slowly", "add", "add_nowait", "stop", "is_running", "given up")


async def perform(operation: str, server: ServerRef[Number], by: int) -> str:
    """Do one operation; what its client saw of it."""
    try:
        match operation:
            case "double":
                return str(await server.call(Number.double()))
            case "slowly":
                return str(await server.call(Number.add_slowly(by)))
            case "add":
                await server.cast(Number.add(by))
            case "add_nowait":
                server.cast_nowait(Number.add(by))
            case "stop":
                await server.stop()
            case "is_running":
                return str(server.is_running)
            case "given up":
                return await give_up(server, by)
            case _:
                raise AssertionError(operation)
    except ServerError as error:
        return type(error).__name__
    return "done"


async def give_up(server: ServerRef[Number], by: int) -> str:
    """A call that is cancelled when the schedule wills."""

    async def cancel() -> None:
        scope.cancel()

    seen = "given up"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        with trio.CancelScope() as scope:
            try:
                seen = str(await server.call(Number.add_slowly(by)))
            except ServerError as error:
                seen = type(error).__name__
    return seen


def observations(
    clients: tuple[tuple[tuple[str, int, int], ...], ...], servers: int, strategy: str, bound: int
) -> set[Observation] | None:
    """Everything that the clients of a program see together in any of its runs; None if there are too many.

    Args:
        clients: each one's operations: name, number of the server, operand.
        servers: how many.
        strategy: how to go through the runs.
        bound: how many runs to make at most.
    """
    seen: set[Observation] = set()

    async def scenario() -> None:
        results: list[list[str]] = [[] for _ in clients]

        async def client(number: int) -> None:
            for operation, server, by in clients[number]:
                results[number].append(await perform(operation, refs[server], by))

        async with AsyncExitStack() as stack:
            refs = [await stack.enter_async_context(open_server(Number)) for _ in range(servers)]
            async with trio.open_nursery() as nursery:
                for number in range(len(clients)):
                    nursery.start_soon(client, number)
            results.append([await perform("double", ref, 0) for ref in refs])
        seen.add(tuple(map(tuple, results)))

    result = sim.explore(scenario, strategy, bound)
    result.check()
    return seen if result.complete else None


def agree(seeds: range, bound: int) -> int:
    """Compare the two strategies on random programs; how many were small enough to."""
    compared = 0
    for seed in seeds:
        rng = random.Random(seed)
        servers = rng.randint(1, 2)
        clients = tuple(
            tuple(
                (rng.choice(OPERATIONS), rng.randrange(servers), rng.randint(1, 3))
                for _ in range(rng.randint(1, 2))
            )
            for _ in range(rng.randint(2, 3))
        )
        every = observations(clients, servers, "dfs", bound)
        if every is not None:
            compared += 1
            assert observations(clients, servers, "dpor", bound) == every, f"seed {seed}: {clients}"
    return compared


def test_reduction_sees_whatever_clients_of_servers_can_see() -> None:
    assert agree(range(12), bound=500) >= 5


@pytest.mark.torture
def test_reduction_sees_whatever_clients_of_many_servers_can_see(dose: Callable[[int], int]) -> None:
    count = dose(100)
    assert agree(range(1_000, 1_000 + count), bound=5_000) >= count / 2


def test_a_token_means_the_same_run_whatever_strategy_has_found_it() -> None:
    async def lost_update() -> None:
        async with open_server(Number) as number, trio.open_nursery() as nursery:
            nursery.start_soon(number.call, Number.add_in_a_child(1))
            assert await number.call(Number.add_in_a_child(1)) == 2

    for strategy in ("random", "dfs", "dpor"):
        (failure,) = sim.explore(lost_update, strategy).failures
        (again,) = sim.replay(lost_update, failure.token).failures
        assert type(again.error) is type(failure.error) is AssertionError
        assert len(again.steps) == len(failure.steps)
