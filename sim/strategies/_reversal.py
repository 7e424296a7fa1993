"""The steps that turn a race around, and with which step a schedule that contains them may begin.

Source: Abdulla, Aronis, Jonsson, Sagonas: "Source Sets: A Foundation for Optimal Dynamic Partial
Order Reduction", Journal of the ACM 64(4), 2017: `notdep(e, E).p` of a race and the *weak initials*
of a sequence.

One thing is ours. The paper takes the accesses of a step as known when a sequence is planned. Here
a step may do several things, and something else once it no longer sees what the race's other step
did. Of the late step of a race only what it does up to its first access that conflicts with the
early one is certain, and only that is used to tell whether the sequence is new. Whatever conflict
the rest turns out to have is a race of its own in the execution in which it occurs.
"""

from __future__ import annotations

from typing import Protocol, final

from sim.strategies._happens_before import WRITE, Footprint, HappensBefore, Process


class Plan(Protocol):
    """A sequence of steps that can be run from some state."""

    def may_begin_with(self, process: Process, footprint: Footprint) -> bool:
        """Whether some execution that continues this sequence is equivalent to one that begins so.

        Args:
            process: one that can take a step before the first of the sequence.
            footprint: that of the step.
        """
        ...

    def remove_first(self, process: Process) -> None:
        """Takes a process's first step out; nothing happens if the sequence has none of its."""
        ...

    def rest(self) -> list[PlannedStep]:
        """The steps that are left, in an order in which they can be run."""
        ...

    def detached(self) -> Plan:
        """The same, for use when the execution that it came from is gone."""
        ...


@final
class PlannedStep:
    """A step of a plan.

    Attributes:
        process: who takes it.
        footprint: what it uses.
        mark: zero if that is all; else what `HappensBefore.was_whole` takes to tell whether it is.
        draws: the outcomes of the choices to be made inside it.
    """

    __slots__ = ("draws", "footprint", "mark", "process")

    def __init__(self, process: Process, footprint: Footprint, mark: int, draws: tuple[int, ...]) -> None:
        self.process = process
        self.footprint = footprint
        self.mark = mark
        self.draws = draws


@final
class Reversal:
    """All the steps that do not need a race's early step, then its late one.

    Args:
        order: the execution that has the race; must not change while this is used.
        early: the step to be run after `late`.
        late: a step that races with `early`.
        independent: bit set of the steps after `early` that do not happen after it.
    """

    __slots__ = (
        "_allowed",
        "_early",
        "_footprint",
        "_has_late",
        "_late",
        "_left",
        "_mark",
        "_order",
        "_past",
        "_process",
    )

    def __init__(self, order: HappensBefore, early: int, late: int, independent: int) -> None:
        self._order = order
        self._early = early
        self._late = late
        self._process = order.processes[late]
        # Which of the independent steps are still in the sequence, and whether `late` is.
        self._left = independent
        self._has_late = True
        self._allowed = independent | (1 << early) - 1
        # What is certain of the late step; found out when it is first asked for.
        self._footprint: Footprint | None = None
        self._past = -1
        self._mark = 0

    def may_begin_with(self, process: Process, footprint: Footprint) -> bool:
        order = self._order
        left = self._left
        own = order.by_process.get(process, 0) & left
        if own:
            first = (own & -own).bit_length() - 1
            return not order.before[first] & left
        conflicting = order.conflicting(footprint)
        if conflicting & left:
            return False
        if not self._has_late:
            return True
        if process == self._process:
            if self._past < 0:
                self._look_back()
            return not self._past & left
        return not (conflicting >> self._late & 1 and in_conflict(footprint, self._late_footprint()))

    def remove_first(self, process: Process) -> None:
        own = self._order.by_process.get(process, 0) & self._left
        if own:
            self._left &= ~(own & -own)
        elif process == self._process:
            self._has_late = False

    def rest(self) -> list[PlannedStep]:
        order = self._order
        steps: list[PlannedStep] = []
        left = self._left
        while left:
            step = (left & -left).bit_length() - 1
            left &= left - 1
            steps.append(PlannedStep(order.processes[step], order.footprints[step], 0, order.draws[step]))
        if self._has_late:
            if self._past < 0:
                self._look_back()
            steps.append(PlannedStep(self._process, self._late_footprint(), self._mark, ()))
        return steps

    def detached(self) -> Plan:
        order = self._order
        start = self._early + 1
        if self._past < 0:
            self._look_back()
        late = None
        if self._has_late:
            step = PlannedStep(self._process, self._late_footprint(), self._mark, ())
            late = step, self._past >> start
        return DetachedPlan(
            self._left >> start,
            order.processes[start:],
            order.footprints[start:],
            [past >> start for past in order.before[start:]],
            order.draws[start:],
            late,
        )

    def _late_footprint(self) -> Footprint:
        if self._footprint is None:
            self._footprint = self._order.certain(self._early, self._late)
        return self._footprint

    def _look_back(self) -> None:
        self._past, self._mark = self._order.certain_past(self._late, self._allowed, self._late_footprint())


@final
class DetachedPlan:
    """A plan that stands by itself.

    Args:
        left: bit set of the steps that belong to it, by their place in the lists.
        processes: of an execution's steps from some place on, who took them,
        footprints: what they used,
        before: which of them happened before each,
        draws: and what they drew.
        late: the step that comes after all those, if there is one, and which happen before it.
    """

    __slots__ = ("_before", "_draws", "_footprints", "_late", "_left", "_processes")

    def __init__(
        self,
        left: int,
        processes: list[Process],
        footprints: list[Footprint],
        before: list[int],
        draws: list[tuple[int, ...]],
        late: tuple[PlannedStep, int] | None,
    ) -> None:
        self._left = left
        self._processes = processes
        self._footprints = footprints
        self._before = before
        self._draws = draws
        self._late = late

    def may_begin_with(self, process: Process, footprint: Footprint) -> bool:
        left = self._left
        own = self._first(process)
        if own is not None:
            return not self._before[own] & left
        for place, other in enumerate(self._footprints):
            if left >> place & 1 and in_conflict(footprint, other):
                return False
        if self._late is None:
            return True
        step, past = self._late
        if step.process == process:
            return not past & left
        return not in_conflict(footprint, step.footprint)

    def remove_first(self, process: Process) -> None:
        own = self._first(process)
        if own is not None:
            self._left &= ~(1 << own)
        elif self._late is not None and self._late[0].process == process:
            self._late = None

    def rest(self) -> list[PlannedStep]:
        steps = [
            PlannedStep(process, self._footprints[place], 0, self._draws[place])
            for place, process in enumerate(self._processes)
            if self._left >> place & 1
        ]
        if self._late is not None:
            steps.append(self._late[0])
        return steps

    def detached(self) -> Plan:
        return DetachedPlan(
            self._left, self._processes, self._footprints, self._before, self._draws, self._late
        )

    def _first(self, process: Process) -> int | None:
        for place, other in enumerate(self._processes):
            if self._left >> place & 1 and other == process:
                return place
        return None


def in_conflict(first: Footprint, second: Footprint) -> bool:
    """Whether two footprints have uses that do not commute."""
    for target, operation in first:
        for other, other_operation in second:
            if target == other and (operation == WRITE or operation != other_operation):
                return True
    return False
