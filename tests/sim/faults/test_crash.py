"""A server crashes at any of its checkpoints, as by a bug of its own, and is restarted as it says."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import pytest
import trio

import sim
from trio_genserver import GenServer, ServerError, child_spec, handle_call, open_server, open_supervisor
from trio_genserver.supervision import ChildNotFound


class Counter(GenServer):
    def __init__(self, begun: list[int]) -> None:
        self._begun = begun

    async def init(self) -> None:
        await trio.lowlevel.checkpoint()
        self._begun.append(1)

    @handle_call
    async def slow(self) -> int:
        await trio.lowlevel.checkpoint()
        return 1

    @handle_call(child=True)
    async def in_a_child(self) -> int:
        await trio.lowlevel.checkpoint()
        return 2


async def unsupervised() -> None:
    async with open_server(Counter, []) as counter:
        await counter.call(Counter.slow())
        await counter.call(Counter.in_a_child())


async def plain() -> None:
    async def worker() -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)


class Over(Exception):
    """Raised at the end of every run, so that each is reported."""


def places(
    program: Callable[[], Awaitable[None]], plan: str | sim.FaultPlan
) -> set[tuple[tuple[str, str], ...]]:
    """Where the faults of a sweep strike, in each execution: the tasks, and their functions."""

    async def scenario() -> None:
        try:
            await program()
        finally:
            raise Over

    plan = replace(sim.FaultPlan.of(plan), anytime=False)
    result = sim.explore(scenario, sweep=plan, schedules=1, max_failures=1_000, shrink_failures=False)
    found = [
        tuple((step.name, step.end.rpartition(" in ")[2]) for step in failure.steps if step.fault)
        for failure in result.failures
    ]
    assert len(found) == result.executions
    return set(found)


SERVER_PLACES = {
    ("Counter", "init"),
    ("Counter", "slow"),
    ("Counter", "serve"),
    ("in_a_child", "in_a_child"),
}


def test_sweep_strikes_the_servers_of_a_program_and_the_tasks_that_act_for_them() -> None:
    assert places(unsupervised, "crash") - {()} == {(place,) for place in SERVER_PLACES} | {
        # Before the first server is there, nobody knows that there will be one.
        (("scenario", "start"),)
    }


def test_sweep_strikes_any_task_of_a_program_without_servers_and_any_that_is_named() -> None:
    assert places(plain, "crash") == {(), (("scenario", "plain"),), (("worker", "worker"),)}
    every = sim.FaultPlan((sim.FaultKind.CRASH,), tasks="?*")
    assert {name for faults in places(unsupervised, every) for name, _ in faults} == {
        "Counter",
        "in_a_child",
        "scenario",
    }
    one = sim.FaultPlan((sim.FaultKind.CRASH,), tasks="in_a*")
    assert places(unsupervised, one) == {(), (("in_a_child", "in_a_child"),)}


def test_sweep_of_pairs_crashes_a_server_and_the_one_that_took_its_place() -> None:
    async def program() -> None:
        await supervised("permanent", [])

    pairs = places(program, sim.FaultPlan((sim.FaultKind.CRASH,), at_most=2))
    assert (("counter", "serve"), ("counter", "init")) in pairs
    assert (("counter", "slow"), ("counter", "slow")) not in pairs  # called once
    assert (("counter", "serve"), ("in_a_child", "in_a_child")) in pairs


Restart = Literal["permanent", "transient", "temporary"]


async def supervised(restart: Restart, begun: list[int]) -> bool:
    """Whether the server is there after its work, or after what has become of it."""
    spec = child_spec(Counter, begun).replace(id="counter", name="counter", restart=restart)
    async with open_supervisor([spec]) as supervisor:
        try:
            counter = supervisor.child("counter")
        except ChildNotFound:
            return False
        for message in (Counter.slow(), Counter.in_a_child()):
            try:
                await counter.call(message)
            except ServerError:
                await trio.sleep(0.1)  # time for a restart, if there is to be one
        await trio.sleep(0.1)
        return counter.is_running


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_crashed_server_is_restarted_as_it_says(restart: Restart) -> None:
    ends: list[tuple[int, bool]] = []

    async def scenario() -> None:
        begun: list[int] = []
        there = await supervised(restart, begun)
        ends.append((len(begun), there))

    plan = sim.FaultPlan((sim.FaultKind.CRASH,), anytime=False)
    result = sim.explore(scenario, sweep=plan, schedules=1)
    result.check()
    # Nothing struck; or it crashed after its start; or in it, and then the scenario ended with that.
    assert set(ends) == {(1, True), (1, False) if restart == "temporary" else (2, True)}
    assert ends.count((1, True)) == 1 + 2  # and the first run is repeated twice
    assert len(ends) >= 5 + 2


def test_crash_that_a_caller_is_told_of_is_not_a_failure_but_what_it_breaks_is() -> None:
    async def naive() -> None:
        async with open_supervisor([child_spec(Counter, []).replace(id="counter")]) as supervisor:
            await supervisor.child("counter").call(Counter.slow())

    async def forgets() -> None:
        begun: list[int] = []
        await supervised("permanent", begun)
        assert len(begun) == 1, "it has forgotten everything"

    sim.explore(naive, sweep="crash").check()
    (failure,) = sim.explore(forgets, sweep="crash").failures
    assert isinstance(failure.error, AssertionError)
    (again,) = sim.replay(forgets, failure.token).failures
    assert again.steps == failure.steps


def test_server_crashes_while_it_waits_in_the_middle_of_the_work_of_others() -> None:
    """It is restarted as it says, whenever that is, and a client finds it or is told that it is not there."""
    ends: set[tuple[int, bool]] = set()

    async def scenario() -> None:
        begun: list[int] = []
        there = await supervised("permanent", begun)
        ends.add((len(begun), there))

    result = sim.explore(scenario, sweep="crash")
    result.check()
    assert result.executions > 10
    assert ends == {(1, True), (2, True)}


def test_supervisors_and_clients_are_spared() -> None:
    async def program() -> None:
        await supervised("permanent", [])

    names = {name for faults in places(program, "crash") for name, _ in faults}
    # The program itself, before the first server is there.
    assert names == {"counter", "in_a_child", "scenario"}
