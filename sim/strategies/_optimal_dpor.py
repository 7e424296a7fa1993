"""Optimal dynamic partial-order reduction: each Mazurkiewicz trace of a program, exactly once.

Two executions that differ only in the order of adjacent independent steps are the same to everybody
inside; all that are the same in this sense form a trace. A depth-first search over schedules that
runs one execution of each trace sees every behaviour. The search runs an execution to its end,
finds the races in it, and for each plans, at the state before it, the steps that reverse it; a
*sleep set* at each state holds the steps whose continuations are explored already, and a sequence
is planned only if no sleeping step could be its beginning. So what is planned is new, and no
execution is ever started and then found to be a repetition.

This module knows nothing of Trio: it is told which processes can run and what a step has used.

Source: Abdulla, Aronis, Jonsson, Sagonas: "Source Sets: A Foundation for Optimal Dynamic Partial
Order Reduction", Journal of the ACM 64(4), 2017: the algorithm Optimal-DPOR. Its assumption that a
process which can run stays able to until it does, Trio fulfils by itself: a runnable task is never
taken from the run queue but to run. Blocking is a step too, one that ends without rescheduling. So
the algorithm's extension for blocking operations is not needed: in its place, a step never races
with one that made it runnable. Ours is what concerns steps that use several objects, and which
objects depends on what they find (see `_reversal`); and choices inside a step. All outcomes of
those are explored, and after such a step nothing sleeps: sound, but a trace may then be met twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from sim._errors import SimError
from sim.strategies._happens_before import Footprint, HappensBefore, Process, Use
from sim.strategies._reversal import Plan, Reversal
from sim.strategies._wakeup_tree import Branch, insert


class RepetitionDiverged(SimError):
    """A process that could run in an earlier execution cannot run in the repetition of it.

    The program depends on something that the choices do not determine, or what a step used was
    reported incompletely.

    Attributes:
        step: how many steps were repeated faithfully.
        process: which process was to run next.
        runnable: which could.
    """

    def __init__(self, step: int, process: Process, runnable: Sequence[Process]) -> None:
        self.step = step
        self.process = process
        self.runnable = tuple(runnable)
        super().__init__(
            f"step {step}: {process!r} ran here, or was free to run here, in an earlier execution"
            f" with the same beginning, and cannot run now; {list(runnable)!r} can. The program"
            " depends on something other than its choices, or shares an object that is not tracked;"
            " put what its tasks share into sim.Shared"
        )


@final
class _Node:
    """The state before a step of the current execution."""

    __slots__ = (
        "asleep",
        "branches",
        "deferred",
        "draws",
        "followed",
        "forced",
        "process",
        "used",
    )

    def __init__(self, process: Process, asleep: dict[Process, Footprint], branches: list[Branch]) -> None:
        self.process = process
        """Who takes the step."""
        self.asleep = asleep
        """Processes whose next step, with this footprint, needs no exploration here: all that it
        leads to is explored. Those explored from this very state are added when they are done."""
        self.branches = branches
        """What is still to be explored from this state, apart from `process`, in this order."""
        self.followed: list[Branch] = []
        """What is planned after the step."""
        self.deferred: list[Plan] = []
        """Plans that need not be explored from here if the step does no more than was foreseen."""
        self.forced: tuple[int, ...] = ()
        """The outcomes that the plan wants for the first choices inside the step."""
        self.draws: list[tuple[int, list[int]]] = []
        """For each choice inside the step its outcome, and those that are still to be explored."""
        self.used: Footprint = ()
        """What the step used when it was run with other outcomes of those choices."""

    def take(self, branch: Branch) -> None:
        """Makes a planned branch the next to be explored."""
        self.process = branch.process
        self.followed = branch.children
        self.deferred = branch.deferred
        self.forced = branch.step.draws
        self.draws = []
        self.used = ()

    def draw_anew(self) -> bool:
        """Makes the next combination of outcomes the one to be explored, if there is one."""
        draws = self.draws
        while draws:
            _, left = draws.pop()
            if left:
                draws.append((left[0], left[1:]))
                self.followed = []
                self.forced = ()
                return True
        return False


@final
class OptimalDpor:
    """The search. For each execution: `begin`, then for each step `choose` and `ran`, then `end`.

    Attributes:
        executions: executions run to their end.
        redundant: executions given up because everything that could run was asleep. Zero, as long
            as no step draws and what it is told of steps is the truth.
        drawn: whether any step has drawn.
    """

    def __init__(self) -> None:
        self.executions = 0
        self.redundant = 0
        self.drawn = False
        self._order = HappensBefore()
        # Invariant between executions: path[:depth] is what the next one repeats, where depth is
        # len(order); if path is one longer, its last node is the branch taken.
        self._path: list[_Node] = []
        self._depth = 0
        self._draw = 0
        self._known = 0
        self._exhausted = False
        self._blocked = False

    @property
    def exhausted(self) -> bool:
        """Whether every trace was explored."""
        return self._exhausted

    def begin(self) -> bool:
        """Prepares the next execution.

        Returns:
            Whether there is one; if not, all traces were explored.
        """
        self._depth = 0
        self._draw = 0
        self._blocked = False
        return not self._exhausted

    def choose(self, runnable: Sequence[Process]) -> int | None:
        """Who takes the next step.

        Args:
            runnable: the processes that can, in an order that is the same in every repetition.

        Returns:
            The index of one of them, or None if the execution is redundant and has to be given up.

        Raises:
            RepetitionDiverged: who is to run cannot.
        """
        depth = self._depth
        path = self._path
        if depth < len(path):
            process = path[depth].process
        else:
            node = self._arrive(runnable)
            if node is None:
                self._blocked = True
                return None
            path.append(node)
            process = node.process
        try:
            return runnable.index(process)
        except ValueError:
            raise RepetitionDiverged(depth, process, runnable) from None

    def draw(self, alternatives: int) -> int:
        """The outcome of a choice inside the step.

        Args:
            alternatives: how many outcomes there are.
        """
        node = self._path[self._depth]
        place = self._draw
        self._draw += 1
        self.drawn = True
        if place == len(node.draws):
            outcome = node.forced[place] if place < len(node.forced) else 0
            others = [other for other in range(alternatives) if other != outcome]
            node.draws.append((outcome, others))
        return node.draws[place][0]

    @property
    def repeating(self) -> bool:
        """Whether the step under way is one that an earlier execution took already."""
        return self._depth < len(self._order)

    def ran(self, uses: Sequence[Use], wakes: Sequence[Process], *, after_all: bool = False) -> None:
        """Tells what the chosen process's step did. Not looked at in a repeated step.

        Args:
            uses: what it did to objects, in its own order.
            wakes: which processes it made runnable, or started.
            after_all: it could run only because nothing else could; the clock's step.
        """
        depth = self._depth
        order = self._order
        if depth == len(order):
            node = self._path[depth]
            draws = tuple(outcome for outcome, _ in node.draws) if node.draws else ()
            order.append(node.process, uses, wakes, after_all=after_all, draws=draws)
            if node.deferred:
                self._reconsider(node)
        self._depth = depth + 1
        self._draw = 0

    def end(self) -> None:
        """Ends the execution: plans what its races call for, and goes to the next branch."""
        if self._blocked:
            self.redundant += 1
        else:
            self.executions += 1
        self._plan()
        self._backtrack()

    def _arrive(self, runnable: Sequence[Process]) -> _Node | None:
        """The node for a state reached for the first time."""
        path = self._path
        asleep: dict[Process, Footprint] = {}
        branches: list[Branch] = []
        previous: Process = None
        if path:
            parent = path[-1]
            previous = parent.process
            branches = parent.followed
            if parent.asleep and not parent.draws:
                conflicting = self._order.conflicting
                last = self._depth - 1
                asleep = {
                    process: footprint
                    for process, footprint in parent.asleep.items()
                    if process != previous and not conflicting(footprint) >> last & 1
                }
        if branches:
            branch = branches.pop(0)
            node = _Node(branch.process, asleep, branches)
            node.take(branch)
            return node
        if previous in runnable and previous not in asleep:
            return _Node(previous, asleep, branches)
        for process in runnable:
            if process not in asleep:
                return _Node(process, asleep, branches)
        return None

    def _plan(self) -> None:
        """Plans the reversal of each race, together with all that does not need its early step.

        Races of the repeated part count again where steps have come that do not need the early
        one: what is planned for a race has to contain all of those.
        """
        order = self._order
        path = self._path
        independent: dict[int, int] = {}
        known = self._known
        for late, races in enumerate(order.races):
            for early in races:
                members = independent.get(early)
                if members is None:
                    members = independent[early] = order.without(early)
                if late < known and not members >> known:
                    continue
                plan = Reversal(order, early, late, members)
                node = path[early]
                for process, footprint in node.asleep.items():
                    if plan.may_begin_with(process, footprint):
                        break
                else:
                    insert(node.branches, plan, order)

    def _reconsider(self, node: _Node) -> None:
        """Plans what was held back until it was known what the step just taken uses."""
        order = self._order
        footprint = order.footprints[-1]
        held_back: list[Plan] = []
        for plan in node.deferred:
            if plan.may_begin_with(node.process, footprint):
                held_back.append(plan)
            else:
                insert(node.branches, plan, order)
        node.deferred = held_back if node.draws else []

    def _backtrack(self) -> None:
        """Shortens the path to the last state with something left to explore, and goes there."""
        path = self._path
        order = self._order
        while path:
            node = path[-1]
            depth = len(path) - 1
            if depth < len(order):
                node.used += order.footprints[depth]
            again = node.draw_anew()
            if not again:
                node.asleep[node.process] = node.used
                if node.branches:
                    node.take(node.branches.pop(0))
                    again = True
            if again:
                order.truncate(depth)
                self._known = depth
                return
            path.pop()
        order.truncate(0)
        self._exhausted = True
