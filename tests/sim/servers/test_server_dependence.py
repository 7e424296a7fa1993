"""Partial-order reduction on servers: no behaviour is lost, and different servers commute."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random

import pytest
import trio
import trio.testing

import sim
from sim._dependence.footprint import Recorder
from tests.sim.strategies.trio_program import Scenario, compare
from trio_genserver import GenServer, ServerRef, ServerStopped, handle_call, handle_cast, open_server


class Register(GenServer):
    """Holds a number; some handlers take their time."""

    def __init__(self) -> None:
        self.value = 0

    @handle_call
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @handle_call
    async def double(self) -> int:
        value = self.value
        await trio.lowlevel.checkpoint()
        self.value = 2 * value
        return self.value

    @handle_cast
    def put(self, value: int) -> None:
        self.value = value


def adders(servers: int, clients: int) -> Scenario:
    async def client(server: ServerRef[Register], number: int) -> None:
        await server.call(Register.add(number))

    async def scenario() -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as clients_nursery:
            references: list[ServerRef[Register]] = []

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                async with open_server(Register) as server:
                    references.append(server)
                    task_status.started()
                    await trio.sleep(1)

            for _ in range(servers):
                await outer.start(serve)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(clients):
                clients_nursery.start_soon(client, references[number % servers], number)

    return scenario


@pytest.mark.parametrize(
    ("servers", "clients", "traces"), [(1, 2, 2), (1, 3, 6), (2, 2, 1), (3, 3, 1), (2, 4, 4)]
)
def test_calls_to_different_servers_commute_and_calls_to_one_do_not(
    servers: int, clients: int, traces: int
) -> None:
    result = sim.explore(adders(servers, clients), "dpor", 20_000)
    assert not result.failures
    assert (result.executions, result.abandoned, result.complete) == (traces, 0, True)


def server_program(seed: int) -> tuple[Scenario, list[Hashable]]:
    random = Random(seed)
    acts = ("add", "double", "put", "stop", "cancelled", "read")
    plans = [[random.choice(acts) for _ in range(random.randint(1, 2))] for _ in range(2)]
    results: list[Hashable] = []

    async def scenario() -> None:
        log: dict[int, list[Hashable]] = {0: [], 1: []}
        cell = sim.Shared(0)

        async def client(number: int, server: ServerRef[Register]) -> None:
            for act in plans[number]:
                answer: Hashable = None
                try:
                    if act == "add":
                        answer = await server.call(Register.add(number + 1))
                    elif act == "double":
                        answer = await server.call(Register.double())
                    elif act == "put":
                        await server.cast(Register.put(10))
                    elif act == "stop":
                        await server.stop()
                    elif act == "cancelled":
                        with trio.move_on_after(0) as scope:
                            answer = await server.call(Register.double())
                        answer = answer, scope.cancelled_caught
                    else:
                        answer = cell.get()
                        cell.set(number)
                except Exception as error:  # noqa: BLE001 - which one it is, is the outcome
                    answer = type(error).__name__
                log[number].append((act, answer))

        async with open_server(Register) as server:
            async with trio.open_nursery() as nursery:
                for number in range(2):
                    nursery.start_soon(client, number, server)
            try:
                last: Hashable = await server.call(Register.add(0))
            except ServerStopped:
                last = "stopped"
            except Exception as error:  # noqa: BLE001 - likewise
                last = type(error).__name__
        results.append((tuple(log[0]), tuple(log[1]), last))

    return scenario, results


def programs_lose_nothing(first: int, count: int) -> None:
    checked = 0
    for seed in range(first, first + count):
        scenario, results = server_program(seed)
        try:
            checked += compare(scenario, results, 3_000) > 0
        except AssertionError as error:
            error.add_note(f"program {seed}")
            raise
    assert checked > count / 2


def test_programs_of_servers_lose_no_behaviour() -> None:
    programs_lose_nothing(0, 12)


@pytest.mark.torture
def test_many_programs_of_servers_lose_no_behaviour(dose: Callable[[int], int]) -> None:
    programs_lose_nothing(1_000, dose(300))


def test_who_acts_for_an_object_writes_it_in_every_step() -> None:
    recorder = Recorder()
    owner = object()
    tasks = {identity: object() for identity in ((1,), (1, 4), (2,), ())}
    recorder.begin_execution({task: identity for identity, task in tasks.items()})
    recorder.task = tasks[1,]
    recorder.begin_step()
    recorder.belongs(owner, "server")
    recorder.end_step()
    for task, writes in (((1,), True), ((1, 4), True), ((2,), False), ((), False)):
        recorder.task = tasks[task]
        recorder.begin_step()
        kinds = [access.object.kind for access in recorder.end_step()]
        assert ("server" in kinds) is writes
