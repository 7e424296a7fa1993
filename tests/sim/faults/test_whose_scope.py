"""A sweep cancels what somebody holds, and nothing else: each sentence of the manual is a test here."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

import pytest
import trio

import sim
from trio_genserver import GenServer, handle_call, open_server


def points(scenario: Callable[[], Awaitable[object]], sweep: str | sim.FaultPlan = "cancel") -> set[str]:
    """What the faults of a sweep are called, in a scenario that fails in each of its runs."""

    class Over(Exception):
        pass

    async def failing() -> None:
        try:
            await scenario()
        finally:
            raise Over

    # Whose scope it is depends on whose the code is.
    failing.__module__ = __name__
    result = sim.explore(
        failing, sweep=sweep, max_failures=10_000, max_executions=10_000, shrink_failures=False
    )
    assert len(result.failures) == result.executions
    return {step.fault for failure in result.failures for step in failure.steps} - {""}


def covered(result: sim.Result) -> int:
    """How many points a sweep has struck; all of them."""
    struck, of, known, *_ = result.coverage.split()
    assert of == "of"
    assert struck == known
    return int(struck)


async def checkpoints(count: int = 2) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def own_scope() -> None:
    with trio.CancelScope():
        await checkpoints()


async def own_scope_in_a_variable() -> None:
    scope = trio.CancelScope()
    with scope:
        await checkpoints()


async def own_scope_on_a_stack() -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(trio.CancelScope())
        await checkpoints()


@contextlib.contextmanager
def giving_up() -> Generator[trio.CancelScope]:
    with trio.CancelScope() as scope:
        yield scope


async def own_context_manager() -> None:
    with giving_up():
        await checkpoints()


async def named_timeout() -> None:
    with trio.move_on_after(5) as scope:
        await checkpoints()
    assert not scope.cancelled_caught or scope.cancel_called


async def kept_timeout() -> None:
    scope = trio.move_on_after(5)
    with scope:
        await checkpoints()


@pytest.mark.parametrize(
    "scenario",
    [
        own_scope,
        own_scope_in_a_variable,
        own_scope_on_a_stack,
        own_context_manager,
        named_timeout,
        kept_timeout,
    ],
)
def test_scope_of_the_program_is_cancelled_at_each_checkpoint_in_it(
    scenario: Callable[[], Awaitable[None]],
) -> None:
    assert points(scenario) == {"cancel"}
    assert covered(sim.explore(scenario, sweep="cancel")) == 2


def test_nursery_of_the_program_is_cancelled_at_each_checkpoint_below_it() -> None:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints)

    (found,) = points(scenario)
    assert found.startswith("cancel of the nursery at ")
    assert found.endswith(" in scenario")
    # Where it waits for its child, and the child's own two, and once the child is over.
    assert covered(sim.explore(scenario, sweep="cancel")) == 4


def test_scope_further_out_is_cancelled_too() -> None:
    slots = [0]

    async def use() -> None:
        slots[0] += 1
        try:
            with trio.fail_after(5):
                await checkpoints()
        except trio.TooSlowError:
            pass
        slots[0] -= 1  # not if whoever called gives up

    async def scenario() -> None:
        slots[0] = 0
        with trio.CancelScope():
            await use()
        assert slots[0] == 0, "a slot is lost"

    (failure,) = sim.explore(scenario, sweep="cancel").failures
    assert "a slot is lost" in str(failure.error)
    # The timeout alone is no such caller.
    assert sim.explore(scenario, sweep="expire").failures == ()


async def sleeps() -> None:
    began = trio.current_time()
    await trio.sleep(1)
    assert trio.current_time() == began + 1, "it has returned early"


async def shields() -> None:
    with trio.CancelScope(shield=True):
        await checkpoints()


async def becomes_a_shield() -> None:
    with trio.CancelScope() as scope:
        scope.shield = True
        await checkpoints()


async def fails_after() -> None:
    began = trio.current_time()
    try:
        with trio.fail_after(5) as scope:
            await checkpoints()
            assert not scope.cancel_called
    except trio.TooSlowError:
        assert trio.current_time() >= began + 5, "it was not too slow"


async def wants_no_timeout() -> None:
    done = 0
    with trio.fail_after(math.inf):
        await checkpoints()
        done += 1
    with trio.move_on_after(math.inf):
        await checkpoints()
        done += 1
    assert done == 2


async def nameless_timeout() -> None:
    began, done = trio.current_time(), False
    with trio.move_on_after(5):
        await checkpoints()
        done = True
    assert done or trio.current_time() >= began + 5


@trio.as_safe_channel
async def numbers() -> AsyncGenerator[int]:
    for number in range(2):
        await trio.lowlevel.checkpoint()
        yield number


async def iterates_safely() -> None:
    async with numbers() as channel:
        assert [number async for number in channel] == [0, 1]


class Counter(GenServer):
    @handle_call
    async def count(self) -> int:
        await trio.lowlevel.checkpoint()
        return 1


async def opens_a_server() -> None:
    async with open_server(Counter) as counter:
        assert await counter.call(Counter.count()) == 1


@pytest.mark.parametrize(
    "scenario",
    [
        checkpoints,
        sleeps,
        shields,
        becomes_a_shield,
        fails_after,
        wants_no_timeout,
        nameless_timeout,
        iterates_safely,
        opens_a_server,
    ],
)
def test_what_nobody_holds_is_not_cancelled(scenario: Callable[[], Awaitable[None]]) -> None:
    result = sim.explore(scenario, sweep="cancel")
    result.check()
    assert covered(result) == 0
    sim.explore(scenario, max_executions=100, faults="cancel").check()


def test_shield_keeps_out_a_cancellation_from_outside_until_it_is_left() -> None:
    ends: set[str] = set()

    async def scenario() -> None:
        end = "cancelled before"
        with trio.CancelScope():
            await trio.lowlevel.checkpoint()
            with trio.CancelScope(shield=True):
                await checkpoints()
                end = "cancelled after"
            await trio.lowlevel.checkpoint()
            end = "done"
        ends.add(end)

    sim.explore(scenario, sweep="cancel").check()
    assert ends == {"cancelled before", "cancelled after", "done"}


def test_scenario_as_a_whole_is_cancelled_only_if_it_is_named() -> None:
    ends: list[str] = []

    async def scenario() -> None:
        try:
            await checkpoints(3)
        except trio.Cancelled:
            ends.append("cancelled")
            raise
        ends.append("done")

    for strategy in ("random", "dfs"):
        sim.explore(scenario, strategy, 8, faults="cancel").check()
    assert set(ends) == {"done"}
    ends.clear()
    result = sim.explore(scenario, sweep=sim.FaultPlan((sim.FaultKind.CANCEL,), "scenario"))
    result.check()
    assert ends[:4] == ["done", "cancelled", "cancelled", "cancelled"]
    assert set(ends[4:]) <= {"done"}  # the first run, repeated


def test_no_run_begins_cancelled_because_one_before_has_cancelled_what_is_above_it() -> None:
    begun: list[bool] = []

    async def scenario() -> None:
        begun.append(trio.current_effective_deadline() == -math.inf)
        nursery = trio.lowlevel.current_task().parent_nursery
        assert nursery is not None
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()

    sim.explore(scenario, max_executions=3, max_failures=3, shrink_failures=False)
    assert begun
    assert not any(begun)


def test_context_manager_is_in_nobodys_hands_before_it_has_yielded() -> None:
    struck: list[bool] = []

    @contextlib.asynccontextmanager
    async def opened() -> AsyncGenerator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            await checkpoints()
            yield nursery

    @contextlib.asynccontextmanager
    async def opened_in_another() -> AsyncGenerator[trio.Nursery]:
        async with contextlib.AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(opened())
            await checkpoints()
            yield nursery

    async def scenario() -> None:
        async with opened_in_another() as nursery:
            await checkpoints(3)
        struck.append(nursery.cancel_scope.cancel_called)

    result = sim.explore(scenario, sweep="cancel")
    result.check()
    # Three times in the block, and once where the outer of the two is left.
    assert covered(result) == struck.count(True) == 4


def test_task_that_is_being_started_is_not_given_up_before_it_says_that_it_is() -> None:
    async def service(task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery():
            await checkpoints()
            task_status.started()
            await checkpoints()

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(service)

    for plan in ("cancel", sim.FaultPlan((sim.FaultKind.CANCEL,), "service")):
        result = sim.explore(scenario, sweep=plan)
        result.check()
        assert covered(result) > 0


def test_task_that_is_named_is_given_up_and_nothing_falls_with_it() -> None:
    ends: set[tuple[bool, bool]] = set()

    async def scenario() -> None:
        done: list[str] = []

        async def client(name: str) -> None:
            await checkpoints()
            done.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, "a", name="client a")
            nursery.start_soon(client, "b", name="client b")
        assert "b" in done, "the sibling has fallen"
        ends.add(("a" in done, "b" in done))

    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "client a")
    result = sim.explore(scenario, sweep=plan)
    result.check()
    assert ends == {(True, True), (False, True)}
    for strategy in ("random", "pct", "pos", "dfs", "dpor"):
        ends.clear()
        sim.explore(scenario, strategy, 2_000, faults=plan).check()
        assert ends == {(True, True), (False, True)}, strategy


def test_deadline_strikes_at_each_point_that_it_covers_whatever_is_inside() -> None:
    lengths: set[int] = set()

    async def scenario() -> None:
        began = trio.current_time()
        done: list[int] = []
        with trio.move_on_after(10) as scope:
            for number in range(3):
                await trio.sleep(1)
                done.append(number)
        assert not scope.cancelled_caught or trio.current_time() >= began + 10
        lengths.add(len(done))

    for sweep in ("expire", sim.FaultPlan((sim.FaultKind.EXPIRE,), "scenario")):
        lengths.clear()
        sim.explore(scenario, sweep=sweep).check()
        assert lengths == {0, 1, 2, 3}


def test_end_of_a_sleep_is_a_deadline_only_of_a_task_that_is_named() -> None:
    seen: set[bool] = set()

    async def scenario() -> None:
        done: list[int] = []

        async def worker() -> None:
            await checkpoints()
            done.append(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            await trio.sleep(60)
            seen.add(bool(done))

    sim.explore(scenario, sweep="expire").check()
    assert seen == {True}
    sim.explore(scenario, sweep=sim.FaultPlan((sim.FaultKind.EXPIRE,), "scenario")).check()
    assert seen == {True, False}


@pytest.mark.parametrize("kind", list(sim.FaultKind))
def test_name_that_no_task_has_is_wrong_use_and_the_message_says_which_there_are(kind: sim.FaultKind) -> None:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints, name="client")

    plan = sim.FaultPlan((kind,), "clinet")
    message = r"'clinet'.*'client', 'scenario'"
    with pytest.raises(sim.WrongUse, match=message):
        sim.explore(scenario, sweep=plan)
    for jobs in (1, 2):
        with pytest.raises(sim.WrongUse, match=message):
            sim.explore(scenario, max_executions=10, faults=plan, jobs=jobs)


def test_program_that_fails_without_a_victim_has_failed() -> None:
    async def scenario() -> None:
        raise ValueError("anyway")

    plan = sim.FaultPlan((sim.FaultKind.CANCEL,), "nobody")
    (failure,) = sim.explore(scenario, sweep=plan).failures
    assert isinstance(failure.error, ValueError)


def test_run_that_fails_without_a_fault_is_not_blamed_on_one() -> None:
    async def scenario() -> None:
        cell = [0]

        async def increment() -> None:
            value = cell[0]
            await trio.lowlevel.checkpoint()
            cell[0] = value + 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(increment)
            nursery.start_soon(increment)
        assert cell[0] == 2

    (failure,) = sim.explore(scenario, sweep="cancel", seed=4).failures
    assert not [step.fault for step in failure.steps if step.fault]
