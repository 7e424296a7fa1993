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
    outcome.stdout.fnmatch_lines(["*test_plain is marked sim but is not async*"])


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
    assert shown.count("a run") == 3 + 2  # the first one is repeated twice


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


FIXTURES = """
import logging
import pytest
import trio

@pytest.fixture
async def made():
    return 5

@pytest.fixture
async def yielded():
    yield 6

@pytest.fixture
def of_made(made):
    return made

@pytest.fixture
def clock():
    return trio.testing.MockClock()

@pytest.fixture
def mailbox():
    return []

class TestInAClass:
    @pytest.fixture(autouse=True)
    def sets(self):
        self.limit = 3

    @pytest.mark.sim(max_executions=5)
    @pytest.mark.parametrize("number", [1, 2])
    async def test_right(self, number):
        assert number < self.limit

@pytest.mark.sim(max_executions=5)
async def test_logs_right(caplog):
    logging.getLogger("x").warning("hello")
    assert [record.getMessage() for record in caplog.records] == ["hello"]

@pytest.mark.sim(max_executions=5)
async def test_async(made): ...

@pytest.mark.sim(max_executions=5)
async def test_async_generator(yielded): ...

@pytest.mark.sim(max_executions=5)
async def test_by_another(of_made): ...

@pytest.mark.sim(max_executions=5)
async def test_clock(clock): ...

@pytest.mark.sim(max_executions=30)
async def test_state(mailbox):
    mailbox.append(1)
    for _ in mailbox[:9]:
        await trio.lowlevel.checkpoint()

@pytest.mark.trio
async def test_of_trio_right(made, yielded):
    assert (made, yielded) == (5, 6)
"""


@pytest.mark.parametrize("mode", ["true", "false"])
def test_fixtures_that_no_execution_can_use_are_refused_by_name(pytester: pytest.Pytester, mode: str) -> None:
    pytester.makeini(f"[pytest]\ntrio_mode = {mode}\n")
    pytester.makepyfile(test_it=FIXTURES)
    outcome = run(pytester)
    outcome.assert_outcomes(passed=4, failed=2, errors=3)
    for test, fixture in (("async", "made"), ("async_generator", "yielded"), ("by_another", "made")):
        outcome.stdout.fnmatch_lines_random(
            [f"*test_{test} is marked sim and uses the async fixture {fixture},*"]
        )
    outcome.stdout.fnmatch_lines_random(
        [
            "*test_clock is marked sim and uses the fixture clock,*",
            "*mailbox of the scenario: a list of 0 ->*",
        ]
    )


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    for name in ("sim", "sim.pytest_plugin"):
        outcome = pytester.runpytest_subprocess("-p", f"no:{name}", "-k", "by_hand", "-p", "no:cacheprovider")
        outcome.assert_outcomes(errors=1)
        outcome.stdout.fnmatch_lines(["*fixture 'sim_explore' not found*"])
        refused = pytester.runpytest_subprocess("-p", f"no:{name}", "--sim-executions", "3")
        assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_nothing_is_imported_before_a_test_is_marked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="import sys\ndef test_plain():\n"
        "    assert 'sim.pytest_plugin' in sys.modules\n"
        "    assert not {'trio', 'sim._exploration.explore', 'hypothesis'} & set(sys.modules)\n"
    )
    others = ("-p", "no:trio", "-p", "no:hypothesispytest", "-p", "no:anyio")
    run(pytester, *others).assert_outcomes(passed=1)


def test_workers_of_xdist_explore_too(pytester: pytest.Pytester) -> None:
    run(pytester, "-n", "2").assert_outcomes(passed=2, failed=1)


# As pytest-asyncio does in its mode auto: what is async becomes another kind of item, and its fixtures plain.
ANOTHER_PLUGIN = """
import inspect
import pytest

class Theirs(pytest.Function):
    def runtest(self):
        raise RuntimeError("taken by another plugin")

@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector, name):
    made = yield
    if not isinstance(made, list):
        return made
    return [
        Theirs.from_parent(collector, name=item.name, callobj=item.obj)
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj) else item
        for item in made
    ]

@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    if inspect.iscoroutinefunction(fixturedef.func):
        fixturedef.func = lambda: 5
    return (yield)

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.get_closest_marker("asyncio") or pyfuncitem.get_closest_marker("anyio"):
        raise RuntimeError("is not async")
"""


def test_plugins_that_run_async_tests_leave_marked_ones_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(ANOTHER_PLUGIN)
    pytester.makepyfile(
        test_it="import pytest, trio\n"
        "@pytest.fixture\nasync def made(): return 5\n"
        "@pytest.mark.sim\nasync def test_it(): await trio.lowlevel.checkpoint()\n"
        "@pytest.mark.asyncio\n@pytest.mark.anyio\n"
        "@pytest.mark.sim\nasync def test_marked(): await trio.lowlevel.checkpoint()\n"
        "@pytest.mark.sim\nasync def test_async(made): ...\n"
        "class TestAll:\n    pytestmark = pytest.mark.sim\n"
        "    async def test_in_a_class(self): await trio.lowlevel.checkpoint()\n"
    )
    outcome = run(pytester, "-p", "no:trio", "-p", "no:anyio")
    outcome.assert_outcomes(passed=3, errors=1)
    outcome.stdout.fnmatch_lines_random(["*test_async is marked sim and uses the async fixture made,*"])


LEVELS = """
import pytest
pytestmark = [pytest.mark.sim(max_executions=2), pytest.mark.sim(strategy="pct")]
runs = []

@pytest.fixture(autouse=True)
def count(request):
    runs.clear()
    yield
    print("made", request.node.name, len(runs))

@pytest.mark.sim(seed=3)
class Base:
    async def test_base(self): runs.append(1)

@pytest.mark.sim(max_executions=4)
class TestDerived(Base):
    async def test_of_class(self): runs.append(1)

    @pytest.mark.sim(max_executions=6)
    async def test_own(self): runs.append(1)

@pytest.mark.sim(max_executions=3)
@pytest.mark.sim(seed=1)
async def test_two(): runs.append(1)

@pytest.mark.sim(max_executions=3)
@pytest.mark.sim(max_executions=5)
async def test_twice(): runs.append(1)

@pytest.mark.sim(max_executions=3)
@pytest.mark.sim("random", 5)
async def test_twice_by_position(): runs.append(1)

@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.sim(max_executions=9))])
@pytest.mark.sim(max_executions=7)
async def test_set(x): runs.append(1)

@pytest.mark.sim("random", 5)
async def test_position(): runs.append(1)
"""


def test_marks_of_all_places_add_up_and_none_is_dropped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=LEVELS)
    result = run(pytester, "-s", "-q")
    made = dict(line.split("made ")[1].split() for line in result.outlines if "made " in line)
    # Each with two repetitions of the first run.
    assert made == {
        "test_base": "6",
        "test_of_class": "6",
        "test_own": "8",
        "test_two": "5",
        "test_twice": "0",
        "test_twice_by_position": "0",
        "test_set[1]": "9",
        "test_set[2]": "11",
        "test_position": "7",
    }
    result.assert_outcomes(passed=7, failed=2)
    result.stdout.fnmatch_lines(["*two marks of the test give the argument 'max_executions'*"])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("@given(st.integers())\nasync def test_it(x): ...", "*decorated with `given`*"),
        ("async def test_it():\n    yield 1", "*is an async generator*"),
    ],
)
def test_what_no_execution_can_be_made_of_says_what_it_is(
    pytester: pytest.Pytester, test: str, said: str
) -> None:
    pytester.makepyfile(
        test_it=f"import pytest\nfrom hypothesis import given, strategies as st\n@pytest.mark.sim\n{test}\n"
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])
