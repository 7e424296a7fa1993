"""Why a server ended, where one reason meets another, and who hears of it when; as in OTP."""

from __future__ import annotations

import math
from typing import cast

import pytest
import trio
import trio.testing

from trio_genserver import (
    GenServer,
    Request,
    ServerCrashed,
    ServerRef,
    ServerStopped,
    Stop,
    SupervisorRef,
    child_spec,
    handle_call,
    handle_cast,
    monitor,
    open_dynamic_supervisor,
    open_server,
    open_supervisor,
    start_server,
    supervisor_spec,
)
from trio_genserver._spec import Shutdown

Clock = trio.testing.MockClock


class Ending(GenServer):
    """Ends in every way, and takes its time."""

    def __init__(self, log: list[object], seconds: float = 0.0, error: BaseException | None = None) -> None:
        self.log = log
        self.seconds = seconds
        self.error = error

    @handle_cast
    async def work(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @handle_cast
    def leave(self, reason: object) -> None:
        raise Stop(reason)

    @handle_cast
    def die(self) -> None:
        raise LookupError("die")

    @handle_call
    def die_called(self) -> None:
        raise LookupError("die")

    @handle_call(child=True)
    async def die_in_a_child(self) -> None:
        raise LookupError("die")

    @handle_call
    def get(self) -> int:
        return 1

    async def terminate(self, reason: object) -> None:
        self.log.append(reason)
        await trio.sleep(self.seconds)
        self.log.append("done")
        if self.error is not None:
            raise self.error


async def test_stop_says_what_else_ended_the_server(autojump_clock: Clock) -> None:
    async with open_dynamic_supervisor() as supervisor:

        async def child(error: BaseException | None = None) -> ServerRef[Ending]:
            spec = child_spec(Ending, [], 0.0, error).replace(restart="temporary")
            server = await supervisor.start_child(spec)
            await server.cast(Ending.work(1))
            return server

        server = await child()
        await server.cast(Ending.die())
        with pytest.raises(ServerCrashed) as crashed:
            await server.stop()
        assert isinstance(crashed.value.__cause__, LookupError)
        assert isinstance(await server.wait_stopped(), LookupError)

        server = await child()
        await server.cast(Ending.leave("bad"))
        with pytest.raises(ServerStopped) as stopped:
            await server.stop("normal")
        assert stopped.value.reason == await server.wait_stopped() == "bad"

        server = await child()
        await server.cast(Ending.leave("normal"))
        await server.stop("other")
        assert await server.wait_stopped() == "normal"

        server = await child(OSError("in terminate"))
        with pytest.raises(ServerCrashed) as crashed:
            await server.stop()
        assert isinstance(crashed.value.__cause__, OSError)

        server = await child(Stop("another"))
        with pytest.raises(ServerStopped):
            await server.stop()
        assert await server.wait_stopped() == "another"


async def test_a_transient_child_that_fails_before_it_comes_to_its_stop_is_restarted(
    autojump_clock: Clock,
) -> None:
    async with open_supervisor([child_spec(Ending, []).replace(restart="transient")]) as supervisor:
        server = supervisor.child("Ending", Ending)
        await server.cast(Ending.work(1))
        await server.cast(Ending.leave("bad"))
        with pytest.raises(ServerStopped):
            await server.stop("normal")
        await trio.testing.wait_all_tasks_blocked()
        assert server.is_running


@pytest.mark.parametrize("way", ["call", "child task", "queued", "stop"])
async def test_callers_hear_of_the_end_after_terminate(way: str, autojump_clock: Clock) -> None:
    log: list[object] = []
    spec = child_spec(Ending, log, 3).replace(restart="temporary")
    async with open_supervisor([spec]) as supervisor:
        server = supervisor.child("Ending", Ending)
        begin = trio.current_time()
        request: Request[object]
        if way == "call":
            request = server.send_request(Ending.die_called())
        elif way == "child task":
            request = server.send_request(Ending.die_in_a_child())
        else:
            server.cast_nowait(Ending.die() if way == "queued" else Ending.leave("enough"))
            request = server.send_request(Ending.get())
        with pytest.raises(ServerStopped if way == "stop" else ServerCrashed):
            await request.wait()
        assert trio.current_time() == begin + 3
        assert log[1:] == ["done"]


async def test_what_terminate_raises_replaces_the_reason_of_a_crash(autojump_clock: Clock) -> None:
    spec = child_spec(Ending, [], 0.0, OSError("in terminate")).replace(restart="temporary")
    async with open_supervisor([spec]) as supervisor:
        server = supervisor.child("Ending", Ending)
        watch = monitor(server)
        with pytest.raises(ServerCrashed) as crashed:
            await server.call(Ending.die_called())
        assert isinstance(crashed.value.__cause__, OSError)
        assert (await watch.wait()).reason is crashed.value.__cause__


@pytest.mark.parametrize(("shutdown", "seconds"), [("brutal_kill", 0.0), (2.0, 5.0), (0.0, 1.0)])
async def test_a_child_that_is_not_given_the_time_to_end_was_killed(
    shutdown: Shutdown, seconds: float, autojump_clock: Clock
) -> None:
    log: list[object] = []
    spec = child_spec(Ending, log, seconds).replace(shutdown=shutdown, restart="temporary")
    async with open_supervisor([spec]) as supervisor:
        server = supervisor.child("Ending", Ending)
        watch = monitor(server)
        await server.cast(Ending.work(9))
        request = server.send_request(Ending.get())
        await supervisor.terminate_child("Ending")
        assert (await watch.wait()).reason == "killed"
        with pytest.raises(ServerStopped, match="killed"):
            await request.wait()
    assert log == ([] if shutdown == "brutal_kill" else ["shutdown"])


@pytest.mark.parametrize("shutdown", ["brutal_kill", 1.0])
@pytest.mark.parametrize("way", ["stop", "leave", "crash", "block"])
async def test_a_server_that_ends_by_itself_has_the_time_that_it_needs(
    way: str, shutdown: Shutdown, autojump_clock: Clock
) -> None:
    log: list[object] = []
    spec = child_spec(Ending, log, 30).replace(shutdown=shutdown, restart="temporary")
    if way == "block":
        async with open_server(spec):
            pass
    else:
        async with open_supervisor([spec]) as supervisor:
            server = supervisor.child("Ending", Ending)
            await server.cast(Ending.die() if way == "crash" else Ending.leave("left"))
            await server.wait_stopped()
    assert log[1:] == ["done"]


async def test_who_ends_it_meanwhile_bounds_that_time(autojump_clock: Clock) -> None:
    log: list[object] = []
    spec = child_spec(Ending, log, math.inf).replace(shutdown=2.0, restart="temporary")
    async with open_supervisor([spec]) as supervisor:
        server = supervisor.child("Ending", Ending)
        await server.cast(Ending.leave("left"))
        await trio.sleep(10)
        await supervisor.terminate_child("Ending")
        assert trio.current_time() == 12
        assert await server.wait_stopped() == "killed"


async def test_a_cancellation_from_outside_bounds_that_time(autojump_clock: Clock) -> None:
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        server = await start_server(nursery, child_spec(Ending, log, math.inf).replace(shutdown=2.0))
        await server.cast(Ending.leave("left"))
        await trio.sleep(10)
        assert not server.is_running
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 12
    assert log == ["left"]


async def test_a_crash_is_not_lost_to_a_cancellation_during_terminate(autojump_clock: Clock) -> None:
    with pytest.RaisesGroup(LookupError):
        async with trio.open_nursery() as nursery:
            server = await start_server(nursery, child_spec(Ending, [], math.inf).replace(shutdown=2.0))
            await server.cast(Ending.die())
            await trio.sleep(10)
            nursery.cancel_scope.cancel()


class Quick(GenServer):
    @handle_cast
    def die(self) -> None:
        raise LookupError("die")


@pytest.mark.parametrize("way", ["gives up", "stop"])
async def test_a_supervisor_s_shutdown_does_not_bound_its_own_end(way: str, autojump_clock: Clock) -> None:
    log: list[object] = []
    saving = [child_spec(Ending, log, 10).replace(shutdown=math.inf, id=number) for number in range(2)]
    below = supervisor_spec([*saving, Quick], max_restarts=0, id="below").replace(
        shutdown=5.0, restart="temporary"
    )
    async with open_supervisor([below]) as supervisor:
        tree = cast("SupervisorRef", supervisor.child("below"))
        if way == "stop":
            await tree.stop()
        else:
            quick: ServerRef[Quick] = next(each.ref for each in tree.which_children() if each.id == "Quick")
            await quick.cast(Quick.die())
            await tree.wait_stopped()
    assert log == ["shutdown", "done", "shutdown", "done"]


async def test_a_supervisor_s_shutdown_bounds_what_its_parent_does(autojump_clock: Clock) -> None:
    log: list[object] = []
    saving = child_spec(Ending, log, 10).replace(shutdown=math.inf)
    below = supervisor_spec([saving], id="below").replace(shutdown=5.0, restart="temporary")
    async with open_supervisor([below]) as supervisor:
        tree = supervisor.child("below")
        await supervisor.terminate_child("below")
        assert await tree.wait_stopped() == "killed"
    assert log == ["shutdown"]
    assert trio.current_time() == 5
