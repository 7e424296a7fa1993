"""What a supervisor does when a child ends: by type, by strategy, how often, and what if that fails."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import trio
import trio.testing

from tests.trio_genserver.supervised import StartError, Worker, World, crash, end, not_ended, worker
from trio_genserver import (
    ChildSpec,
    GenServer,
    ServerCrashed,
    ServerRef,
    Stop,
    Supervisor,
    SupervisorRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    start_server,
    supervisor_spec,
)
from trio_genserver.instruments import Instrument, LoggingInstrument, add_instrument, remove_instrument
from trio_genserver.supervision import AutoShutdown, ChildNotFound, RestartIntensityExceeded, Strategy

STRATEGIES: list[Strategy] = ["one_for_one", "one_for_all", "rest_for_one"]
ENDS = ["normal", "shutdown", ("shutdown", "done"), "other", "crash"]


@pytest.fixture
def world() -> World:
    return World()


async def finish(ref: ServerRef[Worker], reason: object) -> None:
    await (crash(ref) if reason == "crash" else end(ref, reason))


def active(sup: SupervisorRef) -> list[object]:
    return [info.id for info in sup.which_children() if info.status == "running"]


# By restart type.


@pytest.mark.parametrize("reason", ENDS)
async def test_a_permanent_child_is_always_restarted(reason: object, world: World) -> None:  # OTP 96
    async with open_supervisor([worker(world, "a", restart="permanent")]) as sup:
        a = sup.child("a", Worker)
        await finish(a, reason)
        assert await a.call(Worker.incarnation()) == 2
        assert active(sup) == ["a"]


@pytest.mark.parametrize("reason", ENDS)
async def test_a_transient_child_is_restarted_only_after_an_abnormal_end(
    reason: object, world: World
) -> None:
    # OTP 97
    async with open_supervisor([worker(world, "a", restart="transient")]) as sup:
        await finish(sup.child("a", Worker), reason)
        restarted = reason in ("other", "crash")
        assert world.instances["a"] == (2 if restarted else 1)
        assert active(sup) == (["a"] if restarted else [])
        # Its specification is kept either way.
        assert [info.id for info in sup.which_children()] == ["a"]
        if not restarted:
            await sup.restart_child("a")
            assert active(sup) == ["a"]


@pytest.mark.parametrize("reason", ENDS)
async def test_a_temporary_child_is_never_restarted_and_forgotten(reason: object, world: World) -> None:
    # OTP 98
    async with open_supervisor([worker(world, "a", restart="temporary")]) as sup:
        await finish(sup.child("a", Worker), reason)
        assert world.instances["a"] == 1
        assert sup.which_children() == []
        with pytest.raises(ChildNotFound):
            await sup.restart_child("a")


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_temporary_bystander_is_ended_and_not_restarted(strategy: Strategy, world: World) -> None:
    # OTP 99
    specs = [worker(world, "a"), worker(world, "b", restart="temporary"), worker(world, "c")]
    async with open_supervisor(specs, strategy=strategy) as sup:
        await crash(sup.child("a", Worker))
        assert world.instances == {"a": 2, "b": 1, "c": 2}
        assert [info.id for info in sup.which_children()] == ["a", "c"]
        assert active(sup) == ["a", "c"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_nothing_of_a_finished_temporary_child_is_kept(strategy: Strategy) -> None:  # OTP 108
    class Load:
        pass

    class Holder(GenServer):
        def __init__(self, load: Load | None) -> None:
            self.load = load

        @handle_call
        def crash(self) -> None:
            raise ValueError("crash")

    remove_instrument(LoggingInstrument)  # pytest keeps the records
    async with open_supervisor(strategy=strategy) as sup:
        loads = [Load() for _ in range(4)]
        gone = [weakref.ref(load) for load in loads]
        specs = [child_spec(Holder, load).replace(restart="temporary", id=n) for n, load in enumerate(loads)]
        refs = [await sup.start_child(spec) for spec in specs]
        del specs, loads
        await refs[0].stop()
        await sup.terminate_child(1)
        with pytest.raises(Exception, match="crash"):
            await refs[2].call(Holder.crash())
        await sup.start_child(child_spec(Holder, None).replace(id="last"))
        del refs
        gc.collect()
        assert [ref() is None for ref in gone] == [True, True, True, False]
        assert [info.id for info in sup.which_children()] == [3, "last"]


# By strategy.


async def test_one_for_one_restarts_the_failed_child_alone(world: World) -> None:  # OTP 101
    async with open_supervisor([worker(world, name) for name in "abc"]) as sup:
        world.take()
        await crash(sup.child("b", Worker))
        assert world.take() == ["stop b: ValueError('b')", "start b"]
        assert active(sup) == ["a", "b", "c"]


async def test_one_for_all_ends_the_others_in_reverse_and_starts_all_in_order(world: World) -> None:
    # OTP 103
    async with open_supervisor([worker(world, name) for name in "abc"], strategy="one_for_all") as sup:
        world.take()
        await crash(sup.child("b", Worker))
        assert world.take() == [
            "stop b: ValueError('b')",
            "stop c: 'shutdown'",
            "stop a: 'shutdown'",
            "start a",
            "start b",
            "start c",
        ]


async def test_rest_for_one_ends_and_starts_what_was_started_after_it(world: World) -> None:
    # OTP 104, OTP 83
    async with open_supervisor([worker(world, name) for name in "abcd"], strategy="rest_for_one") as sup:
        world.take()
        await crash(sup.child("b", Worker))
        assert world.take() == [
            "stop b: ValueError('b')",
            "stop d: 'shutdown'",
            "stop c: 'shutdown'",
            "start b",
            "start c",
            "start d",
        ]
        await crash(sup.child("d", Worker))
        assert world.take() == ["stop d: ValueError('d')", "start d"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_references_stay_valid_over_every_restart(strategy: Strategy, world: World) -> None:
    async with open_supervisor([worker(world, name) for name in "abc"], strategy=strategy) as sup:
        refs = [sup.child(name, Worker) for name in "abc"]
        await crash(refs[0])
        assert [await ref.call(Worker.ping()) for ref in refs] == ["a", "b", "c"]
        assert [sup.child(name) for name in "abc"] == refs


async def test_several_that_fail_at_once_are_all_dealt_with(world: World) -> None:
    async with open_supervisor([worker(world, name) for name in "abc"], max_restarts=3) as sup:
        requests = [sup.child(name, Worker).send_request(Worker.crash()) for name in "abc"]
        for request in requests:
            with pytest.raises(Exception, match="crashed"):
                await request.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert world.instances == {"a": 2, "b": 2, "c": 2}
        assert active(sup) == ["a", "b", "c"]


async def test_one_restart_of_all_answers_several_that_fail_at_once(world: World) -> None:  # OTP 103
    async with open_supervisor([worker(world, name) for name in "abc"], strategy="one_for_all") as sup:
        # Sent in one step, so that both have ended before the supervisor looks.
        requests = [sup.child(name, Worker).send_request(Worker.crash()) for name in "ab"]
        for request in requests:
            with pytest.raises(ServerCrashed):
                await request.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert active(sup) == ["a", "b", "c"]
        assert world.instances == {"a": 2, "b": 2, "c": 2}


class Quick(GenServer):
    @handle_cast
    def crash(self) -> None:
        raise ValueError("at once")


async def test_a_child_that_ends_in_the_very_step_of_its_start_is_restarted_like_any_other() -> None:
    class CrashAtStart(Instrument):
        def __init__(self) -> None:
            self.starts = 0

        def server_started(self, server: ServerRef[Any]) -> None:
            # The message is in the mailbox before the supervisor hears that the start is over.
            if server.name == "Quick":
                self.starts += 1
                if self.starts <= 2:
                    server.cast_nowait(Quick.crash())

    instrument = CrashAtStart()
    add_instrument(instrument)
    async with open_supervisor([Quick]) as sup:
        await trio.testing.wait_all_tasks_blocked()
        assert instrument.starts == 3
        assert active(sup) == ["Quick"]
        assert sup.child("Quick").is_running


async def test_the_restart_is_done_before_the_supervisor_answers_the_next_question(world: World) -> None:
    async with open_supervisor([worker(world, "a")]) as sup:
        a = sup.child("a", Worker)
        with pytest.raises(Exception, match="crashed"):
            await a.call(Worker.crash())
        # No waiting in between: the end was told to the supervisor before it was told to the caller.
        await sup.start_child(worker(world, "b"))
        assert await a.call(Worker.incarnation()) == 2


# How often.


async def test_restarts_with_enough_time_between_them_never_trip(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 100, OTP 175
    async with open_supervisor([worker(world, "a")], max_restarts=1, max_seconds=10) as sup:
        for restarts in range(20):
            assert await sup.child("a", Worker).call(Worker.incarnation()) == restarts + 1
            await crash(sup.child("a", Worker))
            await trio.sleep(10.5)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_as_many_restarts_as_allowed_are_made_and_one_more_ends_all(
    strategy: Strategy, world: World
) -> None:
    # OTP 102
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor(
            [worker(world, "a"), worker(world, "b")], strategy=strategy, max_restarts=2
        ) as sup:
            for name in "ab":
                # The intensity is the supervisor's, not each child's.
                await crash(sup.child(name, Worker))
            assert active(sup) == ["a", "b"]
            world.take()
            await crash(sup.child("a", Worker))
            await not_ended()
    assert world.log == ["stop a: ValueError('a')", "stop b: 'shutdown'"]
    error = caught.value
    assert (error.server, error.child, error.max_restarts, error.max_seconds) == ("Supervisor", "a", 2, 5.0)
    assert isinstance(error.__cause__, ValueError)
    assert error.reason is error.__cause__


@pytest.mark.parametrize(("later", "trips"), [(10.0, True), (10.25, False)])
async def test_the_boundary_in_time_is_exact(
    later: float, trips: bool, world: World, mock_clock: trio.testing.MockClock
) -> None:
    # OTP 102, OTP 175
    tripped = False
    try:
        async with open_supervisor([worker(world, "a")], max_restarts=1, max_seconds=10) as sup:
            await crash(sup.child("a", Worker))
            mock_clock.jump(later)
            await crash(sup.child("a", Worker))
            assert active(sup) == ["a"]
    except RestartIntensityExceeded:
        tripped = True
    assert tripped == trips


async def test_no_restarts_allowed_means_that_the_first_end_is_too_many(world: World) -> None:  # OTP 102
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor([worker(world, "a")], max_restarts=0) as sup:
            await end(sup.child("a", Worker), "normal")
            await not_ended()
    assert caught.value.__cause__ is None
    assert caught.value.reason == "normal"


# What if a restart fails.


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_restart_that_fails_is_tried_again_and_each_try_counts(
    strategy: Strategy, world: World
) -> None:
    # OTP 106
    async with open_supervisor([worker(world, "a")], strategy=strategy, max_restarts=3) as sup:
        world.fail_start["a"] = 2
        await crash(sup.child("a", Worker))
        assert world.take() == ["start a", "stop a: ValueError('a')", "fail a", "fail a", "start a"]
        assert active(sup) == ["a"]
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor([worker(world, "a")], strategy=strategy, max_restarts=3) as sup:
            world.fail_start["a"] = 3
            await crash(sup.child("a", Worker))
            await not_ended()
    assert isinstance(caught.value.__cause__, StartError)
    assert world.log.count("fail a") == 3


async def test_one_for_all_starts_over_when_another_child_fails_to_start(world: World) -> None:  # OTP 105
    async with open_supervisor([worker(world, name) for name in "abc"], strategy="one_for_all") as sup:
        world.take()
        world.fail_start["b"] = 1
        await crash(sup.child("c", Worker))
        assert world.take() == [
            "stop c: ValueError('c')",
            "stop b: 'shutdown'",
            "stop a: 'shutdown'",
            "start a",
            "fail b",
            "stop a: 'shutdown'",
            "start a",
            "start b",
            "start c",
        ]


async def test_rest_for_one_starts_over_from_the_child_that_failed_to_start(world: World) -> None:
    # OTP 105: what it depends on was just started, and is left alone, as in OTP.
    async with open_supervisor([worker(world, name) for name in "abc"], strategy="rest_for_one") as sup:
        world.take()
        world.fail_start["b"] = 1
        await crash(sup.child("a", Worker))
        assert world.take() == [
            "stop a: ValueError('a')",
            "stop c: 'shutdown'",
            "stop b: 'shutdown'",
            "start a",
            "fail b",
            "start b",
            "start c",
        ]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_each_try_of_a_whole_restart_counts(strategy: Strategy, world: World) -> None:  # OTP 105
    specs = [worker(world, "a"), worker(world, "b")]
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor(specs, strategy=strategy, max_restarts=3) as sup:
            world.fail_start["b"] = 3
            await crash(sup.child("a", Worker))
            await not_ended()
    assert caught.value.child == "b"
    assert world.log.count("fail b") == 3
    assert world.log[-1] == "stop a: 'shutdown'"


async def test_ending_the_child_that_cannot_start_leaves_those_after_it_stopped(world: World) -> None:
    # OTP 105, OTP 106
    specs = [worker(world, name) for name in "abc"]
    async with open_supervisor(specs, strategy="one_for_all", max_restarts=10**9) as sup:
        world.fail_start["b"] = math.inf
        with pytest.raises(ServerCrashed):
            await sup.child("a", Worker).call(Worker.crash())
        await sup.terminate_child("b")
        assert [info.status for info in sup.which_children()] == ["running", "stopped", "stopped"]
        await sup.restart_child("c")
        assert active(sup) == ["a", "c"]


async def test_a_child_whose_restart_ignores_is_kept_and_does_not_run(world: World) -> None:
    async with open_supervisor([worker(world, "a"), worker(world, "b")]) as sup:
        world.ignore_start.add("a")
        await crash(sup.child("a", Worker))
        assert active(sup) == ["b"]
        assert [info.status for info in sup.which_children()] == ["stopped", "running"]


async def test_all_are_started_again_also_one_that_was_ended_by_hand(world: World) -> None:
    async with open_supervisor([worker(world, "a"), worker(world, "b")], strategy="one_for_all") as sup:
        await sup.terminate_child("a")
        await crash(sup.child("b", Worker))
        assert active(sup) == ["a", "b"]


# Trees.


async def test_a_tree_restarts_what_is_below_and_nothing_else(world: World) -> None:  # OTP 93
    specs = [
        supervisor_spec([worker(world, "a"), worker(world, "b")], id="one"),
        supervisor_spec([], id="two", max_restarts=1),
        supervisor_spec([], id="three"),
    ]
    async with open_supervisor(specs, strategy="one_for_all") as top:
        one, two, three = (top.child(name, Supervisor) for name in ("one", "two", "three"))
        assert isinstance(one, SupervisorRef)
        assert isinstance(two, SupervisorRef)
        assert isinstance(three, SupervisorRef)
        await top.terminate_child("three")
        count = top.count_children()
        assert (count.specs, count.active, count.supervisors, count.workers) == (3, 2, 3, 0)
        c = await two.start_child(worker(world, "c"))
        d = await two.start_child(worker(world, "d"))
        # One that fails is restarted by its own supervisor, and nobody else notices.
        await crash(d)
        assert world.instances == {"a": 1, "b": 1, "c": 1, "d": 2}
        # One time too many: that supervisor gives up, and the whole tree is rebuilt, without the two children
        # that were added to it.
        world.take()
        await crash(c)
        assert world.take() == [
            "stop c: ValueError('c')",
            "stop d: 'shutdown'",
            "stop b: 'shutdown'",
            "stop a: 'shutdown'",
            "start a",
            "start b",
        ]
        count = top.count_children()
        assert (count.specs, count.active, count.supervisors, count.workers) == (3, 3, 3, 0)
        assert active(one) == ["a", "b"]
        assert active(two) == []
        assert active(three) == []


async def test_giving_up_is_passed_upward_with_the_first_cause(world: World) -> None:  # OTP 107
    inner = supervisor_spec([worker(world, "a")], id="inner", max_restarts=0)
    middle = supervisor_spec([inner, worker(world, "b")], id="middle", max_restarts=0)
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor([middle], name="top", max_restarts=1) as top:
            sup = top.child("middle", Supervisor)
            assert isinstance(sup, SupervisorRef)
            inner_ref = sup.child("inner", Supervisor)
            assert isinstance(inner_ref, SupervisorRef)
            a = inner_ref.child("a", Worker)
            # The references are valid again after each restart of what is above them.
            await crash(a)
            assert world.instances == {"a": 2, "b": 2}
            await crash(a)
            await not_ended()
    error: BaseException | None = caught.value
    servers: list[str] = []
    while isinstance(error, RestartIntensityExceeded):
        servers.append(error.server)
        error = error.__cause__
    assert servers == ["top", "middle", "inner"]
    assert isinstance(error, ValueError)
    assert world.log[-2:] == ["stop a: ValueError('a')", "stop b: 'shutdown'"]


async def test_a_transient_supervisor_that_gave_up_is_not_restarted(world: World) -> None:  # OTP 107
    inner = supervisor_spec([worker(world, "a")], id="inner", max_restarts=0).replace(restart="transient")
    async with open_supervisor([inner]) as top:
        ref = top.child("inner", Supervisor)
        assert isinstance(ref, SupervisorRef)
        await crash(ref.child("a", Worker))
        # Its reason is "shutdown", which is an orderly end.
        assert active(top) == []
        assert await ref.wait_stopped() == "shutdown"


async def test_a_supervisor_raises_no_group(world: World) -> None:  # OTP 173
    with pytest.raises(RestartIntensityExceeded):
        async with open_supervisor([worker(world, "a")], max_restarts=0) as sup:
            await crash(sup.child("a", Worker))
            await not_ended()

    class Breaks(Supervisor):
        @handle_call
        def break_it(self) -> None:
            raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        async with open_server(child_spec(Breaks, [worker(world, "b")])) as breaks:
            with pytest.raises(Exception, match="its own"):
                await breaks.call(Breaks.break_it())
            await not_ended()
    assert world.log[-1] == "stop b: 'shutdown'"
    # In a nursery of the user's it is one exception in that nursery's group, and not deeper.
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            spec = supervisor_spec([worker(world, "c")], max_restarts=0)
            ref = await start_server(nursery, spec)
            assert isinstance(ref, SupervisorRef)
            await crash(ref.child("c", Worker))
            await not_ended()
    assert [type(error) for error in caught.value.exceptions] == [RestartIntensityExceeded]


async def test_a_block_that_raises_ends_the_children_and_keeps_its_exception(world: World) -> None:  # OTP 173
    error = LookupError("the block's own")
    with pytest.raises(LookupError) as caught:
        async with open_supervisor([worker(world, "a")]):
            raise error
    assert caught.value is error
    assert world.log == ["start a", "stop a: 'shutdown'"]


# Significant children.


def significant(world: World, name: str, restart: str = "transient") -> ChildSpec[Worker]:
    return worker(world, name, restart=restart, significant=True)


MODES: list[AutoShutdown] = ["any_significant", "all_significant"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("restart", ["temporary", "transient"])
async def test_an_ordinary_child_that_ends_shuts_nothing_down(
    mode: AutoShutdown, restart: str, world: World
) -> None:
    # OTP 112
    specs = [worker(world, "a", restart=restart), significant(world, "b")]
    async with open_supervisor(specs, auto_shutdown=mode) as sup:
        await end(sup.child("a", Worker), "normal")
        assert sup.is_running
        assert active(sup) == ["b"]


@pytest.mark.parametrize("restart", ["temporary", "transient"])
async def test_any_significant_child_that_ends_shuts_the_supervisor_down(restart: str, world: World) -> None:
    # OTP 113
    specs = [worker(world, "a"), significant(world, "b", restart), significant(world, "c", restart)]
    async with open_supervisor(specs, auto_shutdown="any_significant") as sup:
        world.take()
        await end(sup.child("b", Worker), "normal")
        assert not sup.is_running
        assert await sup.wait_stopped() == "shutdown"
        assert world.log == ["stop b: 'normal'", "stop c: 'shutdown'", "stop a: 'shutdown'"]


@pytest.mark.parametrize("restart", ["temporary", "transient"])
async def test_the_last_significant_child_that_ends_shuts_the_supervisor_down(
    restart: str, world: World
) -> None:
    # OTP 113
    specs = [worker(world, "a"), significant(world, "b", restart), significant(world, "c", restart)]
    async with open_supervisor(specs, auto_shutdown="all_significant") as sup:
        await end(sup.child("b", Worker), "normal")
        assert sup.is_running
        await end(sup.child("c", Worker), "shutdown")
        assert await sup.wait_stopped() == "shutdown"


async def test_a_crash_of_a_significant_child_counts_only_if_it_is_not_restarted(world: World) -> None:
    # OTP 113
    specs = [significant(world, "a", "transient"), significant(world, "b", "temporary")]
    async with open_supervisor(specs, auto_shutdown="any_significant") as sup:
        await crash(sup.child("a", Worker))
        assert sup.is_running
        assert world.instances["a"] == 2
        await crash(sup.child("b", Worker))
        assert not sup.is_running


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_significant_bystander_that_a_sibling_takes_along_shuts_nothing_down(
    strategy: Strategy, world: World
) -> None:
    # OTP 114
    specs = [worker(world, "a"), significant(world, "b", "temporary"), significant(world, "c")]
    async with open_supervisor(specs, strategy=strategy, auto_shutdown="any_significant") as sup:
        await crash(sup.child("a", Worker))
        assert sup.is_running
        assert active(sup) == ["a", "c"]


async def test_a_significant_child_that_is_ended_by_hand_shuts_nothing_down(world: World) -> None:  # OTP 113
    async with open_supervisor([significant(world, "a")], auto_shutdown="any_significant") as sup:
        await sup.terminate_child("a")
        await trio.testing.wait_all_tasks_blocked()
        assert sup.is_running


@pytest.mark.parametrize(("restart", "again"), [("permanent", True), ("transient", False)])
async def test_an_auto_shutdown_is_seen_as_a_shutdown_above(restart: str, again: bool, world: World) -> None:
    # OTP 115
    inner = supervisor_spec([significant(world, "a")], id="inner", auto_shutdown="any_significant")
    async with open_supervisor([inner.replace(restart=restart)]) as top:
        ref = top.child("inner", Supervisor)
        assert isinstance(ref, SupervisorRef)
        await end(ref.child("a", Worker), "normal")
        assert world.instances["a"] == (2 if again else 1)
        assert active(top) == (["inner"] if again else [])


async def test_an_auto_shutdown_reaches_the_top_through_significant_supervisors(world: World) -> None:
    # OTP 115
    inner = supervisor_spec([significant(world, "a")], id="inner", auto_shutdown="any_significant")
    inner = inner.replace(restart="transient", significant=True)
    async with open_supervisor([inner], auto_shutdown="any_significant") as top:
        ref = top.child("inner", Supervisor)
        assert isinstance(ref, SupervisorRef)
        await end(ref.child("a", Worker), "normal")
        assert await top.wait_stopped() == "shutdown"


# What is reported.


class Reports(Instrument):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def server_started(self, server: ServerRef[Any]) -> None:
        self.seen.append(("started", server.name))

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        self.seen.append(("restarted", server.name, repr(reason), restarts))

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        self.seen.append(("crashed", server.name, type(error), state))

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        self.seen.append(("stopped", server.name, repr(reason)))


async def test_only_what_the_supervisor_does_itself_is_reported_as_a_restart(world: World) -> None:  # OTP 85
    reports = Reports()
    add_instrument(reports)
    async with open_supervisor([worker(world, "a")]) as sup:
        await sup.terminate_child("a")
        await sup.restart_child("a")
        await sup.start_child(worker(world, "b"))
        assert not [event for event in reports.seen if event[0] == "restarted"]
        reports.seen.clear()
        await end(sup.child("a", Worker), "odd")
        await end(sup.child("b", Worker), "odd")
        assert reports.seen == [
            ("stopped", "a", "'odd'"),
            ("started", "a"),
            ("restarted", "a", "'odd'", 1),
            ("stopped", "b", "'odd'"),
            ("started", "b"),
            ("restarted", "b", "'odd'", 2),
        ]


async def test_a_supervisor_that_gives_up_is_reported_without_its_machinery(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 85
    reports = Reports()
    add_instrument(reports)
    with pytest.raises(RestartIntensityExceeded):
        async with open_supervisor([worker(world, "a"), worker(world, "b")], max_restarts=0) as sup:
            await crash(sup.child("a", Worker))
            await not_ended()
    assert (
        "crashed",
        "Supervisor",
        RestartIntensityExceeded,
        {"children": 2, "active": 1, "restarts": 1},
    ) in reports.seen
    assert any("Supervisor gave up: 'a' ended" in str(r.exc_info) for r in caplog.records if r.exc_info)


async def test_a_restart_that_failed_has_its_turn_after_what_was_asked_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Once(GenServer):
        started = 0

        @handle_cast
        def die(self) -> None:
            raise LookupError("die")

        async def init(self) -> None:
            type(self).started += 1
            if type(self).started == 2:
                raise Stop("not yet")

    class Slow(GenServer):
        async def terminate(self, reason: object) -> None:
            await trio.sleep(1)

    temporary = child_spec(Slow).replace(id="temporary", restart="temporary")
    with pytest.raises(RestartIntensityExceeded):
        async with open_supervisor(
            [Once, Slow, temporary], strategy="rest_for_one", max_restarts=1
        ) as supervisor:
            await supervisor.child("Once", Once).cast(Once.die())
            await trio.testing.wait_all_tasks_blocked()
            # It ends the two that were started later; then the start of the first one fails.
            deleted = supervisor.send_request(Supervisor.delete_child("temporary"))
            restarted = supervisor.send_request(Supervisor.restart_child("Slow"))
            with pytest.raises(ChildNotFound):
                await deleted.wait()
            await restarted.wait()
            await trio.sleep_forever()
