"""Small random Trio programs, and the traces among all of their interleavings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

import trio

import sim
from sim.strategies import (
    CLOCK,
    Access,
    ChoiceKind,
    DepthFirst,
    Dpor,
    Execution,
    Step,
    Strategy,
    TaskId,
    Verdict,
    conflict,
)

Scenario: TypeAlias = Callable[[], Awaitable[None]]
Trace: TypeAlias = tuple[tuple[TaskId, frozenset[Access]], ...]


def ordered(first: Step, second: Step) -> bool:
    """Whether the order of two steps of one execution, in which this is their order, is fixed."""
    if CLOCK in (first.task, second.task) or first.task == second.task:
        return True
    if second.task in first.spawned or second.task in first.woken:
        return True
    return any(conflict(one, other) for one in first.accesses for other in second.accesses)


def canonical(steps: Sequence[Step]) -> Trace:
    """The same for two executions exactly if they have the same partial order of steps."""
    before = [
        {early for early in range(late) if ordered(steps[early], steps[late])} for late in range(len(steps))
    ]
    left = list(range(len(steps)))
    done: set[int] = set()
    sequence: list[tuple[TaskId, frozenset[Access]]] = []
    while left:
        number = min((i for i in left if before[i] <= done), key=lambda i: steps[i].task)
        left.remove(number)
        done.add(number)
        sequence.append((steps[number].task, frozenset(steps[number].accesses)))
    return tuple(sequence)


@dataclass
class Traces:
    """What an exploration has met."""

    executions: int = 0
    abandoned: int = 0
    outcomes: dict[Trace, Hashable] = field(default_factory=dict[Trace, Hashable])


class Watched(Strategy):
    """Another strategy, and the trace and the result of each of its executions."""

    wants_footprints = True

    def __init__(self, inner: Strategy, results: list[Hashable]) -> None:
        self._inner = inner
        self._results = results
        self._steps: list[Step] = []
        self.traces = Traces()

    def begin_execution(self) -> bool:
        self._steps = []
        self._results.clear()
        return self._inner.begin_execution()

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        return self._inner.choose(kind, alternatives)

    def choose_seed(self, seeds: int) -> int:
        return self._inner.choose_seed(seeds)

    # The other's script is followed here and not by the kernel, for all steps are to be seen.

    def choose_task(self, enabled: Sequence[TaskId], previous: TaskId) -> int:
        if len(self._steps) < len(self._inner.script):
            return enabled.index(self._inner.script[len(self._steps)])
        return self._inner.choose_task(enabled, previous)

    def step_done(self, step: Step) -> None:
        self._steps.append(step)
        if len(self._steps) > len(self._inner.script):
            self._inner.step_done(step)

    def end_execution(self, execution: Execution) -> None:
        self._inner.end_execution(execution)
        traces = self.traces
        if execution.verdict is Verdict.ABANDONED:
            traces.abandoned += 1
            return
        traces.executions += 1
        outcome = (execution.verdict, tuple(self._results))
        trace = canonical(self._steps)
        assert traces.outcomes.setdefault(trace, outcome) == outcome, (
            "one trace, two outcomes: what the steps were said to use is not all that they used"
        )

    @property
    def exhaustive(self) -> bool:
        return self._inner.exhaustive


def explored(scenario: Scenario, results: list[Hashable], inner: Strategy, limit: int) -> Traces | None:
    """What a strategy meets; None if it takes more executions than `limit`."""
    watched = Watched(inner, results)
    result = sim.explore(scenario, watched, limit, max_failures=limit)
    return watched.traces if result.complete else None


def compare(scenario: Scenario, results: list[Hashable], limit: int) -> int:
    """See that dpor meets each trace of a program exactly once.

    Args:
        scenario: the program; appends to `results` what it has come to.
        results: emptied before each execution.
        limit: of interleavings; a program with more is not looked at.

    Returns:
        how many traces it has; 0 if it was not looked at.
    """
    everything = explored(scenario, results, DepthFirst(), limit)
    if everything is None:
        return 0
    found = explored(scenario, results, Dpor(), limit)
    assert found is not None
    assert found.outcomes == everything.outcomes
    assert (found.executions, found.abandoned) == (len(everything.outcomes), 0)
    return found.executions


ACTIONS = (
    "read",
    "write",
    "increment",
    "decide",
    "set",
    "is_set",
    "wait",
    "lock",
    "locked",
    "semaphore",
    "limiter",
    "notify",
    "condition",
    "send",
    "send_wait",
    "receive",
    "receive_nowait",
    "close",
    "cancel",
    "sleep",
    "timeout",
    "spawn",
    "fail",
    "start",
    "checkpoint",
)


def generated(seed: int, actions: Sequence[str] = ACTIONS) -> tuple[Scenario, list[Hashable]]:
    """A program of two or three tasks on Trio's own objects, and where it leaves its result."""
    random = Random(seed)
    shape = random.choice(((2, 2), (2, 2), (3, 1), (2, 3)))
    # Few kinds and mostly one object, so that tasks meet.
    pool = random.sample(list(actions), min(4, len(actions)))
    plans = [
        [(random.choice(pool), int(random.random() < 0.2)) for _ in range(random.randint(1, shape[1]))]
        for _ in range(shape[0])
    ]
    scoped = [random.random() < 0.5 for _ in plans]
    results: list[Hashable] = []

    async def scenario() -> None:
        log: dict[int, list[Hashable]] = {}
        cells = [sim.Shared(0) for _ in range(2)]
        events = [trio.Event() for _ in range(2)]
        lock, semaphore, limiter = trio.Lock(), trio.Semaphore(1), trio.CapacityLimiter(1)
        condition = trio.Condition()
        channels = [trio.open_memory_channel[int](size) for size in (0, 1)]
        scopes = [trio.CancelScope() for _ in range(2)]

        async def child(which: int, *, task_status: trio.TaskStatus[int]) -> None:
            value = cells[which].get()
            await trio.lowlevel.checkpoint()
            task_status.started(value)
            await trio.lowlevel.checkpoint()
            cells[which].set(value + 3)

        async def act(action: str, which: int, number: int) -> Hashable:
            match action:
                case "read":
                    return cells[which].get()
                case "write":
                    cells[which].set(10 * number + which)
                case "increment":
                    value = cells[which].get()
                    await trio.lowlevel.checkpoint()
                    cells[which].set(value + 1)
                case "decide":
                    if cells[which].get():
                        cells[1 - which].set(7)
                    else:
                        return events[which].is_set()
                case "set":
                    events[which].set()
                case "is_set":
                    return events[which].is_set()
                case "wait":
                    await events[which].wait()
                case "lock":
                    async with lock:
                        await trio.lowlevel.checkpoint()
                case "locked":
                    return lock.locked()
                case "semaphore":
                    async with semaphore:
                        await trio.lowlevel.checkpoint()
                case "limiter":
                    async with limiter:
                        await trio.lowlevel.checkpoint()
                case "notify":
                    async with condition:
                        condition.notify()
                case "condition":
                    async with condition:
                        await condition.wait()
                case "send":
                    channels[which][0].send_nowait(number)
                case "send_wait":
                    await channels[which][0].send(number)
                case "receive":
                    return await channels[which][1].receive()
                case "receive_nowait":
                    return channels[which][1].receive_nowait()
                case "close":
                    channels[which][number % 2].close()
                case "cancel":
                    scopes[which].cancel()
                case "sleep":
                    await trio.sleep(which + 1)
                case "timeout":
                    with trio.move_on_after(which + 1) as timeout:
                        await events[which].wait()
                    return "late" if timeout.cancelled_caught else "in time"
                case "spawn":
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(trio.lowlevel.checkpoint)
                        nursery.start_soon(events[which].wait)
                case "fail":
                    failed = 0
                    try:
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(events[which].wait)
                            await trio.lowlevel.checkpoint()
                            raise ValueError(number)
                    except* ValueError as errors:
                        failed = len(errors.exceptions)
                    return failed
                case "start":
                    async with trio.open_nursery() as nursery:
                        started: int = await nursery.start(child, which)
                        return started
                case _:
                    await trio.lowlevel.checkpoint()
            return None

        async def work(number: int) -> None:
            mine = log.setdefault(number, [])
            for action, which in plans[number]:
                try:
                    mine.append((action, await act(action, which, number)))
                except (trio.WouldBlock, trio.BrokenResourceError) as error:
                    mine.append((action, type(error).__name__))
                except (trio.EndOfChannel, trio.ClosedResourceError) as error:
                    mine.append((action, type(error).__name__))

        async def in_scope(number: int) -> None:
            with scopes[number % 2] if number < 2 else trio.CancelScope():
                await work(number)
            log.setdefault(number, []).append("over")

        with trio.move_on_after(9):
            async with trio.open_nursery() as nursery:
                for number in range(len(plans)):
                    nursery.start_soon(in_scope if scoped[number] else work, number)
        results.append(
            (
                tuple((number, tuple(entries)) for number, entries in sorted(log.items())),
                tuple(cell.get() for cell in cells),
                tuple(scope.cancelled_caught for scope in scopes),
                trio.current_time(),
            )
        )

    return scenario, results
