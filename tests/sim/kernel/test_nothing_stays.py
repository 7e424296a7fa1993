"""Whichever way an exploration ends, what it has replaced in the process is as it was."""

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

import sim
from sim._dependence import footprint
from sim._run import draws
from sim._world import escapes
from sim.strategies import ChoiceKind, Strategy

MODULES = (
    "_queue",
    "_ssl",
    "_thread",
    "concurrent.futures",
    "datetime",
    "logging",
    "os",
    "outcome",
    "queue",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "tempfile",
    "threading",
    "time",
    "trio",
    "uuid",
    __name__,
)
"""What the simulator replaces is in these, and in what they contain."""


def replaceable() -> dict[str, object]:
    """Everything that could have been replaced, by its name."""
    found: dict[str, object] = {
        "the handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "the garbage collection": gc.isenabled(),
        "the depth of the recursion": sys.getrecursionlimit(),
        "the handlers of the log": tuple(logging.root.handlers),
        "their filters": tuple(tuple(handler.filters) for handler in logging.root.handlers),
        "who makes draws": draws.Active.choose,
        "who notes footprints": footprint.Active.recorder,
        "who is told of escapes": escapes._guard.refuse,
        "the threads of a run": frozenset(escapes._guard.threads),
        "the context of Trio": dict(vars(trio._core._run.GLOBAL_RUN_CONTEXT)),
    }
    for name, module in list(sys.modules.items()):
        if any(name == known or name.startswith(f"{known}.") for known in MODULES):
            for attribute, value in list(vars(module).items()):
                _add(found, f"{name}.{attribute}", value)
                if isinstance(value, type):
                    for inner, of_class in list(vars(value).items()):
                        _add(found, f"{name}.{attribute}.{inner}", of_class)
    return found


def _add(found: dict[str, object], name: str, value: object) -> None:
    # What an import inside of a run adds, and caches that classes keep, is no replacement.
    if not isinstance(value, ModuleType) and not name.endswith(("__", "._abc_impl", "._name_sequence")):
        found[name] = value


def differing(before: dict[str, object]) -> list[str]:
    """Objects that have been replaced."""
    after = replaceable()
    return [
        name
        for name, value in before.items()
        if after.get(name) is not value and (callable(value) or after.get(name) != value)
    ]


class Raising(Strategy):
    """Raises at a choice, or before a run."""

    def __init__(self, at_choice: bool) -> None:
        self._at_choice = at_choice

    def begin_execution(self) -> bool:
        if not self._at_choice:
            raise LookupError
        return True

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        raise LookupError


async def holds() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)
        nursery.start_soon(trio.to_thread.run_sync, logging.root.getChild("x").debug, "a word")


async def fails() -> None:
    await holds()
    raise ValueError


async def deadlocks() -> None:
    await trio.sleep_forever()


async def interrupted() -> None:
    await trio.sleep(1)
    signal.raise_signal(signal.SIGINT)


def _raise(executions: int) -> None:
    raise LookupError(executions)


def wrong(**options: Any) -> Callable[[], object]:
    return lambda: sim.explore(holds, **options)


WAYS: dict[str, Callable[[], object]] = {
    "it holds": lambda: sim.explore(holds, max_executions=3),
    "it is gone through": lambda: sim.explore(holds, "dpor", max_executions=10),
    "it fails": lambda: sim.explore(fails),
    "it fails under dpor": lambda: sim.explore(fails, "dpor"),
    "a deadlock": lambda: sim.explore(deadlocks),
    "faults": lambda: sim.explore(holds, faults=sim.FaultPlan((sim.FaultKind.CANCEL,))),
    "a name that no task has": lambda: sim.explore(
        holds, faults=sim.FaultPlan((sim.FaultKind.CRASH,), tasks="nobody")
    ),
    "a step budget": lambda: sim.explore(holds, max_steps=2),
    "no such strategy": wrong(strategy="none"),
    "no such token": lambda: sim.replay(holds, "none"),
    "a token of another scenario": lambda: sim.replay(deadlocks, sim.explore(fails).failures[0].token),
    "Ctrl-C": lambda: sim.explore(interrupted),
    "Ctrl-C under dpor": lambda: sim.explore(interrupted, "dpor"),
    "a strategy raises before a run": lambda: sim.explore(holds, Raising(at_choice=False)),
    "a strategy raises in a run": lambda: sim.explore(holds, Raising(at_choice=True)),
    "progress raises": lambda: sim.explore(holds, max_executions=200, progress=_raise),
}


@pytest.mark.parametrize("explore", WAYS.values(), ids=WAYS)
def test_nothing_stays_replaced(explore: Callable[[], object]) -> None:
    before = replaceable()
    with contextlib.suppress(Exception, KeyboardInterrupt):
        explore()
    assert differing(before) == []


def test_what_is_replaced_in_a_run_would_be_found() -> None:
    before = replaceable()
    during: list[dict[str, object]] = []

    async def scenario() -> None:
        # Not compared here: what the scenario refers to is replaced in it, too.
        during.append(replaceable())

    sim.explore(scenario, "dpor", max_executions=1).check()
    expected = {
        "time.monotonic",
        "time.sleep",
        "os.urandom",
        "random.random",
        "datetime.datetime.now",
        "threading.Lock",
        "trio._threads._send_message_to_trio",
        "trio._core._run.Nursery._child_finished",
        "the handler of Ctrl-C",
        "who is told of escapes",
        "the threads of a run",
    }
    assert {name for name in expected if during[0][name] == before[name]} == set()
