"""What supervision costs, and that ten times as many children cost ten times as much.

Every row but the last two compares the cost *per child* among 10,000 children with that among 1,000, in
turns: a ratio of 1 is linear, 10 would be quadratic. The last rows hold a supervised crash and restart, and
finding the worker of a key, against a call.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from trio_genserver import (
    GenServer,
    ServerCrashed,
    child_spec,
    handle_call,
    open_dynamic_supervisor,
    open_supervisor,
)
from trio_genserver.pools import KeyedPool

from .harness import Row, interleave, machine, markdown

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
FEW, MANY = 1_000, 10_000
MOST_RESTARTS = 10**9


class Child(GenServer):
    def __init__(self, number: int) -> None:
        self.number = number

    @handle_call
    def get(self) -> int:
        return self.number

    @handle_call
    def crash(self) -> None:
        raise ValueError(self.number)


def timed(work: Callable[[int], Awaitable[float]], size: int) -> float:
    """Run `work` with `size` children; it returns the seconds it took. In microseconds for each."""
    gc.collect()
    # The collector's full passes over a growing heap are Python's cost, and would drown ours.
    gc.disable()
    try:
        return trio.run(work, size) / size * 1e6
    finally:
        gc.enable()


async def start_and_end_in_advance(size: int) -> float:
    specs = [child_spec(Child, n).replace(id=n) for n in range(size)]
    begun = time.perf_counter()
    async with open_supervisor(specs):
        pass
    return time.perf_counter() - begun


async def start_and_end_one_by_one(size: int) -> float:
    specs = [child_spec(Child, n).replace(id=n) for n in range(size)]
    begun = time.perf_counter()
    async with open_supervisor() as sup:
        for spec in specs:
            await sup.start_child(spec)
        for spec in specs:
            await sup.terminate_child(spec.id)
    return time.perf_counter() - begun


async def start_and_end_dynamic(size: int) -> float:
    begun = time.perf_counter()
    async with open_dynamic_supervisor() as sup:
        for n in range(size):
            await sup.start_child(Child, n)
    return time.perf_counter() - begun


async def start_and_finish_temporary(size: int) -> float:
    spec = child_spec(Child, 0).replace(restart="temporary")
    begun = time.perf_counter()
    async with open_dynamic_supervisor() as sup:
        refs = [await sup.start_child(spec) for _ in range(size)]
        for ref in refs:
            await ref.stop()
    return time.perf_counter() - begun


async def crash_and_restart(size: int) -> float:
    """Crash one of them, `size` times, until it answers again."""
    async with open_supervisor([child_spec(Child, 0)], max_restarts=MOST_RESTARTS) as sup:
        ref = sup.child("Child", Child)
        begun = time.perf_counter()
        for _ in range(size):
            try:
                await ref.call(Child.crash())
            except ServerCrashed:
                while not ref.is_running:
                    await trio.lowlevel.checkpoint()
                await ref.call(Child.get())
        return time.perf_counter() - begun


async def call(size: int) -> float:
    async with open_supervisor([child_spec(Child, 0)]) as sup:
        ref = sup.child("Child", Child)
        begun = time.perf_counter()
        for _ in range(size):
            await ref.call(Child.get())
        return time.perf_counter() - begun


async def call_by_key(size: int) -> float:
    async with open_supervisor([child_spec(Child, n).replace(id=n) for n in range(8)]) as sup:
        pool = KeyedPool(sup.child(n, Child) for n in range(8))
        keys = [f"list {n}" for n in range(size)]
        begun = time.perf_counter()
        for key in keys:
            await pool.worker_for(key).call(Child.get())
        return time.perf_counter() - begun


LINEAR: dict[str, Callable[[int], Awaitable[float]]] = {
    "supervisor, children in advance: start and end": start_and_end_in_advance,
    "supervisor, children one by one: start and end": start_and_end_one_by_one,
    "dynamic supervisor: start and end": start_and_end_dynamic,
    "dynamic supervisor, temporary: start and finish": start_and_finish_temporary,
}
AGAINST_A_CALL: dict[str, Callable[[int], Awaitable[float]]] = {
    "supervised crash and restart": crash_and_restart,
    "call the worker of a key": call_by_key,
}


def linear_rows(repeats: int) -> list[Row]:
    table: list[Row] = []
    for name, work in LINEAR.items():
        columns = {f"{size:,} children": partial(timed, work, size) for size in (FEW, MANY)}
        samples = interleave(columns, repeats, progress=name)
        table.append(Row(name, "us a child", samples, f"{MANY:,} children", f"{FEW:,} children", 2.0))
    return table


def rows_against_a_call(repeats: int) -> list[Row]:
    table: list[Row] = []
    for name, work in AGAINST_A_CALL.items():
        pair = {"with supervision": partial(timed, work, FEW), "call": partial(timed, call, FEW)}
        samples = interleave(pair, repeats, progress=name)
        table.append(Row(name, "us", samples, "with supervision", "call"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the samples, write nothing")
    arguments = parser.parse_args()
    logging.getLogger("trio_genserver").setLevel(logging.CRITICAL)  # a record a crash is the log's cost
    linear = linear_rows(arguments.repeats)
    against = rows_against_a_call(arguments.repeats)
    if arguments.json:
        json.dump([{"row": row.name, "samples": row.samples} for row in linear + against], sys.stdout)
        return
    text = (
        "## Many children\n\nWhether each of many costs more than each of few: 1 is linear, 10 would be "
        f"quadratic.\n\n{markdown(linear)}\n"
        "## Beside a call\n\n[Other libraries and Trio by hand](bench_peers.md) do the same work in a table "
        f"of their own.\n\n{markdown(against)}"
    )
    print(text)
    (DOCS / "bench_supervisor.md").write_text(
        f"# Supervision, measured\n\n{machine()}; medians of {arguments.repeats} interleaved turns.\n\n"
        f"{text}",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
