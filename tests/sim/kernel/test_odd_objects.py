"""Objects that say nothing of themselves, or raise when they are asked: a program with them is explored."""

import collections
import logging
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio

import sim
from sim.report import describe_failure


def _raise(*_: object, **__: object) -> Any:
    raise RuntimeError("working outside of a context")


class Proxy:
    """As a web framework's request, outside of one."""

    __slots__ = ("held",)
    __getattr__ = _raise

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__"):
            _raise()
        return super().__getattribute__(name)


class SaysNothing:
    __getattribute__ = _raise
    __repr__ = __hash__ = __eq__ = __bool__ = _raise


class SaysNothingOfItsClasses(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__mro__", "__dict__", "__name__", "__module__"):
            _raise()
        return super().__getattribute__(name)


class IsInNoSet(type):
    __hash__ = None  # type: ignore[assignment]  # that is what is odd
    __eq__ = _raise


class WrittenBadly(str):
    __slots__ = ()
    __repr__ = __len__ = __eq__ = __hash__ = _raise


class CountedBadly(list[Any]):
    __len__ = __iter__ = __repr__ = _raise


class MappedBadly(dict[Any, Any]):
    items = values = __iter__ = __len__ = __getitem__ = _raise


class QueuedBadly(collections.deque[Any]):
    __len__ = __iter__ = _raise


class WithoutState(random.Random):
    getstate = _raise


class OfNoModule:
    __module__ = 5  # type: ignore[assignment]  # that is what is odd


class Frozen:
    """It holds a lock, and nothing of it can be set."""

    def __init__(self) -> None:
        vars(self)["lock"] = threading.Lock()

    __setattr__ = _raise


class Unready(threading.Condition):
    """A condition whose class has forgotten to begin as one."""

    def __init__(self) -> None:
        pass


def _odd_lazy_module() -> types.ModuleType:
    class Lazy(types.ModuleType):
        __getattribute__ = __setattr__ = _raise

    return Lazy("lazy")


ODD: dict[str, Callable[[], Any]] = {
    "dead proxy": lambda: weakref.proxy(type("Gone", (), {})()),
    "proxy": Proxy,
    "says nothing": SaysNothing,
    "metaclass": lambda: SaysNothingOfItsClasses("Made", (), {"held": [1]}),
    "of such a class": lambda: SaysNothingOfItsClasses("Made", (), {"held": [1]})(),
    "class in no set": lambda: IsInNoSet("Made", (), {"held": [1]}),
    "of a class in no set": lambda: IsInNoSet("Made", (), {"held": [1]})(),
    "text": lambda: WrittenBadly("x"),
    "list": lambda: CountedBadly([1]),
    "dict": lambda: MappedBadly(a=1),
    "deque": lambda: QueuedBadly([1]),
    "odd key": lambda: {WrittenBadly: 1, Proxy(): 2, 3: SaysNothing},
    "generator": WithoutState,
    "system's generator": random.SystemRandom,
    "of no module": OfNoModule,
    "frozen": Frozen,
    "condition": Unready,
    "module": _odd_lazy_module,
    "thread's own": threading.local,
}

odd: Any = None
runs = 0


@pytest.fixture(params=ODD)
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this module hold an odd object, and be known by another name that is none."""
    made = ODD[request.param]()
    monkeypatch.setitem(globals(), "odd", made)
    monkeypatch.setitem(sys.modules, "sim_tests_odd_module", made)


async def holds() -> None:
    thing = odd
    del thing
    await trio.sleep(1)


async def leaves_something_behind() -> None:
    global runs
    runs += 1
    await trio.sleep(1)
    assert runs % 3


async def polls() -> None:
    thing = [odd]
    done = False

    async def finish() -> None:
        nonlocal done
        await trio.lowlevel.checkpoint()
        done = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finish)
        while not done:
            await trio.lowlevel.checkpoint()
    del thing


async def never_ends() -> None:
    thing, go_on = odd, True
    while go_on:
        assert thing is odd
        await trio.lowlevel.checkpoint()


async def waits_in_vain() -> None:
    things = [odd], {1: odd}, odd
    await trio.Event().wait()
    del things


async def waits_beside_another() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_in_vain)
        nursery.start_soon(trio.to_thread.run_sync, threading.Lock)
        await waits_in_vain()


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("scenario", "error", "strategy"),
    [
        (holds, None, "dpor"),
        (leaves_something_behind, sim.Nondeterminism, "random"),
        (polls, None, "dpor"),
        (never_ends, sim.StepBudgetExceeded, "random"),
        (waits_beside_another, sim.Deadlock, "random"),
    ],
)
def test_program_with_an_odd_object_is_explored(
    scenario: Any, error: type[BaseException] | None, strategy: str
) -> None:
    global runs
    runs = 0
    result = sim.explore(scenario, strategy, 5, max_steps=600, shrink_failures=False)
    assert bool(result.failures) == (error is not None)
    for failure in result.failures:
        assert error is not None
        assert isinstance(failure.error, error)
        describe_failure(failure)


class Unspeakable(Exception):
    __repr__ = __str__ = _raise


async def raises_what_cannot_be_written() -> None:
    await trio.lowlevel.checkpoint()
    raise Unspeakable


async def a_thread_raises_what_cannot_be_written() -> None:
    def work() -> None:
        raise Unspeakable

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def logs_what_cannot_be_written() -> None:
    await trio.lowlevel.checkpoint()
    logging.getLogger("odd").error("%d of %s", "no number", Unspeakable())
    try:
        raise Unspeakable
    except Unspeakable:
        logging.getLogger("odd").exception("it was raised")
    raise ValueError("the bug")


async def chooses_what_cannot_be_written() -> None:
    sim.choose([SaysNothing(), SaysNothing()])
    await trio.lowlevel.checkpoint()
    raise ValueError("the bug")


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        (raises_what_cannot_be_written, Unspeakable),
        (a_thread_raises_what_cannot_be_written, sim.ThreadCrashed),
        (logs_what_cannot_be_written, ValueError),
        (chooses_what_cannot_be_written, ValueError),
    ],
)
def test_what_cannot_be_written_is_reported(scenario: Any, error: type[BaseException]) -> None:
    (failure,) = sim.explore(scenario, max_executions=5).failures
    assert type(failure.error) is error
    describe_failure(failure)
