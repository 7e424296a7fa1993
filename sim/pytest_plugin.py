"""pytest: an async test marked `sim` is a scenario, and is explored instead of run once.

::

    @pytest.mark.sim(max_executions=2_000)
    async def test_no_update_is_lost() -> None:
        ...

The marker's arguments are those of `sim.explore`, by name or in its order; fixtures may be used, but not
async ones, and each is the same object in every execution. A ``pytest.mark.trio`` beside it does not matter.

A run that fails is kept and tried first the next time: in the file that
the marker names as its ``database``, or else in pytest's cache folder. `--sim-token TOKEN` makes one run
only, of the tests that are selected; `--sim-executions N` makes more or fewer executions of each.

Needs the package `pytest`, which loads this by itself where the project is installed;
``-p no:sim.pytest_plugin`` leaves it out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sim._database import FailuresOf
from sim._errors import WrongUse
from sim._exploration import Scenario
from sim._explore import explore, replay
from sim._result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sim", "simulation")
    group.addoption("--sim-executions", type=int, metavar="N", help="explore each simulated test N times")
    group.addoption("--sim-token", metavar="TOKEN", help="replay this run of the simulated tests selected")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "sim(strategy=, max_executions=, ...): explore the async test with sim.explore"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    # Before any plugin that runs async tests sees them: what it finds is an ordinary function.
    for item in items:
        marker = item.get_closest_marker("sim")
        if marker is not None and isinstance(item, pytest.Function):
            item.obj = _explored(config, item.nodeid, item.obj, marker)
            # pytest-trio would refuse what it takes for an async test of its own that is none.
            item.get_closest_marker = partial(_closest_marker_but_trio, item.get_closest_marker)  # type: ignore[method-assign]


def pytest_report_header() -> str | None:
    """Say aloud that nothing can fail."""
    if __debug__:
        return None
    return "sim: python -O leaves out `assert` in everything but test modules, so scenarios check less"


def _closest_marker_but_trio(closest: Callable[..., Any], name: str, default: Any = None) -> Any:
    return default if name == "trio" else closest(name, default)


@pytest.fixture
def sim_explore() -> Callable[..., Result]:
    """`sim.explore`, which raises the error of a failing run; for scenarios made inside a test."""

    def explore_and_check(scenario: Scenario, *args: Any, **kwargs: Any) -> Result:
        result = explore(scenario, *args, **kwargs)
        result.check()
        return result

    return explore_and_check


def _explored(
    config: pytest.Config, nodeid: str, test: Callable[..., Any], marker: pytest.Mark
) -> Callable[..., None]:
    """The test that explores `test`; one that fails if the marker cannot be meant so."""
    wrong: str | None = None
    options: dict[str, Any] = {}
    if not inspect.iscoroutinefunction(test):
        wrong = f"{nodeid} is marked sim and is not async: there is no schedule to choose"
    else:
        try:
            bound = inspect.signature(explore).bind(test, *marker.args, **marker.kwargs)
            options = {name: value for name, value in bound.arguments.items() if name != "scenario"}
        except TypeError as error:
            wrong = f"the marker sim of {nodeid} has wrong arguments: {error}"

    def explored(**fixtures: Any) -> None:
        __tracebackhide__ = True
        if wrong is not None:
            raise WrongUse(wrong)
        scenario = partial(test, **fixtures)
        token: str | None = config.getoption("--sim-token")
        if token is not None:
            replay(scenario, token).check()
            return
        chosen = dict(options)
        executions: int | None = config.getoption("--sim-executions")
        if executions is not None:
            chosen["max_executions"] = executions
        path = chosen.pop("database", _file_of_failures(config))
        if path is not None:
            chosen["database"] = FailuresOf(path, nodeid)
        explore(scenario, **chosen).check()

    return explored


def _file_of_failures(config: pytest.Config) -> Path | None:
    """In pytest's cache, so that ``--cache-clear`` forgets them; without the cache plugin nothing is kept."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    return None if cache is None else Path(cache.mkdir("sim")) / "failures.json"
