"""Dynamic supervisors: children that come and go, known by their references."""

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
    DynamicSupervisor,
    DynamicSupervisorRef,
    GenServer,
    InitIgnored,
    InitStopped,
    InvalidSpec,
    ServerCrashed,
    ServerNotRunning,
    Stop,
    child_spec,
    dynamic_supervisor_spec,
    handle_call,
    open_dynamic_supervisor,
    open_supervisor,
)
from trio_genserver.instruments import LoggingInstrument, remove_instrument
from trio_genserver.supervision import (
    ChildNotFound,
    ChildStartFailed,
    MaxChildrenReached,
    RestartIntensityExceeded,
)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_child_is_started_with_its_own_arguments_and_restarted_with_them(world: World) -> None:
    # OTP 110
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(Worker, world, "a")
        b = await sup.start_child(worker(world, "b"))
        assert await a.call(Worker.ping()) == "a"
        await crash(a)
        assert await a.call(Worker.ping()) == "a"
        assert world.instances == {"a": 2, "b": 1}
        assert [info.ref for info in sup.which_children()] == [a, b]


async def test_two_children_may_have_the_same_specification(world: World) -> None:
    spec = worker(world)
    async with open_dynamic_supervisor() as sup:
        one = await sup.start_child(spec)
        two = await sup.start_child(spec)
        assert one is not two
        assert sup.count_children().active == 2


async def test_a_child_whose_restart_ignores_is_dropped(world: World) -> None:  # OTP 110
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(worker(world, "a"))
        world.ignore_start.add("a")
        await crash(a)
        assert sup.which_children() == []
        assert not a.is_running


async def test_by_id_calls_are_refused(world: World) -> None:  # OTP 87
    async with open_dynamic_supervisor() as sup:
        await sup.start_child(worker(world, "a"))
        by_id: Any = "a"
        with pytest.raises(TypeError, match="no ids"):
            await sup.terminate_child(by_id)
        for by_id_only in ("child", "restart_child", "delete_child"):
            assert not hasattr(sup, by_id_only)
        assert sup.count_children().active == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_children": -1}, "max_children"),
        ({"max_children": 1.5}, "max_children"),
        ({"max_children": True}, "max_children"),
        ({"extra_arguments": 7}, "extra_arguments"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"max_seconds": 0}, "max_seconds"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        dynamic_supervisor_spec(**options)
    assert caught.value.field == field
    with pytest.raises(InvalidSpec):
        open_dynamic_supervisor(**options)


async def test_a_significant_child_is_refused(world: World) -> None:  # OTP 116
    async with open_dynamic_supervisor() as sup:
        with pytest.raises(InvalidSpec) as caught:
            await sup.start_child(worker(world, restart="transient", significant=True))
        assert caught.value.field == "significant"
        assert sup.count_children().specs == 0


async def test_one_child_more_than_max_children_is_refused(world: World) -> None:  # OTP 117
    async with open_dynamic_supervisor(max_children=2) as sup:
        a = await sup.start_child(worker(world, "a"))
        await sup.start_child(worker(world, "b"))
        with pytest.raises(MaxChildrenReached) as caught:
            await sup.start_child(worker(world, "c"))
        assert caught.value.max_children == 2
        assert "c" not in world.instances
        await sup.terminate_child(a)
        await sup.start_child(worker(world, "c"))


async def test_no_children_at_all_are_allowed_with_a_bound_of_zero(world: World) -> None:  # OTP 117
    async with open_dynamic_supervisor(max_children=0) as sup:
        with pytest.raises(MaxChildrenReached):
            await sup.start_child(worker(world))


async def test_a_start_that_failed_holds_no_place(world: World) -> None:  # OTP 118
    async with open_dynamic_supervisor(max_children=1) as sup:
        world.fail_start["a"] = 1
        with pytest.raises(ChildStartFailed):
            await sup.start_child(worker(world, "a"))
        world.ignore_start.add("b")
        with pytest.raises(InitIgnored):
            await sup.start_child(worker(world, "b"))
        await sup.start_child(worker(world, "c"))


async def test_a_child_that_is_being_restarted_holds_its_place(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:  # OTP 118
    class Slow(Worker):
        async def init(self) -> None:
            if self.world.instances[self.name]:
                await trio.sleep(1)
            await super().init()

    async with open_dynamic_supervisor(max_children=1) as sup:
        a = await sup.start_child(Slow, world, "a")
        with pytest.raises(Exception, match="a"):
            await a.call(Worker.crash())
        assert [info.status for info in sup.which_children()] == ["restarting"]
        await trio.sleep(0.5)
        assert [info.status for info in sup.which_children()] == ["restarting"]
        assert sup.count_children().active == 0
        with pytest.raises(MaxChildrenReached):
            await sup.start_child(worker(world, "b"))
        assert sup.count_children().active == 1


async def test_a_child_that_cannot_be_restarted_yet_holds_its_place(world: World) -> None:  # OTP 118
    async with open_dynamic_supervisor(max_children=1, max_restarts=10**9) as sup:
        a = await sup.start_child(worker(world, "a"))
        world.fail_start["a"] = math.inf
        with pytest.raises(Exception, match="a"):
            await a.call(Worker.crash())
        with pytest.raises(MaxChildrenReached):
            await sup.start_child(worker(world, "b"))
        world.fail_start.clear()
        await trio.testing.wait_all_tasks_blocked()
        assert [info.status for info in sup.which_children()] == ["running"]


async def test_extra_arguments_come_first_also_on_restart() -> None:  # OTP 119
    given: list[tuple[int, ...]] = []

    class Arguments(GenServer):
        def __init__(self, *arguments: int) -> None:
            given.append(arguments)

        @handle_call
        def crash(self) -> None:
            raise ValueError("crash")

    async with open_dynamic_supervisor(extra_arguments=(1, 2)) as sup:
        child = await sup.start_child(Arguments, 3)
        with pytest.raises(Exception, match="crash"):
            await child.call(Arguments.crash())
        await trio.testing.wait_all_tasks_blocked()
    assert given == [(1, 2, 3), (1, 2, 3)]


async def test_each_way_a_start_can_end_is_told_apart_and_harms_nobody(world: World) -> None:  # OTP 120
    class Stops(GenServer):
        async def init(self) -> None:
            raise Stop("no room")

    class BadReturn(GenServer):
        async def init(self) -> Any:
            return 1

    class BadConstructor(GenServer):
        def __init__(self) -> None:
            raise LookupError("no such thing")

    async with open_dynamic_supervisor() as sup:
        assert (await sup.start_child(worker(world, "a"))).is_running
        world.ignore_start.add("b")
        with pytest.raises(InitIgnored):
            await sup.start_child(worker(world, "b"))
        with pytest.raises(ChildStartFailed) as stopped:
            await sup.start_child(Stops)
        assert isinstance(stopped.value.__cause__, InitStopped)
        assert stopped.value.__cause__.reason == "no room"
        world.fail_start["c"] = 1
        with pytest.raises(ChildStartFailed) as raised:
            await sup.start_child(worker(world, "c"))
        assert isinstance(raised.value.__cause__, StartError)
        assert raised.value.child == "c"
        with pytest.raises(ChildStartFailed, match="must return None"):
            await sup.start_child(BadReturn)
        with pytest.raises(ChildStartFailed, match="no such thing"):
            await sup.start_child(BadConstructor)
        with pytest.raises(ChildStartFailed, match="unexpected keyword"):
            await sup.start_child(child_spec(Worker, world).replace(kwargs={"nmae": "a"}))
        assert sup.count_children().specs == 1


ENDS = ["normal", "shutdown", ("shutdown", "done"), "other", "crash"]


@pytest.mark.parametrize("reason", ENDS)
async def test_a_permanent_child_is_restarted_whatever_the_reason(reason: object, world: World) -> None:
    # OTP 121
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(worker(world, "a", restart="permanent"))
        await (crash(a) if reason == "crash" else end(a, reason))
        assert await a.call(Worker.incarnation()) == 2


@pytest.mark.parametrize("reason", ENDS)
async def test_a_transient_child_is_restarted_only_after_an_abnormal_end(
    reason: object, world: World
) -> None:
    # OTP 121
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(worker(world, "a", restart="transient"))
        await (crash(a) if reason == "crash" else end(a, reason))
        restarted = reason in ("other", "crash")
        assert world.instances["a"] == (2 if restarted else 1)
        assert a.is_running == restarted
        assert sup.count_children().specs == (1 if restarted else 0)


@pytest.mark.parametrize("reason", ENDS)
async def test_a_temporary_child_is_never_restarted(reason: object, world: World) -> None:  # OTP 121
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(worker(world, "a", restart="temporary"))
        await (crash(a) if reason == "crash" else end(a, reason))
        assert world.instances["a"] == 1
        assert not a.is_running
        assert sup.count_children().specs == 0


async def test_a_restart_that_fails_is_tried_again_and_each_try_counts(world: World) -> None:  # OTP 122
    async with open_dynamic_supervisor(max_restarts=3) as sup:
        a = await sup.start_child(worker(world, "a"))
        world.fail_start["a"] = 2
        await crash(a)
        assert world.take() == ["start a", "stop a: ValueError('a')", "fail a", "fail a", "start a"]
        assert await a.call(Worker.ping()) == "a"


async def test_tries_that_fail_too_often_end_the_supervisor(world: World) -> None:  # OTP 123
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_dynamic_supervisor(max_restarts=3) as sup:
            a = await sup.start_child(worker(world, "a"))
            await sup.start_child(worker(world, "b"))
            world.fail_start["a"] = 3
            await crash(a)
            await not_ended()
    assert world.log[-4:] == ["fail a", "fail a", "fail a", "stop b: 'shutdown'"]
    assert isinstance(caught.value.__cause__, StartError)


async def test_crashes_of_different_children_count_together(world: World) -> None:  # OTP 123
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_dynamic_supervisor(max_restarts=1) as sup:
            a = await sup.start_child(worker(world, "a"))
            b = await sup.start_child(worker(world, "b"))
            await crash(a)
            await crash(b)
            await not_ended()
    assert caught.value.child == "b"
    assert world.instances == {"a": 2, "b": 1}


async def test_a_supervisor_that_gives_up_ends_with_shutdown(world: World) -> None:  # OTP 123
    async with open_supervisor([dynamic_supervisor_spec(max_restarts=0)]) as top:
        sup = top.child("DynamicSupervisor", DynamicSupervisor)
        assert isinstance(sup, DynamicSupervisorRef)
        a = await sup.start_child(worker(world, "a"))
        reasons: list[object] = []

        async def watch() -> None:
            reasons.append(await sup.wait_stopped())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            await crash(a)
        assert reasons == ["shutdown"]
        # The one above has started it again, without the children that it was given meanwhile.
        assert sup.is_running
        assert sup.which_children() == []


async def test_children_are_ended_in_parallel_each_with_its_own_grace(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:  # OTP 124
    async with open_dynamic_supervisor() as sup:
        await sup.start_child(worker(world, "patient", 7, shutdown=math.inf))
        await sup.start_child(worker(world, "quick", 2, shutdown=5))
        await sup.start_child(worker(world, "late", 60, shutdown=3))
        await sup.start_child(worker(world, "brutal", 60, shutdown="brutal_kill"))
        world.take()
        begun = trio.current_time()
    assert trio.current_time() - begun == 7
    assert sorted(world.log[:3]) == [
        "stop late: 'shutdown'",
        "stop patient: 'shutdown'",
        "stop quick: 'shutdown'",
    ]
    assert world.log[3:] == ["gone quick", "gone patient"]


async def test_a_child_is_ended_by_its_reference_and_then_unknown(world: World) -> None:  # OTP 125
    async with open_dynamic_supervisor() as sup:
        a = await sup.start_child(worker(world, "a"))
        await sup.terminate_child(a)
        assert world.log == ["start a", "stop a: 'shutdown'"]
        assert sup.which_children() == []
        with pytest.raises(ServerNotRunning):
            await a.call(Worker.ping())
        with pytest.raises(ChildNotFound):
            await sup.terminate_child(a)
        await trio.testing.wait_all_tasks_blocked()
        assert world.instances["a"] == 1


async def test_a_child_of_somebody_else_is_not_found(world: World) -> None:  # OTP 125
    async with open_dynamic_supervisor() as mine, open_dynamic_supervisor() as other:
        a = await other.start_child(worker(world, "a"))
        with pytest.raises(ChildNotFound) as caught:
            await mine.terminate_child(a)
        assert caught.value.child == "a"
        assert a.is_running


async def test_a_child_that_is_being_restarted_can_be_ended(world: World) -> None:  # OTP 125
    async with open_dynamic_supervisor(max_restarts=10**9) as sup:
        a = await sup.start_child(worker(world, "a"))
        world.fail_start["a"] = math.inf
        with pytest.raises(Exception, match="a"):
            await a.call(Worker.crash())
        await sup.terminate_child(a)
        tries = world.instances["a"]
        await trio.testing.wait_all_tasks_blocked()
        assert world.instances["a"] == tries
        assert sup.which_children() == []


async def test_nothing_of_a_finished_temporary_child_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:  # OTP 108
    class Load:
        pass

    remove_instrument(LoggingInstrument)  # pytest keeps the records
    async with open_dynamic_supervisor() as sup:
        loads = [Load() for _ in range(3)]
        gone = [weakref.ref(load) for load in loads]
        spec = child_spec(Holder).replace(restart="temporary")
        children = [await sup.start_child(spec.replace(args=(load,))) for load in loads]
        await children[0].stop()
        await sup.terminate_child(children[1])
        with pytest.raises(ServerCrashed):
            await children[2].call(Holder.crash())
        # What a server was sent last is on its stack until the next message comes.
        await sup.start_child(Holder)
        del loads, children
        gc.collect()
        assert [ref() for ref in gone] == [None] * 3
        assert sup.count_children().specs == 1


class Holder(GenServer):
    def __init__(self, load: object = None) -> None:
        self.load = load

    @handle_call
    def crash(self) -> None:
        raise ValueError("crash")
