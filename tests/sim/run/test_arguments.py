"""Arguments of public functions are checked where they are passed: a wrong type is refused by name."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import strategies as st

import sim
import sim.stateful
from sim import strategies
from sim._exploration.database import FailuresOf


async def scenario() -> None:
    await trio.lowlevel.checkpoint()


async def asynchronous() -> bool:
    return False


async def with_argument(argument: object) -> None:
    del argument


class Counters(sim.stateful.StateMachine):
    model = sim.models.Counter()

    @sim.stateful.operation()
    async def read(self) -> int:
        return 0


history = sim.History()
history.operation("read", client="one").returned(0)


def given(value: object) -> Any:
    """A value of a type that is wrong on purpose, so that no type checker is told of it."""
    return value


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "choose of a number": (lambda: sim.choose(given(5)), "options must be a sequence"),
    "choose of a set": (lambda: sim.choose(given({1, 2})), "options must be a sequence"),
    "choose of a dict": (lambda: sim.choose(given({1: 2})), "options must be a sequence"),
    "choose of a generator": (lambda: sim.choose(given(x for x in "ab")), "options must be a sequence"),
    "always, async": (lambda: sim.always(asynchronous, "a"), "condition must be a plain function"),
    "always, a coroutine": (lambda: sim.always(lambda: asynchronous(), "a"), "what condition returns"),
    "always, a bool": (lambda: sim.always(given(True), "a"), "condition must be a plain function"),
    "always, no promise": (lambda: sim.always(lambda: True, given(5)), "promise must be a string"),
    "eventually, async": (lambda: sim.eventually(asynchronous, "a"), "condition must be a plain function"),
    "eventually, text": (
        lambda: sim.eventually(lambda: True, "a", within=given("5")),
        "within must be a number",
    ),
    "sometimes, async": (lambda: sim.sometimes(asynchronous, "a"), "condition must be a plain function"),
    "sometimes, a number": (lambda: sim.sometimes(given(1), "a"), "condition must be a plain function"),
    "sometimes, no name": (lambda: sim.sometimes(True, given(None)), "what must be a string"),
    "Shared": (lambda: sim.Shared(0, name=given(5)), "name must be a string"),
    "FailuresOf, path": (lambda: FailuresOf(given(5), "a"), "path must be the path of a file"),
    "FailuresOf, key": (lambda: FailuresOf("a", given(5)), "key must be a string"),
    "History.operation": (lambda: history.operation(given(5)), "name must be a string"),
    "History.operation, client": (lambda: history.operation("a", client=given(5)), "client must be a string"),
    "History.operation, raises": (
        lambda: history.operation("a", raises=given("KeyError")),
        "raises must be an exception class",
    ),
    "History.operation, an instance": (
        lambda: history.operation("a", raises=given(KeyError())),
        "raises must be an exception class",
    ),
    "raised": (
        lambda: sim.History().operation("a").raised(given(KeyError)),
        "exception must be a BaseException",
    ),
    "check_linearizability, a class": (
        lambda: sim.check_linearizability(history, given(sim.models.Counter)),
        "model must be a Model",
    ),
    "check_linearizability, no operations": (
        lambda: sim.check_linearizability(given(["read"]), sim.models.Counter()),
        "what history is made of must be an Operation",
    ),
    "check_linearizability, a number": (
        lambda: sim.check_linearizability(given(5), sim.models.Counter()),
        "history must be a History or an Iterable",
    ),
    "check_linearizability, max_steps": (
        lambda: sim.check_linearizability(history, sim.models.Counter(), max_steps=given("5")),
        "max_steps must be a whole number",
    ),
    "assert_linearizable": (
        lambda: sim.assert_linearizable(history, given(sim.models.Counter)),
        "model must be a Model",
    ),
    "models.Counter": (lambda: sim.models.Counter(given("0")), "initial must be a whole number"),
    "models.Queue": (lambda: sim.models.Queue(given("0")), "capacity must be a number"),
    "find_interference": (
        lambda: sim.find_interference(given("scenario")),
        "a scenario must be an async function",
    ),
    "find_interference, executions": (
        lambda: sim.find_interference(scenario, executions=given(2.0)),
        "executions must be a whole number",
    ),
    "find_interference, seed": (
        lambda: sim.find_interference(scenario, seed=given("1")),
        "seed must be a whole number",
    ),
    "stateful.operation": (
        lambda: sim.stateful.operation(given("KeyError")),
        "raises must be an exception class",
    ),
    "stateful.operation, strategy": (
        lambda: sim.stateful.operation(by=given(5)),
        "by must be a SearchStrategy",
    ),
    "run_sequential, an instance": (
        lambda: sim.stateful.run_sequential(given(Counters())),
        "machine must be a class derived from StateMachine",
    ),
    "run_sequential": (
        lambda: sim.stateful.run_sequential(Counters, max_operations=given("3")),
        "max_operations must be a whole number",
    ),
    "run_sequential, settings": (
        lambda: sim.stateful.run_sequential(Counters, settings=given({})),
        "settings must be a settings",
    ),
    "run_parallel": (
        lambda: sim.stateful.run_parallel(Counters, max_branches=given(2.5)),
        "max_branches must be a whole number",
    ),
    "run_parallel, cancel": (
        lambda: sim.stateful.run_parallel(Counters, cancel=given("no")),
        "cancel must be True or False",
    ),
    "make_strategy": (lambda: strategies.make_strategy(given(5), 0), "name must be a string"),
    "make_strategy, seed": (
        lambda: strategies.make_strategy("random", given("0")),
        "seed must be a whole number",
    ),
    "DepthBounded": (lambda: strategies.DepthBounded(given("dfs"), 3), "inner must be a Strategy"),
    "DepthBounded, depth": (
        lambda: strategies.DepthBounded(strategies.DepthFirst(), given("3")),
        "depth must be a whole number",
    ),
    "PCT": (lambda: strategies.PCT(0, given(2.5)), "depth must be a whole number"),
    "PreemptionBounded": (
        lambda: strategies.PreemptionBounded(bound=given("2")),
        "bound must be a whole number",
    ),
    "BoundedDpor": (lambda: strategies.BoundedDpor(bound=given(None)), "bound must be a whole number"),
    "Sweep": (lambda: strategies.Sweep(schedules=given("5")), "schedules must be a whole number"),
    **{
        cls.__name__: (partial(cls, given("0")), "seed must be a whole number")
        for cls in dict.fromkeys(strategies.STRATEGIES.values())
        if isinstance(cls, type)
    },
}


@pytest.mark.parametrize(("call", "said"), CALLS.values(), ids=CALLS)
def test_wrong_type_is_refused_by_name_where_it_is_given(call: Callable[[], object], said: str) -> None:
    with pytest.raises(sim.WrongType) as refused:
        call()
    assert isinstance(refused.value, TypeError)
    assert said in str(refused.value)


def test_numbers_that_make_no_sense_are_refused() -> None:
    for within in (math.nan, -1.0):
        with pytest.raises(sim.WrongUse, match="within must be"):
            sim.eventually(lambda: True, "a", within=within)
    with pytest.raises(sim.WrongUse, match="max_operations must be at least 1"):
        sim.stateful.run_sequential(Counters, max_operations=0)
    with pytest.raises(sim.WrongUse, match="executions must be at least 1"):
        sim.find_interference(scenario, executions=0)
    with pytest.raises(sim.WrongUse, match="max_steps must be at least 1"):
        sim.check_linearizability(history, sim.models.Counter(), max_steps=0)


async def test_function_of_a_call_must_be_one() -> None:
    wrong: Any = "get"
    with pytest.raises(sim.WrongType, match="function must be a function"):
        await sim.History().call("get", wrong)


def test_right_types_of_every_kind_are_taken() -> None:
    class Options:
        """A sequence by its methods alone, as an array is."""

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> int:
            return (3, 4)[index]

    options: Any = Options()
    assert sim.choose(options) == 3
    assert sim.choose("ab") == "a"
    assert sim.choose(range(7, 9)) == 7
    sim.always(lambda: 1, "a")
    sim.sometimes(False, "a")
    assert sim.check_linearizability(iter(history.operations), sim.models.Counter())
    assert sim.check_linearizability(history.operations, sim.models.Counter())
    history.operation("read", client="two", raises=(KeyError, OSError)).refused()
    sim.stateful.operation(KeyError, by=st.integers())


def test_condition_that_cannot_be_one_fails_the_run_that_gives_it() -> None:
    async def promises() -> None:
        sim.always(asynchronous, "a coroutine is always true")

    (failure,) = sim.explore(promises).failures
    assert isinstance(failure.error, sim.WrongType)
