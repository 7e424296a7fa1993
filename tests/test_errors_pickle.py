"""Every exception class of the three packages pickles, copies and deep-copies, whatever it carries."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import trio

import sim
import todo
import trio_genserver
from sim._run.cycle import Cycle
from sim._run.wait_graph import WaitingTask
from sim.oracles import history
from trio_genserver import (
    GenServer,
    ServerCrashed,
    ServerError,
    ServerRef,
    ServerStopped,
    handle_call,
    open_server,
)
from trio_genserver.supervision import ChildStartFailed, RestartIntensityExceeded

PACKAGES = (trio_genserver, todo, sim)


class Desk(GenServer):
    @handle_call
    def ask(self, what: object) -> None: ...


class Fussy(Exception):
    """It pickles, and cannot be read again: its `args` are not what its ``__init__`` takes."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Shelf(sim.models.Map):
    def __repr__(self) -> str:
        return "Shelf()"


def modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def exception_classes() -> list[type[BaseException]]:
    """All that the packages define, found by name in their modules: the subclasses of a base would leave out
    a class with a base of its own.
    """
    return [
        value
        for package in PACKAGES
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == module.__name__
    ]


CLASSES = exception_classes()


async def ended() -> ServerRef[Desk]:
    async with open_server(Desk) as desk:
        return desk


# Behind it is a process, which cannot be pickled.
DESK = trio.run(ended)

OPERATION = history.Operation("put", ("key", 1), "client", 0, 1, history.UNKNOWN)

# What the parameters of the classes are given, by their annotation. A class with another one fails the test,
# until there is a value for it.
VALUES: dict[str, object] = {
    "BaseException": ValueError("broken"),
    "BaseException | None": KeyError("broken"),
    "Cycle | None": Cycle(3, 2, 99),
    "Exception": ValueError("broken"),
    "Hashable": ("key", 1),
    "Hashable | None": "task",
    "Model[Any]": Shelf(),
    "Operation": OPERATION,
    "Path": Path("folder"),
    "Path | None": Path("rest"),
    "Result": SimpleNamespace(executions=3),
    "Sequence[Hashable]": ["task", 1],
    "Sequence[WaitingTask]": [WaitingTask("task", "an event", ("file.py:1 in f",))],
    "Sequence[str]": ["first", "second"],
    "ServerRef[Any]": DESK,
    "Verdict": "no order",
    "bool": True,
    "float": 2.5,
    "int": 3,
    "int | None": 4,
    "object": ("shutdown", "broken"),
    "str": "text",
    "str | None": "server",
    "type": Desk,
}


def built(error_class: type[BaseException]) -> BaseException:
    """An instance with a value for each of its parameters, also for those that have a default."""
    args: list[object] = []
    kwargs: dict[str, object] = {}
    if inspect.isfunction(error_class.__init__):
        for parameter in list(inspect.signature(error_class.__init__).parameters.values())[1:]:
            value = VALUES[parameter.annotation]
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
    else:
        args = ["text"]
    error = cast("Callable[..., BaseException]", error_class)(*args, **kwargs)
    error.add_note("a note")
    return error


def shown(error: BaseException) -> tuple[object, ...]:
    """All that there is to see of an error; of what it carries, how that prints."""
    attributes = {name: repr(value) for name, value in vars(error).items()}
    return type(error), str(error), repr(error), attributes, repr(error.__cause__)


def pickled(error: BaseException) -> BaseException:
    return cast("BaseException", pickle.loads(pickle.dumps(error)))


def oldest_pickle(error: BaseException) -> BaseException:
    return cast("BaseException", pickle.loads(pickle.dumps(error, 0)))


WAYS = [pickled, oldest_pickle, copy.copy, copy.deepcopy]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error_class", CLASSES, ids=lambda c: f"{c.__module__}.{c.__qualname__}")
def test_each_error_comes_back_as_it_was(
    error_class: type[BaseException], way: Callable[[BaseException], BaseException]
) -> None:
    error = built(error_class)
    again = way(error)
    assert again is not error
    assert shown(again) == shown(error)
    # And once more: it is no worse for having travelled.
    assert shown(way(again)) == shown(error)


def test_all_three_packages_were_looked_through() -> None:
    assert {error_class.__module__.partition(".")[0] for error_class in CLASSES} == {
        "trio_genserver",
        "todo",
        "sim",
    }
    assert {ServerCrashed, todo.StorageFailed, sim.Deadlock, trio_genserver.sys.NoStatistics} <= set(CLASSES)


class Widened(ServerError):
    """A user's own, with other arguments than its base."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"no more than {limit}", server="desk")
        self.limit = limit


@pytest.mark.parametrize("way", WAYS)
def test_a_users_own_error_comes_back(way: Callable[[BaseException], BaseException]) -> None:
    again = way(Widened(limit=3))
    assert isinstance(again, Widened)
    assert (str(again), again.limit, again.server) == ("no more than 3", 3, "desk")


NOT_PICKLED = [threading.Lock(), lambda: None, Fussy("a", "b"), DESK, (1, threading.Lock())]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", NOT_PICKLED, ids=lambda value: type(value).__name__)
def test_an_error_comes_back_whatever_it_carries(
    value: object, way: Callable[[BaseException], BaseException]
) -> None:
    for error in (
        ServerStopped("desk", Desk.ask(value), value),
        trio_genserver.Stop(value),
        trio_genserver.InvalidSpec("id", value, "hashable"),
        sim.Nondeterminism(3, "a", "b", cause=Fussy("a", "b")),
        todo.InvalidListName(value, "it is no text"),
    ):
        again = way(error)
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again).keys() == vars(error).keys()


def test_a_copy_shares_what_the_error_carries() -> None:
    lock, cause = threading.Lock(), Fussy("a", "b")
    error = ServerCrashed("desk", Desk.ask(lock), cause)
    again = copy.copy(error)
    assert again.request is error.request
    assert again.__cause__ is cause


def test_a_deep_copy_copies_it_and_keeps_what_is_one_thing_one() -> None:
    crash = ValueError([1])
    error = RestartIntensityExceeded("supervisor", "desk", crash, 3, 5.0)
    again = copy.deepcopy(error)
    assert again.reason is again.__cause__
    assert again.reason is not crash
    assert isinstance(again.reason, ValueError)
    assert again.reason.args == crash.args
    returned = pickled(error)
    assert isinstance(returned, RestartIntensityExceeded)
    assert returned.reason is returned.__cause__


def test_a_cause_that_cannot_be_pickled_says_what_it_was() -> None:
    again = pickled(ServerCrashed("desk", Desk.ask(1), Fussy("a", "b")))
    assert isinstance(again, ServerCrashed)
    assert str(again.__cause__) == "a and b"
    assert repr(again.__cause__) == "Fussy('a and b')"
    assert again.request == Desk.ask(1)


class Counting(Exception):
    """It counts how often it is pickled."""

    pickled = 0

    def __reduce__(self) -> tuple[Any, ...]:
        Counting.pickled += 1
        return Counting, self.args


def test_in_a_chain_of_causes_each_is_pickled_once() -> None:
    error: BaseException = Counting("broken")
    for depth in range(20):
        error = ServerCrashed(f"server {depth}", Desk.ask(depth), error)
    before = Counting.pickled
    again = pickled(error)
    assert Counting.pickled == before + 1
    for _ in range(20):
        assert again.__cause__ is not None
        again = again.__cause__
    assert isinstance(again, Counting)


async def test_the_error_of_a_start_comes_back_with_its_cause() -> None:
    class Broken(GenServer):
        async def init(self) -> None:
            raise ValueError("no")

    with pytest.raises(ChildStartFailed) as info:
        async with trio_genserver.open_supervisor([Broken]):
            raise AssertionError("it must not start")
    again = pickled(info.value)
    assert isinstance(again.__cause__, ValueError)


async def test_a_copied_reference_is_the_reference() -> None:
    async with open_server(Desk) as desk:
        assert copy.copy(desk) is desk
        assert copy.deepcopy([desk])[0] is desk
