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

from typing import TypeAlias, final

from sim.strategies._footprints import Footprint
from sim.strategies._happens_before import Event, HappensBefore, Process


@final
class PartlyKnown:
    """A step of which it is known what it uses, but perhaps not all of it.

    Attributes:
        process: who takes it.
        bit: what stands for it in bit sets.
        has: of its footprint,
        against: likewise.
        key: that of its event if it was run, 0 if not.
        mark: what `HappensBefore.was_whole` takes to tell whether it uses nothing else; 0 if it is known
            to.
        ends_run: whatever the outcomes of the choices inside it, it ends the execution at once.
    """

    __slots__ = ("against", "bit", "ends_run", "has", "key", "mark", "process")

    # The outcomes of the choices inside it: unknown, like all that it does at its end.
    draws: tuple[int, ...] = ()

    def __init__(
        self,
        process: Process,
        bit: int,
        has: int,
        against: int,
        *,
        key: int = 0,
        mark: int = 0,
        ends_run: bool = False,
    ) -> None:
        self.process = process
        self.bit = bit
        self.has = has
        self.against = against
        self.key = key
        self.mark = mark
        self.ends_run = ends_run


Step: TypeAlias = Event | PartlyKnown


@final
class Reversal:
    """All the steps that do not need a race's early step, then its late one.

    Args:
        order: the execution that has the race. It must not change before `settle`.
        early: the step to be run after `late`.
        late: a step that races with `early`.

    Attributes:
        independent: the steps before the late one, as they were at first.
        left: the bits of those that are still in the sequence.
        has: what these use, or -1 if that is not known; see `uses`.
        events: finds them, and perhaps others, by their bits.
        late_bit: that of the late step; 0 once it has left the sequence.
        late_has: what is certain of what the late step uses.
    """

    __slots__ = (
        "_early",
        "_late",
        "_order",
        "_past",
        "events",
        "has",
        "independent",
        "late_bit",
        "late_has",
        "left",
    )

    def __init__(self, order: HappensBefore, early: Event, late: Event) -> None:
        self._order = order
        self._early = early
        self._late = late
        self.independent = order.without(early)
        if self.independent and self.independent[-1].ends_run:
            # After it there would be no late step.
            self.independent.pop()
        left = has = 0
        for event in self.independent:
            left |= event.bit
            has |= event.has
        self.left = left
        self.has = has
        self.events = order.present
        self.late_bit = late.bit
        self.late_has = order.footprints.beginning(late.footprint, early.footprint).has
        # The steps that then happen before it, and its mark.
        self._past: tuple[int, int] | None = None

    def may_begin_with(self, step: Step) -> bool:
        """Whether some execution that continues this sequence is equivalent to one that begins so.

        Args:
            step: one that can be taken before the first of the sequence.
        """
        left = self.left
        bit = step.bit
        if bit & left:
            return self.events[bit].history & left == bit
        has = self.has if self.has >= 0 else self.uses()
        return not step.against & has and self.late_permits(step)

    def late_permits(self, step: Step) -> bool:
        """Whether a step that none of `left` is, or conflicts with, may come first for all that the
        late one does."""
        bit = self.late_bit
        if step.bit == bit:
            # If all of a step is known, and nothing before the late one conflicts with it, then the
            # late one does the same.
            return isinstance(step, Event) or not self.settle()[0] & self.left
        return not (bit and step.against & self.late_has)

    def uses(self) -> int:
        """The accesses of the remaining steps."""
        left = self.left
        has = 0
        for event in self.independent:
            if event.bit & left:
                has |= event.has
        self.has = has
        return has

    def rest(self) -> list[Step]:
        """The steps that are left, in an order in which they can be run."""
        left = self.left
        steps: list[Step] = [event for event in self.independent if event.bit & left]
        if self.late_bit:
            footprint = self._late_footprint()
            _, mark = self.settle()
            steps.append(
                PartlyKnown(self._late.process, self.late_bit, footprint.has, footprint.against, mark=mark)
            )
        return steps

    def settle(self) -> tuple[int, int]:
        """Finds out what happens before the late step, so that the execution is no longer needed.

        Returns:
            That as a bit set, and a mark for `HappensBefore.was_whole`.
        """
        if self._past is None:
            self.events = {event.bit: event for event in self.independent}
            self._past = self._order.past_without(self._early, self._late, self._late_footprint())
        return self._past

    def _late_footprint(self) -> Footprint:
        return self._order.footprints.beginning(self._late.footprint, self._early.footprint)
