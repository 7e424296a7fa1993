from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest

import sim
import sim.pytest_plugin

pytest_plugins = ["pytester"]

TESTS = """
import pytest
import trio
import sim

async def add_up(lock):
    total = sim.Shared(0)
    async def add():
        async with lock:
            seen = total.get()
            await trio.lowlevel.checkpoint()
            total.set(seen + 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(add)
    assert total.get() == 2

@pytest.fixture
def answer():
    return 42

@pytest.mark.sim(max_executions=50)
async def test_broken(answer):
    assert answer == 42
    await add_up(trio.CapacityLimiter(2))

@pytest.mark.sim(strategy="dpor")
async def test_right():
    await add_up(trio.Lock())

def test_by_hand(sim_explore):
    async def scenario():
        await add_up(trio.Lock())
    assert sim_explore(scenario, "dfs").complete
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    # As a process of its own: a simulation does not run inside of another event loop's test.
    return pytester.runpytest_subprocess("-p", "sim.pytest_plugin", *args)


@pytest.fixture(autouse=True)
def tests_to_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package under test, also where it is not installed.
    monkeypatch.setenv("PYTHONPATH", str(Path(sim.__file__).parent.parent))
    pytester.makepyfile(test_it=TESTS)


@pytest.mark.parametrize("mode", ["true", "false"])
def test_a_marked_test_is_explored_whatever_runs_the_other_async_tests(
    pytester: pytest.Pytester, mode: str
) -> None:
    pytester.makeini(f"[pytest]\ntrio_mode = {mode}\n")
    outcome = run(pytester)
    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(["*found by sim in execution*; replay it with*"])


def test_the_token_of_a_failure_replays_it_and_it_is_tried_first_next_time(pytester: pytest.Pytester) -> None:
    first = run(pytester, "-k", "broken").stdout.str()
    found = re.search(r"replay it with sim.replay\(test_broken, '(\w+)'\)", first)
    assert found is not None
    run(pytester, "-k", "broken", "--sim-token", found[1]).assert_outcomes(failed=1)
    # One execution finds it: that of the cache, for the first of an exploration does not fail.
    run(pytester, "-k", "broken", "--sim-executions", "1").assert_outcomes(failed=1)


def test_a_failure_is_kept_in_one_place_under_the_name_of_its_test(pytester: pytest.Pytester) -> None:
    run(pytester, "-k", "broken")
    (kept,) = pytester.path.joinpath(".pytest_cache").rglob("failures.json")
    assert list(json.loads(kept.read_text())) == ["test_it.py::test_broken"]
    kept.unlink()
    pytester.makepyfile(
        test_it=TESTS.replace("max_executions=50", "max_executions=50, database='failures.json'")
    )
    run(pytester, "-k", "broken").assert_outcomes(failed=1)
    assert list(json.loads(pytester.path.joinpath("failures.json").read_text())) == [
        "test_it.py::test_broken"
    ]
    assert not kept.exists()


def test_tests_of_one_name_do_not_take_each_others_failures(pytester: pytest.Pytester) -> None:
    marker = "@pytest.mark.sim(max_executions=50)\nasync def test_broken(answer):"
    parametrized = f'@pytest.mark.parametrize("tokens", [2, 1])\n{marker[:-2]}, tokens):'
    pytester.makepyfile(test_it=TESTS.replace(marker, parametrized).replace("Limiter(2)", "Limiter(tokens)"))
    run(pytester, "-k", "broken").assert_outcomes(passed=1, failed=1)
    (kept,) = pytester.path.joinpath(".pytest_cache").rglob("failures.json")
    assert list(json.loads(kept.read_text())) == ["test_it.py::test_broken[2]"]


def test_a_marked_test_that_is_not_async_fails_and_the_others_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.sim\ndef test_plain(): ...\ndef test_other(): ...\n"
    )
    outcome = run(pytester)
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(["*test_plain is marked sim and is not async*"])


@pytest.mark.parametrize("wrong", ["tries=5", "'random', strategy='dfs'"])
def test_a_wrong_argument_of_the_marker_is_named(pytester: pytest.Pytester, wrong: str) -> None:
    pytester.makepyfile(
        test_it=f"import pytest\n@pytest.mark.sim({wrong})\nasync def test_it(): ...\ndef test_other(): ...\n"
    )
    outcome = run(pytester)
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(["*the marker sim of test_it.py::test_it has wrong arguments*"])


def test_arguments_by_position_are_those_of_explore(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=TESTS.replace('(strategy="dpor")', '("random", 3)').replace(
            "async def test_right():", "async def test_right():\n    print('a run')"
        )
    )
    shown = run(pytester, "-s", "-k", "right").stdout.str()
    assert shown.count("a run") == 3


@pytest.mark.parametrize("how", ["@pytest.mark.trio", "pytestmark = pytest.mark.trio"])
def test_a_mark_of_pytest_trio_beside_it_does_not_matter(pytester: pytest.Pytester, how: str) -> None:
    marker = '@pytest.mark.sim(strategy="dpor")'
    if how.startswith("@"):
        pytester.makepyfile(test_it=TESTS.replace(marker, f"{how}\n{marker}"))
    else:
        pytester.makepyfile(test_it=TESTS.replace("@pytest.fixture", f"{how}\n\n@pytest.fixture"))
    run(pytester, "-k", "right").assert_outcomes(passed=1)


def test_assertions_that_are_left_out_are_said_aloud(pytester: pytest.Pytester) -> None:
    shown = pytester.run(sys.executable, "-O", "-m", "pytest", "-p", "sim.pytest_plugin", "-k", "right")
    shown.stdout.fnmatch_lines(["*python -O leaves out*"])


def test_it_is_loaded_by_itself_and_only_once() -> None:
    (entry,) = importlib.metadata.entry_points(group="pytest11", name="sim.pytest_plugin")
    assert entry.load() is sim.pytest_plugin
