"""Runs a program here, under a clock that jumps."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing

from tests.trio_genserver.otp.programs import Child, Program, Term
from trio_genserver import (
    From,
    GenServer,
    Ignore,
    InitIgnored,
    Monitor,
    ServerCrashed,
    ServerNotRunning,
    ServerStopped,
    Stop,
    SupervisorRef,
    child_spec,
    handle_call,
    monitor,
    open_supervisor,
    supervisor_spec,
)
from trio_genserver._lifecycle import ENDING
from trio_genserver.supervision import ChildNotFound, ChildRestarting, ChildRunning, ChildStartFailed

END = 40.0
"""When the supervisor is ended, in units, if it has not ended itself."""

REFUSALS: dict[type[Exception], str] = {
    ChildNotFound: "not_found",
    ChildRunning: "running",
    ChildRestarting: "restarting",
    ChildStartFailed: "failed",
    InitIgnored: "ignored",
}


class World:
    """What happens in a run.

    Attributes:
        nursery: for what answers later.
        starts: how often each child was started.
        events: of each child.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.starts: Counter[str] = Counter()
        self.events: defaultdict[str, list[Term]] = defaultdict(list)


class Server(GenServer):
    """Does what it is told."""

    def __init__(self, world: World, made: Child) -> None:
        self.world = world
        self.made = made
        self.handled = 0

    async def init(self) -> None:
        world, made = self.world, self.made
        number = world.starts[made.id]
        world.starts[made.id] += 1
        world.events[made.id].append("init")
        match made.starts[number] if number < len(made.starts) else "ok":
            case "stop":
                raise Stop("bad")
            case "raise":
                raise RuntimeError("init")
            case "ignore":
                raise Ignore
            case _:
                pass

    def _begin(self, what: str) -> int:
        self.world.events[self.made.id].append(what)
        self.handled += 1
        return self.handled - 1

    @handle_call(cast=True)
    def get(self) -> int:
        return self._begin("get")

    @handle_call(cast=True)
    def crash(self) -> None:
        self._begin("crash")
        raise RuntimeError("crash")

    @handle_call(cast=True)
    def leave(self, reason: object) -> None:
        self._begin("stop")
        raise Stop(reason)

    @handle_call(cast=True)
    def reply_and_leave(self, reason: object) -> int:
        self.stop(reason)
        return self._begin("reply_stop")

    @handle_call(cast=True)
    def go_on(self, what: Term) -> int:
        self.continue_with(what)
        return self._begin("continue")

    @handle_call(noreply=True, cast=True)
    def later(self, from_: From[int], units: float) -> None:
        self.world.nursery.start_soon(_reply, from_, units, self._begin("later"))

    @handle_call(cast=True)
    async def work(self, units: float) -> int:
        number = self._begin("work")
        await trio.sleep(units)
        return number

    async def handle_continue(self, argument: Any) -> None:
        self.world.events[self.made.id].append("continued")
        match argument:
            case "crash":
                raise RuntimeError("continued")
            case ("stop", reason):
                raise Stop(reason)
            case _:
                pass

    async def terminate(self, reason: object) -> None:
        events = self.world.events[self.made.id]
        events.append(("terminate", described(reason)))
        if self.made.lasts:
            await trio.sleep(self.made.lasts)
        events.append("terminated")
        match self.made.end:
            case "raise":
                raise RuntimeError("terminate")
            case "stop":
                raise Stop("other")
            case _:
                pass


async def _reply(from_: From[int], units: float, number: int) -> None:
    await trio.sleep(units)
    from_.reply(number)


def described(reason: object) -> Term:
    """A reason, as the interpreter in Elixir tells it."""
    match reason:
        case BaseException():
            return ("crash", str(reason))
        case str():
            return reason
        case (str(one), str(other)):
            return (one, other)
        case _:
            return ("unknown", repr(reason))


def _message(term: Any) -> Any:
    match term:
        case ("get",):
            return Server.get()
        case ("crash",):
            return Server.crash()
        case ("stop", reason):
            return Server.leave(reason)
        case ("reply_stop", reason):
            return Server.reply_and_leave(reason)
        case ("continue", what):
            return Server.go_on(what)
        case ("later", units):
            return Server.later(units)
        case ("work", units):
            return Server.work(units)
        case _:
            raise AssertionError(term)


async def _act(action: Any, supervisor: SupervisorRef, refs: dict[str, Any]) -> Term | Monitor:
    kind, name = action[:2]
    ref = refs[name]
    asked = ref if kind in ("call", "cast", "stop", "monitor") else supervisor
    is_ending = asked._process.lifecycle.state == ENDING
    try:
        match kind:
            case "call":
                return ("value", await ref.call(_message(action[2])))
            case "cast":
                await ref.cast(_message(action[2]))
            case "stop":
                await ref.stop(action[2])
            case "monitor":
                return monitor(ref)
            case "end":
                await supervisor.terminate_child(name)
            case "restart":
                await supervisor.restart_child(name)
            case "delete":
                await supervisor.delete_child(name)
            case "count":
                if not supervisor.is_running:
                    raise ServerNotRunning("tree", "count")
                return ("active", supervisor.count_children().active)
            case _:
                raise AssertionError(action)
    except ServerNotRunning:
        if is_ending and kind not in ("cast", "stop"):
            # What is called while it ends says so at once. In OTP its caller waits, and is told why it ended.
            return ("exit", described(await asked.wait_stopped()))
        return ("exit", "noproc")
    except ServerCrashed as crash:
        return ("exit", described(crash.__cause__))
    except ServerStopped as stopped:
        return ("exit", described(stopped.reason))
    except tuple(REFUSALS) as refusal:
        return REFUSALS[type(refusal)]
    return "ok"


@contextmanager
def _quiet() -> Generator[None]:
    logger = logging.getLogger("trio_genserver")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


async def _run(program: Program) -> Term:
    seen: list[list[Term | Monitor]] = [[] for _ in program.clients]
    async with trio.open_nursery() as outside:
        world = World(outside)
        specs = [
            child_spec(Server, world, made).replace(
                id=made.id,
                restart=made.restart,
                shutdown=math.inf if made.shutdown == "infinity" else made.shutdown,
            )
            for made in program.children
        ]
        tree = supervisor_spec(
            specs,
            strategy=program.strategy,  # type: ignore[arg-type]  # one of OTP's words
            max_restarts=program.max_restarts,
            max_seconds=100_000.0,
            id="tree",
        ).replace(restart="temporary", shutdown=math.inf)
        async with open_supervisor([tree]) as root:
            supervisor: Any = root.child("tree")
            refs = {made.id: supervisor.child(made.id) for made in program.children}
            begin = trio.current_time()

            async def client(number: int) -> None:
                for time, action in program.clients[number]:
                    # Who is late waits for the next time of his own, so that nobody acts when others do.
                    late = trio.current_time() - begin - time + 1e-6
                    await trio.sleep_until(begin + time + max(0, math.floor(late) + 1))
                    seen[number].append(await _act(action, supervisor, refs))
                await trio.sleep_until(begin + END)

            async with trio.open_nursery() as clients:
                for number in range(len(program.clients)):
                    clients.start_soon(client, number)
            results = tuple(
                tuple(_result(each) if isinstance(each, Monitor) else each for each in mine) for mine in seen
            )
            alive = tuple(refs[made.id].is_running for made in program.children)
            is_up = supervisor.is_running
            if is_up:
                await supervisor.stop("shutdown")
    return results, is_up, alive, tuple(tuple(world.events[made.id]) for made in program.children)


def _result(watch: Monitor) -> Term:
    return ("down", None if watch.down is None else described(watch.down.reason))


def run(program: Program) -> Term:
    """What a program comes to here: of each client what it was told, whether the supervisor was up at the end
    and which children, and of each child what happened in it."""
    with _quiet():
        return trio.run(_run, program, clock=trio.testing.MockClock(autojump_threshold=0.0))
