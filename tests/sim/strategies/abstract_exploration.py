"""Every interleaving of an abstract program by brute force, and those that the reduction chooses.

The first is the oracle of the second: it knows nothing of sleep sets or races. It runs *all* interleavings
and reduces each to a canonical form of its partial order by the definition, in quadratic time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from sim.strategies._footprints import Use
from sim.strategies._optimal_dpor import OptimalDpor
from tests.sim.strategies.abstract_program import CLOCK, WRITE, Pid, Program, State, World


@dataclass
class Event:
    pid: Pid
    accesses: list[Use]
    wakes: list[Pid]
    draws: list[int]


Trace: TypeAlias = tuple[tuple[Pid, frozenset[Use], tuple[int, ...]], ...]


def canonical(events: list[Event]) -> Trace:
    """The same for two executions exactly if they have the same partial order.

    It is the smallest, by process, of the sequences that the partial order allows.
    """
    count = len(events)
    before: list[set[int]] = [set() for _ in range(count)]
    for late in range(count):
        for early in range(late):
            if _ordered(events, early, late):
                before[late].add(early)
    left = list(range(count))
    sequence: list[tuple[Pid, frozenset[Use], tuple[int, ...]]] = []
    done: set[int] = set()
    while left:
        step = min((i for i in left if before[i] <= done), key=lambda i: events[i].pid)
        left.remove(step)
        done.add(step)
        event = events[step]
        sequence.append((event.pid, frozenset(event.accesses), tuple(event.draws)))
    return tuple(sequence)


def _ordered(events: list[Event], early: int, late: int) -> bool:
    first, second = events[early], events[late]
    if second.pid == CLOCK or first.pid == second.pid:
        return True
    for name, mode in first.accesses:
        for other, other_mode in second.accesses:
            if name == other and (mode != other_mode or mode == WRITE):
                return True
    return second.pid in first.wakes


@dataclass
class Explored:
    executions: int = 0
    redundant: int = 0
    traces: dict[Trace, State] = field(default_factory=dict[Trace, State])
    states: set[State] = field(default_factory=set[State])
    failures: set[Hashable] = field(default_factory=set[Hashable])
    """Of the executions that a step has ended at once; their traces are not compared."""

    def add(self, events: list[Event], world: World) -> None:
        self.executions += 1
        if world.failure is not None:
            self.failures.add(world.failure)
            return
        state = world.state()
        trace = canonical(events)
        assert self.traces.setdefault(trace, state) == state, (
            "one trace, two final states: the dependence relation misses a conflict"
        )
        self.states.add(state)


def brute_force(program: Program, limit: int = 1_000_000) -> Explored | None:
    """Runs every interleaving; None if there are more than `limit`."""
    explored = Explored()
    # The outcomes of the choices, and how many there were for each.
    plan: list[int] = []
    widths: list[int] = []

    def choose(alternatives: int) -> int:
        if len(plan) == len(widths):
            plan.append(0)
        widths.append(alternatives)
        return plan[len(widths) - 1]

    while True:
        widths.clear()
        world = World(choose)
        program(world)
        events: list[Event] = []
        while able := sorted(world.runnable()):
            pid = able[choose(len(able))]
            world.step(pid)
            events.append(Event(pid, world.accesses, world.wakes, world.draws))
        explored.add(events, world)
        world.close()
        if explored.executions > limit:
            return None
        while plan and plan[-1] + 1 == widths[len(plan) - 1]:
            plan.pop()
        if not plan:
            return explored
        plan[-1] += 1


def by_dpor(program: Program, limit: int = 1_000_000) -> Explored:
    """Runs what the reduction chooses."""
    explored = Explored()
    search = OptimalDpor()
    while search.begin():
        world = World(search.draw)
        program(world)
        events: list[Event] = []
        left: list[Pid] = []
        while able := world.runnable():
            scripted = len(events) < len(search.script)
            wanted = cast("list[Pid]", search.script)
            index = able.index(wanted[len(events)]) if scripted else search.choose(able)
            if index is None:
                break
            pid = able[index]
            world.step(pid)
            if world.failure is not None:
                left = [other for other in able if other != pid]
            if not scripted:
                search.ran(search.footprint(world.accesses), world.wakes, after_all=pid == CLOCK)
            events.append(Event(pid, world.accesses, world.wakes, world.draws))
        else:
            explored.add(events, world)
        world.close()
        search.end(len(events), left)
        assert search.executions + search.redundant <= limit
    explored.redundant = search.redundant
    assert explored.executions == search.executions
    return explored
