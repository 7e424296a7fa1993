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

from collections.abc import Sequence
from typing import Protocol, final

from sim.strategies._happens_before import WRITE, Footprint, HappensBefore, Process, Use


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
        after: bit set of the steps, by their place in the plan, that happen before it.
        certain: whether that is all.
        draws: the outcomes of the choices to be made inside it.
    """

    __slots__ = ("after", "certain", "draws", "footprint", "process")

    def __init__(
        self,
        process: Process,
        footprint: Footprint,
        after: int,
        *,
        certain: bool = True,
        draws: tuple[int, ...] = (),
    ) -> None:
        self.process = process
        self.footprint = footprint
        self.after = after
        self.certain = certain
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

    __slots__ = ("_footprint", "_has_late", "_late", "_left", "_order", "_past", "_process")

    def __init__(self, order: HappensBefore, early: int, late: int, independent: int) -> None:
        self._order = order
        # Which of the independent steps are still in the sequence.
        self._left = independent
        self._late = late
        self._has_late = True
        self._process = order.processes[late]
        self._footprint, self._past = order.certain(early, late)

    def may_begin_with(self, process: Process, footprint: Footprint) -> bool:
        order = self._order
        left = self._left
        own = order.steps_of(process) & left
        if own:
            first = (own & -own).bit_length() - 1
            return not order.before[first] & left
        if self._has_late:
            if process == self._process:
                return not (self._past | order.conflicting(footprint)) & left
            if in_conflict(footprint, self._footprint):
                return False
        return not order.conflicting(footprint) & left

    def remove_first(self, process: Process) -> None:
        own = self._order.steps_of(process) & self._left
        if own:
            self._left &= ~(own & -own)
        elif process == self._process:
            self._has_late = False

    def rest(self) -> list[PlannedStep]:
        order = self._order
        steps: list[PlannedStep] = []
        left = self._left
        places: list[int] = []
        for step in range(left.bit_length()):
            if left >> step & 1:
                after = 0
                for place, earlier in enumerate(places):
                    after |= (order.before[step] >> earlier & 1) << place
                places.append(step)
                steps.append(
                    PlannedStep(
                        order.processes[step],
                        order.footprints[step],
                        after,
                        draws=order.draws[step],
                    )
                )
        if self._has_late:
            after = 0
            for place, earlier in enumerate(places):
                after |= (self._past >> earlier & 1) << place
            steps.append(PlannedStep(self._process, self._footprint, after, certain=False))
        return steps

    def detached(self) -> Plan:
        return DetachedPlan(self.rest())


@final
class DetachedPlan:
    """A plan that stands by itself."""

    __slots__ = ("_left", "_steps")

    def __init__(self, steps: Sequence[PlannedStep]) -> None:
        self._steps = steps
        self._left = (1 << len(steps)) - 1

    def may_begin_with(self, process: Process, footprint: Footprint) -> bool:
        own = self._first(process)
        if own is not None:
            step = self._steps[own]
            if step.after & self._left:
                return False
            if step.certain:
                return True
        return not any(
            in_conflict(footprint, step.footprint)
            for place, step in enumerate(self._steps)
            if self._left >> place & 1 and place != own
        )

    def remove_first(self, process: Process) -> None:
        own = self._first(process)
        if own is not None:
            self._left &= ~(1 << own)

    def rest(self) -> list[PlannedStep]:
        places = [place for place in range(len(self._steps)) if self._left >> place & 1]
        steps: list[PlannedStep] = []
        for place in places:
            step = self._steps[place]
            after = 0
            for new_place, old_place in enumerate(places):
                after |= (step.after >> old_place & 1) << new_place
            steps.append(
                PlannedStep(
                    step.process,
                    step.footprint,
                    after,
                    certain=step.certain,
                    draws=step.draws,
                )
            )
        return steps

    def detached(self) -> Plan:
        return DetachedPlan(self.rest())

    def _first(self, process: Process) -> int | None:
        for place, step in enumerate(self._steps):
            if step.process == process and self._left >> place & 1:
                return place
        return None


def in_conflict(first: Sequence[Use], second: Sequence[Use]) -> bool:
    """Whether two footprints have accesses that do not commute."""
    for target, operation in first:
        for other, other_operation in second:
            if target == other and (operation == WRITE or operation != other_operation):
                return True
    return False
