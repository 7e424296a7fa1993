"""What all tests share: Hypothesis judges results, not how busy the machine is; Trio's dice have a seed.

Trio runs the tasks that are ready in an order that it draws. Each test begins with a seed of its own choice
for that, so that it does the same again, and ``--scheduler-seeds 20`` runs each under seeds 0 to 19.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, settings

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

MEMORY = Path("/dev/shm")
ROOM = 2 << 30


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("trio's scheduler")
    group.addoption("--scheduler-seed", type=int, default=0, help="the first seed of Trio's scheduler")
    group.addoption("--scheduler-seeds", type=int, default=1, help="under how many seeds to run each test")
    group = parser.getgroup("torture")
    group.addoption(
        "--torture-dose",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="so many times the usual number of programs, seeds or executions in each torture test",
    )


def pytest_configure() -> None:
    """Have Ctrl-C work in what the tests start, and give them folders in memory where there is room.

    On a disk, the tests of `todo` mostly wait. What they promise of crashes is of processes that are killed,
    and of disks that they simulate.
    """
    # A shell has the programs in its background ignore it, and they hand that on to what they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first: int = metafunc.config.option.scheduler_seed
    count: int = metafunc.config.option.scheduler_seeds
    if count != 1:
        seeds = range(first, first + count)
        ids = [f"seed {seed}" for seed in seeds]
        metafunc.parametrize("scheduler_seed", seeds, indirect=True, ids=ids)


@pytest.fixture(autouse=True)
def scheduler_seed(request: pytest.FixtureRequest) -> int:
    """The seed under which Trio orders the tasks of this test."""
    seed: int = getattr(request, "param", request.config.option.scheduler_seed)
    # The generator has no public name; tests that are to be repeatable have used this one for years.
    trio._core._run._r.seed(seed)
    return seed


@pytest.fixture
def dose(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """How much of something a torture test should try, given what it tries at dose 1."""
    factor: float = request.config.option.torture_dose
    return lambda usual: max(1, round(usual * factor))
