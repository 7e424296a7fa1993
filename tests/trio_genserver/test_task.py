"""Supervised one-off tasks: a result for who waits, a failure for whom it concerns, nothing left behind."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import outcome
import pytest
import trio
import trio.testing

from trio_genserver import (
    CallCycle,
    From,
    GenServer,
    InvalidSpec,
    ServerNotRunning,
    ServerRef,
    as_completed,
    handle_call,
    open_server,
    open_supervisor,
    wait_all,
)
from trio_genserver.errors import RequestAbandoned
from trio_genserver.instruments import Instrument, add_instrument
from trio_genserver.supervision import MaxChildrenReached
from trio_genserver.tasks import (
    Task,
    TaskStopped,
    TaskSupervisor,
    TaskSupervisorRef,
    open_task_supervisor,
    poll_many,
    task_supervisor_spec,
)

Clock = trio.testing.MockClock


async def double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number * 2


async def after(seconds: float, value: str) -> str:
    await trio.sleep(seconds)
    return value


async def fail(text: str, after: float = 0) -> None:
    await trio.sleep(after)
    raise ValueError(text)


# Waiting.


async def test_wait_gives_the_value_to_any_number_of_waiters() -> None:  # OTP 144
    async with open_task_supervisor() as tasks:
        task = tasks.start(double, 21)
        assert not task.done
        assert task.outcome is None
        assert await task.wait() == 42
        assert await task.wait() == 42
        assert task.check() == 42
        assert task.done


async def test_wait_raises_what_the_task_raised() -> None:  # OTP 144
    async with open_task_supervisor() as tasks:
        task = tasks.start_isolated(fail, "oh")
        for _ in range(2):
            with pytest.raises(ValueError, match="oh"):
                await task.wait()
        ended = task.outcome
        assert isinstance(ended, outcome.Error)
        assert isinstance(ended.error, ValueError)


async def test_a_wait_that_times_out_leaves_the_task_and_its_result_alone(autojump_clock: Clock) -> None:
    # OTP 144, OTP 145
    async with open_task_supervisor() as tasks:
        task = tasks.start(after, 10, "late")
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(1):
                await task.wait()
        other = tasks.start(after, 12, "other")
        assert await other.wait() == "other"
        assert await task.wait() == "late"


async def test_a_result_that_nobody_waits_for_reaches_nobody(autojump_clock: Clock) -> None:  # OTP 145
    """In a server that gave up waiting: its mailbox stays empty, its next calls get their own replies."""

    class Impatient(GenServer):
        def __init__(self, tasks: TaskSupervisorRef) -> None:
            self.tasks = tasks
            self.got: list[object] = []

        @handle_call
        async def ask(self, seconds: float, value: str) -> str | None:
            with trio.move_on_after(1):
                return await self.tasks.start_isolated(after, seconds, value).wait()
            return None

        @handle_call
        def get_got(self) -> list[object]:
            return self.got

        async def handle_info(self, message: object) -> None:
            self.got.append(message)

    async with open_task_supervisor() as tasks, open_server(Impatient, tasks) as server:
        assert await server.call(Impatient.ask(2, "too late")) is None
        assert await server.call(Impatient.ask(0.5, "in time")) == "in time"
        await tasks.wait_idle()
        assert await server.call(Impatient.get_got()) == []


async def test_a_task_that_waits_for_the_server_that_waits_for_it_is_refused() -> None:
    class Boss(GenServer):
        def __init__(self, tasks: TaskSupervisorRef) -> None:
            self.tasks = tasks

        @handle_call
        async def delegate(self) -> str:
            async def ask_back(boss: ServerRef[Boss]) -> str:
                return await boss.call(Boss.delegate())

            with pytest.raises(CallCycle, match="ask_back waits for Boss waits for TaskSupervisor"):
                await self.tasks.start_isolated(ask_back, self.ref).wait()
            return "refused"

    async with open_task_supervisor() as tasks, open_server(Boss, tasks) as boss:
        assert await boss.call(Boss.delegate()) == "refused"


# Linked or not.


async def test_the_failure_of_a_linked_task_ends_the_block_and_the_other_tasks() -> None:  # OTP 152
    ended: list[str] = []

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("forever")

    with pytest.raises(ValueError, match="oh"):
        async with open_task_supervisor() as tasks:
            tasks.start(forever)
            tasks.start(fail, "oh")
            await trio.sleep_forever()
    assert ended == ["forever"]


async def test_a_failure_that_the_block_waits_for_comes_out_once() -> None:  # OTP 152
    with pytest.raises(ValueError, match="oh"):
        async with open_task_supervisor() as tasks:
            await tasks.start(fail, "oh").wait()


async def test_two_failures_come_out_together() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with open_task_supervisor() as tasks:
            tasks.start(fail, "oh")
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("the block's own")
    assert {str(error) for error in caught.value.exceptions} == {"oh", "the block's own"}


async def test_the_failure_of_an_unlinked_task_concerns_nobody_else() -> None:  # OTP 152
    async with open_task_supervisor() as tasks:
        other = tasks.start(double, 1)
        failing = tasks.start_isolated(fail, "oh")
        await trio.testing.wait_all_tasks_blocked()
        assert await other.wait() == 2
        assert await tasks.start(double, 2).wait() == 4
        assert failing.done


async def test_a_server_may_answer_by_a_task_while_it_goes_on(autojump_clock: Clock) -> None:  # OTP 152
    class Deferring(GenServer):
        def __init__(self, tasks: TaskSupervisorRef) -> None:
            self.tasks = tasks

        @handle_call(noreply=True)
        def slow(self, from_: From[str], text: str) -> None:
            async def answer() -> None:
                await trio.sleep(5)
                from_.reply(text)

            self.tasks.start_isolated(answer)

        @handle_call
        def fast(self) -> str:
            return "fast"

    async with open_task_supervisor() as tasks, open_server(Deferring, tasks) as server:
        request = server.send_request(Deferring.slow("slow"))
        assert await server.call(Deferring.fast()) == "fast"
        assert not request.done
        assert await request.wait() == "slow"


@pytest.mark.parametrize("kind", ["value", "error", "stopped"])
async def test_a_server_is_sent_the_task_when_it_has_ended(kind: str, autojump_clock: Clock) -> None:
    # OTP 152
    class Receiver(GenServer):
        mailbox_size = 1

        def __init__(self) -> None:
            self.got: list[object] = []

        async def handle_info(self, message: object) -> None:
            self.got.append(message)

        @handle_call
        def get_got(self) -> list[object]:
            return self.got

        @handle_call
        async def block(self) -> None:
            await trio.sleep(5)

    async with (
        open_task_supervisor() as tasks,
        open_server(Receiver) as server,
        trio.open_nursery() as nursery,
    ):
        task: Task[Any]
        task = (
            tasks.start_isolated(fail, "oh", 1) if kind == "error" else tasks.start_isolated(after, 1, "ok")
        )
        task.send_to(server)
        nursery.start_soon(server.call, Receiver.block())
        await trio.testing.wait_all_tasks_blocked()
        server.send_nowait("fills the mailbox")
        if kind == "stopped":
            await task.shutdown()
        await tasks.wait_idle()
        task.send_to(server)  # it has ended: at once
        assert await server.call(Receiver.get_got()) == ["fills the mailbox", task, task]


# The supervisor.


async def test_one_task_too_many_is_refused_and_harms_nobody() -> None:  # OTP 152
    go = trio.Event()
    async with open_task_supervisor(max_children=2) as tasks:
        running = [tasks.start(go.wait) for _ in range(2)]
        with pytest.raises(MaxChildrenReached, match=r"2 children.*double\(1\)") as caught:
            tasks.start(double, 1)
        assert caught.value.max_children == 2
        assert tasks.tasks == running
        go.set()
        await wait_all(running)
        assert tasks.tasks == []
        assert await tasks.start(double, 1).wait() == 2


@pytest.mark.parametrize("option", [{"max_children": -1}, {"max_children": True}, {"task_shutdown": -1}])
def test_an_option_that_is_invalid_is_refused_where_it_is_written(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=f"{next(iter(option))} of a task supervisor"):
        task_supervisor_spec(**option)


async def test_the_end_of_the_block_waits_for_the_tasks(autojump_clock: Clock) -> None:
    async with open_task_supervisor() as tasks:
        first = tasks.start(after, 3, "first")

        async def start_another() -> Task[str]:
            await trio.sleep(1)
            return tasks.start(after, 5, "second")

        starter = tasks.start(start_another)
    assert trio.current_time() == pytest.approx(autojump_clock.current_time())
    assert (first.check(), starter.check().check()) == ("first", "second")
    with pytest.raises(ServerNotRunning, match=r"start\(.*double\(1\)\)"):
        tasks.start(double, 1)


async def test_a_cancelled_block_ends_its_tasks_and_tells_who_waits(autojump_clock: Clock) -> None:
    async with trio.open_nursery() as nursery:
        errors: list[TaskStopped] = []

        async def wait(task: Task[str]) -> None:
            with pytest.raises(TaskStopped, match=r"after\(10, 'never'\) was stopped") as caught:
                await task.wait()
            errors.append(caught.value)

        with trio.move_on_after(1) as scope:
            async with open_task_supervisor() as tasks:
                task = tasks.start(after, 10, "never")
                nursery.start_soon(wait, task)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 1
        await trio.testing.wait_all_tasks_blocked()
    assert [error.reason for error in errors] == ["shutdown"]


async def cancel(scope: trio.CancelScope, supervisor: Any) -> None:
    scope.cancel()


async def terminate(scope: trio.CancelScope, supervisor: Any) -> None:
    await supervisor.terminate_child("TaskSupervisor")


async def stop(scope: trio.CancelScope, supervisor: Any) -> None:
    await supervisor.child("TaskSupervisor").stop()


@pytest.mark.parametrize("end", [cancel, terminate, stop])
async def test_each_task_has_its_own_time_to_go_on_in_the_end(
    end: Callable[[trio.CancelScope, Any], Any], autojump_clock: Clock
) -> None:  # OTP 152
    log: list[tuple[float, str]] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await trio.sleep(seconds)
            log.append((trio.current_time(), f"{name} done"))
        except trio.Cancelled:
            log.append((trio.current_time(), f"{name} cancelled"))
            raise

    with trio.CancelScope() as scope:
        async with open_supervisor([task_supervisor_spec(task_shutdown=3)]) as supervisor:
            tasks = supervisor.child("TaskSupervisor", TaskSupervisor)
            assert isinstance(tasks, TaskSupervisorRef)
            tasks.start_isolated(work, "at once", 100, shutdown="brutal_kill")
            tasks.start_isolated(work, "in time", 3)
            tasks.start_isolated(work, "too slow", 100)
            tasks.start_isolated(work, "as long as it takes", 8, shutdown=math.inf)
            await trio.sleep(1)
            await end(scope, supervisor)
            await trio.sleep_forever() if scope.cancel_called else None
            scope.cancel()
    assert sorted(log) == [
        (1, "at once cancelled"),
        (3, "in time done"),
        (4, "too slow cancelled"),
        (8, "as long as it takes done"),
    ]


async def test_the_supervisor_may_be_stopped_in_its_block() -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start(trio.sleep_forever)
        await tasks.stop("enough")
        with pytest.raises(TaskStopped, match="enough"):
            await task.wait()
        with pytest.raises(ServerNotRunning):
            await tasks.wait_idle()


async def test_a_task_that_is_started_while_the_supervisor_ends_is_stopped_at_once(
    autojump_clock: Clock,
) -> None:
    ran: list[str] = []

    async def last_wish() -> None:
        try:
            await trio.sleep_forever()
        finally:
            late = tasks.start_isolated(after, 0, "late")
            ran.append(repr(late.outcome))

    with trio.move_on_after(1):
        async with open_task_supervisor() as tasks:
            tasks.start(trio.sleep, 3, shutdown=10)
            tasks.start(last_wish, shutdown=1)
            await trio.sleep_forever()
    assert len(ran) == 1
    assert "TaskStopped" in ran[0]
    assert trio.current_time() == 3


async def test_a_supervisor_that_is_restarted_takes_tasks_again() -> None:
    async with open_supervisor([task_supervisor_spec()]) as supervisor:
        tasks = supervisor.child("TaskSupervisor")
        assert isinstance(tasks, TaskSupervisorRef)
        other = tasks.start_isolated(trio.sleep_forever)
        tasks.start(fail, "oh")
        with pytest.raises(TaskStopped) as caught:
            await other.wait()
        assert isinstance(caught.value.reason, ValueError)
        await trio.testing.wait_all_tasks_blocked()
        assert tasks.tasks == []
        assert await tasks.start(double, 2).wait() == 4


# Many tasks.


async def test_wait_all_gives_the_values_in_the_order_given(autojump_clock: Clock) -> None:  # OTP 146
    async with open_task_supervisor() as tasks:
        several = [tasks.start(after, seconds, str(seconds)) for seconds in (3, 1, 2)]
        assert await wait_all(several) == ["3", "1", "2"]
        assert trio.current_time() == 3
        assert await wait_all(several) == ["3", "1", "2"]
        assert await wait_all(reversed(several)) == ["2", "1", "3"]
        assert await wait_all([]) == []
        assert await wait_all([several[0], several[0]]) == ["3", "3"]


async def test_the_first_failure_ends_wait_all_at_once_and_no_other_task(autojump_clock: Clock) -> None:
    # OTP 146
    async with open_task_supervisor() as tasks:
        slow: Task[Any] = tasks.start_isolated(after, 10, "slow")
        failing: list[Task[Any]] = [tasks.start_isolated(fail, str(seconds), seconds) for seconds in (2, 1)]
        with pytest.raises(ValueError, match="1"):
            await wait_all([slow, *failing])
        assert trio.current_time() == 1
        with pytest.raises(ValueError, match="1"):
            await wait_all([slow, *failing])
        assert await slow.wait() == "slow"


async def test_wait_all_can_be_given_up(autojump_clock: Clock) -> None:  # OTP 146
    async with open_task_supervisor() as tasks:
        several = [tasks.start(after, seconds, str(seconds)) for seconds in (1, 10)]
        with trio.move_on_after(5) as scope:
            await wait_all(several)
        assert scope.cancelled_caught
        assert [task.done for task in several] == [True, False]


@pytest.mark.parametrize("wait", [wait_all, poll_many])
async def test_waiting_for_many_is_a_checkpoint_even_for_none(wait: Callable[[list[Task[Any]]], Any]) -> None:
    with trio.testing.assert_checkpoints():
        await wait([])
    async with open_task_supervisor() as tasks:
        task = tasks.start(double, 1)
        await task.wait()
        with trio.testing.assert_checkpoints():
            await wait([task])
        with trio.CancelScope() as scope:
            scope.cancel()
            await wait([task])
        assert scope.cancelled_caught


async def test_as_completed_takes_tasks_too(autojump_clock: Clock) -> None:
    async with open_task_supervisor() as tasks:
        several = [tasks.start(after, seconds, str(seconds)) for seconds in (3, 1, 2)]
        assert [task.check() async for task in as_completed(several)] == ["1", "2", "3"]


async def test_poll_never_fails(autojump_clock: Clock) -> None:  # OTP 147
    async with open_task_supervisor() as tasks:
        slow = tasks.start(after, 10, "slow")
        assert await slow.poll() is None
        assert await slow.poll(5) is None
        assert trio.current_time() == 5
        assert await slow.poll(5.5) == outcome.Value("slow")
        assert trio.current_time() == 10
        ended = await tasks.start_isolated(fail, "oh").poll(1)
        assert isinstance(ended, outcome.Error)
        assert str(ended.error) == "oh"


async def test_poll_many_waits_for_the_time_or_for_enough_of_them(autojump_clock: Clock) -> None:  # OTP 147
    async with open_task_supervisor() as tasks:
        several = [tasks.start(after, seconds, str(seconds)) for seconds in (3, 1, 2, 20)]
        assert [ended for _, ended in await poll_many(several, 10, limit=2)] == [
            None,
            outcome.Value("1"),
            outcome.Value("2"),
            None,
        ]
        assert trio.current_time() == 2
        polled = await poll_many(several, 3)
        assert [task for task, _ in polled] == several
        assert [ended is None for _, ended in polled] == [False, False, False, True]
        assert trio.current_time() == 5
        assert (await poll_many(several, 10, limit=0))[0][1] == outcome.Value("3")
        assert trio.current_time() == 5
        assert not several[3].done


async def test_poll_many_ends_those_that_are_late_if_told_to(autojump_clock: Clock) -> None:  # OTP 147
    ended: list[float] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            ended.append(trio.current_time())

    async with open_task_supervisor() as tasks:
        several: list[Task[Any]] = [tasks.start(double, 1), tasks.start(slow)]
        polled = await poll_many(several, 5, kill=True)
        assert [each for _, each in polled] == [outcome.Value(2), None]
        assert ended == [7]
        assert isinstance(several[1].outcome, outcome.Error)


# Ending one.


async def test_shutdown_gives_a_value_that_is_there_already() -> None:  # OTP 148
    async with open_task_supervisor() as tasks:
        task = tasks.start(double, 1)
        await task.wait()
        assert await task.shutdown() == 2


async def test_shutdown_of_a_task_that_runs_gives_none_when_it_is_gone(autojump_clock: Clock) -> None:
    # OTP 148
    cleaned: list[float] = []

    async def slow() -> str:
        try:
            return await after(100, "never")
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            cleaned.append(trio.current_time())

    async with open_task_supervisor() as tasks:
        for shutdown in (0.0, math.inf):
            task = tasks.start(slow, shutdown=shutdown)
            await trio.testing.wait_all_tasks_blocked()
            assert await task.shutdown() is None
            with pytest.raises(TaskStopped):
                await task.wait()
            assert tasks.tasks == []
        assert cleaned == [2, 4]


async def test_shutdown_raises_what_the_task_has_failed_with(autojump_clock: Clock) -> None:  # OTP 148
    async def fails_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the end")

    async with open_task_supervisor() as tasks:
        crashed = tasks.start_isolated(fail, "oh")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="oh"):
            await crashed.shutdown()
        task = tasks.start_isolated(fails_when_cancelled)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="in the end"):
            await task.shutdown()


async def test_shutdown_lets_a_task_go_on_for_its_grace(autojump_clock: Clock) -> None:  # OTP 148
    async with open_task_supervisor() as tasks:
        assert await tasks.start(after, 3, "in time").shutdown(grace=5) == "in time"
        assert trio.current_time() == 3
        assert await tasks.start(after, 30, "too late").shutdown(grace=5) is None
        assert trio.current_time() == 8


async def test_an_ignored_task_runs_on_and_its_failure_concerns_nobody(autojump_clock: Clock) -> None:
    # OTP 149
    ran: list[str] = []

    async def work() -> None:
        await trio.sleep(2)
        ran.append("on")

    async with open_task_supervisor() as tasks:
        task = tasks.start(work)
        assert task.ignore() is None
        with pytest.raises(RequestAbandoned):
            await task.wait()
        failing = tasks.start(fail, "oh", 1)
        assert failing.ignore() is None
        ended = tasks.start(double, 1)
        await ended.wait()
        assert ended.ignore() == outcome.Value(2)
        await tasks.wait_idle()
        assert ran == ["on"]


async def lingers(seconds: float, ended: list[float]) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)
        ended.append(trio.current_time())


@pytest.mark.parametrize("grace", [0.0, 3.0])
async def test_shutdown_ends_a_task_that_was_ignored(grace: float, autojump_clock: Clock) -> None:
    ended: list[float] = []
    async with open_task_supervisor() as tasks:
        task: Task[Any] = tasks.start(lingers, 2, ended)
        await trio.testing.wait_all_tasks_blocked()
        task.ignore()
        assert await task.shutdown(grace) is None
        assert ended == [grace + 2]
        assert tasks.tasks == []
        # Again, when it is over, and for one that ends by itself.
        assert await task.shutdown() is None
        other = tasks.start(after, 5, "dropped")
        other.ignore()
        assert await other.shutdown(math.inf) is None
        assert trio.current_time() == grace + 7


async def test_shutdown_waits_for_a_task_that_is_ignored_meanwhile(autojump_clock: Clock) -> None:
    ended: list[float] = []
    async with open_task_supervisor() as tasks, trio.open_nursery() as nursery:
        task: Task[Any] = tasks.start(lingers, 2, ended)
        await trio.testing.wait_all_tasks_blocked()

        async def shut_down() -> None:
            assert await task.shutdown() is None
            assert ended == [2]

        nursery.start_soon(shut_down)
        await trio.testing.wait_all_tasks_blocked()
        task.ignore()


async def test_a_shutdown_of_an_ignored_task_that_waits_for_its_ender_is_a_cycle() -> None:
    class Ender(GenServer):
        @handle_call
        async def end(self, task: Task[Any]) -> None:
            await task.shutdown(math.inf)

        @handle_call
        def ping(self) -> None: ...

    async with open_task_supervisor() as tasks, open_server(Ender) as ender:
        begun = trio.Event()
        refused: list[CallCycle] = []

        async def calls() -> None:
            await begun.wait()
            try:
                await ender.call(Ender.ping())
            except CallCycle as error:
                refused.append(error)

        task = tasks.start_isolated(calls)
        task.ignore()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ender.call, Ender.end(task))
            await trio.testing.wait_all_tasks_blocked()
            begun.set()
        assert len(refused) == 1


async def test_poll_many_ends_those_that_were_ignored_if_told_to(autojump_clock: Clock) -> None:
    ended: list[float] = []
    async with open_task_supervisor() as tasks:
        several: list[Task[Any]] = [tasks.start(lingers, 2, ended), tasks.start(double, 1)]
        await trio.testing.wait_all_tasks_blocked()
        several[0].ignore()
        polled = await poll_many(several, 0, kill=True)
        assert [type(each) for _, each in polled] == [outcome.Error, outcome.Value]
        assert ended == [2]
        assert tasks.tasks == []


# What is told of it.


async def test_a_crash_is_logged_with_the_task_its_arguments_and_its_parent(
    caplog: pytest.LogCaptureFixture,
) -> None:  # OTP 155
    class Parent(GenServer):
        @handle_call
        def begin(self, tasks: TaskSupervisorRef) -> None:
            tasks.start_isolated(fail, "oh")

    async with open_task_supervisor(name="Jobs") as tasks, open_server(Parent) as parent:
        await parent.call(Parent.begin(tasks))
        await tasks.wait_idle()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    text = record.getMessage()
    assert "fail('oh') of Jobs crashed" in text
    assert "started by Parent" in text
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert record.__dict__["task"] == "Jobs.fail"
    assert record.__dict__["task_args"] == ("oh",)
    assert record.__dict__["task_callers"][0] == "Parent"


async def test_a_task_that_is_stopped_is_not_logged_as_a_crash(caplog: pytest.LogCaptureFixture) -> None:
    # OTP 155
    with trio.CancelScope() as scope:
        async with open_task_supervisor() as tasks:
            task = tasks.start(trio.sleep_forever)
            tasks.start(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            await task.shutdown()
            scope.cancel()
    assert caplog.records == []


async def test_a_task_knows_who_started_it_and_who_started_that() -> None:  # OTP 153
    async def grandchild() -> tuple[str, ...]:
        return tuple(name.split(".")[-1] for name in tasks.tasks[-1].callers)

    async def child() -> tuple[str, ...]:
        return await tasks.start(grandchild).wait()

    class Server(GenServer):
        @handle_call
        async def begin(self) -> tuple[str, ...]:
            return await tasks.start(child).wait()

    async with open_task_supervisor() as tasks, open_server(Server) as server:
        assert await server.call(Server.begin()) == ("child", "Server")
        outside = tasks.start(double, 1)
        assert outside.callers == (trio.lowlevel.current_task().name,)


async def test_instruments_see_a_task_as_a_request_to_its_supervisor() -> None:
    log: list[str] = []

    class Log(Instrument):
        def message_sent(self, server: ServerRef[Any], envelope: Any) -> None:
            log.append(f"sent {envelope.message!r}")

        def message_received(self, server: ServerRef[Any], envelope: Any) -> None:
            log.append(f"received {envelope.message!r}")

        def message_replied(self, server: ServerRef[Any], envelope: Any) -> None:
            log.append(f"replied {envelope.message!r}")

        def message_dropped(self, server: ServerRef[Any], envelope: Any, why: str) -> None:
            log.append(f"dropped {envelope.message!r} {why}")

        def task_crashed(self, task: Task[Any], error: BaseException) -> None:
            log.append(f"crashed {task.message!r} {error!r}")

    add_instrument(Log())
    async with open_task_supervisor() as tasks:
        await tasks.start(double, 1).wait()
        assert log == ["sent double(1)", "received double(1)", "replied double(1)"]
        log.clear()
        tasks.start(double, 2).ignore()
        await tasks.wait_idle()
        assert log == ["sent double(2)", "received double(2)", "dropped double(2) late reply"]
        log.clear()
        await tasks.start_isolated(fail, "oh").poll(1)
        assert log[2:] == ["crashed fail('oh') ValueError('oh')", "replied fail('oh')"]


async def test_a_task_shows_its_function_and_how_it_is() -> None:
    async with open_task_supervisor(name="Jobs") as tasks:
        task = tasks.start(double, 1)
        assert repr(task) == "<Task double(1) of Jobs, running>"
        assert task.async_fn is double
        assert task.args == (1,)
        await task.wait()
        assert repr(task) == "<Task double(1) of Jobs, done>"
