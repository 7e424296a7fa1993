from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from sim.oracles import models
from sim.oracles.history import ANY, UNKNOWN, Operation, Outcome, Raised, Returned
from sim.oracles.history_table import render_history
from sim.oracles.linearizability import (
    NotLinearizable,
    assert_linearizable,
    check_linearizability,
)
from sim.oracles.models import WHOLE, Model, Step
from sim.oracles.wing_gong_lowe import SearchBudgetExceeded, StateNotHashable
from tests.sim.oracles import brute_force

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Draw: TypeAlias = "Callable[[random.Random], tuple[str, tuple[object, ...], Outcome]]"

INFINITY = float("inf")

SUITES: dict[str, tuple[Model[Any], Draw]] = {
    "register": (models.Register(), brute_force.draw_register),
    "map": (models.Map(), brute_force.draw_map),
    "map with size": (models.Map(), brute_force.draw_map_with_size),
    "set": (models.Set(), brute_force.draw_set),
    "queue": (models.Queue(), brute_force.draw_queue),
    "bounded queue": (models.Queue(capacity=1), brute_force.draw_queue),
    "counter": (models.Counter(), brute_force.draw_counter),
    "lock": (models.Lock(), brute_force.draw_lock),
    "to-do list": (models.TodoList(), brute_force.draw_todo),
}


def operation(
    name: str, *args: object, span: tuple[float, float], outcome: Outcome | None = None
) -> Operation:
    called, returned = span
    if outcome is None:
        outcome = UNKNOWN if returned == INFINITY else Returned(None)
    return Operation(name, args, "client", called, returned, outcome)


def agree_with_brute_force(
    model: Model[Any],
    draw: Draw,
    seeds: range,
) -> None:
    verdicts: set[bool] = set()
    for seed in seeds:
        rng = random.Random(seed)
        history = brute_force.random_history(
            rng,
            draw,
            operations=rng.randint(1, 6),
            clients=rng.randint(1, 4),
            unknown=rng.choice([0.0, 0.2, 0.5]),
        )
        expected = brute_force.is_linearizable(history, model)
        verdict = check_linearizability(history, model)
        assert bool(verdict) == expected, f"seed {seed}: {history}"
        verdicts.add(expected)
        if verdict.violation is not None:
            assert_minimal(verdict.violation.operations, history, model)
        else:
            for key, order in verdict.orders.items():
                assert_explains(order, history, key, model)
    assert verdicts == {True, False}


def assert_minimal(part: Sequence[Operation], history: Sequence[Operation], model: Model[Any]) -> None:
    """The part fails alone, fails with the rest forgotten, and each of its operations is needed."""
    assert not brute_force.is_linearizable(part, model)
    key = whole_or_key(history, model, part[0])
    part_of_key = [op for op in history if key is WHOLE or model.partition(op) == key]
    assert not brute_force.is_linearizable(
        [op if op in part else op.forgotten() for op in part_of_key], model
    )
    # What was called after the part's last return cannot matter to it.
    relevant = [op for op in part_of_key if op.called < max(op.returned for op in part)]
    for needless in part:
        weaker = [op if op in part and op != needless else op.forgotten() for op in relevant]
        assert brute_force.is_linearizable(weaker, model)


def whole_or_key(history: Sequence[Operation], model: Model[Any], op: Operation) -> object:
    in_one_piece = any(model.partition(other) is WHOLE for other in history)
    return WHOLE if in_one_piece else model.partition(op)


def assert_explains(
    order: Sequence[Operation], history: Sequence[Operation], key: object, model: Model[Any]
) -> None:
    ended = [
        op for op in history if op.outcome is not UNKNOWN and (key is WHOLE or model.partition(op) == key)
    ]
    placed = [op for op in order if op.outcome is not UNKNOWN]
    assert sorted(placed, key=id) == sorted(ended, key=id)
    assert brute_force.is_linearizable(
        # In this order and no other: each operation returns before the next is called.
        [replace(op, called=2 * i, returned=2 * i + 1) for i, op in enumerate(order)],
        model,
    )


@pytest.mark.parametrize("suite", SUITES)
def test_the_verdict_is_that_of_a_brute_force_enumeration(suite: str) -> None:
    agree_with_brute_force(*SUITES[suite], seeds=range(250))


@pytest.mark.torture
@pytest.mark.parametrize("suite", SUITES)
def test_the_verdict_is_that_of_a_brute_force_enumeration_on_many_histories(
    suite: str, dose: Callable[[int], int]
) -> None:
    agree_with_brute_force(*SUITES[suite], seeds=range(1_000, 1_000 + dose(23_000)))


def test_a_read_may_see_a_write_that_overlaps_it_or_not() -> None:
    for seen in (None, 1):
        assert check_linearizability(
            [
                operation("write", 1, span=(0, 3)),
                operation("read", span=(1, 2), outcome=Returned(seen)),
            ],
            models.Register(),
        )


def test_a_read_after_a_write_has_returned_must_see_it() -> None:
    stale = [
        operation("write", 1, span=(0, 1)),
        operation("read", span=(2, 3), outcome=Returned(None)),
    ]
    assert not check_linearizability(stale, models.Register())


def test_a_write_of_unknown_outcome_may_take_effect_late_or_never() -> None:
    write = operation("write", 1, span=(0, INFINITY))
    reads = [
        operation("read", span=(2 * i + 1, 2 * i + 2), outcome=Returned(seen))
        for i, seen in enumerate([None, None, 1, 1])
    ]
    assert check_linearizability([write, *reads], models.Register())
    assert check_linearizability([write, *reads[:2]], models.Register())
    back_again = operation("read", span=(20, 21), outcome=Returned(None))
    assert not check_linearizability([write, *reads, back_again], models.Register())


def test_an_operation_of_unknown_outcome_takes_effect_once_at_most() -> None:
    increment = operation("increment", span=(0, INFINITY))
    for value, possible in ((0, True), (1, True), (2, False)):
        read = operation("read", span=(1, 2), outcome=Returned(value))
        assert bool(check_linearizability([increment, read], models.Counter())) is possible


def test_an_answer_nobody_looked_at_agrees_with_every_answer() -> None:
    history = [
        operation("increment", span=(0, 1), outcome=Returned(ANY)),
        operation("read", span=(2, 3), outcome=Returned(1)),
    ]
    assert check_linearizability(history, models.Counter())
    assert not check_linearizability(history[1:], models.Counter())


def test_an_exception_can_be_the_answer() -> None:
    class Busy(RuntimeError):
        pass

    taken = operation("acquire", "a", span=(0, 1))
    for exception, agrees in ((RuntimeError, True), (Busy, True), (KeyError, False)):
        release = operation("release", "b", span=(2, 3), outcome=Raised(exception))
        assert bool(check_linearizability([taken, release], models.Lock())) is agrees


def test_one_operation_on_the_whole_map_has_all_keys_checked_together() -> None:
    puts = [operation("put", key, 1, span=(2 * i, 2 * i + 1)) for i, key in enumerate("ab")]
    for size, possible in ((1, False), (2, True)):
        measured = operation("size", span=(10, 11), outcome=Returned(size))
        verdict = check_linearizability([*puts, measured], models.Map())
        assert bool(verdict) is possible
        assert verdict.failing_keys == (() if possible else (WHOLE,))


def test_the_violation_is_cut_down_to_the_operations_that_show_it() -> None:
    history = [
        *(operation("put", "x", i, span=(4 * i, 4 * i + 1)) for i in range(20)),
        *(
            operation("get", "x", span=(4 * i + 2, 4 * i + 3), outcome=Returned(i))
            for i in range(20)
            if i != 17
        ),
        operation("get", "x", span=(4 * 17 + 2, 4 * 17 + 3), outcome=Returned(15)),
        *(operation("put", "y", i, span=(4 * i, 4 * i + 1)) for i in range(20)),
    ]
    verdict = check_linearizability(history, models.Map())
    assert verdict.violation is not None
    assert verdict.failing_keys == ("x",)
    # What shows that it was 15 once, what shows that it was something else after, and the read of
    # 15. The put of 15 alone cannot explain both reads of it, at whatever time it took effect.
    shown, overwritten, read_again = verdict.violation.operations
    assert shown.outcome == Returned(15) or shown.args == ("x", 15)
    assert 61 < overwritten.called < read_again.called
    assert read_again.outcome == Returned(15)
    assert verdict.violation.considered == 36


def test_a_violation_shows_the_overlaps_and_what_the_model_would_have_answered() -> None:
    history = [
        Operation("put", ("x", 1), "writer", 0, 1, Returned(None)),
        Operation("put", ("x", 2), "writer", 2, 5, Returned(None)),
        Operation("get", ("x",), "early reader", 3, 4, Returned(2)),
        Operation("get", ("x",), "late reader", 6, 7, Returned(1)),
    ]
    with pytest.raises(NotLinearizable) as caught:
        assert_linearizable(history, models.Map())
    assert str(caught.value).splitlines() == [
        "not linearizable: key 'x', 3 of 4 operations (Map)",
        "",
        "    writer        put('x', 1) -> None  []",
        "    early reader  get('x') -> 2          []",
        "    late reader   get('x') -> 1            []",
        "",
        "No order explains these, even if each of the others took effect at any time after",
        "its call, or never.",
        "The order that gets furthest:",
        "    put('x', 1) -> None",
        "    put('x', 2) -> ?",
        "    get('x') -> 2",
        "leads to frozenset({('x', 2)}), where",
        "    get('x') -> 1 should have answered 2.",
    ]


def test_the_spans_of_a_history_overlap_where_its_operations_did() -> None:
    history = [
        Operation("put", (1,), "a", 0, 5, Returned(None)),
        Operation("get", (), "bob", 2, 9, Returned(1)),
        Operation("put", (22,), "a", 7, INFINITY, UNKNOWN),
    ]
    assert render_history(history).splitlines() == [
        "a    put(1) -> None  [-]",
        "bob  get() -> 1       [--]",
        "a    put(22) -> ?       [-- ?",
    ]


def test_an_own_model_is_a_method_an_operation() -> None:
    class InsufficientFunds(Exception):
        pass

    class Account(Model[int]):
        initial = 0
        read_only = frozenset({"balance"})

        def deposit(self, state: int, amount: int) -> Step[int]:
            return state + amount, None

        def withdraw(self, state: int, amount: int) -> Step[int]:
            if amount > state:
                return state, Raised(InsufficientFunds)
            return state - amount, None

        def balance(self, state: int) -> Step[int]:
            return state, state

    deposit = operation("deposit", 10, span=(0, 1))
    overlapping = [operation("withdraw", 7, span=span) for span in ((2, 5), (3, 4))]
    refused = replace(overlapping[1], outcome=Raised(InsufficientFunds))
    assert not check_linearizability([deposit, *overlapping], Account())
    assert check_linearizability([deposit, overlapping[0], refused], Account())


def test_an_object_that_may_choose_overrides_step() -> None:
    class Bag(Model[frozenset[object]]):
        """Gives back what was put in, in any order."""

        initial: frozenset[object] = frozenset()

        def step(self, state: frozenset[object], operation: Operation) -> list[frozenset[object]]:
            if operation.name == "put":
                return [state | {operation.args[0]}]
            return [state - {element} for element in state if models.agrees(operation, element)]

    puts = [operation("put", i, span=(2 * i, 2 * i + 1)) for i in range(3)]
    takes = [operation("take", span=(10, 11), outcome=Returned(i)) for i in (2, 0)]
    unknown = operation("take", span=(12, INFINITY))
    assert check_linearizability([*puts, *takes, unknown], Bag())
    twice = operation("take", span=(13, 14), outcome=Returned(2))
    assert not check_linearizability([*puts, *takes, unknown, twice], Bag())


def test_an_operation_the_model_does_not_know_is_named_with_those_it_knows() -> None:
    with pytest.raises(models.UnknownOperation, match=r"no operation 'incr'.*decrement"):
        check_linearizability([operation("incr", span=(0, 1))], models.Counter())


def test_a_state_that_is_not_hashable_is_shown() -> None:
    class Stack(Model["list[int]"]):
        initial: list[int] = []  # noqa: RUF012 - what the test is about

        def push(self, state: list[int], value: int) -> Step[list[int]]:
            return [*state, value], None

    with pytest.raises(StateNotHashable, match=r"a state of Stack is not hashable: \[\]"):
        check_linearizability([operation("push", 1, span=(0, 1))], Stack())


def test_a_search_that_takes_too_long_is_given_up_with_advice() -> None:
    history = [operation("put", i, span=(i, 100 + i)) for i in range(12)]
    history.append(operation("get", span=(200, 201), outcome=Returned("nothing put this")))
    with pytest.raises(SearchBudgetExceeded, match="raise max_steps") as caught:
        check_linearizability(history, models.Queue(), max_steps=1_000)
    assert caught.value.operations == 13


def test_many_crashed_writers_do_not_make_a_violation_dear() -> None:
    # Without dropping configurations that used more unknown writes than needed, the search of this
    # history visits more than 2**40 configurations.
    history = [operation("write", i, span=(i, INFINITY)) for i in range(40)]
    history.append(operation("read", span=(100, 101), outcome=Returned("nobody wrote this")))
    verdict = check_linearizability(history, models.Register(), max_steps=10_000)
    assert verdict.violation is not None
    assert verdict.violation.operations == (history[-1],)
