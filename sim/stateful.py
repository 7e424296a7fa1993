"""Parallel state machines: a model and operations, written once, tested alone and concurrently.

A `StateMachine` says how to open the object under test, which operations it has, and which `sim.Model`
it keeps to. `run_sequential` does random operations one after the other. `run_parallel` does a few, then
lets two or three branches do theirs concurrently, each schedule drawn, then a few more; it holds the
history of all of them to the model. Hypothesis shrinks what fails: operations, arguments, preemptions.

The shape is that of Quviq QuickCheck's parallel state machines (K. Claessen et al., "Finding race
conditions in Erlang with QuickCheck and PULSE", ICFP 2009), with two departures: the schedule is drawn
from the same data as the operations, and shrinks with them; and what is asked of the history is
linearizability, so that clients which are cancelled may be in it.

Needs the package `hypothesis`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast

import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim._run import arguments as checks
from sim._run.errors import WrongType
from sim.hypothesis import Schedule, schedules
from sim.oracles.history import History
from sim.oracles.linearizability import assert_linearizable
from sim.oracles.models import Model

__all__ = [
    "Call",
    "InvalidStateMachine",
    "Program",
    "StateMachine",
    "operation",
    "run_parallel",
    "run_sequential",
]

P = ParamSpec("P")
R = TypeVar("R")
MachineT = TypeVar("MachineT", bound="StateMachine")

_Strategies: TypeAlias = "dict[str, st.SearchStrategy[Any]]"
_DECLARATION: Final = "__sim_operation__"


class InvalidStateMachine(Exception):
    """A state machine was declared in a way that cannot be run; the message says what to change."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """The arguments of `operation`, kept on the method."""

    strategies: _Strategies
    raises: tuple[type[BaseException], ...]


def operation(
    *raises: type[BaseException], **arguments: st.SearchStrategy[Any]
) -> Callable[
    [Callable[Concatenate[MachineT, P], Awaitable[R]]], Callable[Concatenate[MachineT, P], Awaitable[R]]
]:
    """Mark an async method of a `StateMachine` as an operation.

    Args:
        raises: exceptions that are answers of it; the model gives `sim.Raised` of them.
        arguments: for each parameter after `self`, what to draw it from. The model's method of the same
            name gets them in the order of the parameters.

    Raises:
        InvalidStateMachine: the method is not async, or has other parameters than `arguments`.
        WrongType: what is given by position is no exception class, or what is given by name no strategy.
    """
    checks.exceptions("raises", raises)
    for parameter, strategy in arguments.items():
        checks.instance(parameter, strategy, st.SearchStrategy)

    def declare(
        method: Callable[Concatenate[MachineT, P], Awaitable[R]],
    ) -> Callable[Concatenate[MachineT, P], Awaitable[R]]:
        name = getattr(method, "__name__", repr(method))
        if not inspect.iscoroutinefunction(method):
            raise InvalidStateMachine(f"the operation {name} must be an async method")
        parameters = list(inspect.signature(method).parameters)[1:]
        if set(parameters) != set(arguments):
            raise InvalidStateMachine(
                f"the operation {name} has the parameters {parameters} and is given strategies for"
                f" {list(arguments)}: name one for each parameter after self"
            )
        setattr(method, _DECLARATION, _Declared({key: arguments[key] for key in parameters}, raises))
        return method

    return declare


class StateMachine:
    """An object under test; a new instance is made for each run.

    ::

        class CounterMachine(sim.stateful.StateMachine):
            model = sim.models.Counter()

            @asynccontextmanager
            async def open(self) -> AsyncGenerator[None]:
                async with open_server(Counter) as self.counter:
                    yield

            @operation(by=st.integers(1, 9))
            async def increment(self, by: int) -> int:
                return await self.counter.call(Counter.increment(by))

        def test_counter_alone() -> None:
            sim.stateful.run_sequential(CounterMachine)

        def test_counter_in_parallel() -> None:
            sim.stateful.run_parallel(CounterMachine)

    An operation should not wait for what another client does: a program in which nobody does it is a
    deadlock, and is reported as one.
    """

    model: ClassVar[Model[Any]]
    """The model of the operations."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Make the object under test, and end it at the end of the block."""
        return _nothing_to_open()


@asynccontextmanager
async def _nothing_to_open() -> AsyncGenerator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a program."""

    name: str
    args: tuple[Any, ...]
    raises: tuple[type[BaseException], ...] = ()

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.args))})"


@dataclass(frozen=True, slots=True)
class Program:
    """The operations of the clients of one run.

    Attributes:
        before: done one after the other, first.
        branches: done concurrently, each one after the other.
        cancelled: the numbers of the branches that are cancelled, when the schedule wills.
        after: done one after the other, last.
    """

    before: tuple[Call, ...]
    branches: tuple[tuple[Call, ...], ...] = ()
    cancelled: tuple[int, ...] = ()
    after: tuple[Call, ...] = ()

    # Hypothesis would rather show how it was built.
    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        del cycle
        printer.text(repr(self))

    def __repr__(self) -> str:
        parts = [("before", self.before)]
        for number, branch in enumerate(self.branches):
            ending = ", cancelled" if number in self.cancelled else ""
            parts.append((f"branch {number}{ending}", branch))
        parts.append(("after", self.after))
        lines = [f"    {name}: {', '.join(map(repr, calls))}" for name, calls in parts if calls]
        return "\n".join(["Program", *lines])


def run_sequential(
    machine: type[StateMachine],
    *,
    max_operations: int = 20,
    settings: settings | None = None,
) -> None:
    """Do random operations one after the other, and hold each answer to the model.

    Args:
        machine: the state machine.
        max_operations: how many operations a program has at most.
        settings: Hypothesis's; unless given, its defaults without deadline and without `Phase.explain`.

    Raises:
        BaseException: what the smallest failing program ended with: `sim.NotLinearizable`, an exception
            of an operation, a finding of the simulator.
        InvalidStateMachine: the machine has no operations or no model.
        WrongType, WrongUse: the machine is no class of them, or `max_operations` no number, or below 1.
    """
    _check(machine, max_operations, settings)
    _run(machine, _calls(machine, max_operations).map(Program), settings)


def run_parallel(
    machine: type[StateMachine],
    *,
    max_branches: int = 3,
    max_operations: int = 4,
    cancel: bool = False,
    settings: settings | None = None,
) -> None:
    """Do random operations in concurrent branches, and hold their history to the model.

    Args:
        machine: the state machine.
        max_branches: how many branches at most; at least 2.
        max_operations: how many operations each branch, and what comes before and after, has at most.
        cancel: whether branches are cancelled at times, at any checkpoint. The operation that is cut off
            may have taken effect or not; the object must be as good as before.
        settings: Hypothesis's; unless given, its defaults without deadline and without `Phase.explain`.

    Raises:
        BaseException: what the smallest failing program ended with: `sim.NotLinearizable`, an exception
            of an operation, a finding of the simulator.
        InvalidStateMachine: the machine has no operations or no model, or `max_branches` is below 2.
        WrongType, WrongUse: as from `run_sequential`.
    """
    _check(machine, max_operations, settings)
    checks.whole_number("max_branches", max_branches)
    checks.flag("cancel", cancel)
    if max_branches < 2:
        raise InvalidStateMachine("max_branches must be at least 2: one branch has no concurrency")
    calls = _calls(machine, max_operations)
    # At least one operation each: an empty branch is a smaller number of branches.
    branch = _calls(machine, max_operations, at_least=1)
    cancelled: st.SearchStrategy[tuple[int, ...]] = st.just(())
    if cancel:
        cancelled = st.sets(st.integers(0, max_branches - 1)).map(lambda chosen: tuple(sorted(chosen)))
    branches = st.lists(branch, min_size=2, max_size=max_branches).map(tuple)
    parts = st.tuples(calls, branches, cancelled, calls)
    _run(machine, parts.map(lambda drawn: Program(*drawn)), settings)


def _check(machine: object, max_operations: object, chosen: object) -> None:
    if not (isinstance(machine, type) and issubclass(machine, StateMachine)):
        raise WrongType(f"machine must be a class derived from StateMachine, not {machine!r}")
    checks.whole_number("max_operations", max_operations, at_least=1)
    checks.optional(checks.instance, "settings", chosen, settings)


def _run(machine: type[StateMachine], programs: st.SearchStrategy[Program], chosen: settings | None) -> None:
    def holds(program: Program, schedule: Schedule) -> None:
        async def scenario() -> None:
            await _perform(machine, program)

        schedule.run(scenario)

    # Hypothesis's database knows a test by the code of its function, which here is always the same.
    holds.__name__ = f"{machine.__name__}_holds"
    holds.__qualname__ = f"{machine.__qualname__}_holds"
    holds.__module__ = machine.__module__
    test = given(program=programs, schedule=schedules())(holds)
    cast("Callable[[], None]", (_default_settings() if chosen is None else chosen)(test))()


def _default_settings() -> settings:
    # `explain` runs the failing test under a tracer, a hundred times slower, to tell which lines only run
    # when it fails; where a schedule decides, those are lines of the simulator. And a deadline would
    # be one more thing that differs from run to run.
    return settings(deadline=None, phases=[phase for phase in Phase if phase is not Phase.explain])


def _declarations(machine: type[StateMachine]) -> dict[str, _Declared]:
    if not hasattr(machine, "model"):
        raise InvalidStateMachine(f"{machine.__name__} has no model: set the class attribute `model`")
    declared: dict[str, _Declared] = {}
    for name in dir(machine):
        found = getattr(getattr(machine, name), _DECLARATION, None)
        if found is not None:
            declared[name] = found
    if not declared:
        raise InvalidStateMachine(
            f"{machine.__name__} has no operations: mark async methods with sim.stateful.operation"
        )
    return declared


def _calls(
    machine: type[StateMachine], at_most: int, *, at_least: int = 0
) -> st.SearchStrategy[tuple[Call, ...]]:
    one_of_them = st.one_of(
        [
            st.builds(Call, st.just(name), st.tuples(*declared.strategies.values()), st.just(declared.raises))
            for name, declared in _declarations(machine).items()
        ]
    )
    return st.lists(one_of_them, min_size=at_least, max_size=at_most).map(tuple)


async def _perform(machine: type[StateMachine], program: Program) -> None:
    history = History()
    instance = machine()

    async def perform(calls: tuple[Call, ...], client: str) -> None:
        for call in calls:
            method: Callable[..., Awaitable[object]] = getattr(instance, call.name)
            with history.operation(call.name, *call.args, client=client, raises=call.raises) as opened:
                try:
                    opened.returned(await method(*call.args))
                except call.raises as error:
                    opened.raised(error)

    async def branch(number: int, calls: tuple[Call, ...], scope: trio.CancelScope) -> None:
        with scope:
            await perform(calls, f"branch {number}")

    async def canceller(scope: trio.CancelScope) -> None:
        scope.cancel()

    async with instance.open():
        await perform(program.before, "before")
        async with trio.open_nursery() as nursery:
            for number, calls in enumerate(program.branches):
                scope = trio.CancelScope()
                nursery.start_soon(branch, number, calls, scope)
                if number in program.cancelled:
                    nursery.start_soon(canceller, scope)
        await perform(program.after, "after")
    assert_linearizable(history, machine.model)
