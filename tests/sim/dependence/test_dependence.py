"""Footprints: what commutes by its footprint, commutes; and names are the same in every run."""

import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

import sim
from sim.strategies import (
    CLOCK,
    ROOT,
    Access,
    ChoiceKind,
    Ending,
    Execution,
    Operation,
    RandomWalk,
    Step,
    Strategy,
    TaskId,
    conflict,
)
from tests.sim.dependence.generated import Scenario, generated_program


class Recording(Strategy):
    """One execution: follow the given order of tasks, then go on at random; keep all steps."""

    wants_footprints = True

    def __init__(self, order: Sequence[TaskId] = (), seed: int | None = None) -> None:
        self._order = list(order)
        self._random = None if seed is None else random.Random(seed)
        self.steps: list[Step] = []
        self.enabled: list[tuple[TaskId, ...]] = []
        self.diverged = False
        self._begun = False

    def begin_execution(self) -> bool:
        again, self._begun = self._begun, True
        return not again

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        raise AssertionError("tasks are chosen by their identity")

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        self.enabled.append(tuple(enabled))
        number = sum(step.task != CLOCK for step in self.steps)
        if number < len(self._order):
            if self._order[number] in enabled:
                return enabled.index(self._order[number])
            self.diverged = True
        return 0 if self._random is None else self._random.randrange(len(enabled))

    def step_done(self, step: Step) -> None:
        self.steps.append(step)

    def order(self) -> list[TaskId]:
        return [step.task for step in self.steps if step.task != CLOCK]


def record(scenario: Scenario, order: Sequence[TaskId] = (), seed: int | None = None) -> Recording:
    recording = Recording(order, seed)
    sim.explore(scenario, recording, max_executions=1)
    return recording


def steps_of(recording: Recording, task: TaskId) -> list[Step]:
    return [step for step in recording.steps if step.task == task]


def operations(step: Step, kind: str) -> list[Operation]:
    return [access.operation for access in step.accesses if access.object.kind == kind]


def shared(accesses: Sequence[Access]) -> list[Access]:
    return [access for access in accesses if access.object.kind != "task"]


def dependent(one: Step, other: Step) -> bool:
    return any(conflict(a, b) for a in one.accesses for b in other.accesses)


def two(first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]]) -> Scenario:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)

    return scenario


def test_steps_tell_who_was_created_woken_and_how_they_end() -> None:
    async def scenario() -> None:
        event = trio.Event()

        async def waiter() -> None:
            await event.wait()

        async def setter() -> None:
            await trio.lowlevel.checkpoint()
            event.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            nursery.start_soon(setter)

    recording = record(scenario, [ROOT, (0,), (1,), (1,), (0,), ROOT])
    assert not recording.diverged
    assert [(step.task, step.spawned, step.woken, step.ending) for step in recording.steps] == [
        (ROOT, ((0,), (1,)), (), Ending.BLOCKED),
        ((0,), (), (), Ending.BLOCKED),
        ((1,), (), (), Ending.RUNNABLE),
        ((1,), (), ((0,),), Ending.FINISHED),
        ((0,), (), (ROOT,), Ending.FINISHED),
        (ROOT, (), (), Ending.FINISHED),
    ]
    assert recording.enabled[2:4] == [((1,),), ((1,),)]


def test_clock_makes_a_step_when_nothing_else_can() -> None:
    async def scenario() -> None:
        await trio.sleep(1)

    recording = record(scenario)
    assert [step.task for step in recording.steps] == [ROOT, CLOCK, ROOT]
    assert recording.steps[1].woken == (ROOT,)


def test_shared_cells_are_named_by_their_maker_and_read_or_written() -> None:
    async def scenario() -> None:
        first, second = sim.Shared(0), sim.Shared(0)

        async def reader() -> None:
            first.get()

        async def writer() -> None:
            second.get()
            second.set(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader)
            nursery.start_soon(writer)

    recording = record(scenario)
    (reading,), (writing,) = steps_of(recording, (0,)), steps_of(recording, (1,))
    (read,) = [a for a in reading.accesses if a.object.kind == "shared"]
    looked, write = [a for a in writing.accesses if a.object.kind == "shared"]
    assert read.object.creator == write.object.creator == ROOT
    assert read.object.number < write.object.number
    assert looked.object == write.object
    assert [a.operation for a in (read, looked, write)] == [
        Operation.READ,
        Operation.READ,
        Operation.WRITE,
    ]


def test_names_are_the_same_whatever_came_before() -> None:
    async def scenario() -> None:
        async def worker() -> None:
            await trio.lowlevel.checkpoint()
            cell = sim.Shared(0)
            await trio.lowlevel.checkpoint()
            cell.set(1)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(worker)

    footprints: list[dict[tuple[TaskId, int], tuple[Access, ...]]] = []
    for seed in range(5):
        recording = record(scenario, seed=seed)
        footprints.append(
            {
                (task, number): step.accesses
                for task in ((0,), (1,), (2,))
                for number, step in enumerate(steps_of(recording, task))
            }
        )
    assert len(footprints[0]) > 3
    assert footprints == [footprints[0]] * 5


def test_steps_on_different_objects_do_not_conflict_and_on_one_they_do() -> None:
    def programs(kind: str, same: bool) -> Scenario:
        async def scenario() -> None:
            count = 1 if same else 2
            if kind == "lock":
                locks = [trio.Lock() for _ in range(count)]
                jobs = [lock.acquire for lock in (locks * 2)[:2]]
            elif kind == "semaphore":
                semaphores = [trio.Semaphore(1) for _ in range(count)]
                jobs = [semaphore.acquire for semaphore in (semaphores * 2)[:2]]
            elif kind == "limiter":
                limiters = [trio.CapacityLimiter(1) for _ in range(count)]
                jobs = [limiter.acquire for limiter in (limiters * 2)[:2]]
            else:
                ends = [trio.open_memory_channel[int](5) for _ in range(count)]
                sends = [send for send, _ in (ends * 2)[:2]]
                jobs = [send.aclose for send in sends]

            async def first(job: Callable[[], Awaitable[object]]) -> None:
                with trio.move_on_after(1):
                    await job()

            async with trio.open_nursery() as nursery:
                for job in jobs:
                    nursery.start_soon(first, job)

        return scenario

    for kind in ("lock", "semaphore", "limiter", "channel"):
        for same in (True, False):
            recording = record(programs(kind, same))
            one, other = steps_of(recording, (0,))[0], steps_of(recording, (1,))[0]
            assert dependent(one, other) is same, (kind, same)


def test_two_tasks_that_end_in_a_nursery_commute_and_their_parent_comes_after_both() -> None:
    recording = record(two(trio.lowlevel.checkpoint, trio.lowlevel.checkpoint))
    (*_, one), (*_, other) = steps_of(recording, (0,)), steps_of(recording, (1,))
    last = steps_of(recording, ROOT)[-1]
    assert not dependent(one, other)
    assert dependent(one, last)
    assert dependent(other, last)


def test_waiting_for_an_event_commutes_and_setting_it_does_not() -> None:
    async def scenario() -> None:
        event = trio.Event()

        async def setter() -> None:
            event.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(event.wait)
            nursery.start_soon(event.wait)
            nursery.start_soon(setter)

    recording = record(scenario, [ROOT, (0,), (1,), (2,)])
    waits = [steps_of(recording, (number,))[0] for number in (0, 1)]
    (setting,) = steps_of(recording, (2,))
    assert not dependent(*waits)
    assert all(dependent(wait, setting) for wait in waits)


def test_cancelling_conflicts_with_the_steps_of_the_cancelled_and_with_waking_them() -> None:
    async def scenario() -> None:
        event = trio.Event()
        scope = trio.CancelScope()

        async def cancelled() -> None:
            with scope:
                await event.wait()

        async def canceller() -> None:
            scope.cancel()

        async def setter() -> None:
            event.set()

        async def bystander() -> None:
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for job in (cancelled, canceller, setter, bystander):
                nursery.start_soon(job)

    recording = record(scenario, [ROOT, (0,), (2,), (1,), (3,)])
    (waiting, *_), (cancelling,) = steps_of(recording, (0,)), steps_of(recording, (1,))
    (setting,), (standing_by, *_) = steps_of(recording, (2,)), steps_of(recording, (3,))
    assert dependent(waiting, cancelling)
    assert dependent(setting, cancelling)
    assert not dependent(standing_by, cancelling)
    # And in the other order, where the cancellation takes the task out of the event.
    recording = record(scenario, [ROOT, (0,), (1,), (2,), (3,)])
    assert dependent(steps_of(recording, (1,))[0], steps_of(recording, (2,))[0])


def test_nothing_stays_wrapped_after_an_exploration() -> None:
    before = {
        (owner, name): getattr(owner, name)
        for owner in (trio.Event, trio.Lock, trio.CancelScope, trio.Nursery, trio.lowlevel.Task)
        for name in dir(owner)
        if not name.startswith("__")
    }
    record(two(trio.lowlevel.checkpoint, trio.lowlevel.checkpoint))
    assert all(getattr(owner, name) is value for (owner, name), value in before.items())
    sim.explore(two(trio.lowlevel.checkpoint, trio.lowlevel.checkpoint), RandomWalk(0))


# The test that counts: whatever footprints call independent may be swapped.


def check_swaps(seed: int) -> int:
    """Swap two adjacent independent steps of a random run; returns how many pairs were tried."""
    scenario, results = generated_program(seed)
    recording = record(scenario, seed=seed)
    steps = recording.steps
    swapped = 0
    for number in range(len(steps) - 1):
        one, other = steps[number], steps[number + 1]
        if CLOCK in (one.task, other.task) or one.task == other.task:
            continue
        if other.task in one.spawned or other.task in one.woken or dependent(one, other):
            continue
        order = recording.order()
        place = sum(step.task != CLOCK for step in steps[:number])
        order[place], order[place + 1] = order[place + 1], order[place]
        again = record(scenario, order, seed=0)
        where = f"program {seed}, steps {number} and {number + 1}:\n  {one}\n  {other}"
        assert not again.diverged, where
        assert results[-1] == results[0], where
        assert again.order() == order, where
        swapped += 1
        expected = list(steps)
        expected[number : number + 2] = other, one
        for then, now in zip(expected, again.steps, strict=True):
            assert (then.task, set(then.accesses), then.spawned, then.ending) == (
                now.task,
                set(now.accesses),
                now.spawned,
                now.ending,
            ), where
    return swapped


def test_steps_that_footprints_call_independent_can_be_swapped() -> None:
    assert sum(check_swaps(seed) for seed in range(60)) > 120


@pytest.mark.torture
def test_steps_that_footprints_call_independent_can_be_swapped_in_thousands_of_programs(
    dose: Callable[[int], int],
) -> None:
    count = dose(1_200)
    assert sum(check_swaps(seed) for seed in range(1_000, 1_000 + count)) > 2 * count


def test_strategies_are_told_of_the_end_of_each_execution() -> None:
    seen: list[Execution] = []

    class Watching(RandomWalk):
        def end_execution(self, execution: Execution) -> None:
            seen.append(execution)

    sim.explore(two(trio.lowlevel.checkpoint, trio.lowlevel.checkpoint), Watching(0), 3)
    assert [(end.verdict.value, end.steps) for end in seen] == [("held", 6)] * 3
