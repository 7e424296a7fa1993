"""The fixtures of `sim.pytest_plugin`; apart from it, so that ``-p no:sim`` leaves them out as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sim._public import Result, Scenario


@pytest.fixture
def sim_explore() -> Callable[..., Result]:
    """`sim.explore`, which raises the error of a failing run; for scenarios made inside a test."""
    from sim._public import explore

    def explore_and_check(scenario: Scenario, *args: Any, **kwargs: Any) -> Result:
        result = explore(scenario, *args, **kwargs)
        result.check()
        return result

    return explore_and_check
