"""Whatever some interleaving of servers and clients comes to, some trace of `dpor` comes to: a program for
each way in which tasks share a server without a message to it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Hashable
from typing import Any

import pytest
import trio
import trio.testing

import trio_genserver
from tests.sim.strategies.outcomes import Program, missed
from trio_genserver import (
    GenServer,
    ServerError,
    as_completed,
    child_spec,
    handle_call,
    handle_cast,
    monitor,
    open_server,
    open_supervisor,
    wait_all,
)
from trio_genserver.instruments import shared_state
from trio_genserver.pools import RoundRobinPool, open_checkout_pool
from trio_genserver.registry import Entry, Registry
from trio_genserver.tasks import open_task_supervisor


class Base(GenServer):
    value: int

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @handle_call
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @handle_cast
    def crash(self) -> None:
        raise RuntimeError("crashed")


class Number(Base):
    @handle_call
    def double(self) -> int:
        self.value *= 2
        return self.value

    @handle_call
    async def slowly(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.value


async def a_call_whose_coroutine_is_made_before_it_runs() -> Hashable:
    async with open_server(Number, 1) as number:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(number.call, Number.add(1))
            nursery.start_soon(number.call, Number.double())
        return await number.call(Number.add(0))


async def a_reference_over_a_restart() -> Hashable:
    seen: dict[str, object] = {}
    async with open_supervisor([child_spec(Number, 1)]) as supervisor:
        number = supervisor.child("Number", Number)

        async def crash() -> None:
            await number.cast(Number.crash())

        async def look() -> None:
            try:
                seen["value"] = await number.call(Number.add(1))
            except ServerError as error:
                seen["value"] = type(error).__name__
            seen["running"] = number.is_running

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            nursery.start_soon(look)
    return tuple(sorted(seen.items()))


async def a_look_at_the_children_of_a_supervisor() -> Hashable:
    seen: list[object] = []
    async with open_supervisor([child_spec(Number)]) as supervisor:

        async def end() -> None:
            await supervisor.terminate_child("Number")

        async def look() -> None:
            await trio.lowlevel.checkpoint()
            seen.append(tuple(info.status for info in supervisor.which_children()))
            seen.append(supervisor.count_children().active)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            nursery.start_soon(look)
    return tuple(seen)


async def a_look_at_a_registry() -> Hashable:
    registry: Registry[Number] = Registry()
    seen: list[object] = []
    async with open_server(Number) as number:

        async def enter() -> None:
            registry.register("name", number)
            await trio.lowlevel.checkpoint()
            registry.unregister("name", number)

        async def look() -> None:
            seen.append(registry.lookup("name") is None)
            await trio.lowlevel.checkpoint()
            seen.append("name" in registry)
            seen.append(registry.via("name").is_running)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter)
            nursery.start_soon(look)
    return tuple(seen)


async def a_count_whose_condition_does_more_than_look() -> Hashable:
    class Holding(GenServer):
        @handle_call(noreply=True)
        def hold(self, from_: trio_genserver.From[int]) -> None:
            self.from_ = from_

        @handle_call
        def let_go(self) -> None:
            self.from_.reply(1)

    registry: Registry[Holding] = Registry()
    told: list[int] = []
    async with open_server(Holding) as holding:
        registry.register("name", holding)
        request = holding.send_request(Holding.hold())
        request.on_done(lambda _: told.append(0))
        await trio.testing.wait_all_tasks_blocked()

        async def count(by: int) -> None:
            def where(_: Entry[Holding]) -> bool:
                request.on_done(lambda _: told.append(by))
                return True

            registry.count(where)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count, 1)
            nursery.start_soon(count, 2)
        await holding.call(Holding.let_go())
    return tuple(told)


async def a_monitor_that_is_made_while_its_server_ends() -> Hashable:
    seen: list[object] = []
    async with open_server(Number) as number:

        async def watch() -> None:
            watching = monitor(number)
            seen.append(watching.down is None)
            seen.append((await watching.wait()).reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(number.stop, "enough")
            nursery.start_soon(watch)
    return tuple(seen)


async def the_first_of_two_servers_to_answer() -> Hashable:
    async with open_server(Number, 1) as one, open_server(Number, 2) as two:
        requests = [one.send_request(Number.slowly()), two.send_request(Number.slowly())]
        return tuple([await request.wait() async for request in as_completed(requests)])


async def all_of_two_servers_of_which_both_fail() -> Hashable:
    class Failing(GenServer):
        @handle_call(noreply=True)
        def ask(self, from_: trio_genserver.From[int], name: str) -> None:
            self.start_task(self._fail, from_, name)

        async def _fail(self, from_: trio_genserver.From[int], name: str) -> None:
            from_.reply_error(ValueError(name))

    async with open_server(Failing) as one, open_server(Failing) as two:
        requests = [one.send_request(Failing.ask("one")), two.send_request(Failing.ask("two"))]
        try:
            await wait_all(requests)
        except ValueError as error:
            return str(error)
    return None


async def who_gets_the_worker_of_a_pool() -> Hashable:
    seen: list[int] = []
    async with open_checkout_pool(child_spec(Number, 1), size=1) as pool:

        async def use(by: int) -> None:
            async with pool.checkout() as worker:
                seen.append(await worker.call(Number.add(by)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, 10)
            nursery.start_soon(use, 20)
    return tuple(sorted(seen))


async def whose_turn_it_is_in_a_pool() -> Hashable:
    got: dict[str, int] = {}
    async with open_server(Number, 1) as one, open_server(Number, 2) as two:
        pool = RoundRobinPool([one, two])

        async def use(name: str) -> None:
            got[name] = await pool.worker().call(Number.add(0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, "a")
            nursery.start_soon(use, "b")
    return tuple(sorted(got.items()))


async def which_of_two_tasks_has_ended() -> Hashable:
    async def work() -> int:
        await trio.lowlevel.checkpoint()
        return 1

    async with open_task_supervisor() as tasks:
        first, second = tasks.start(work), tasks.start(work)
        await first.wait()
        return second.done


PROGRAMS: list[Program] = [
    a_call_whose_coroutine_is_made_before_it_runs,
    a_reference_over_a_restart,
    a_look_at_the_children_of_a_supervisor,
    a_look_at_a_registry,
    a_count_whose_condition_does_more_than_look,
    a_monitor_that_is_made_while_its_server_ends,
    the_first_of_two_servers_to_answer,
    all_of_two_servers_of_which_both_fail,
    who_gets_the_worker_of_a_pool,
    whose_turn_it_is_in_a_pool,
    which_of_two_tasks_has_ended,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_reduction_sees_every_outcome(program: Program) -> None:
    assert missed(program, limit=30_000) == frozenset()


# What no two tasks can race for: values, which are made whole and never changed; what describes a class; and
# what stands in one task from its making to its end.
VALUES = {
    *(
        "AnyOf",
        "From",
        "waiting_for",
        "waiting_for_end",
        "Begun",
        "Handler",
        "Instrument",
        "Execution",
        "Envelope",
        "_Renamed",
    ),
    "Begun",  # in place of a reply, on its way to the caller
    *("_Item",),  # changed only by methods of its registry, which touch that
    *("Agenda", "Lifecycle", "Turn"),  # parts of a `Process`, reached through it in each step
    *("Parts", "Callback"),  # a base of `Process`; what stands for a handler
    *("Counts", "RestartWindow"),  # parts of a server's `Debug`, and of a supervisor
    *("PortableError", "Unpicklable"),  # a base of exceptions that has no attributes; a value from a pickle
    "Unfinished",  # what a handler returned, on its way to the server's task
    *("_Declared", "Startable", "Awaited", "Reference"),  # for type checkers only
    "Name",  # a base of `ServerName`, with no attributes of its own
    "End",  # written before it is reached, and looked at after
    "_Block",  # what a block does in its own task
    *("OpenTelemetryInstrument", "_Way", "LoggingInstrument"),
    *("CallbackName", "_Hidden", "_Writer", "Window"),  # texts, and how many of them the log has had
}


def _classes() -> list[type]:
    found: list[type] = []
    for info in pkgutil.iter_modules(trio_genserver.__path__):
        if info.name == "opentelemetry":  # needs more than the package does
            continue
        module: Any = importlib.import_module(f"trio_genserver.{info.name}")
        found += [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if member.__module__ == module.__name__
        ]
    return found


def _is_value(cls: type) -> bool:
    parameters: Any = getattr(cls, "__dataclass_params__", None)
    return (
        issubclass(cls, (BaseException, tuple))
        or (parameters is not None and parameters.frozen)
        or cls.__name__.endswith(("Handler", "Decorator"))
    )


def test_every_class_that_changes_says_what_it_shares() -> None:
    declared = tuple(shared.owner for shared in shared_state())
    bases: set[type] = {base for owner in declared for base in owner.__mro__}
    forgotten = [
        cls.__name__
        for cls in _classes()
        if not issubclass(cls, declared)
        and cls not in bases
        and not _is_value(cls)
        and cls.__name__ not in VALUES
    ]
    assert forgotten == []


@pytest.mark.parametrize("shared", shared_state(), ids=lambda shared: shared.owner.__name__)
def test_what_is_said_of_a_class_is_there(shared: Any) -> None:
    def family(cls: Any) -> list[Any]:
        subclasses: list[Any] = cls.__subclasses__()
        return [cls, *(each for sub in subclasses for each in family(sub))]

    known: set[str] = set()
    for cls in family(shared.owner):
        for base in cls.__mro__:
            known.update(dir(base))
        source = inspect.getsource(cls)
        known.update(word.removeprefix("self.").rstrip(":,") for word in source.split() if "." in word)
    assert shared.looks <= known
    assert shared.fixed | shared.cells <= known
