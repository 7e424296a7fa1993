from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trio_genserver
from trio_genserver import (
    CallCycle,
    GenServer,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    run_server,
)
from trio_genserver.agents import open_agent
from trio_genserver.registry import Registry


class Counter(GenServer):
    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.ended: object = None

    async def terminate(self, reason: object) -> None:
        ENDS.append((self.ref.name, reason))

    async def handle_info(self, message: object) -> None:
        self.value = -1

    def format_status(self, state: dict[str, Any]) -> object:
        return {**state, "ended": "hidden"}

    @handle_call
    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_cast
    def add(self, by: int) -> None:
        self.value += by

    @handle_call
    async def wait_for(self, event: trio.Event) -> None:
        await event.wait()

    @handle_call(child=True)
    async def work(self, event: trio.Event) -> str:
        await event.wait()
        return "done"

    @handle_call
    def crash(self) -> None:
        raise RuntimeError("boom")

    @handle_call
    async def ask_oneself(self) -> tuple[str, ...]:
        with pytest.raises(CallCycle) as caught:
            await trio_genserver.sys.get_state(self.ref)
        return caught.value.cycle

    @handle_call
    async def ask_for(self, other: ServerRef[Any]) -> object:
        return await trio_genserver.sys.get_state(other)


class Slotted(GenServer):
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1

    @handle_call
    def get(self) -> int:
        return self.value


ENDS: list[tuple[str, object]] = []


@pytest.fixture(autouse=True)
def _no_ends() -> None:
    ENDS.clear()


def _double(state: dict[str, Any]) -> dict[str, Any]:
    state["value"] *= 2
    return state


# The state.


async def test_the_state_is_read_by_reference_and_by_name() -> None:  # OTP 61
    registry: Registry[Counter] = Registry("names")
    name = registry.via("counter", Counter)
    async with open_server(child_spec(Counter, 3).replace(via=name)) as counter:
        assert await trio_genserver.sys.get_state(counter) == {"value": 3, "ended": None}
        assert await trio_genserver.sys.get_state(name) == {"value": 3, "ended": None}
        (await trio_genserver.sys.get_state(counter))["value"] = 100
        assert await counter.call(Counter.increment()) == 4


async def test_a_busy_server_answers_after_its_handler_and_the_deadline_is_the_callers(
    autojump_clock: MockClock,
) -> None:
    # OTP 61
    async with open_server(Counter, 3) as counter, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(counter.call, Counter.wait_for(event))
        await wait_all_tasks_blocked()
        with trio.move_on_after(5) as scope:
            await trio_genserver.sys.replace_state(counter, _double)
        assert scope.cancelled_caught
        event.set()
        # The one that was given up has not been served.
        assert (await trio_genserver.sys.get_state(counter))["value"] == 3


async def test_it_is_answered_before_what_waits_in_the_mailbox() -> None:  # OTP 61
    async with open_server(Counter) as counter, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(counter.call, Counter.wait_for(event))
        await wait_all_tasks_blocked()
        for _ in range(100):
            counter.cast_nowait(Counter.add(1))
        seen: list[int] = []

        async def look() -> None:
            seen.append((await trio_genserver.sys.get_state(counter))["value"])

        nursery.start_soon(look)
        await wait_all_tasks_blocked()
        event.set()
        await wait_all_tasks_blocked()
        assert seen == [0]
        assert await counter.call(Counter.increment(0)) == 100


async def test_it_is_answered_while_a_child_task_works() -> None:  # OTP 61
    async with open_server(Counter) as counter, trio.open_nursery() as nursery:
        event = trio.Event()
        nursery.start_soon(counter.call, Counter.work(event))
        await wait_all_tasks_blocked()
        assert (await trio_genserver.sys.get_state(counter))["value"] == 0
        event.set()


async def test_it_is_answered_when_init_has_finished() -> None:  # OTP 61
    class Slow(Counter):
        async def init(self) -> None:
            await go.wait()
            self.value = 7

    go = trio.Event()
    registry: Registry[Counter] = Registry("names")
    name = registry.via("slow", Slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_server, child_spec(Slow).replace(via=name))
        await wait_all_tasks_blocked()
        seen: list[object] = []

        async def look() -> None:
            seen.append((await trio_genserver.sys.get_state(name))["value"])

        nursery.start_soon(look)
        await wait_all_tasks_blocked()
        assert seen == []
        go.set()
        await wait_all_tasks_blocked()
        assert seen == [7]
        await name.stop()


async def test_a_new_state_takes_the_place_of_the_old_and_is_returned() -> None:  # OTP 62
    async with open_server(Counter, 3) as counter:
        assert await trio_genserver.sys.replace_state(counter, _double) == {"value": 6, "ended": None}
        assert await counter.call(Counter.increment()) == 7
        assert await trio_genserver.sys.replace_state(counter, lambda state: {"value": 1}) == {"value": 1}
        assert await trio_genserver.sys.get_state(counter) == {"value": 1}
    async with open_server(Slotted) as slotted:
        assert await trio_genserver.sys.replace_state(slotted, _double) == {"value": 2}
        assert await slotted.call(Slotted.get()) == 2


async def test_a_function_that_raises_changes_nothing_and_raises_at_the_caller() -> None:  # OTP 62
    mistake = LookupError("not there")

    def fail(state: dict[str, Any]) -> dict[str, Any]:
        state["value"] = 100
        raise mistake

    async with open_server(Counter, 3) as counter:
        with pytest.raises(LookupError) as caught:
            await trio_genserver.sys.replace_state(counter, fail)
        assert caught.value is mistake
        assert await counter.call(Counter.increment()) == 4


async def test_a_state_that_cannot_be_is_refused_and_the_old_one_stays() -> None:  # OTP 62
    class Picky(Counter):
        @property
        def fixed(self) -> int:
            return 1

    def nothing(state: dict[str, Any]) -> dict[str, Any]:
        return None  # type: ignore[return-value] # pyright: ignore[reportReturnType] # the mistake that is tested

    async with open_server(Picky, 3) as picky:
        with pytest.raises(AttributeError, match="fixed"):
            await trio_genserver.sys.replace_state(picky, lambda state: {"value": 4, "more": 1, "fixed": 2})
        with pytest.raises(AttributeError, match="_process"):
            await trio_genserver.sys.replace_state(picky, lambda state: {"_process": None})
        with pytest.raises(TypeError, match="dict"):
            await trio_genserver.sys.replace_state(picky, nothing)
        assert await trio_genserver.sys.get_state(picky) == {"value": 3, "ended": None}


# How a request ends.


async def test_a_server_that_is_not_there_is_told_at_once() -> None:  # OTP 61, 62, 63, 69
    async with open_server(Counter) as counter:
        await counter.stop()
        for ask in (
            trio_genserver.sys.get_state,
            trio_genserver.sys.get_status,
            trio_genserver.sys.suspend,
            trio_genserver.sys.resume,
            trio_genserver.sys.statistics,
            trio_genserver.sys.terminate,
            trio_genserver.sys.log,
        ):
            with trio.testing.assert_checkpoints(), pytest.raises(ServerNotRunning) as caught:
                await ask(counter)
            assert caught.value.server == "Counter"
            assert "sys." in str(caught.value)


@pytest.mark.parametrize(("how", "error"), [("stop", ServerStopped), ("crash", ServerCrashed)])
async def test_a_server_that_ends_meanwhile_fails_who_waits_before_its_terminate(
    how: str, error: type[Exception], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 61
    class Ending(Counter):
        @handle_call
        async def end(self, event: trio.Event) -> None:
            await event.wait()
            raise RuntimeError("boom") if how == "crash" else Stop("enough")

        async def terminate(self, reason: object) -> None:
            await trio.sleep(3)

    event = trio.Event()
    told: list[float] = []
    async with open_supervisor([child_spec(Ending).replace(restart="temporary")]) as supervisor:
        ref: ServerRef[Any] = supervisor.child("Ending")

        async def ask() -> None:
            with pytest.raises(error):
                await trio_genserver.sys.get_state(ref)
            told.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            request = ref.send_request(Ending.end(event))
            await wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            begin = trio.current_time()
            event.set()
        assert told == [begin]
        request.abandon()


async def test_a_server_that_asks_about_itself_is_refused_not_hung() -> None:
    # OTP 61
    async with open_server(Counter) as counter, open_server(child_spec(Counter).replace(name="b")) as other:
        assert await counter.call(Counter.ask_oneself()) == ("Counter", "Counter")
        assert await counter.call(Counter.ask_for(other)) == {"value": 0, "ended": None}


async def test_every_request_is_a_checkpoint() -> None:  # OTP 61
    async with open_server(Counter) as counter:
        with trio.testing.assert_checkpoints():
            await trio_genserver.sys.get_state(counter)
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio_genserver.sys.replace_state(counter, _double)
        assert scope.cancelled_caught


# Suspending.


async def test_a_suspended_server_answers_sys_alone(autojump_clock: MockClock) -> None:  # OTP 63
    async with open_server(Counter) as counter, trio.open_nursery() as nursery:
        await trio_genserver.sys.suspend(counter)
        await trio_genserver.sys.suspend(counter)
        with trio.move_on_after(10) as scope:
            await counter.call(Counter.increment())
        assert scope.cancelled_caught
        assert (await trio_genserver.sys.get_status(counter)).status == "suspended"
        assert (await trio_genserver.sys.get_state(counter))["value"] == 0
        answers: list[int] = []

        async def increment() -> None:
            answers.append(await counter.call(Counter.increment()))

        nursery.start_soon(increment)
        await counter.cast(Counter.add(10))
        await wait_all_tasks_blocked()
        assert answers == []
        await trio_genserver.sys.resume(counter)
        await trio_genserver.sys.resume(counter)
        await wait_all_tasks_blocked()
        # The call that was given up is not among them.
        assert answers in ([1], [11])
        assert await counter.call(Counter.increment(0)) == 11
        assert (await trio_genserver.sys.get_status(counter)).status == "running"


async def test_a_suspended_server_can_be_stopped_and_tells_who_waits() -> None:  # OTP 63
    async with open_server(Counter) as counter:
        await trio_genserver.sys.suspend(counter)
        request = counter.send_request(Counter.increment())
        await counter.stop("enough")
        with pytest.raises(ServerStopped) as caught:
            request.check()
        assert caught.value.reason == "enough"
    assert ENDS == [("Counter", "enough")]


async def test_a_suspended_server_is_ended_with_its_block() -> None:  # OTP 63
    async with open_server(Counter) as counter:
        await trio_genserver.sys.suspend(counter)
    assert ENDS == [("Counter", "normal")]


async def test_a_server_timeout_does_not_strike_a_suspended_server(
    autojump_clock: MockClock,
) -> None:  # OTP 63
    class Timed(Counter):
        async def init(self) -> None:
            self.set_timeout(5)

        async def handle_timeout(self) -> None:
            self.value = 99

    async with open_server(Timed) as timed:
        await trio_genserver.sys.suspend(timed)
        await trio.sleep(60)
        assert (await trio_genserver.sys.get_state(timed))["value"] == 0
        await trio_genserver.sys.resume(timed)
        await trio.sleep(6)
        assert (await trio_genserver.sys.get_state(timed))["value"] == 99


async def test_a_suspended_supervisor_restarts_nobody_until_it_is_resumed(  # OTP 63, 67
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_supervisor([child_spec(Counter)]) as supervisor:
        await trio_genserver.sys.suspend(supervisor)
        with pytest.raises(ServerCrashed):
            await supervisor.child("Counter").call(Counter.crash())
        await wait_all_tasks_blocked()
        assert not supervisor.child("Counter").is_running
        await trio_genserver.sys.resume(supervisor)
        await wait_all_tasks_blocked()
        assert await supervisor.child("Counter").call(Counter.increment()) == 1


# Status, and the end.


async def test_the_status_shows_name_parent_state_as_formatted_and_mailbox() -> None:  # OTP 69
    async with open_supervisor([child_spec(Counter, 3)], name="root") as supervisor:
        counter: ServerRef[Any] = supervisor.child("Counter")
        await trio_genserver.sys.suspend(counter)
        counter.cast_nowait(Counter.add(1))
        counter.cast_nowait(Counter.add(1))
        assert await trio_genserver.sys.get_status(counter) == trio_genserver.sys.Status(
            name="Counter",
            server_class=Counter,
            parent="root",
            status="suspended",
            state={"value": 3, "ended": "hidden"},
            mailbox_length=2,
            dropped=0,
        )
        await trio_genserver.sys.resume(counter)
        status = await trio_genserver.sys.get_status(supervisor)
        assert status.name == "root"
        assert status.parent == trio.lowlevel.current_task().name


async def test_terminate_ends_a_server_before_what_waits_with_the_reason() -> None:  # OTP 68
    async with open_server(Counter) as counter:
        await trio_genserver.sys.suspend(counter)
        request = counter.send_request(Counter.increment())
        await trio_genserver.sys.terminate(counter, "by hand")
        assert not counter.is_running
        assert ENDS == [("Counter", "by hand")]
        with pytest.raises(ServerStopped):
            request.check()


# Debugging.


async def test_statistics_are_off_until_they_are_switched_on(autojump_clock: MockClock) -> None:  # OTP 64
    async with open_server(Counter) as counter:
        with pytest.raises(trio_genserver.sys.NoStatistics) as caught:
            await trio_genserver.sys.statistics(counter)
        assert caught.value.server == "Counter"
        await trio.sleep(1)
        begin = trio.current_time()
        await counter.call(Counter.increment())
        await trio_genserver.sys.start_statistics(counter)
        for _ in range(3):
            await counter.call(Counter.increment())
        await counter.cast(Counter.add(1))
        await counter.send("anything")
        await wait_all_tasks_blocked()
        await trio.sleep(2)
        assert await trio_genserver.sys.statistics(counter) == trio_genserver.sys.Statistics(
            begin, begin + 2, 5, 3, 0
        )
        await trio_genserver.sys.stop_statistics(counter)
        with pytest.raises(trio_genserver.sys.NoStatistics):
            await trio_genserver.sys.statistics(counter)


async def test_statistics_count_what_was_waiting_when_they_were_switched_on() -> None:  # OTP 64
    async with open_server(Counter) as counter:
        await trio_genserver.sys.suspend(counter)
        counter.cast_nowait(Counter.add(1))
        await trio_genserver.sys.start_statistics(counter)
        await trio_genserver.sys.resume(counter)
        await wait_all_tasks_blocked()
        assert (await trio_genserver.sys.statistics(counter)).messages_in == 1


async def test_the_last_events_are_kept() -> None:  # OTP 65
    async with open_server(Counter) as counter:
        assert await trio_genserver.sys.log(counter) == []
        await trio_genserver.sys.start_log(counter, 4)
        await counter.cast(Counter.add(2))
        await wait_all_tasks_blocked()
        await counter.call(Counter.increment())
        events = await trio_genserver.sys.log(counter)
        assert [(event.kind, event.detail) for event in events] == [
            ("sent", None),
            ("received", None),
            ("replied", 3),
            ("handled", None),
        ]
        assert {event.message for event in events} == {Counter.increment()}
        assert [event.state for event in events] == [
            {"value": value, "ended": "hidden"} for value in (2, 2, 3, 3)
        ]
        await trio_genserver.sys.stop_log(counter)
        assert await trio_genserver.sys.log(counter) == []
        with pytest.raises(ValueError, match="of at least 1"):
            await trio_genserver.sys.start_log(counter, 0)


async def test_a_trace_writes_a_line_an_event_until_it_is_stopped(
    autojump_clock: MockClock,
) -> None:  # OTP 65
    lines: list[str] = []
    async with open_server(Counter) as counter:
        await trio_genserver.sys.start_trace(counter, lines.append)
        await counter.call(Counter.increment())
        await trio_genserver.sys.stop_trace(counter)
        await counter.call(Counter.increment())
    state = "{'value': 1, 'ended': 'hidden'}"
    assert lines == [
        "0.000000 Counter sent Counter.increment(1)",
        "0.000000 Counter received Counter.increment(1)",
        "0.000000 Counter replied Counter.increment(1): 1",
        f"0.000000 Counter handled Counter.increment(1), its state is {state}",
    ]


async def test_a_trace_that_cannot_write_ends_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:  # OTP 65
    def fail(line: str) -> None:
        raise OSError("disk full")

    async with open_server(Counter) as counter:
        await trio_genserver.sys.start_trace(counter, fail)
        assert await counter.call(Counter.increment()) == 1
        assert await counter.call(Counter.increment()) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "trace of Counter" in caplog.text


async def test_a_debug_function_sees_every_event_and_keeps_a_state() -> None:  # OTP 66
    kinds: list[tuple[int, str]] = []

    def note(count: int, event: trio_genserver.sys.Event) -> int:
        kinds.append((count, event.kind))
        return count + 1

    async with open_server(Counter) as counter:
        assert await trio_genserver.sys.install(counter, note, 0, key="note")
        assert not await trio_genserver.sys.install(counter, note, 100, key="note")
        await counter.call(Counter.increment())
        assert await trio_genserver.sys.remove(counter, "note")
        assert not await trio_genserver.sys.remove(counter, "note")
        await counter.call(Counter.increment())
    assert kinds == [(0, "sent"), (1, "received"), (2, "replied"), (3, "handled")]


async def test_a_debug_function_sees_a_crash_and_the_end(caplog: pytest.LogCaptureFixture) -> None:  # OTP 66
    seen: list[tuple[str, str]] = []

    def note(state: None, event: trio_genserver.sys.Event) -> None:
        if event.kind in ("crashed", "stopped"):
            seen.append((event.kind, repr(event.detail)))

    async with open_supervisor([child_spec(Counter)]) as supervisor:
        counter: ServerRef[Any] = supervisor.child("Counter")
        await trio_genserver.sys.install(counter, note, None)
        with pytest.raises(ServerCrashed):
            await counter.call(Counter.crash())
        await wait_all_tasks_blocked()
        # The next incarnation has none.
        assert await counter.call(Counter.increment()) == 1
    assert seen == [("crashed", "RuntimeError('boom')"), ("stopped", "RuntimeError('boom')")]


async def test_a_debug_function_ends_itself_or_is_removed_when_it_raises(  # OTP 66
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []

    def once(state: None, event: trio_genserver.sys.Event) -> Any:
        calls.append("once")
        return trio_genserver.sys.DONE

    def broken(state: None, event: trio_genserver.sys.Event) -> None:
        calls.append("broken")
        raise LookupError("in the debug function")

    async with open_server(Counter) as counter:
        await trio_genserver.sys.install(counter, once, None)
        await trio_genserver.sys.install(counter, broken, None)
        assert await counter.call(Counter.increment()) == 1
        assert await counter.call(Counter.increment()) == 2
        assert not await trio_genserver.sys.remove(counter, once)
    assert calls == ["once", "broken"]
    assert "the debug function" in caplog.text


async def test_a_server_that_nobody_looks_at_now_is_as_before() -> None:  # OTP 64
    async with open_server(Counter) as counter:
        hooks = counter._process.hooks
        await trio_genserver.sys.start_statistics(counter)
        await trio_genserver.sys.start_log(counter)
        assert counter._process.hooks.messages
        await trio_genserver.sys.stop_statistics(counter)
        assert counter._process.hooks.messages
        await trio_genserver.sys.stop_log(counter)
        assert counter._process.hooks is hooks
        assert not hooks.messages


async def test_looking_at_one_server_leaves_others_alone() -> None:  # OTP 66
    async with open_server(Counter) as counter, open_server(Counter) as other:
        await trio_genserver.sys.start_log(counter)
        assert not other._process.hooks.messages
        await other.call(Counter.increment())
        assert await trio_genserver.sys.log(counter) == []


async def test_it_serves_for_every_kind_of_server() -> None:  # OTP 67
    async with (
        open_agent(lambda: 5) as agent,
        open_supervisor([child_spec(Counter)]) as supervisor,
        trio.open_nursery() as nursery,
    ):
        own: ServerRef[Counter] = await nursery.start(run_server, Counter, 4)
        for ref in (agent, supervisor, own):
            await trio_genserver.sys.suspend(ref)
            assert (await trio_genserver.sys.get_status(ref)).status == "suspended"
            await trio_genserver.sys.resume(ref)
            assert await trio_genserver.sys.get_state(ref)
        await trio_genserver.sys.terminate(own)


async def test_what_was_to_be_continued_with_comes_before_anyone_sees_the_state() -> None:
    class Loading(GenServer):
        def __init__(self) -> None:
            self.rows: list[str] | None = None

        async def init(self) -> None:
            self.continue_with("load")

        async def handle_continue(self, argument: object) -> None:
            await trio.lowlevel.checkpoint()
            self.rows = ["a"]

        @handle_call
        async def reload(self) -> None:
            self.rows = None
            await trio.lowlevel.checkpoint()
            self.continue_with("load")

    async with open_server(Loading) as server, trio.open_nursery() as nursery:
        assert await trio_genserver.sys.get_state(server) == {"rows": ["a"]}
        nursery.start_soon(server.call, Loading.reload())
        await trio.lowlevel.checkpoint()
        assert await trio_genserver.sys.get_state(server) == {"rows": ["a"]}


async def test_a_supervisor_that_is_suspended_between_two_restarts_restarts_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_start = trio.Event()
    may_start.set()
    starts: list[str] = []

    class Slow(GenServer):
        def __init__(self, name: str) -> None:
            self.name = name

        async def init(self) -> None:
            await may_start.wait()
            starts.append(self.name)

        @handle_cast
        def fail(self) -> None:
            raise ValueError(self.name)

    children = [child_spec(Slow, name).replace(id=name) for name in "ab"]
    async with open_supervisor(children) as supervisor, trio.open_nursery() as nursery:
        may_start = trio.Event()
        for name in "ab":
            await supervisor.child(name).cast(Slow.fail())
        await wait_all_tasks_blocked()
        nursery.start_soon(trio_genserver.sys.suspend, supervisor)
        await wait_all_tasks_blocked()
        may_start.set()
        await wait_all_tasks_blocked()
        assert starts == ["a", "b", "a"]
        await trio_genserver.sys.resume(supervisor)
        await wait_all_tasks_blocked()
        assert starts == ["a", "b", "a", "b"]
