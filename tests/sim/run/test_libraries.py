"""A library says for itself what tasks share, and is known by that alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import trio

import sim

# What is of the library must be of a module of its name, frames and classes included.
LIBRARY = '''
import trio
from typing import NamedTuple, Any


class Box:
    """Not of Trio's objects, and so seen only because it is declared."""

    def __init__(self):
        self.kept = []

    def put(self, item):
        self.kept.append(item)


class Answering:
    """A server that waits for a question, and answers none."""

    def __init__(self):
        self.ending = False
        self.asked = trio.Event()
        self.failed = None

    async def run(self):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            if self.failed is None:
                raise
            raise self.failed from None

    async def ask(self, message):
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)


class Envelope:
    def __init__(self, letter):
        self.letter = letter


class Shared(NamedTuple):
    owner: Any
    kind: str
    of: Any = None
    is_it: bool = False
    task: Any = None
    server: Any = None
    crash: Any = None
    carries: Any = frozenset()


def itself(one):
    return one


crashed = []


def crash(server, error):
    crashed.append(server)


def __shared_state__():
    return [
        Shared(Box, "box", itself, True),
        Shared(Answering, "answerer", itself, True, "run", itself, crash),
        Shared(Envelope, "envelope", carries=frozenset({"letter"})),
    ]
'''

Scenario = Callable[[], Awaitable[None]]


def made_up(name: str, source: str = LIBRARY) -> Any:
    module = ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), vars(module))
    return module


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = made_up("boxes")
    monkeypatch.setitem(sys.modules, "boxes", module)
    return module


async def _both(*functions: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)


def _last_wins(box: Any) -> Scenario:
    async def scenario() -> None:
        shared = box()

        async def put(item: str) -> None:
            shared.put(item)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, "a", name="a")
            nursery.start_soon(put, "b", name="b")
        assert shared.kept == ["a", "b"]

    return scenario


def test_steps_that_touch_a_declared_object_do_not_commute(library: Any) -> None:
    result = sim.explore(_last_wins(library.Box), "dpor", 100)
    assert result.failures


def test_steps_that_touch_two_declared_objects_commute(library: Any) -> None:
    async def scenario() -> None:
        one, other = library.Box(), library.Box()

        async def put(box: Any) -> None:
            box.put("a")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, one)
            nursery.start_soon(put, other)

    result = sim.explore(scenario, "dpor", 100)
    assert (result.complete, result.executions) == (True, 1)


def test_a_deadlock_names_the_server_of_the_library(library: Any) -> None:
    async def scenario() -> None:
        server = library.Answering()
        await _both(server.run, lambda: server.ask("the time"))

    result = sim.explore(scenario, max_executions=1)
    error = result.failures[0].error
    assert isinstance(error, sim.Deadlock)
    waits = {task.name: task for task in error.waiting}
    asking = next(task for task in error.waiting if "the time" in task.waits_for)
    assert asking.relation == "from"
    assert asking.needs == (waits["run"].label,)


def test_a_crash_strikes_a_server_in_the_way_that_its_library_says(library: Any) -> None:
    async def scenario() -> None:
        server = library.Answering()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    sim.explore(scenario, max_executions=50, faults="crash")
    assert any(isinstance(server, library.Answering) for server in library.crashed)


def test_what_is_in_a_declared_envelope_is_sent(library: Any) -> None:
    async def scenario() -> None:
        send, receive = trio.open_memory_channel[Any](1)
        letter = ["draft"]

        async def writer() -> None:
            await send.send(library.Envelope(letter))
            letter.append("changed")
            await trio.lowlevel.checkpoint()

        async def reader() -> None:
            got = (await receive.receive()).letter
            await trio.lowlevel.checkpoint()
            assert got

        await _both(writer, reader)

    assert any(found.sent for found in sim.find_interference(scenario, 20))


def test_a_library_that_arrives_during_an_exploration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = made_up("late_boxes")

    async def scenario() -> None:
        monkeypatch.setitem(sys.modules, "late_boxes", module)

    with pytest.raises(sim.WrongUse, match=r"late_boxes was imported during the exploration.*sim\.libraries"):
        sim.explore(scenario, "dpor", 10)
    # The next time it is there.
    assert sim.explore(scenario, "dpor", 10).complete


def test_a_library_with_an_entry_point_may_be_imported_by_the_scenario() -> None:
    name = "trio_genserver"
    program = f"""
import sim, sys

async def scenario():
    import {name} as library

    class Box(library.GenServer):
        @library.handle_call
        def put(self):
            return None

    async with library.open_server(Box) as box:
        await box.call(Box.put())

assert {name!r} not in sys.modules
result = sim.explore(scenario, "dpor", 100)
print(result.complete, len(result.failures))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "0"], done.stderr


class _Nothing(NamedTuple):
    kind: str = "box"


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (lambda: [_Nothing()], "class as `owner`"),
        ([], "must be a function"),
    ],
)
def test_a_wrong_declaration_is_refused(monkeypatch: pytest.MonkeyPatch, declaration: Any, says: str) -> None:
    module = ModuleType("wrong_boxes")
    vars(module)["__shared_state__"] = declaration
    monkeypatch.setitem(sys.modules, "wrong_boxes", module)

    async def scenario() -> None: ...

    with pytest.raises(sim.WrongType, match=says):
        sim.explore(scenario, "dpor", 10)
