"""Linearizability by its definition: every order of every choice of the unknown operations."""

from __future__ import annotations

import random
from itertools import combinations, count, permutations
from typing import TYPE_CHECKING, Any

from sim.oracles.history import UNKNOWN, Operation, Outcome, Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.oracles.models import Model


def is_linearizable(operations: Sequence[Operation], model: Model[Any]) -> bool:
    """Whether all ended and some unended operations have an order, legal and in real time.

    Shares nothing with the search but the model: no cache, no partition, no order of trial.
    """
    ended = [op for op in operations if op.outcome is not UNKNOWN]
    unended = [op for op in operations if op.outcome is UNKNOWN]
    return any(
        _in_real_time_order(order) and _is_legal(order, model)
        for size in range(len(unended) + 1)
        for chosen in combinations(unended, size)
        for order in permutations([*ended, *chosen])
    )


def _in_real_time_order(order: Sequence[Operation]) -> bool:
    return not any(later.returned < earlier.called for earlier, later in combinations(order, 2))


def _is_legal(order: Sequence[Operation], model: Model[Any]) -> bool:
    states = {model.initial}
    for operation in order:
        states = {after for state in states for after in model.step(state, operation)}
    return bool(states)


def random_history(
    rng: random.Random,
    draw: Callable[[random.Random], tuple[str, tuple[object, ...], Outcome]],
    *,
    operations: int,
    clients: int,
    unknown: float,
) -> list[Operation]:
    """Clients that each do one operation after the other, with outcomes drawn out of the air.

    An operation of unknown outcome ends its client, as a crash does; another takes its place.
    """
    events = count()
    names = count()
    history: list[Operation] = []
    open_calls: dict[int, int] = {}
    active = [next(names) for _ in range(clients)]
    while len(history) < operations:
        client = rng.choice(active)
        if client not in open_calls:
            open_calls[client] = next(events)
            continue
        name, args, outcome = draw(rng)
        called, returned = open_calls.pop(client), float(next(events))
        if rng.random() < unknown:
            outcome, returned = UNKNOWN, float("inf")
            active[active.index(client)] = next(names)
        history.append(Operation(name, args, f"client {client}", called, returned, outcome))
    return sorted(history, key=lambda operation: operation.called)


def draw_register(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    match rng.randrange(3):
        case 0:
            return "write", (rng.randrange(3),), Returned(None)
        case 1:
            return "read", (), Returned(rng.choice([None, 0, 1, 2]))
        case _:
            pair = (rng.choice([None, 0, 1]), rng.randrange(3))
            return "compare_and_set", pair, Returned(rng.random() < 0.5)


def draw_map(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    key = rng.choice("ab")
    match rng.randrange(4):
        case 0:
            return "put", (key, rng.randrange(2)), Returned(None)
        case 1:
            return "get", (key,), Returned(rng.choice([None, 0, 1]))
        case 2:
            return "delete", (key,), Returned(rng.random() < 0.5)
        case _:
            return "put_if_absent", (key, rng.randrange(2)), Returned(rng.random() < 0.5)


def draw_map_with_size(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    if rng.random() < 0.3:
        return "size", (), Returned(rng.randrange(3))
    return draw_map(rng)


def draw_set(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    name = rng.choice(["add", "remove", "contains"])
    return name, (rng.choice("ab"),), Returned(rng.random() < 0.5)


def draw_queue(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    if rng.random() < 0.5:
        return "put", (rng.randrange(2),), Returned(None)
    return "get", (), Returned(rng.randrange(2))


def draw_counter(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    match rng.randrange(3):
        case 0:
            return "increment", (), Returned(rng.randrange(1, 4))
        case 1:
            return "decrement", (), Returned(rng.randrange(-1, 2))
        case _:
            return "read", (), Returned(rng.randrange(3))


def draw_lock(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    owner = rng.choice("ab")
    return rng.choice(["acquire", "acquire", "release"]), (owner,), Returned(None)


def draw_todo(rng: random.Random) -> tuple[str, tuple[object, ...], Outcome]:
    match rng.randrange(3):
        case 0:
            return "add_entry", ("bob", "milk"), Returned(rng.randrange(1, 3))
        case 1:
            return "delete_entry", ("bob", rng.randrange(1, 3)), Returned(None)
        case _:
            shown = tuple((i, "milk") for i in (1, 2) if rng.random() < 0.5)
            return "entries", ("bob",), Returned(shown)
