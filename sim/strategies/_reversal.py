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

from sim.strategies._happens_before import Event, Footprint, HappensBefore, Process


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
    """

    __slots__ = ("against", "bit", "has", "key", "mark", "process")

    # The outcomes of the choices inside it: unknown, like all that it does at its end.
    draws: tuple[int, ...] = ()

    def __init__(
        self, process: Process, bit: int, has: int, against: int, *, key: int = 0, mark: int = 0
    ) -> None:
        self.process = process
        self.bit = bit
        self.has = has
        self.against = against
        self.key = key
        self.mark = mark


Step: TypeAlias = Event | PartlyKnown


@final
class Reversal:
    """All the steps that do not need a race's early step, then its late one.

    Args:
        order: the execution that has the race. It must not change before `settle`.
        early: the step to be run after `late`.
        late: a step that races with `early`.
    """

    __slots__ = (
        "_early",
        "_events",
        "_has",
        "_independent",
        "_late",
        "_late_bit",
        "_late_has",
        "_left",
        "_order",
        "_past",
    )

    def __init__(self, order: HappensBefore, early: Event, late: Event) -> None:
        self._order = order
        self._early = early
        self._late = late
        # The steps before the late one; the bits of those that are still in the sequence, and what
        # these use, or -1 if that is not known.
        self._independent = order.without(early)
        left = has = 0
        for event in self._independent:
            left |= event.bit
            has |= event.has
        self._left = left
        self._has = has
        # Finds these and perhaps others by their bits.
        self._events = order.present
        # What is certain of the late step; its bit is 0 once it is not in the sequence any more.
        self._late_bit = late.bit
        self._late_has = order.footprints.beginning(late.footprint, early.footprint).has
        # What then happens before it, and its mark.
        self._past: tuple[int, int] | None = None

    def may_begin_with(self, step: Step) -> bool:
        """Whether some execution that continues this sequence is equivalent to one that begins so.

        Args:
            step: one that can be taken before the first of the sequence.
        """
        left = self._left
        bit = step.bit
        if bit & left:
            return self._events[bit].history & left == bit
        has = self._has
        if has < 0:
            has = 0
            for event in self._independent:
                if event.bit & left:
                    has |= event.has
            self._has = has
        against = step.against
        if against & has:
            return False
        late_bit = self._late_bit
        if bit == late_bit:
            # If all of a step is known, and nothing before the late one conflicts with it, then the
            # late one does the same.
            return isinstance(step, Event) or not self.settle()[0] & left
        return not (late_bit and against & self._late_has)

    def remove(self, step: Step) -> None:
        """Takes a step out; nothing happens if the sequence does not have it."""
        bit = step.bit
        if bit & self._left:
            self._left -= bit
            self._has = -1
        elif bit == self._late_bit:
            self._late_bit = 0

    def rest(self) -> list[Step]:
        """The steps that are left, in an order in which they can be run."""
        left = self._left
        steps: list[Step] = [event for event in self._independent if event.bit & left]
        if self._late_bit:
            footprint = self._late_footprint()
            _, mark = self.settle()
            steps.append(
                PartlyKnown(self._late.process, self._late_bit, footprint.has, footprint.against, mark=mark)
            )
        return steps

    def settle(self) -> tuple[int, int]:
        """Finds out what happens before the late step, so that the execution is not needed any more.

        Returns:
            That as a bit set, and a mark for `HappensBefore.was_whole`.
        """
        if self._past is None:
            self._events = {event.bit: event for event in self._independent}
            self._past = self._order.past_without(self._early, self._late, self._late_footprint())
        return self._past

    def _late_footprint(self) -> Footprint:
        return self._order.footprints.beginning(self._late.footprint, self._early.footprint)
