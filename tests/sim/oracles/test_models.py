from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from sim.oracles import models
from sim.oracles.history import UNKNOWN, Operation, Raised, Returned
from sim.oracles.models import BLOCKED, WHOLE, Model


def answers(model: Model[Any], *calls: tuple[Any, ...]) -> list[object]:
    """What the model answers when nothing is concurrent; `BLOCKED` where it would wait."""
    state = model.initial
    given: list[object] = []
    for name, *args in calls:
        operation = Operation(name, tuple(args), "client", 0, math.inf, UNKNOWN)
        taken = model.answer(state, operation)
        if taken is BLOCKED:
            given.append(BLOCKED)
            assert tuple(model.step(state, operation)) == ()
        else:
            before, (state, answer) = state, taken
            given.append(answer)
            assert name not in model.read_only or state == before
            for outcome in (Returned(answer), UNKNOWN):
                known = Operation(name, tuple(args), "client", 0, 1, outcome)
                if not isinstance(answer, Raised):
                    assert tuple(model.step(before, known)) == (state,)
            wrong = Operation(name, tuple(args), "client", 0, 1, Returned("no model says this"))
            assert tuple(model.step(before, wrong)) == ()
    return given


def test_a_register_keeps_the_last_write() -> None:
    assert answers(
        models.Register(0),
        ("read",),
        ("write", 1),
        ("compare_and_set", 0, 2),
        ("compare_and_set", 1, 3),
        ("read",),
    ) == [0, None, False, True, 3]


def test_a_map_is_a_dict() -> None:
    assert answers(
        models.Map(missing="none"),
        ("get", "a"),
        ("put", "a", 1),
        ("put", "b", 2),
        ("put", "a", 3),
        ("get", "a"),
        ("contains", "b"),
        ("keys",),
        ("items",),
        ("size",),
        ("delete", "b"),
        ("delete", "b"),
        ("put_if_absent", "a", 9),
        ("put_if_absent", "b", 9),
        ("compare_and_set", "b", 8, 7),
        ("compare_and_set", "b", 9, 7),
        ("get", "b"),
        ("clear",),
        ("size",),
    ) == [
        *("none", None, None, None, 3, True, frozenset("ab"), frozenset({("a", 3), ("b", 2)}), 2),
        *(True, False, False, True, False, True, 7, None, 0),
    ]


def test_a_set_tells_what_was_new() -> None:
    assert answers(
        models.Set(),
        ("add", 1),
        ("add", 1),
        ("contains", 1),
        ("elements",),
        ("size",),
        ("remove", 1),
        ("remove", 1),
        ("clear",),
        ("contains", 1),
    ) == [True, False, True, frozenset({1}), 1, True, False, None, False]


def test_a_queue_is_first_in_first_out_and_waits_or_would_block_at_its_bounds() -> None:
    assert answers(
        models.Queue(capacity=2),
        ("get",),
        ("get_nowait",),
        ("put", 1),
        ("put_nowait", 2),
        ("put", 3),
        ("put_nowait", 3),
        ("size",),
        ("get",),
        ("get_nowait",),
    ) == [BLOCKED, Raised(trio.WouldBlock), None, None, BLOCKED, Raised(trio.WouldBlock), 2, 1, 2]


def test_a_counter_counts() -> None:
    calls = (("increment",), ("increment", 4), ("decrement",), ("decrement", 2), ("read",))
    assert answers(models.Counter(10), *calls) == [11, 15, 14, 12, 12]


def test_a_lock_has_one_owner() -> None:
    assert answers(
        models.Lock(),
        ("release", "a"),
        ("acquire", "a"),
        ("acquire", "a"),
        ("acquire", "b"),
        ("acquire_nowait", "b"),
        ("release", "b"),
        ("release", "a"),
        ("acquire_nowait", "b"),
    ) == [
        *(Raised(RuntimeError), None, BLOCKED, BLOCKED, Raised(trio.WouldBlock)),
        *(Raised(RuntimeError), None, None),
    ]


def test_a_todo_list_gives_ids_in_order_and_never_again() -> None:
    assert answers(
        models.TodoList(),
        ("add_entry", "bob", "milk"),
        ("add_entry", "bob", "eggs"),
        ("delete_entry", "bob", 2),
        ("delete_entry", "bob", 7),
        ("add_entry", "bob", "bread"),
        ("update_entry", "bob", 1, "oat milk"),
        ("update_entry", "bob", 2, "nothing"),
        ("entries", "bob"),
    ) == [1, 2, None, None, 3, None, None, ((1, "oat milk"), (3, "bread"))]


@pytest.mark.parametrize(
    ("model", "keyed", "whole"),
    [
        (models.Map(), ("get", "a"), ("size",)),
        (models.Set(), ("add", "a"), ("elements",)),
        (models.TodoList(), ("add_entry", "a", "milk"), None),
        (models.Register(), None, ("read",)),
        (models.Queue(), None, ("put", "a")),
    ],
)
def test_operations_are_partitioned_by_what_they_are_about(
    model: Model[Any], keyed: tuple[str, ...] | None, whole: tuple[str, ...] | None
) -> None:
    for call, key in ((keyed, "a"), (whole, WHOLE)):
        if call is not None:
            assert model.partition(Operation(call[0], call[1:], "client", 0, 1, UNKNOWN)) == key


def test_the_names_of_a_models_operations_are_its_public_methods() -> None:
    assert models.Register.operation_names() == {"read", "write", "compare_and_set"}

    class WithSwap(models.Register):
        def swap(self, state: object, value: object) -> models.Step[Any]:
            return value, state

        def _helper(self) -> None: ...

    assert WithSwap.operation_names() == {"read", "write", "compare_and_set", "swap"}
