"""Taking the place of the loop of a Trio run: its runner's fields are replaced, renewed and given back."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

from sim._kernel.fakes import AsyncGeneratorSet, NoInput
from sim._kernel.on_trio import FastInstruments
from sim._kernel.order import Order
from sim._kernel.outer_nurseries import OuterNurseries
from sim._trio import RUN_CONTEXT
from sim._world.clock import VirtualClock

_REPLACED: Final = (
    "runq",
    "tasks",
    "clock",
    "deadlines",
    "_locals",
    "instruments",
    "entry_queue",
    "trio_token",
    "system_nursery",
    "io_manager",
    "waiting_for_idle",
)


@contextlib.contextmanager
def taken_over(
    runner: Any, clock: VirtualClock, io_manager: NoInput, nurseries: OuterNurseries, order: Order
) -> Generator[None]:
    """Have a runner without tasks, in which time is virtual and sets have an order, until the block ends."""
    task = RUN_CONTEXT.task
    before = {name: getattr(runner, name) for name in _REPLACED}
    alive = runner.asyncgens.alive
    # A walk of the task tree from its root reaches the tasks of the execution, and no others.
    host_nurseries = runner.init_task._child_nurseries
    runner.init_task._child_nurseries = nurseries.tree
    runner.clock = clock
    runner.io_manager = io_manager
    runner.waiting_for_idle = type(runner.waiting_for_idle)()
    runner.runq = []
    runner.tasks = set()
    runner.deadlines = order.deadlines()
    runner._locals = {}
    runner.instruments = FastInstruments()
    runner.system_nursery = nurseries.system
    runner.asyncgens.alive = AsyncGeneratorSet(order.of_current_task)
    try:
        with order.kept():
            yield
    finally:
        for name, value in before.items():
            setattr(runner, name, value)
        runner.asyncgens.alive = alive
        runner.init_task._child_nurseries = host_nurseries
        RUN_CONTEXT.task = task


def renew(runner: Any, order: Order) -> None:
    """Replace what an execution may have left in the runner, and only that: most use none of it."""
    if runner.deadlines._heap:
        runner.deadlines = order.deadlines()
    if runner._locals:
        runner._locals = {}
    if len(runner.instruments) > 1:
        runner.instruments = FastInstruments()
    if runner.waiting_for_idle:
        runner.waiting_for_idle.clear()
    if runner.asyncgens.alive.used:
        runner.asyncgens.alive = AsyncGeneratorSet(order.of_current_task)
    runner.trio_token = None
