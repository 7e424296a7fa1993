"""Small things that programs see under Trio, and see under the simulator too."""

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

import sim

STRATEGIES = ("random", "dfs", "dpor")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_custom_sleep_data_is_gone_after_a_checkpoint(strategy: str) -> None:
    async def scenario() -> None:
        task: Any = trio.lowlevel.current_task()
        for checkpoint in (trio.lowlevel.cancel_shielded_checkpoint, trio.lowlevel.checkpoint):
            task.custom_sleep_data = "mine"
            await checkpoint()
            assert task.custom_sleep_data is None

    trio.run(scenario)
    sim.explore(scenario, strategy, max_executions=2).check()


class Waits(trio.abc.Instrument):
    """Notes the waits that it is told of, but not the looks at input between the steps of tasks."""

    def __init__(self) -> None:
        self.before: list[float] = []
        self.after: list[tuple[float, float]] = []

    def before_io_wait(self, timeout: float) -> None:
        if timeout:
            self.before.append(timeout)

    def after_io_wait(self, timeout: float) -> None:
        if timeout:
            self.after.append((timeout, trio.current_time()))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_instruments_are_told_of_waits(strategy: str) -> None:
    async def scenario() -> None:
        waits = Waits()
        trio.lowlevel.add_instrument(waits)
        began = trio.current_time()
        await trio.sleep(5)
        with trio.move_on_after(2):
            await trio.sleep_forever()
        await trio.sleep(10**6)
        trio.lowlevel.remove_instrument(waits)
        assert waits.before == [5, 2, 86_400]
        assert waits.after == [(5, began + 5), (2, began + 7), (86_400, began + 7 + 10**6)]

    sim.explore(scenario, strategy, max_executions=2).check()


def test_instruments_are_told_of_a_wait_for_all_tasks_to_be_blocked() -> None:
    async def scenario() -> list[float]:
        waits = Waits()
        trio.lowlevel.add_instrument(waits)
        await trio.testing.wait_all_tasks_blocked(0.01)
        trio.lowlevel.remove_instrument(waits)
        return waits.before

    seen: list[list[float]] = [trio.run(scenario)]

    async def noting() -> None:
        seen.append(await scenario())

    sim.explore(noting, max_executions=1).check()
    assert seen == [[0.01], [0.01]]


async def notes_where_abort_functions_run() -> list[bool]:
    seen: list[bool] = []

    def abort(_: object) -> trio.lowlevel.Abort:
        seen.append(trio.lowlevel.in_trio_task())
        return trio.lowlevel.Abort.SUCCEEDED

    with trio.move_on_after(1):
        await trio.lowlevel.wait_task_rescheduled(abort)
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.lowlevel.wait_task_rescheduled(abort)
    # A deadline that has passed before.
    with trio.CancelScope(deadline=-1):
        await trio.lowlevel.wait_task_rescheduled(abort)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.wait_task_rescheduled, abort)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return seen


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_abort_function_called_for_a_deadline_runs_in_no_task(strategy: str) -> None:
    seen: list[list[bool]] = []

    async def noting() -> None:
        seen.append(await notes_where_abort_functions_run())

    sim.explore(noting, strategy, max_executions=2).check()
    expected = trio.run(notes_where_abort_functions_run)
    assert expected[:2] == [False, True]
    assert all(each == expected for each in seen)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_abort_function_called_for_a_deadline_may_do_what_it_may_under_trio(strategy: str) -> None:
    """It sets events, cancels, starts tasks, makes scopes, and asks for the time."""

    async def scenario() -> None:
        done = trio.Event()
        times: list[float] = []

        async def started() -> None:
            times.append(trio.current_time())
            await trio.lowlevel.checkpoint()
            done.set()

        async def waits(nursery: trio.Nursery, seconds: float) -> None:
            def abort(_: object) -> trio.lowlevel.Abort:
                times.append(trio.current_time())
                nursery.start_soon(started)
                other.cancel()
                trio.CancelScope(deadline=trio.current_time() + 1)
                trio.lowlevel.current_trio_token().run_sync_soon(times.append, 0)
                return trio.lowlevel.Abort.SUCCEEDED

            with trio.move_on_after(seconds):
                await trio.lowlevel.wait_task_rescheduled(abort)

        with trio.CancelScope() as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(waits, nursery, 1)
                nursery.start_soon(trio.sleep, 1)
                await trio.sleep_forever()
        assert other.cancelled_caught
        assert len(times) >= 2
        async with trio.open_nursery() as nursery:
            other = trio.CancelScope()
            for _ in range(2):
                nursery.start_soon(waits, nursery, 1)
            await done.wait()

    trio.run(scenario)
    result = sim.explore(scenario, strategy, max_executions=100)
    result.check()
    assert result.diverged is None


def tree(task: trio.lowlevel.Task | None) -> Iterator[str]:
    assert task is not None
    yield task.name.rpartition(".")[2]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from tree(child)


async def of_the_system() -> None:
    await trio.sleep_forever()


async def walks_the_tree() -> list[list[str]]:
    seen: list[list[str]] = []

    def walk() -> None:
        seen.append(list(tree(trio.lowlevel.current_root_task())))

    walk()
    for _ in range(2):
        trio.lowlevel.spawn_system_task(of_the_system)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)
        await trio.testing.wait_all_tasks_blocked()
        walk()
        trio.lowlevel.current_trio_token().run_sync_soon(walk)
        await trio.sleep(0.5)
        # A thread is no task.
        nursery.start_soon(trio.to_thread.run_sync, lambda: None)
        walk()
        await trio.sleep(0.25)
    walk()
    return seen


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_tree_of_tasks_is_that_of_trio(strategy: str) -> None:
    seen: list[list[list[str]]] = []

    async def noting() -> None:
        seen.append(await walks_the_tree())

    async def under_trio() -> None:
        expected.extend(await walks_the_tree())

    expected: list[list[str]] = []
    trio.run(under_trio)
    sim.explore(noting, strategy, max_executions=20).check()
    for walks in seen:
        for walk, under in zip(walks, expected, strict=True):
            assert sorted(walk) == sorted(name.replace("under_trio", "noting") for name in under)
            assert walk[:2] == ["<init>", "run_sync_soon task>"]
    assert len({str(walks) for walks in seen}) == 1


def test_a_walk_up_from_a_task_and_one_down_from_the_root_meet() -> None:
    async def scenario() -> None:
        root = trio.lowlevel.current_root_task()
        assert root is not None
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        assert task is not None
        nursery = task.parent_nursery
        assert nursery is not None
        assert nursery in root.child_nurseries
        assert nursery.parent_task is root
        assert task in nursery.child_tasks
        system = trio.lowlevel.spawn_system_task(of_the_system)
        assert system.parent_nursery is root.child_nurseries[1]

    trio.run(scenario)
    for strategy in STRATEGIES:
        sim.explore(scenario, strategy, max_executions=2).check()


def outcomes(make: Callable[[set[int]], Callable[[], Any]], strategy: str) -> set[int]:
    seen: set[int] = set()
    assert sim.explore(make(seen), strategy, max_executions=20_000).complete
    return seen


def counts_system_tasks(seen: set[int]) -> Callable[[], Any]:
    async def ends() -> None:
        await trio.lowlevel.checkpoint()

    async def look() -> None:
        seen.add(sum(name == "ends" for name in tree(trio.lowlevel.current_root_task())))

    async def scenario() -> None:
        trio.lowlevel.spawn_system_task(ends)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)

    return scenario


def counts_callbacks_and_tasks(seen: set[int]) -> Callable[[], Any]:
    async def look() -> None:
        seen.add(len(list(tree(trio.lowlevel.current_root_task()))))

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(trio.lowlevel.checkpoint)
            token = trio.lowlevel.current_trio_token()
            token.run_sync_soon(trio.lowlevel.spawn_system_task, trio.lowlevel.checkpoint)

    return scenario


@pytest.mark.parametrize(
    ("make", "expected"), [(counts_system_tasks, {0, 1}), (counts_callbacks_and_tasks, {4, 5, 6})]
)
def test_dpor_covers_what_a_walk_from_the_root_can_see(
    make: Callable[[set[int]], Callable[[], Any]], expected: set[int]
) -> None:
    assert outcomes(make, "dpor") == outcomes(make, "dfs") == expected


def test_the_tree_of_the_run_around_is_as_it_was() -> None:
    async def scenario() -> None:
        raise RuntimeError

    assert sim.explore(scenario).failures
    assert trio.run(walks_the_tree)


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("left", ["nothing", "a generator", "a system task", "a thread"])
def test_a_callback_that_queues_itself_again_ends_with_the_run(idempotent: bool, left: str) -> None:
    ended: list[bool] = []
    # Kept, so that they are closed at the end of the run and no sooner.
    begun: list[AsyncGenerator[int]] = []
    closed: list[bool] = []

    async def scenario() -> None:
        token = trio.lowlevel.current_trio_token()
        ended.append(False)
        closed.clear()

        def again() -> None:
            assert not ended[-1]
            try:
                token.run_sync_soon(again, idempotent=idempotent)
            except trio.RunFinishedError:
                ended[-1] = True
                assert closed or left == "nothing"

        async def numbers() -> AsyncGenerator[int]:
            try:
                yield 1
            finally:
                closed.append(True)

        async def ends_late() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                    closed.append(True)

        def in_a_thread() -> None:
            closed.append(True)

        if left == "a generator":
            begun.append(numbers())
            await anext(begun[-1])
        elif left == "a system task":
            trio.lowlevel.spawn_system_task(ends_late)
        elif left == "a thread":
            await trio.to_thread.run_sync(in_a_thread)
        again()
        await trio.lowlevel.checkpoint()

    if left != "a thread":
        trio.run(scenario)
    for strategy in ("random", "pos"):
        sim.explore(scenario, strategy, max_executions=20).check()
    assert len(ended) >= 40
    assert all(ended)


def queues_itself_again(times: int) -> Callable[[set[int]], Callable[[], Any]]:
    def make(seen: set[int]) -> Callable[[], Any]:
        async def scenario() -> None:
            token, made = trio.lowlevel.current_trio_token(), sim.Shared(0)

            def again() -> None:
                made.set(made.get() + 1)
                if made.get() < times:
                    try:
                        token.run_sync_soon(again)
                    except trio.RunFinishedError:
                        seen.add(made.get())

            async def ends() -> None:
                await trio.lowlevel.checkpoint()
                seen.add(-made.get())

            trio.lowlevel.spawn_system_task(ends)
            again()
            await trio.lowlevel.checkpoint()

        return scenario

    return make


def test_dpor_covers_when_a_callback_can_no_longer_be_queued() -> None:
    make = queues_itself_again(4)
    assert outcomes(make, "dpor") == outcomes(make, "dfs")
    assert outcomes(make, "dfs") >= {-1, -4, 2, 3}


def test_a_run_that_fails_while_a_callback_queues_itself_again_is_cleaned_up() -> None:
    refused: list[bool] = []

    async def scenario() -> None:
        token = trio.lowlevel.current_trio_token()

        def again() -> None:
            try:
                token.run_sync_soon(again)
            except trio.RunFinishedError:
                refused.append(True)

        again()
        sim.always(lambda: trio.current_time() < 10_001, "it is early")
        await trio.lowlevel.checkpoint()
        clock: Any = trio.lowlevel.current_clock()
        clock.jump(5)
        await trio.sleep_forever()

    assert sim.explore(scenario, shrink_failures=False).failures
    assert refused
