"""pytest: an async test marked `sim` is a scenario, and is explored instead of run once.

::

    @pytest.mark.sim(max_executions=2_000)
    async def test_no_update_is_lost() -> None:
        ...

The marker's arguments are those of `sim.explore`, by name or in its order. Marks of a module, a class, a test
and a parameter set add up: of each argument, the nearest counts. An argument that is given twice in the same
place is refused. Fixtures may be used, but not async ones, and each is the same object in every execution.
A ``pytest.mark.trio``, ``asyncio`` or ``anyio`` beside it does not matter.

A run that fails is kept and tried first the next time: in the file that
the marker names as its ``database``, or else in pytest's cache folder. `--sim-token TOKEN` makes one run
only, of the tests that are selected; `--sim-executions N` makes more or fewer executions of each.

Needs the package `pytest`, which loads this by itself where the project is installed;
``-p no:sim`` leaves it out.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from sim import _pytest_fixtures

# Nothing of the simulator, and so no Trio, before a test is marked: this is imported by every run of pytest.
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sim._public import Scenario

NAME = "sim"
"""The name of this plugin for ``-p no:sim``."""


# Standard error as it is while nothing is captured.
_STDERR: Final = pytest.StashKey[int]()

# Set on the tests that are explored.
_EXPLORED: Final = "_sim_explored"

# Marks of plugins that run async tests.
_OF_OTHERS: Final = frozenset({"trio", "asyncio", "anyio"})


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if pluginmanager.is_blocked(NAME):
        return
    group = parser.getgroup("sim", "simulation")
    group.addoption("--sim-executions", type=int, metavar="N", help="explore each simulated test N times")
    group.addoption("--sim-token", metavar="TOKEN", help="replay this run of the simulated tests selected")


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.is_blocked(NAME):
        config.pluginmanager.unregister(sys.modules[__name__])
        return
    config.pluginmanager.register(_pytest_fixtures, "sim-fixtures")
    with contextlib.suppress(OSError):  # there is none
        config.stash[_STDERR] = os.dup(2)
    config.addinivalue_line(
        "markers", "sim(strategy=, max_executions=, ...): explore the async test with sim.explore"
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if _STDERR in config.stash:
        os.close(config.stash[_STDERR])
        del config.stash[_STDERR]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, object, object]:
    # Innermost: pytest-asyncio makes another kind of item of what is still async when it comes to it.
    made = yield
    items: Any = made
    # A list of them if they are functions.
    if isinstance(made, list):
        _explore_marked(collector.config, items)
    return items


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    # Those that a plugin has marked since.
    _explore_marked(config, items)


def _explore_marked(config: pytest.Config, items: Sequence[Any]) -> None:
    """Have marked tests explored; plugins that run async tests find ordinary functions in their place."""
    for item in items:
        if not isinstance(item, pytest.Function) or getattr(item, _EXPLORED, False):
            continue
        if item.get_closest_marker("sim") is not None:
            setattr(item, _EXPLORED, True)
            item.obj = _explored(config, item.nodeid, item.obj, list(_marks_by_place(item)))
            # They would refuse what they take for an async test of their own that is none.
            vars(item)["get_closest_marker"] = partial(_closest_marker_but, item.get_closest_marker)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any],
    request: Any,
) -> Generator[None, Any, Any]:
    """Refuse an async fixture by name, before a plugin that runs such fixtures says something else."""
    function = fixturedef.func
    # pytest-trio marks with the first what is run with the test's task.
    if getattr(request.node, _EXPLORED, False) and (
        getattr(function, "_force_trio_fixture", False)
        or inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        from sim._public import WrongUse

        error = WrongUse(
            f"{request.node.nodeid} is marked sim and uses the async fixture {fixturedef.argname}, which "
            "would run only once, outside the executions: create its value in the test, or await a "
            "function that does"
        )
        # As pytest keeps what a fixture has raised; without it the next test would fail, too.
        fixturedef.cached_result = (None, fixturedef.cache_key(request), (error, None))
        raise error
    return (yield)


def pytest_report_header() -> str | None:
    """Say aloud that nothing can fail."""
    if __debug__:
        return None
    return "sim: python -O leaves out `assert` in everything but test modules, so scenarios check less"


def _closest_marker_but(closest: Callable[..., Any], name: str, default: Any = None) -> Any:
    return default if name in _OF_OTHERS else closest(name, default)


def _marks_by_place(item: pytest.Function) -> Generator[tuple[str, list[pytest.Mark]]]:
    """The marks of a test, grouped by place, nearest first, each group with a name of its place."""
    for node in item.iter_parents():
        left = [mark for mark in node.own_markers if mark.name == "sim"]
        added, places = f"the module {node.name}", list[tuple[str, Any]]()
        if isinstance(node, pytest.Function):
            added, places = "the parameter sets", [("the test", getattr(node.obj, "__func__", node.obj))]
        elif isinstance(node, pytest.Class):
            places = [(f"the class {cls.__name__}", cls) for cls in inspect.getmro(node.obj)]
        of_places = [(name, _marks_in(place)) for name, place in places]
        known = {id(mark) for _, marks in of_places for mark in marks}
        # Added by a parameter set or a plugin; of a module or a package, these are all.
        yield added, [mark for mark in left if id(mark) not in known]
        for name, marks in of_places:
            yield name, [mark for mark in left if any(mark is one for one in marks)]


def _marks_in(place: object) -> list[Any]:
    """The marks that decorators or an assignment have put on a function or a class, without its bases."""
    attributes: dict[str, Any] = vars(place)
    marks = attributes.get("pytestmark", ())
    if not isinstance(marks, list | tuple):
        marks = (marks,)
    listed: list[Any] = [*marks]
    return [getattr(mark, "mark", mark) for mark in listed]


def _options(test: Callable[..., Any], marks: Sequence[tuple[str, list[pytest.Mark]]]) -> dict[str, Any]:
    """The arguments of all marks together.

    Raises:
        TypeError: `sim.explore` does not take one, or one place gives it twice.
    """
    from sim._public import explore

    signature = inspect.signature(explore)
    options: dict[str, Any] = {}
    for place, of_place in marks:
        given: dict[str, Any] = {}
        for mark in of_place:
            bound = signature.bind(test, *mark.args, **mark.kwargs).arguments
            for name in list(bound)[1:]:
                if name in given:
                    raise TypeError(f"two marks of {place} give the argument '{name}'; keep one of them")
                given[name] = bound[name]
        options = given | options
    return options


def _why_not(test: Callable[..., Any]) -> str:
    """Why a test that is no async function cannot be explored, and what to do."""
    if hasattr(test, "hypothesis"):
        return (
            "is decorated with `given`, which calls it itself: remove the mark, make the test a plain "
            "function, and run a scenario in it with sim.hypothesis.schedules()"
        )
    if inspect.isasyncgenfunction(test):
        return "is an async generator, which nothing iterates over: remove its `yield`"
    return "is not async: there is no schedule to choose; write `async def`"


def _explored(
    config: pytest.Config,
    nodeid: str,
    test: Callable[..., Any],
    marks: Sequence[tuple[str, list[pytest.Mark]]],
) -> Callable[..., None]:
    """The test that explores `test`; one that fails if the marker cannot be meant so."""
    import trio

    from sim._exploration.database import FailuresOf
    from sim._kernel.watchdog import Console
    from sim._public import WrongUse, explore, replay
    from sim._world.logs import heard_by

    wrong: str | None = None
    options: dict[str, Any] = {}
    if not inspect.iscoroutinefunction(test):
        wrong = f"{nodeid} is marked sim but {_why_not(test)}"
    else:
        try:
            options = _options(test, marks)
        except TypeError as error:
            wrong = f"the marker sim of {nodeid} has wrong arguments: {error}"

    def explored(**fixtures: Any) -> None:
        __tracebackhide__ = True
        if wrong is not None:
            raise WrongUse(wrong)
        for name, value in fixtures.items():
            if isinstance(value, trio.abc.Clock):
                raise WrongUse(
                    f"{nodeid} is marked sim and uses the fixture {name}, a clock that its executions "
                    "ignore: their time is virtual and jumps by itself; their clock is "
                    "trio.lowlevel.current_clock()"
                )
        scenario: Scenario = partial(test, **fixtures)
        for value in fixtures.values():
            if isinstance(value, pytest.LogCaptureFixture):
                # Each execution has a log of its own.
                scenario = heard_by(value.handler, value.clear, scenario)
        token: str | None = config.getoption("--sim-token")
        if token is not None:
            of_replay = {"max_steps", "strict_exception_groups"}
            replay(scenario, token, **{name: options[name] for name in of_replay & options.keys()}).check()
            return
        chosen = dict(options)
        executions: int | None = config.getoption("--sim-executions")
        if executions is not None:
            chosen["max_executions"] = executions
        path = chosen.pop("database", _file_of_failures(config))
        if path is not None:
            chosen["database"] = FailuresOf(path, nodeid)
        Console.descriptor = config.stash.get(_STDERR, Console.descriptor)
        explore(scenario, **chosen).check()

    return explored


def _file_of_failures(config: pytest.Config) -> Path | None:
    """In pytest's cache, so that ``--cache-clear`` forgets them; without the cache plugin nothing is kept."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    return None if cache is None else Path(cache.mkdir("sim")) / "failures.json"
