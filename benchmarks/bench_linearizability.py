"""How long a history takes to be judged: `make bench`.

Each history is recorded from clients of a map that works, so that it is linearizable, with the
overlaps, crashes and conditional writes of a real one; one column then has one answer falsified, and
pays for the search for the smallest part that shows it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import sim
from sim.oracles.history import UNKNOWN, Operation, Returned

from .harness import interleave, machine

__all__ = ["main", "record"]

DOCS = Path(__file__).parent.parent / "docs"
TARGET = 2.0


def record(
    operations: int, keys: int, clients: int, *, crashed: float = 0.0, seed: int = 0
) -> list[Operation]:
    """A history of a correct map.

    Args:
        operations: how many.
        keys: over how many keys, evenly.
        clients: how many, each doing one operation after the other.
        crashed: the part of the operations, from 0 to 1, whose outcome nobody learnt.
        seed: of everything random in it.
    """
    rng = random.Random(seed)
    events, store = count(), dict[int, int]()
    history: list[Operation] = []
    # A client's operation goes through three events: called, taking effect, returned.
    under_way: dict[int, Operation] = {}
    effects: dict[int, object] = {}
    begun = 0
    while begun < operations or under_way:
        client = rng.randrange(clients)
        operation = under_way.get(client)
        if operation is None:
            if begun < operations:
                begun += 1
                under_way[client] = _call(rng, rng.randrange(keys), begun, store, client, next(events))
        elif client not in effects:
            effects[client] = _take_effect(operation, store)
        else:
            del under_way[client]
            answer = effects.pop(client)
            if rng.random() >= crashed:
                operation = replace(operation, returned=next(events), outcome=Returned(answer))
            history.append(operation)
    return history


def _call(
    rng: random.Random, key: int, value: int, store: dict[int, int], client: int, event: int
) -> Operation:
    name = rng.choices(["get", "put", "compare_and_set"], [5, 4, 1])[0]
    args: tuple[object, ...] = (key,)
    if name == "put":
        args = (key, value)
    elif name == "compare_and_set":
        args = (key, store.get(key), value)
    return Operation(name, args, f"client {client}", event, math.inf, UNKNOWN)


def _take_effect(operation: Operation, store: dict[int, int]) -> object:
    key = operation.args[0]
    assert isinstance(key, int)
    value = operation.args[-1]
    if operation.name == "get":
        return store.get(key)
    assert isinstance(value, int)
    if operation.name == "compare_and_set":
        done = store.get(key) == operation.args[1]
        if done:
            store[key] = value
        return done
    store[key] = value
    return None


def falsified(history: Sequence[Operation]) -> list[Operation]:
    """The history with one get in its middle that answers what the key held long before."""
    changed = list(history)
    gets = [i for i, op in enumerate(history) if op.name == "get" and isinstance(op.outcome, Returned)]
    victim = gets[len(gets) // 2]
    key = history[victim].args[0]
    earlier = [
        op.outcome
        for op in history[:victim]
        if op.name == "get" and op.args[0] == key and isinstance(op.outcome, Returned)
    ]
    changed[victim] = replace(history[victim], outcome=earlier[len(earlier) // 2])
    return changed


def seconds(history: Sequence[Operation], linearizable: bool) -> float:
    """How long the check takes; sees to it that its verdict is right."""
    begin = time.perf_counter()
    verdict = sim.check_linearizability(history, sim.models.Map())
    took = time.perf_counter() - begin
    assert bool(verdict) is linearizable
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print the samples, write nothing")
    arguments = parser.parse_args()
    plain = record(10_000, 100, 10)
    histories = {
        "10,000 operations, 100 keys, 10 clients": (plain, True),
        "the same, 5 % of unknown outcome": (record(10_000, 100, 10, crashed=0.05), True),
        "the same, one answer wrong": (falsified(plain), False),
        "the same, 30 clients": (record(10_000, 100, 30), True),
        "100,000 operations, 1,000 keys, 10 clients": (record(100_000, 1_000, 10), True),
        "10,000 operations, 1 key, 10 clients": (record(10_000, 1, 10), True),
    }
    samples = interleave(
        {name: partial(seconds, *history) for name, history in histories.items()},
        arguments.repeats,
        progress="linearizability",
    )
    if arguments.json:
        json.dump(samples, sys.stdout)
        return
    lines = ["| history | seconds, median | at most | |", "|---|--:|--:|---|"]
    for number, (name, taken) in enumerate(samples.items()):
        median = statistics.median(taken)
        target = f"{TARGET:.1f}" if number == 0 else ""
        verdict = ("reached" if median <= TARGET else "not reached") if target else ""
        lines.append(f"| {name} | {median:.3f} | {target} | {verdict} |")
    text = "\n".join(lines) + "\n"
    print(text)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "bench_linearizability.md").write_text(
        "# Linearizability, measured\n\n"
        f"{machine()}; medians of {arguments.repeats} interleaved turns. `make bench` measures again.\n\n"
        + text,
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
