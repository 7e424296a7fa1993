"""Trio programs run under the kernel as they do under Trio, one chosen step at a time."""

import contextlib
import gc
import signal
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any

import outcome
import pytest
import trio
import trio.testing

import sim
from sim._world.clock import CLOCK_START
from sim.strategies import RandomWalk


def held(result: sim.Result) -> None:
    result.check()
    assert result.executions > 0


def test_time_stands_still_while_anything_runs_and_jumps_when_nothing_can() -> None:
    async def scenario() -> None:
        assert trio.current_time() - CLOCK_START == 0
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert trio.current_time() - CLOCK_START == 0
        await trio.sleep(3600)
        assert trio.current_time() - CLOCK_START == 3600
        with trio.move_on_after(5) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() - CLOCK_START == 3605
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(1):
                await trio.sleep(2)

    held(sim.explore(scenario, max_executions=3))


def test_two_sleepers_due_at_once_wake_in_both_orders() -> None:
    orders: set[tuple[int, ...]] = set()

    async def scenario() -> None:
        order: list[int] = []

        async def sleeper(number: int) -> None:
            await trio.sleep(1)
            order.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper, 0)
            nursery.start_soon(sleeper, 1)
        orders.add(tuple(order))

    held(sim.explore(scenario, "dfs"))
    assert orders == {(0, 1), (1, 0)}


def test_deadline_moved_into_the_past_takes_effect() -> None:
    async def scenario() -> None:
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() - 1
            await trio.sleep_forever()
        assert scope.cancelled_caught

    held(sim.explore(scenario, max_executions=2))


def test_clock_can_be_moved_as_a_mock_clock_can() -> None:
    async def scenario() -> None:
        clock: Any = trio.lowlevel.current_clock()
        with trio.CancelScope(deadline=10) as scope:
            clock.jump(20)
            await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() - CLOCK_START == 20
        with pytest.raises(ValueError, match="forwards"):
            clock.jump(-1)

    held(sim.explore(scenario, max_executions=2))


def test_wait_all_tasks_blocked_returns_when_all_others_are() -> None:
    async def scenario() -> None:
        steps: list[str] = []

        async def other() -> None:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            steps.append("blocked")
            await trio.sleep(100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.testing.wait_all_tasks_blocked(0.5)
            assert steps == ["blocked"]
            assert trio.current_time() - CLOCK_START == 0
            nursery.cancel_scope.cancel()

    held(sim.explore(scenario, max_executions=20))


def test_endless_run_is_a_failure_once_its_steps_are_used_up() -> None:
    async def scenario() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    (failure,) = sim.explore(scenario, max_steps=50).failures
    assert isinstance(failure.error, sim.StepBudgetExceeded)
    assert failure.error.steps == 50
    assert "scenario" in failure.error.busiest


def test_run_of_exactly_the_allowed_steps_is_not_a_livelock() -> None:
    async def scenario() -> None:
        for _ in range(9):
            await trio.lowlevel.checkpoint()

    held(sim.explore(scenario, max_executions=1, max_steps=10))
    assert sim.explore(scenario, max_executions=1, max_steps=9).failures


def test_tasks_of_a_failed_run_unwind_before_the_next_begins() -> None:
    unwound: list[int] = []

    async def scenario() -> None:
        async def waiter(number: int) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                unwound.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter, 0)
            nursery.start_soon(waiter, 1)

    (failure,) = sim.explore(scenario, shrink_failures=False).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert len(unwound) == 2 * 3  # the run, and the two that check it


def test_thread_delivers_its_result_also_while_a_failed_run_unwinds() -> None:
    unwound: list[str] = []

    async def scenario() -> None:
        async def worker() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    unwound.append(await trio.to_thread.run_sync(lambda: "in a thread"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)

    assert sim.explore(scenario, shrink_failures=False).failures
    assert unwound == ["in a thread"] * 3  # the run, and the two that check it


def test_task_that_refuses_to_end_is_closed_by_force() -> None:
    closed: list[bool] = []

    async def scenario() -> None:
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        except GeneratorExit:
            closed.append(True)
            raise

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)
    assert closed


def test_executions_leave_nothing_behind() -> None:
    kept: list[weakref.ref[object]] = []

    class Probe:
        pass

    async def scenario() -> None:
        probe = Probe()
        kept.append(weakref.ref(probe))
        event = trio.Event()

        async def child() -> None:
            await event.wait()
            assert probe is not None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            event.set()

    held(sim.explore(scenario, max_executions=100))
    gc.collect()
    assert [ref for ref in kept if ref() is not None] == []


def test_run_variables_and_instruments_do_not_outlive_an_execution() -> None:
    variable: trio.lowlevel.RunVar[int] = trio.lowlevel.RunVar("number", default=0)

    class Counter(trio.abc.Instrument):
        def __init__(self) -> None:
            self.steps = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.steps += 1

    async def scenario() -> None:
        assert variable.get() == 0
        variable.set(1)
        counter = Counter()
        trio.lowlevel.add_instrument(counter)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert counter.steps == 2

    held(sim.explore(scenario, max_executions=5))


def test_system_tasks_are_cancelled_when_the_scenario_returns() -> None:
    ended: list[str] = []

    async def scenario() -> None:
        async def system() -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append("system")

        trio.lowlevel.spawn_system_task(system)
        await trio.lowlevel.checkpoint()

    held(sim.explore(scenario, max_executions=4))
    assert 2 <= len(ended) <= 6  # one that was never begun has nothing to unwind


def test_crash_of_a_system_task_is_a_failure() -> None:
    async def scenario() -> None:
        async def system() -> None:
            raise ValueError("system")

        trio.lowlevel.spawn_system_task(system)
        await trio.sleep(1)

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.SystemTaskCrashed)
    assert isinstance(failure.error.__cause__, ValueError)


def test_a_system_task_that_ends_cancelled_in_a_nursery_of_its_own_has_not_crashed() -> None:
    async def scenario() -> None:
        async def serve() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.sleep_forever()

        trio.lowlevel.spawn_system_task(serve)
        await trio.lowlevel.checkpoint()

    assert not sim.explore(scenario, "dfs", 100).failures


def test_system_task_that_survives_its_cancellation_is_a_leak() -> None:
    async def scenario() -> None:
        async def system() -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

        trio.lowlevel.spawn_system_task(system)
        await trio.lowlevel.checkpoint()

    failures = sim.explore(scenario, max_executions=20).failures
    assert isinstance(failures[0].error, sim.LeakedTasks)
    assert "system" in failures[0].error.tasks[0].name


def test_callbacks_from_elsewhere_run_in_order() -> None:
    async def scenario() -> None:
        seen: list[int] = []
        token = trio.lowlevel.current_trio_token()
        for number in range(4):
            token.run_sync_soon(seen.append, number)
        token.run_sync_soon(seen.append, 9, idempotent=True)
        token.run_sync_soon(seen.append, 9, idempotent=True)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [0, 1, 2, 3, 9]
        rows: list[list[int]] = []
        token.run_sync_soon(rows.append, [1])
        await trio.testing.wait_all_tasks_blocked()
        assert rows == [[1]]

    held(sim.explore(scenario, max_executions=10))


def test_async_generator_left_half_way_is_closed_at_the_end() -> None:
    closed: list[int] = []

    async def scenario() -> None:
        async def numbers() -> AsyncGenerator[int]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(1)

        generator = numbers()
        assert await anext(generator) == 1
        kept.append(generator)

    kept: list[AsyncGenerator[int]] = []
    held(sim.explore(scenario, max_executions=3))
    assert closed == [1] * 5  # the first run is repeated twice


def test_nursery_start_hands_the_task_over() -> None:
    async def scenario() -> None:
        async def service(*, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
            await trio.lowlevel.checkpoint()
            task_status.started("ready")
            await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            assert await nursery.start(service) == "ready"
            assert trio.current_time() - CLOCK_START == 0
        assert trio.current_time() - CLOCK_START == 1

    held(sim.explore(scenario, "dfs"))


def test_coroutine_of_another_library_is_told_apart() -> None:
    class Foreign:
        def __await__(self) -> Generator[str]:
            yield "something"

    async def scenario() -> None:
        await Foreign()

    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, TypeError)
    assert "another async library" in str(failure.error)


def test_traceback_of_a_failure_begins_in_the_program() -> None:
    async def scenario() -> None:
        raise ValueError("here")

    (failure,) = sim.explore(scenario).failures
    assert failure.error.__traceback__ is not None
    assert failure.error.__traceback__.tb_frame.f_code.co_name == "scenario"


def test_task_that_is_cancelled_at_once_goes_on_with_the_error() -> None:
    async def scenario() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.sleep_forever()
        assert scope.cancelled_caught

    held(sim.explore(scenario, "dfs"))


def test_wait_task_rescheduled_is_woken_by_reschedule() -> None:
    async def scenario() -> None:
        task = trio.lowlevel.current_task()

        async def waker() -> None:
            trio.lowlevel.reschedule(task, outcome.Value(17))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waker)
            got = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        assert got == 17

    held(sim.explore(scenario, "dfs"))


def test_ctrl_c_ends_the_exploration_whatever_the_program_does_with_it() -> None:
    runs = 0

    async def scenario() -> None:
        nonlocal runs
        runs += 1
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sim.explore(scenario)
    assert runs == 1


def test_a_program_may_handle_a_keyboard_interrupt_of_its_own() -> None:
    async def child() -> None:
        raise KeyboardInterrupt

    async def scenario() -> None:
        handled = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
        except* KeyboardInterrupt:
            handled = True
        assert handled
        with pytest.raises(KeyboardInterrupt):
            await trio.to_thread.run_sync(interrupted)

    def interrupted() -> None:
        raise KeyboardInterrupt

    result = sim.explore(scenario, max_executions=5)
    result.check()
    assert result.executions == 5


def test_a_keyboard_interrupt_that_the_program_raises_and_does_not_handle_fails_the_run() -> None:
    async def scenario() -> None:
        raise KeyboardInterrupt

    [failure] = sim.explore(scenario).failures
    assert isinstance(failure.error, KeyboardInterrupt)


def test_trio_runs_as_before_after_an_exploration() -> None:
    async def scenario() -> None:
        await trio.sleep(1)

    async def plain() -> str:
        with trio.move_on_after(0.001):
            await trio.sleep_forever()
        return await trio.to_thread.run_sync(lambda: "done")

    held(sim.explore(scenario, max_executions=5))
    assert trio.run(plain) == "done"


def test_what_a_finalizer_asks_for_between_two_executions_is_in_neither() -> None:
    tokens: list[trio.lowlevel.TrioToken] = []
    called: list[int] = []

    class Between(RandomWalk):
        def begin_execution(self) -> bool:
            for token in tokens:
                token.run_sync_soon(called.append, 1)
            return super().begin_execution()

    async def scenario() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        await trio.lowlevel.checkpoint()

    result = sim.explore(scenario, Between(0), 5)
    result.check()
    assert result.executions == 5
    assert not called
