"""Supervisors: children started in order, ended in reverse, and added, ended and restarted meanwhile."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import trio
import trio.testing

from tests.trio_genserver.supervised import StartError, Worker, World, crash, end, not_ended, worker
from trio_genserver import (
    CallCycle,
    GenServer,
    Ignore,
    InitIgnored,
    InitStopped,
    InvalidSpec,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    Stop,
    Supervisor,
    SupervisorRef,
    child_spec,
    dynamic_supervisor_spec,
    handle_call,
    open_server,
    open_supervisor,
    start_server,
    supervisor_spec,
)
from trio_genserver.errors import BadReturnValue
from trio_genserver.registry import AlreadyStarted, Registry
from trio_genserver.supervision import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
)


@pytest.fixture
def world() -> World:
    return World()


def statuses(sup: SupervisorRef) -> dict[object, str]:
    return {info.id: info.status for info in sup.which_children()}


def counts(sup: SupervisorRef) -> tuple[int, int, int, int]:
    count = sup.count_children()
    return (count.specs, count.active, count.supervisors, count.workers)


# Starting.


async def test_it_starts_and_stops_gracefully(world: World) -> None:  # OTP 70
    async with open_supervisor() as sup:
        assert sup.is_running
        assert sup.which_children() == []
        await sup.stop("shutdown")
        assert await sup.wait_stopped() == "shutdown"


async def test_a_supervisor_whose_init_ignores_is_none(world: World) -> None:  # OTP 71
    class Nothing(Supervisor):
        async def init(self) -> None:
            raise Ignore

    with pytest.raises(InitIgnored):
        async with open_server(child_spec(Nothing, [worker(world)])):
            raise AssertionError("it runs")
    async with open_supervisor([child_spec(Nothing, [worker(world)])]) as sup:
        assert statuses(sup) == {"Nothing": "stopped"}
    assert world.log == []


async def test_a_child_that_ignores_is_kept_but_does_not_run(world: World) -> None:  # OTP 72
    world.ignore_start.add("b")
    async with open_supervisor([worker(world, "a"), worker(world, "b")]) as sup:
        assert statuses(sup) == {"a": "running", "b": "stopped"}
        assert counts(sup) == (2, 1, 0, 2)
        b = sup.child("b", Worker)
        with pytest.raises(ServerNotRunning):
            await b.call(Worker.ping())
        world.ignore_start.clear()
        assert await sup.restart_child("b") is b
        assert await b.call(Worker.ping()) == "b"
        assert counts(sup) == (2, 2, 0, 2)


async def test_a_child_that_ignores_when_added_is_kept_as_well(world: World) -> None:  # OTP 72
    world.ignore_start.add("a")
    async with open_supervisor() as sup:
        with pytest.raises(InitIgnored):
            await sup.start_child(worker(world, "a"))
        assert statuses(sup) == {"a": "stopped"}
        with pytest.raises(InitIgnored):
            await sup.restart_child("a")
        assert statuses(sup) == {"a": "stopped"}


async def test_a_temporary_child_that_ignores_is_not_kept(world: World) -> None:  # OTP 73
    world.ignore_start.update("ab")
    specs = [worker(world, "a", restart="temporary")]
    async with open_supervisor(specs) as sup:
        assert sup.which_children() == []
        with pytest.raises(InitIgnored):
            await sup.start_child(worker(world, "b", restart="temporary"))
        assert sup.which_children() == []


async def test_a_supervisor_class_that_cannot_be_made_fails_its_start() -> None:  # OTP 74
    class Raises(Supervisor):
        def __init__(self) -> None:
            raise LookupError("no configuration")

    class BadReturn(Supervisor):
        def __init__(self) -> None:
            super().__init__([])

        async def init(self) -> Any:
            return "ok"

    class Stops(Supervisor):
        def __init__(self) -> None:
            super().__init__([])

        async def init(self) -> None:
            raise Stop("not today")

    async with trio.open_nursery() as nursery:
        with pytest.raises(LookupError, match="no configuration"):
            await start_server(nursery, Raises)
        with pytest.raises(BadReturnValue):
            await start_server(nursery, BadReturn)
        with pytest.raises(InitStopped) as caught:
            await start_server(nursery, Stops)
        assert caught.value.reason == "not today"
        assert not nursery.child_tasks


async def test_a_child_that_cannot_start_fails_the_start_and_ends_those_before_it(world: World) -> None:
    # OTP 75
    world.fail_start["c"] = 1
    with pytest.raises(ChildStartFailed) as caught:
        async with open_supervisor([worker(world, name) for name in "abcd"]):
            raise AssertionError("it runs")
    assert caught.value.child == "c"
    assert caught.value.server == "Supervisor"
    assert isinstance(caught.value.__cause__, StartError)
    assert world.log == [
        "start a",
        "start b",
        "fail c",
        "stop b: 'shutdown'",
        "stop a: 'shutdown'",
    ]


async def test_a_restart_by_hand_that_fails_keeps_the_specification(world: World) -> None:  # OTP 76
    async with open_supervisor([worker(world, "a")]) as sup:
        await sup.terminate_child("a")
        world.fail_start["a"] = 1
        with pytest.raises(ChildStartFailed) as caught:
            await sup.restart_child("a")
        assert isinstance(caught.value.__cause__, StartError)
        assert statuses(sup) == {"a": "stopped"}
        await sup.restart_child("a")
        assert statuses(sup) == {"a": "running"}


async def test_a_child_that_cannot_start_is_not_added(world: World) -> None:
    async with open_supervisor() as sup:
        world.fail_start["a"] = 1
        with pytest.raises(ChildStartFailed):
            await sup.start_child(worker(world, "a"))
        assert sup.which_children() == []
        await sup.start_child(worker(world, "a"))


async def test_the_defaults_are_those_of_otp() -> None:  # OTP 77
    async with open_supervisor([child_spec(Plain), supervisor_spec([])]) as sup:
        plain, inner = sup.which_children()
        assert (plain.id, plain.spec.restart, plain.spec.shutdown) == ("Plain", "permanent", 5.0)
        assert not plain.is_supervisor
        assert (inner.id, inner.spec.restart, inner.spec.shutdown) == ("Supervisor", "permanent", math.inf)
        assert inner.is_supervisor
    dynamic = dynamic_supervisor_spec()
    assert (dynamic.id, dynamic.shutdown) == ("DynamicSupervisor", math.inf)


class Plain(GenServer):
    pass


class Careful(GenServer):
    """A class with its own defaults."""

    restart = "transient"
    shutdown = 30.0

    def __init__(self, number: int = 0) -> None:
        self.number = number


def test_a_class_gives_its_own_specification_and_a_use_may_change_it() -> None:  # OTP 13, OTP 90
    spec = child_spec(Careful, 7)
    assert (spec.id, spec.name, spec.args) == ("Careful", "Careful", (7,))
    assert (spec.restart, spec.shutdown) == ("transient", 30.0)
    changed = spec.replace(id=("careful", 7), restart="temporary", shutdown="brutal_kill")
    assert (changed.id, changed.restart, changed.shutdown) == (("careful", 7), "temporary", "brutal_kill")
    assert changed.server_class is Careful
    assert (spec.id, spec.restart) == ("Careful", "transient")
    with pytest.raises(TypeError, match="restrat"):
        spec.replace(restrat="temporary")


class Unhashable:
    """As all classes are that define what is equal and no hash."""

    def __eq__(self, other: object) -> bool:
        return self is other


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"restart": "always"}, "restart"),
        ({"restart": None}, "restart"),
        ({"shutdown": -1}, "shutdown"),
        ({"shutdown": math.nan}, "shutdown"),
        ({"shutdown": "brutal"}, "shutdown"),
        ({"shutdown": None}, "shutdown"),
        ({"id": None}, "id"),
        ({"id": Unhashable()}, "id"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"significant": 1}, "significant"),
        ({"significant": True}, "significant"),
        ({"mailbox_size": 0}, "mailbox_size"),
        ({"overflow": "drop"}, "overflow"),
    ],
)
async def test_a_specification_that_is_invalid_is_refused_by_name(
    changes: dict[str, Any], field: str
) -> None:
    # OTP 78
    with pytest.raises(InvalidSpec, match=field) as caught:
        child_spec(Plain).replace(**changes)
    assert caught.value.field == field
    # Nor is one made behind the back of `replace`.
    with pytest.raises(InvalidSpec) as caught:
        dataclasses.replace(child_spec(Plain), **changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("children", "options", "field"),
    [
        ([], {"strategy": "all_for_one"}, "strategy"),
        ([], {"max_restarts": -1}, "max_restarts"),
        ([], {"max_restarts": 1.5}, "max_restarts"),
        ([], {"max_seconds": 0}, "max_seconds"),
        ([], {"auto_shutdown": True}, "auto_shutdown"),
        ([child_spec(Plain), child_spec(Plain)], {}, "children"),
        ([Plain, "Plain"], {}, "children"),
        ([lambda: None], {}, "children"),
        ([child_spec(Plain).replace(restart="transient", significant=True)], {}, "significant"),
    ],
)
def test_a_supervisor_that_is_invalid_is_refused_by_name(
    children: list[Any], options: dict[str, Any], field: str
) -> None:
    # OTP 78
    for make in (supervisor_spec, open_supervisor, Supervisor):
        with pytest.raises(InvalidSpec, match=field) as caught:
            make(children, **options)
        assert caught.value.field == field


async def test_a_server_class_alone_is_a_specification() -> None:
    async with open_supervisor([Plain]) as sup:
        assert statuses(sup) == {"Plain": "running"}
        other = await sup.start_child(Careful, number=3)
        assert sup.child("Careful") is other


# Ending.


async def test_children_start_in_the_given_order_and_stop_in_reverse(world: World) -> None:  # OTP 83
    async with open_supervisor([worker(world, name) for name in "abc"]) as sup:
        assert world.take() == ["start a", "start b", "start c"]
        await sup.start_child(worker(world, "d"))
        assert world.take() == ["start d"]
    assert world.log == [f"stop {name}: 'shutdown'" for name in "dcba"]


async def test_infinity_waits_for_as_long_as_it_takes(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:  # OTP 79
    async with open_supervisor([worker(world, "a", 1e6, shutdown=math.inf)]):
        pass
    assert world.log == ["start a", "stop a: 'shutdown'", "gone a"]
    assert trio.current_time() == pytest.approx(1e6, abs=1)


async def test_a_child_that_takes_too_long_is_killed_after_its_own_time(
    world: World, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # OTP 80: a coroutine cannot be killed where it stands, so `terminate` is cancelled, shielded as it is.
    specs = [worker(world, "a", 1), worker(world, "b", 60, shutdown=3), worker(world, "c", 2)]
    async with open_supervisor(specs):
        world.take()
        begun = trio.current_time()
    assert world.log == [
        "stop c: 'shutdown'",
        "gone c",
        "stop b: 'shutdown'",
        "stop a: 'shutdown'",
        "gone a",
    ]
    assert trio.current_time() - begun == 6
    assert [r.getMessage() for r in caplog.records if "longer than its shutdown" in r.getMessage()] == [
        "terminate of b took longer than its shutdown time and was cancelled"
    ]


async def test_a_child_that_is_told_to_end_once_more_gets_no_more_time_for_it(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 80
    async def terminate(sup: SupervisorRef) -> None:
        with pytest.raises(ServerStopped):
            await sup.terminate_child("a")

    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        sup = await start_server(nursery, supervisor_spec([worker(world, "a", 60, shutdown=3)]))
        assert isinstance(sup, SupervisorRef)
        begun = trio.current_time()
        callers.start_soon(terminate, sup)
        await trio.sleep(2)
        # The supervisor is ended, and tells its child once more to end within three seconds.
        nursery.cancel_scope.cancel()
    assert trio.current_time() - begun == 3
    assert world.log == ["start a", "stop a: 'shutdown'"]


async def test_brutal_kill_runs_no_terminate(world: World) -> None:  # OTP 81
    specs = [worker(world, "a"), worker(world, "b", shutdown="brutal_kill")]
    async with open_supervisor(specs) as sup:
        b = sup.child("b")
        world.take()
        await sup.terminate_child("b")
        assert not b.is_running
        assert world.take() == []
        await sup.restart_child("b")
        world.take()
    assert world.log == ["stop a: 'shutdown'"]


async def test_a_handler_that_runs_is_cancelled_when_its_server_is_ended(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    class Busy(Worker):
        @handle_call
        async def work(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                self.world.log.append("handler over")

    async with open_supervisor([child_spec(Busy, world, "busy")]) as sup:
        request = sup.child("Busy", Busy).send_request(Busy.work())
        await trio.testing.wait_all_tasks_blocked()
        await sup.terminate_child("Busy")
        assert request.done
    assert world.log == ["start busy", "handler over", "stop busy: 'shutdown'"]
    assert trio.current_time() < 1


async def test_children_that_end_by_themselves_meanwhile_do_not_confuse_the_end(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    # OTP 82
    class Fragile(Worker):
        async def init(self) -> None:
            await super().init()
            self.start_task(self.fail_later)

        async def fail_later(self) -> None:
            await trio.sleep(1)
            raise ValueError(self.name)

    async def quit_later(ref: ServerRef[Worker]) -> None:
        await trio.sleep(1)
        await ref.stop("odd reason")

    specs = [
        child_spec(Fragile, world, "fragile").replace(id="fragile"),
        worker(world, "quits"),
        worker(world, "normal"),
        worker(world, "slow", 3),
    ]
    async with trio.open_nursery() as nursery, open_supervisor(specs) as sup:
        refs = [sup.child(spec.id) for spec in specs]
        nursery.start_soon(quit_later, sup.child("quits", Worker))
        nursery.start_soon(sup.child("normal", Worker).stop)
        # "normal" is ending, "slow" takes 3 seconds, and the other two end by themselves before.
        world.take()
    assert not any(ref.is_running for ref in refs)
    assert sorted(world.log) == sorted(
        [
            "stop normal: 'normal'",
            "stop slow: 'shutdown'",
            "stop quits: 'odd reason'",
            "stop fragile: ValueError('fragile')",
            "gone slow",
        ]
    )
    assert [await ref.wait_stopped() for ref in refs[1:]] == ["odd reason", "normal", "shutdown"]


async def test_a_supervisor_that_is_out_of_time_ends_its_children_at_once(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    inner = supervisor_spec([worker(world, "a", 9, shutdown=math.inf), worker(world, "b", 9, shutdown=60)])
    async with open_supervisor([inner.replace(shutdown=4)]) as sup:
        world.take()
        begun = trio.current_time()
        await sup.terminate_child("Supervisor")
        assert trio.current_time() - begun == 4
        # "b" was cancelled in its `terminate`, and "a" never came to it.
        assert world.log == ["stop b: 'shutdown'"]


async def test_a_brutally_killed_supervisor_kills_its_children(world: World) -> None:  # OTP 81
    inner = supervisor_spec([worker(world, "a"), worker(world, "b")], id="inner").replace(
        shutdown="brutal_kill"
    )
    async with open_supervisor([inner]) as sup:
        ref = sup.child("inner", Supervisor)
        assert isinstance(ref, SupervisorRef)
        workers = [ref.child("a"), ref.child("b")]
        world.take()
        await sup.terminate_child("inner")
        assert not any(each.is_running for each in workers)
    assert world.log == []


async def test_a_child_that_is_ended_in_its_init_needs_no_terminate(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    class Slow(Worker):
        async def init(self) -> None:
            await trio.sleep(10)
            await super().init()

    with trio.move_on_after(5):
        async with open_supervisor([worker(world, "a"), child_spec(Slow, world, "slow")]):
            raise AssertionError("it runs")
    assert world.log == ["start a", "stop a: 'shutdown'"]
    assert trio.current_time() == pytest.approx(5)


# Administration.


async def test_a_child_lives_through_every_step_of_its_administration(world: World) -> None:  # OTP 86, OTP 88
    async with open_supervisor() as sup:
        spec = worker(world, "a")
        assert counts(sup) == (0, 0, 0, 0)
        a = await sup.start_child(spec)
        assert counts(sup) == (1, 1, 0, 1)
        assert [(i.id, i.ref, i.status, i.spec) for i in sup.which_children()] == [("a", a, "running", spec)]
        assert sup.child("a", Worker) is a

        with pytest.raises(ChildAlreadyStarted) as started:
            await sup.start_child(spec)
        assert started.value.ref is a
        with pytest.raises(ChildRunning):
            await sup.restart_child("a")
        with pytest.raises(ChildRunning):
            await sup.delete_child("a")

        await sup.terminate_child("a")
        assert counts(sup) == (1, 0, 0, 1)
        assert statuses(sup) == {"a": "stopped"}
        await sup.terminate_child("a")
        with pytest.raises(ChildAlreadyPresent):
            await sup.start_child(spec)

        assert await sup.restart_child("a") is a
        assert await a.call(Worker.incarnation()) == 2

        await sup.terminate_child("a")
        await sup.delete_child("a")
        assert counts(sup) == (0, 0, 0, 0)
        for gone in (sup.terminate_child, sup.restart_child, sup.delete_child):
            with pytest.raises(ChildNotFound) as caught:
                await gone("a")
            assert (caught.value.server, caught.value.child) == ("Supervisor", "a")
        assert await sup.start_child(spec) is not None
    assert world.instances["a"] == 3


async def test_ending_a_temporary_child_forgets_it(world: World) -> None:  # OTP 86
    async with open_supervisor([worker(world, "a", restart="temporary")]) as sup:
        await sup.terminate_child("a")
        assert sup.which_children() == []
        with pytest.raises(ChildNotFound):
            await sup.restart_child("a")


async def test_who_asks_by_message_gets_the_same_answers(world: World) -> None:  # OTP 86
    async with open_supervisor() as sup:
        ref: ServerRef[Supervisor] = sup
        a: ServerRef[Any] = await ref.call(Supervisor.start_child(worker(world, "a")))
        with pytest.raises(ChildRunning):
            await ref.call(Supervisor.delete_child("a"))
        assert a.is_running


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_while_a_child_is_being_restarted_all_questions_are_answered(
    strategy: Any, world: World
) -> None:
    # OTP 86, OTP 91, OTP 106
    specs = [worker(world, "a"), worker(world, "b")]
    async with open_supervisor(specs, strategy=strategy, max_restarts=10**9) as sup:
        world.fail_start["b"] = math.inf
        with pytest.raises(Exception, match="b"):
            await sup.child("b", Worker).call(Worker.crash())
        with pytest.raises(ChildRestarting):
            await sup.restart_child("b")
        with pytest.raises(ChildRestarting):
            await sup.delete_child("b")
        with pytest.raises(ChildAlreadyStarted):
            await sup.start_child(worker(world, "b"))
        assert counts(sup)[0] == 2
        assert statuses(sup)["b"] == "restarting"
        # Others can be added and ended meanwhile.
        await sup.start_child(worker(world, "c"))
        await sup.terminate_child("c")
        # And it goes on trying.
        tries = world.instances["b"]
        while world.instances["b"] < tries + 5:
            await trio.lowlevel.checkpoint()
        await sup.terminate_child("b")
        assert statuses(sup)["b"] == "stopped"
        tries = world.instances["b"]
        await trio.testing.wait_all_tasks_blocked()
        assert world.instances["b"] == tries
        world.fail_start.clear()
        await sup.restart_child("b")
        assert statuses(sup)["b"] == "running"


@pytest.mark.parametrize("how", ["stop", "block", "cancel"])
async def test_a_supervisor_in_a_restart_loop_can_be_ended(how: str, world: World) -> None:  # OTP 106
    with trio.CancelScope() as scope:
        async with open_supervisor([worker(world, "a"), worker(world, "b")], max_restarts=10**9) as sup:
            world.fail_start["b"] = math.inf
            with pytest.raises(Exception, match="b"):
                await sup.child("b", Worker).call(Worker.crash())
            if how == "stop":
                await sup.stop()
                assert not sup.is_running
            elif how == "cancel":
                scope.cancel()
                await not_ended()
    assert world.log[-1] == "stop a: 'shutdown'"


async def test_an_invalid_child_is_refused_and_harms_nobody(world: World) -> None:  # OTP 89
    async with open_supervisor([worker(world, "a")]) as sup:
        with pytest.raises(InvalidSpec) as caught:
            await sup.start_child(worker(world, "b", restart="transient", significant=True))
        assert caught.value.field == "significant"
        no_class: Any = 7
        with pytest.raises(TypeError):
            await sup.start_child(no_class)
        with pytest.raises(TypeError):
            await sup.start_child(worker(world, "b"), 7)  # type: ignore[call-overload]  # arguments twice
        assert statuses(sup) == {"a": "running"}


async def test_counts_tell_supervisors_from_workers(world: World) -> None:  # OTP 91
    specs = [worker(world, "a"), supervisor_spec([], id="s"), dynamic_supervisor_spec(), worker(world, "b")]
    async with open_supervisor(specs) as sup:
        assert counts(sup) == (4, 4, 2, 2)
        await sup.terminate_child("s")
        await sup.terminate_child("a")
        assert counts(sup) == (4, 2, 2, 2)
        await sup.delete_child("s")
        assert counts(sup) == (3, 2, 1, 2)


async def test_a_name_that_is_taken_elsewhere_fails_the_start_and_harms_nobody(world: World) -> None:
    # OTP 92
    registry: Registry[Worker] = Registry()
    spec = worker(world, "a").replace(via=registry.via("a"))
    async with open_server(spec) as elsewhere, open_supervisor() as sup:
        with pytest.raises(ChildStartFailed) as caught:
            await sup.start_child(spec)
        assert isinstance(caught.value.__cause__, AlreadyStarted)
        assert caught.value.__cause__.ref is elsewhere
        assert sup.which_children() == []
        assert world.instances["a"] == 1


async def test_a_child_is_known_as_what_it_is(world: World) -> None:
    async with open_supervisor([worker(world, "a")]) as sup:
        with pytest.raises(TypeError, match="not a Plain"):
            sup.child("a", Plain)
        with pytest.raises(ChildNotFound):
            sup.child("b")
    with pytest.raises(ServerNotRunning):
        sup.child("a")
    with pytest.raises(ServerNotRunning):
        sup.which_children()
    with pytest.raises(ServerNotRunning):
        sup.count_children()
    with pytest.raises(ServerNotRunning):
        await sup.start_child(worker(world, "b"))


async def test_start_child_waits_for_the_init_and_not_longer(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    class Slow(Worker):
        async def init(self) -> None:
            await trio.sleep(2)
            self.continue_with("the rest")

        async def handle_continue(self, argument: Any) -> None:
            await trio.sleep(100)

    async with open_supervisor() as sup:
        begun = trio.current_time()
        await sup.start_child(Slow, world)
        assert trio.current_time() - begun == 2


async def test_a_start_that_is_given_up_by_its_caller_goes_on(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    class Slow(Worker):
        async def init(self) -> None:
            await trio.sleep(2)

    async with open_supervisor() as sup:
        with trio.move_on_after(1) as scope:
            await sup.start_child(Slow, world)
        assert scope.cancelled_caught
        assert statuses(sup) == {"Slow": "starting"}
        await trio.sleep(2)
        assert statuses(sup) == {"Slow": "running"}


async def test_a_child_that_asks_its_busy_supervisor_is_refused_and_does_not_hang(world: World) -> None:
    # OTP 166
    answers: list[object] = []

    class Asks(GenServer):
        def __init__(self, holder: list[SupervisorRef]) -> None:
            self.holder = holder

        async def ask(self) -> None:
            try:
                await self.holder[0].start_child(worker(world, "extra"))
            except (CallCycle, ServerNotRunning) as error:
                answers.append(type(error))

        async def init(self) -> None:
            await self.ask()

        async def terminate(self, reason: object) -> None:
            await self.ask()

    holder: list[SupervisorRef] = []
    async with open_supervisor() as sup:
        holder.append(sup)
        # In its init, and in its end: the supervisor waits for exactly that.
        await sup.start_child(child_spec(Asks, holder).replace(shutdown=math.inf))
        assert answers == [CallCycle]
        await sup.terminate_child("Asks")
        assert answers == [CallCycle, CallCycle]
        await sup.restart_child("Asks")
        answers.clear()
    # And once the supervisor itself is ending, in order or cancelled.
    assert answers == [ServerNotRunning]
    answers.clear()
    with trio.CancelScope() as scope:
        async with open_supervisor() as sup:
            holder[0] = sup
            await sup.start_child(child_spec(Asks, holder).replace(shutdown=math.inf))
            scope.cancel()
            await trio.sleep_forever()
    assert answers == [CallCycle, ServerNotRunning]


async def test_a_child_may_end_itself_through_its_supervisor(world: World) -> None:
    class Quits(Worker):
        @handle_call
        async def quit(self, sup: SupervisorRef) -> None:
            await sup.terminate_child("quits")

    async with open_supervisor() as sup:
        ref = await sup.start_child(child_spec(Quits, world, "quits").replace(id="quits"))
        request = ref.send_request(Quits.quit(sup))
        with pytest.raises(ServerStopped):
            await request.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert statuses(sup) == {"quits": "stopped"}
        assert world.log == ["start quits", "stop quits: 'shutdown'"]


async def test_children_get_their_references_back_when_the_supervisor_is_restarted(world: World) -> None:
    inner = supervisor_spec([worker(world, "a"), worker(world, "b")], id="inner", max_restarts=0)
    async with open_supervisor([inner]) as sup:
        ref = sup.child("inner", Supervisor)
        assert isinstance(ref, SupervisorRef)
        a, b = ref.child("a", Worker), ref.child("b", Worker)
        await crash(a)
        assert world.instances == {"a": 2, "b": 2}
        assert ref.child("a") is a
        assert await b.call(Worker.ping()) == "b"
        await end(a, "normal")
        assert await a.call(Worker.incarnation()) == 3
