"""Faults strike at every place they can, one execution each, and are replayed like schedules."""

from typing import Any

import pytest
import trio

import sim


async def careless_pool() -> None:
    """A task that is cancelled between taking a token and giving it back keeps it."""
    tokens = sim.Shared(1)

    async def worker() -> None:
        with trio.CancelScope():
            await trio.lowlevel.checkpoint()
            tokens.set(tokens.get() - 1)
            await trio.lowlevel.checkpoint()
            tokens.set(tokens.get() + 1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
    assert tokens.get() == 1, "a token is lost"


async def careful_pool() -> None:
    tokens = sim.Shared(1)

    async def worker() -> None:
        with trio.CancelScope():
            await trio.lowlevel.checkpoint()
            tokens.set(tokens.get() - 1)
            try:
                await trio.lowlevel.checkpoint()
            finally:
                tokens.set(tokens.get() + 1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
    assert tokens.get() == 1


def struck(failure: sim.Failure) -> list[tuple[str, str]]:
    return [(step.name, step.fault) for step in failure.steps if step.fault]


@pytest.mark.parametrize("fault", ["cancel", "crash"])
def test_sweep_finds_the_one_place_where_a_fault_does_harm(fault: str) -> None:
    plan = sim.FaultPlan((sim.FaultKind(fault),), tasks="worker")

    async def scenario() -> None:
        try:
            await careless_pool()
        except* sim.InjectedCrash:
            raise AssertionError("crashed out") from None

    assert not sim.explore(careless_pool, max_executions=100).failures
    result = sim.explore(careless_pool, sweep=plan, max_failures=10)
    if fault == "cancel":
        (failure,) = result.failures
        assert str(failure.error).startswith("a token is lost")
        assert struck(failure) == [("worker", "cancel")]
        (again,) = sim.replay(careless_pool, failure.token).failures
        assert again.steps == failure.steps
    else:
        # The crash leaves the scenario before it can look, and so is no failure.
        assert result.failures == ()
        assert len(sim.explore(scenario, sweep=plan, max_failures=10).failures) == 3


def test_sweep_makes_one_execution_for_each_point_and_one_without() -> None:
    result = sim.explore(careful_pool, sweep=sim.FaultPlan((sim.FaultKind.CANCEL,), "worker"))
    assert result.failures == ()
    # Before it has begun, and at each of its checkpoints.
    assert result.executions == 1 + 4
    assert result.coverage == "4 of 4 points of 1 schedule"


def test_sweep_of_two_faults_goes_through_all_pairs() -> None:
    struck_at: list[tuple[int, ...]] = []

    async def scenario() -> None:
        places: list[int] = []
        for place in range(4):
            with trio.CancelScope() as scope:
                await trio.lowlevel.checkpoint()
            if scope.cancelled_caught:
                places.append(place)
        struck_at.append(tuple(places))

    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), at_most=2)
    sim.explore(scenario, sweep=plan).check()
    pairs = {(first, second) for first in range(4) for second in range(first + 1, 4)}
    *runs, first, second = struck_at
    assert sorted(runs) == sorted({(), (0,), (1,), (2,), (3,)} | pairs)
    assert first == second == ()  # the first run, repeated


def test_sampled_faults_strike_everywhere_in_the_end() -> None:
    struck_at: set[int | None] = set()

    async def scenario() -> None:
        found = None
        for place in range(20):
            with trio.CancelScope() as scope:
                await trio.lowlevel.checkpoint()
            if scope.cancelled_caught:
                found = place
        struck_at.add(found)

    for strategy in ("random", "pct", "pos"):
        struck_at.clear()
        sim.explore(scenario, strategy, 500, faults="cancel").check()
        assert struck_at == {None, *range(20)}, strategy


def test_sampled_fault_is_found_shrunk_and_replayed() -> None:
    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "worker")
    (failure,) = sim.explore(careless_pool, faults=plan).failures
    assert struck(failure) == [("worker", "cancel")]
    assert failure.preemptions == 0
    (again,) = sim.replay(careless_pool, failure.token).failures
    assert again.steps == failure.steps


def test_blocked_task_is_cancelled_and_crashed_where_it_waits() -> None:
    seen: list[str] = []

    async def scenario() -> None:
        event = trio.Event()

        async def waiter() -> None:
            try:
                await event.wait()
            except sim.InjectedCrash:
                seen.append("crashed")
                return
            except trio.Cancelled:
                seen.append("cancelled")
                raise
            seen.append("set")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            await trio.sleep(1)
            event.set()

    kinds = (sim.FaultKind.CANCEL, sim.FaultKind.CRASH)
    plan = sim.FaultPlan(kinds, tasks="waiter", anytime=False)
    sim.explore(scenario, sweep=plan, schedules=1).check()
    assert seen[:3] == ["set", "cancelled", "crashed"]
    assert set(seen[3:]) <= {"set"}  # the first run, repeated


def test_faults_strike_only_tasks_that_the_plan_names() -> None:
    class SeeCancelled(Exception):
        pass

    async def scenario() -> None:
        async def spared() -> None:
            await target()

        async def target() -> None:
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                raise SeeCancelled from None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(spared)
            nursery.start_soon(target)

    def struck_with(tasks: str) -> set[str]:
        plan = sim.FaultPlan((sim.FaultKind.CANCEL,), tasks=tasks, anytime=False)
        result = sim.explore(scenario, sweep=plan, max_failures=100, shrink_failures=False)
        return {name for failure in result.failures for name, _ in struck(failure)}

    assert struck_with("tar*") == {"target"}
    assert struck_with("*a*et*") == {"target"}
    assert struck_with("?*") == {"scenario", "spared", "target"}


def test_a_run_that_failed_without_a_fault_is_replayed_after_the_mend_though_the_plan_names_nobody() -> None:
    broken = True

    async def scenario() -> None:
        await trio.lowlevel.checkpoint()
        assert not broken

    nobody = sim.FaultPlan((sim.FaultKind.CRASH,), tasks="nobody")
    (failure,) = sim.explore(scenario, max_executions=1, faults=nobody).failures
    broken = False
    assert not sim.replay(scenario, failure.token).failures
    with pytest.raises(sim.WrongUse, match="no task has a name like 'nobody'"):
        sim.explore(scenario, max_executions=1, faults=nobody)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sweep": "earthquake"},
        {"faults": "earthquake"},
        {"sweep": "cancel", "faults": "cancel"},
        {"sweep": "cancel", "strategy": "dfs"},
        {"strategy": "sweep"},
        {"schedules": 2},
        {"sweep": "cancel", "schedules": 0},
        {"faults": "cancel", "schedules": 2},
    ],
)
def test_faults_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(sim.WrongUse):
        sim.explore(careful_pool, **arguments)


@pytest.mark.parametrize("code", [".cancel", ".cancel.x", ".earthquake.1", ".cancel.0"])
def test_token_with_a_fault_plan_that_is_none_is_refused(code: str) -> None:
    (failure,) = sim.explore(careless_pool, faults="cancel").failures
    with pytest.raises(sim.InvalidToken):
        sim.replay(careless_pool, failure.token.partition(".")[0] + code)


def test_plan_comes_back_from_its_code() -> None:
    for plan in (
        sim.FaultPlan((sim.FaultKind.CANCEL,)),
        sim.FaultPlan((sim.FaultKind.CANCEL,), anytime=False),
        sim.FaultPlan((sim.FaultKind.CANCEL, sim.FaultKind.CRASH), "a.b*", 3),
    ):
        assert sim.FaultPlan.from_code(plan.code) == plan


async def surprised_server() -> None:
    """Does not expect its client to give up in the middle of its work, only before."""
    asked, answer = trio.Event(), trio.Event()
    call = trio.CancelScope()

    async def client() -> None:
        with call:
            asked.set()
            await answer.wait()

    async def server() -> None:
        await asked.wait()
        if not call.cancel_called:
            await trio.lowlevel.checkpoint()
            assert not call.cancel_called, "given up in the middle"
        answer.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        nursery.start_soon(server)


def test_a_task_that_waits_is_struck_after_the_steps_of_others_if_the_plan_says_so() -> None:
    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), anytime=False)
    assert sim.explore(surprised_server, sweep=plan).failures == ()
    anytime = sim.FaultPlan((sim.FaultKind.CANCEL,))
    assert anytime.anytime
    result = sim.explore(surprised_server, sweep="cancel")
    (failure,) = result.failures
    assert "given up in the middle" in str(failure.error)
    assert struck(failure) == [("server", "cancel of client")]
    assert "where a cancel of client struck" in "\n".join(map(str, failure.steps))
    (again,) = sim.replay(surprised_server, failure.token).failures
    assert again.steps == failure.steps
    assert sim.explore(surprised_server, max_executions=500, faults=anytime).failures


@pytest.mark.parametrize("anytime", [False, True])
def test_a_plan_is_what_its_code_says(anytime: bool) -> None:
    kinds = sim.FaultKind.CANCEL, sim.FaultKind.DELAY
    for plan in (
        sim.FaultPlan(kinds, anytime=anytime),
        sim.FaultPlan(kinds, "client.1*", 2, 0.25, anytime=anytime),
    ):
        assert sim.FaultPlan.from_code(plan.code) == plan


@pytest.mark.parametrize("anytime", [False, True])
def test_dpor_with_faults_meets_what_every_interleaving_with_faults_does(anytime: bool) -> None:
    ends: set[tuple[int, tuple[tuple[str, bool], ...]]] = set()

    async def scenario() -> None:
        left: list[tuple[str, bool]] = []
        lock, event, cell = trio.Lock(), trio.Event(), sim.Shared(0)

        async def adds() -> None:
            with trio.CancelScope() as scope:
                async with lock:
                    cell.set(cell.get() + 1)
                    await event.wait()
                    cell.set(cell.get() + 10)
            left.append(("adds", scope.cancelled_caught))

        async def doubles() -> None:
            with trio.CancelScope() as scope:
                async with lock:
                    await trio.lowlevel.checkpoint()
                    cell.set(cell.get() * 2)
            left.append(("doubles", scope.cancelled_caught))

        async def sets_off() -> None:
            await trio.lowlevel.checkpoint()
            event.set()
            cell.set(cell.get() + 100)

        async with trio.open_nursery() as nursery:
            for task in (adds, doubles, sets_off):
                nursery.start_soon(task)
        ends.add((cell.get(), tuple(sorted(left))))

    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "*s", anytime=anytime)
    assert sim.explore(scenario, "dfs", 20_000, faults=plan).complete
    everything = frozenset(ends)
    ends.clear()
    assert sim.explore(scenario, "dpor", 20_000, faults=plan).complete
    assert ends == everything
    assert len(ends) > 5
