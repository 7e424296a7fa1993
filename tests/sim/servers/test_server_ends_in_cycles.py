"""Waits for a start or an end that close a cycle: refused under every schedule, never a hang."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import pytest
import trio

import sim
from trio_genserver import (
    CallCycle,
    ChildSpec,
    GenServer,
    ServerError,
    ServerRef,
    SupervisorRef,
    child_spec,
    handle_call,
    monitor,
    open_server,
    open_supervisor,
    start_server,
    supervisor_spec,
)
from trio_genserver.registry import Registry
from trio_genserver.tasks import task_supervisor_spec

Ask: TypeAlias = Callable[[], Awaitable[object]]


class Asks(GenServer):
    """Asks somebody while it starts, or while it ends."""

    shutdown = math.inf

    def __init__(self, *, init: Ask | None = None, terminate: Ask | None = None) -> None:
        self.in_init = init
        self.in_terminate = terminate

    async def init(self) -> None:
        if self.in_init is not None:
            await heard(self.in_init)

    async def terminate(self, reason: object) -> None:
        if self.in_terminate is not None:
            await heard(self.in_terminate)

    @handle_call
    def ping(self) -> None: ...


endings: list[ServerError] = []


async def heard(ask: Ask) -> None:
    try:
        await ask()
    except ServerError as error:
        endings.append(error)


def holds(scenario: Callable[[], Awaitable[None]], strategy: str) -> None:
    async def run() -> None:
        endings.clear()
        await scenario()

    result = sim.explore(run, strategy, 20_000)
    result.check()
    assert result.complete


def temporary(spec: ChildSpec[Any]) -> ChildSpec[Any]:
    return spec.replace(restart="temporary")


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_a_child_is_started_under_the_name_of_one_whose_end_asks_the_supervisor(strategy: str) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        names: Registry[Asks] = Registry()
        async with open_supervisor() as root:

            async def ask() -> None:
                await root.terminate_child("nobody")

            name = names.via("name")
            spec = temporary(child_spec(Asks, terminate=ask)).replace(via=name, id="first")
            first = await root.start_child(spec)

            async def start_second() -> None:
                try:
                    await root.start_child(temporary(child_spec(Asks)).replace(via=name, id="second"))
                    seen.add("second started")
                except ServerError as error:
                    cause = error.__cause__
                    seen.add(f"second refused: {type(cause).__name__}")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.stop)
                nursery.start_soon(start_second)
        seen.update(f"first: {type(error).__name__}" for error in endings)

    holds(scenario, strategy)
    assert "first: CallCycle" in seen
    assert "second started" in seen


def test_the_start_of_the_second_is_refused_if_the_end_of_the_first_waits_already() -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        busy = trio.Event()
        names: Registry[Asks] = Registry()
        async with open_supervisor() as root:

            async def wait() -> None:
                await busy.wait()

            async def ask() -> None:
                busy.set()
                await root.terminate_child("nobody")

            name = names.via("name")
            spec = temporary(child_spec(Asks, terminate=ask)).replace(via=name, id="first")
            first = await root.start_child(spec)

            async def start_second() -> None:
                try:
                    await root.start_child(temporary(child_spec(Asks)).replace(via=name, id="second"))
                except ServerError as error:
                    seen.add(type(error.__cause__).__name__)

            async with trio.open_nursery() as nursery:
                # While the supervisor is busy with this one, the others ask it: the second to start first.
                nursery.start_soon(
                    root.start_child, temporary(child_spec(Asks, init=wait)).replace(id="busy")
                )
                nursery.start_soon(start_second)
                nursery.start_soon(first.stop)

    holds(scenario, "dpor")
    assert "CallCycle" in seen


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_a_supervisor_ends_a_child_whose_own_end_asks_it(strategy: str) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        async with open_supervisor() as root:

            async def ask() -> None:
                await root.terminate_child("nobody")

            child = await root.start_child(temporary(child_spec(Asks, terminate=ask)))

            async def end() -> None:
                await root.terminate_child("Asks")

            async def stop() -> None:
                with contextlib.suppress(ServerError):
                    await child.stop()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop)
                try:
                    await end()
                except ServerError as error:
                    seen.add(f"end: {type(error).__name__}")
        seen.update(type(error).__name__ for error in endings)

    holds(scenario, strategy)
    assert "CallCycle" in seen


class Host(GenServer):
    """Runs servers in its handlers, which ask it."""

    @handle_call
    async def run(self, spec: ChildSpec[Asks]) -> None:
        async with open_server(spec):
            pass

    @handle_call
    async def start(self, spec: ChildSpec[Asks], nursery: trio.Nursery) -> None:
        await start_server(nursery, spec)

    @handle_call
    async def wait_for(self, wait: Ask) -> object:
        return await wait()

    @handle_call
    def ping(self) -> None: ...


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize("where", ["init", "terminate"])
@pytest.mark.parametrize("how", ["run", "start"])
def test_a_server_runs_another_that_asks_it(how: str, where: str, strategy: str) -> None:
    async def scenario() -> None:
        async with open_server(Host) as host, trio.open_nursery() as nursery:

            async def ask() -> None:
                await host.call(Host.ping())

            spec: Any = child_spec(Asks, init=ask) if where == "init" else child_spec(Asks, terminate=ask)
            message: Any = Host.run(spec) if how == "run" else Host.start(spec, nursery)
            nursery.start_soon(ask)
            await host.call(message)
            nursery.cancel_scope.cancel()
        # A server that the handler has left running may ask, as it does when it ends with the nursery.
        refused = [CallCycle] if where == "init" or how == "run" else []
        assert [type(error) for error in endings] == refused

    holds(scenario, strategy)


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize("how", ["wait_stopped", "monitor"])
def test_a_server_waits_for_the_end_of_another_that_asks_it(how: str, strategy: str) -> None:
    async def scenario() -> None:
        async with open_server(Host) as host, trio.open_nursery() as nursery:

            async def ask() -> None:
                await host.call(Host.ping())

            asks = await start_server(nursery, child_spec(Asks, terminate=ask))

            async def wait() -> object:
                try:
                    return await (asks.wait_stopped() if how == "wait_stopped" else monitor(asks).wait())
                except CallCycle as error:
                    endings.append(error)
                    return None

            request = host.send_request(Host.wait_for(wait))
            await asks.stop()
            await request.wait()

    holds(scenario, strategy)


async def watch(above: ServerRef[Any]) -> None:
    await monitor(above).wait()


@pytest.mark.parametrize("how", ["stop", "wait_stopped", "monitor"])
@pytest.mark.parametrize("way", ["child stops", "child is ended", "tree ends", "child is asked"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_server_does_not_wait_for_the_end_of_a_supervisor_above_it(depth: int, way: str, how: str) -> None:
    async def scenario() -> None:
        above: list[SupervisorRef] = []

        async def wait() -> None:
            (top,) = above
            waits: dict[str, Ask] = {
                "stop": top.stop,
                "wait_stopped": top.wait_stopped,
                "monitor": partial(watch, top),
            }
            await waits[how]()

        if way == "child is asked":
            spec: ChildSpec[Any] = temporary(child_spec(Host))
        else:
            spec = temporary(child_spec(Asks, terminate=wait))
        if depth == 2:
            spec = supervisor_spec([spec]).replace(id="inner", shutdown=math.inf)
        async with open_supervisor([spec]) as top:
            above.append(top)
            inner: Any = top if depth == 1 else top.child("inner")
            child = inner.child("Host" if way == "child is asked" else "Asks")
            match way:
                case "child stops":
                    await child.stop()
                case "child is ended":
                    await inner.terminate_child("Asks")
                case "child is asked":
                    await child.call(Host.wait_for(partial(heard, wait)))
                case _:
                    pass
        assert [type(error) for error in endings] == [CallCycle]

    holds(scenario, "dpor")


@pytest.mark.parametrize("shutdown", [0.0, math.inf])
def test_a_task_may_end_the_tree_that_it_is_in_if_that_cancels_it(shutdown: float) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        async with open_supervisor([task_supervisor_spec(task_shutdown=shutdown)]) as top:
            tasks: Any = top.child("TaskSupervisor")

            async def end() -> None:
                try:
                    await top.stop()
                except CallCycle:
                    seen.add("CallCycle")

            tasks.start_isolated(end)
            with contextlib.suppress(ServerError):
                await top.wait_stopped() if shutdown == 0 else await tasks.stop()

    holds(scenario, "dpor")
    assert seen == (set() if shutdown == 0 else {"CallCycle"})


def test_a_server_may_wait_for_the_end_of_one_beside_it() -> None:
    async def scenario() -> None:
        async with open_supervisor([temporary(child_spec(Host)), temporary(child_spec(Asks))]) as top:
            host, other = top.child("Host"), top.child("Asks")
            await host.call(Host.wait_for(other.stop))

    holds(scenario, "dpor")
