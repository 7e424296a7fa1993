"""One execution as a partial order, kept incrementally while it grows and shrinks.

Partial-order reduction asks of each step of an execution what happened before it, and with which
earlier steps it *races*: it depends on them, nothing orders the two but their own accident of being
run in this order, and it could have run first.

A step with all that happened before it is an *event* (of the unfolding of the program: McMillan, CAV
1992): whatever order the rest of the execution has, it is the same, does the same, and races with the
same. So an event is worked out once, and used again in every execution that it is part of.

The past of an event is a set of steps in one Python integer, in which a bit stands for "the n-th step of this
process", in every execution the same; in one execution no two steps share a bit. What makes the look back
cheap besides are footprints that are compared by an ``&`` (`_footprints`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias, final

from sim.strategies._footprints import ANY_USE, Footprint, Footprints

Process: TypeAlias = Hashable
# Of how many steps it is remembered that they ended where they did.
_REMEMBERED: Final = 100_000
# How many neighbouring events are passed over at once where none of them conflicts.
_BLOCK: Final = 32


@final
class Timeline:
    """A process, in all executions of a search.

    Attributes:
        process: who it is.
        number: tells it from all others.
        bits: the bit of its first step, of its second, and so on.
        events: its events in this execution, in order.
        wakers: the events of this execution that started or woke it, in order.
    """

    __slots__ = ("bits", "events", "number", "process", "wakers")

    def __init__(self, process: Process, number: int) -> None:
        self.process = process
        self.number = number
        self.bits: list[int] = []
        self.events: list[Event] = []
        self.wakers: list[Event] = []


@final
class Event:
    """A step, with all that happened before it.

    Attributes:
        process: who took it.
        bit: stands for it in bit sets.
        footprint: what it used; ``has`` and ``against`` are the footprint's.
        history: bit set of all that happened before it, and itself.
        key: a number for it: equal in executions in which the process made this step after the very
            same past, with the same outcomes of choices.
        races: the earlier events with which it has a reversible race, the latest first. They may be those of
            an earlier execution; `HappensBefore.present` has those of this one by their bits.
        draws: the outcomes of the choices that were made inside it.
        depth: its place in the execution that it was last part of.
        ends_run: it has ended the execution at once, though others could have gone on.
        line: its process,
        waker: the event without which that would have waited still, if there is one,
        wakes: and the processes that it started or woke.
    """

    __slots__ = (
        "against",
        "bit",
        "depth",
        "draws",
        "ends_run",
        "footprint",
        "has",
        "history",
        "key",
        "line",
        "process",
        "races",
        "waker",
        "wakes",
    )

    def __init__(
        self,
        line: Timeline,
        bit: int,
        footprint: Footprint,
        history: int,
        key: int,
        races: tuple[Event, ...],
        draws: tuple[int, ...],
        waker: Event | None,
        wakes: Sequence[Timeline],
    ) -> None:
        self.process = line.process
        self.line = line
        self.bit = bit
        self.footprint = footprint
        self.has = footprint.has
        self.against = footprint.against
        self.history = history
        self.key = key
        self.races = races
        self.draws = draws
        self.waker = waker
        self.wakes = wakes
        self.depth = -1
        self.ends_run = False


@final
class HappensBefore:
    """The happens-before relation of a growing execution.

    The relation is the least partial order that contains: the order of each process's own steps; a
    step before the next step of whatever it started or woke; and the order of execution of any two
    steps that used an object in ways that do not commute.

    Attributes:
        footprints: makes footprints for it.
        events: the steps, in the order of execution.
        processes: who took each.
        present: the same events by their bits.
    """

    __slots__ = ("_blocks", "_lines", "_next_bit", "_whole", "events", "footprints", "present", "processes")

    def __init__(self) -> None:
        self.footprints = Footprints()
        self.events: list[Event] = []
        self.processes: list[Process] = []
        self.present: dict[int, Event] = {}
        self._lines: dict[Process, Timeline] = {}
        self._next_bit = 1
        # Of each full block of events: all that they use, and the bits of all events up to its end.
        self._blocks: list[tuple[int, int]] = []
        # For steps of whole executions, from earlier ones too, a number for the step after its past and
        # what it used.
        self._whole: set[int] = set()

    def __len__(self) -> int:
        return len(self.events)

    def append(
        self,
        process: Process,
        footprint: Footprint,
        wakes: Sequence[Process],
        *,
        after_all: bool = False,
        draws: tuple[int, ...] = (),
    ) -> Event:
        """Adds the step that was run next.

        Args:
            process: who took it.
            footprint: what it did to objects.
            wakes: the processes that can run now and could not before, because of this step.
            after_all: whether it could run only because nothing else could: then every earlier
                step happens before it, and none races with it.
            draws: the outcomes of the choices that were made inside the step.
        """
        line = self._line(process)
        own = line.events
        if len(own) == len(line.bits):
            line.bits.append(self._next_bit)
            self._next_bit <<= 1
        previous = own[-1] if own else None
        waker = line.wakers[-1] if line.wakers else None
        if waker is not None and previous is not None and waker.depth < previous.depth:
            waker = None
        against = footprint.against | ANY_USE if after_all else footprint.against
        joins = -1 if after_all else footprint.joins
        past, nearest, races = self._look_back(len(self.events), 0, against, joins, previous, waker)
        key = mark = _key(line.number, len(own), nearest)
        if draws:
            key = hash((key, draws))
        bit = line.bits[len(own)]
        event = Event(
            line,
            bit,
            footprint,
            past | bit,
            key,
            tuple(races),
            draws,
            waker,
            [self._line(woken) for woken in wakes] if wakes else (),
        )
        if len(self._whole) >= _REMEMBERED:
            self._whole.clear()
        # The past of a step that draws does not alone determine its accesses.
        if not draws:
            self._whole.add(hash((mark, footprint.number)) or 1)
        self.push(event)
        return event

    def push(self, event: Event) -> None:
        """Adds an event of an earlier execution, all that happened before it being there."""
        events = self.events
        event.depth = len(events)
        events.append(event)
        self.processes.append(event.process)
        self.present[event.bit] = event
        event.line.events.append(event)
        for line in event.wakes:
            line.wakers.append(event)
        if not len(events) % _BLOCK:
            has, bits = 0, self._blocks[-1][1] if self._blocks else 0
            for each in events[-_BLOCK:]:
                has |= each.has
                bits |= each.bit
            self._blocks.append((has, bits))

    def truncate(self, length: int) -> None:
        """Forgets every step from number `length` on."""
        events = self.events
        present = self.present
        while len(events) > length:
            event = events.pop()
            del present[event.bit]
            event.line.events.pop()
            for line in event.wakes:
                line.wakers.pop()
        del self.processes[length:]
        del self._blocks[length // _BLOCK :]

    def without(self, early: Event) -> list[Event]:
        """The events after one that do not happen after it, in the order of execution."""
        bit = early.bit
        return [event for event in self.events[early.depth + 1 :] if not event.history & bit]

    def past_without(self, early: Event, late: Event, footprint: Footprint) -> tuple[int, int]:
        """The steps that happen before a step if one that it races with comes only after it.

        Args:
            early: that one.
            late: the step in this order.
            footprint: what is certain of it in the other.

        Returns:
            The past as a bit set, and what `was_whole` takes.
        """
        line = late.line
        ordinal = line.bits.index(late.bit)
        previous = line.events[ordinal - 1] if ordinal else None
        past, nearest, _ = self._look_back(
            late.depth, early.bit, footprint.against, late.footprint.joins, previous, late.waker
        )
        return past, hash((_key(line.number, ordinal, nearest), footprint.number)) or 1

    def was_whole(self, mark: int) -> bool:
        """Whether a step with that mark was made, in some execution, and used nothing else.

        Then it will do so again, as steps do nothing that their past does not determine.
        """
        return mark in self._whole

    def _look_back(
        self,
        end: int,
        avoided: int,
        against: int,
        joins: int,
        previous: Event | None,
        waker: Event | None,
    ) -> tuple[int, list[int], list[Event]]:
        """Finds what happens before a step.

        Its own predecessor and its waker do. From the last event backwards, so does each that conflicts
        with it; if it is not in the past of those found before, nothing comes between the two.

        Args:
            end: how many events to look at.
            avoided: the bit of one that does not count, nor does what happens after it; or 0.
            against: conflicts with the step.
            joins: uses after which the step comes without having been able to come earlier.
            previous: the step before of the same process.
            waker: what made that runnable.

        Returns:
            The past as a bit set, the keys of those found, of which all others are in the past, and the
            races.
        """
        events = self.events
        against |= joins
        past = 0
        nearest: list[int] = []
        races: list[Event] = []
        for event in (previous, waker):
            if event is not None:
                past |= event.history
                nearest.append(event.key)
        while end:
            start = (end - 1) // _BLOCK * _BLOCK
            if end - start == _BLOCK:
                has, bits = self._blocks[start // _BLOCK]
                if not bits & ~past:
                    break
                if not has & against:
                    end = start
                    continue
            for event in reversed([event for event in events[start:end] if event.has & against]):
                if not (past & event.bit or event.history & avoided):
                    past |= event.history
                    nearest.append(event.key)
                    if not event.has & joins:
                        races.append(event)
            end = start
        return past, nearest, races

    def _line(self, process: Process) -> Timeline:
        line = self._lines.get(process)
        if line is None:
            line = self._lines[process] = Timeline(process, len(self._lines))
        return line


def _key(number: int, ordinal: int, nearest: list[int]) -> int:
    if len(nearest) > 1:
        nearest.sort()
    return hash((number, ordinal, *nearest))
