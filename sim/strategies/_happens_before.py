"""One execution as a partial order, kept incrementally while it grows and shrinks.

Partial-order reduction asks three things of an execution, for each step: what happened before it,
with which earlier steps it *races* (it depends on them, nothing orders the two but their own
accident of being run in this order, and it could have run first), and what in a given part of the
execution conflicts with a given footprint.

The usual representation is a vector clock a step. Here it is a set of steps in one Python integer,
bit `i` standing for step `i`: the union of two pasts is one machine-speed `|`, the direct
predecessors of a step fall out by taking the highest bit and striking its past, and undoing the end
of an execution, which a depth-first exploration does each time, is masking. The cost is a bit per
pair of steps; at ten thousand steps an execution that is 12 MB, once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeAlias, final

from sim.strategies._base import Operation

Process: TypeAlias = Hashable
#: An object and what a step did to it, an `Operation`. Here the object is anything hashable.
Use: TypeAlias = tuple[Hashable, int]
#: The uses that a step made of objects, each object once.
Footprint: TypeAlias = tuple[Use, ...]

# Plain integers: members of an enumeration are slower to compare.
WRITE: Final = int(Operation.WRITE)
JOIN: Final = int(Operation.JOIN)
_READ: Final = int(Operation.READ)
_OPERATIONS: Final = len(Operation)
# Of how many steps it is remembered that they ended where they did.
_REMEMBERED: Final = 100_000


def footprint(uses: Iterable[Use]) -> Footprint:
    """The uses of one step with each object named once.

    An object used in two ways counts as written: a step that reads and updates commutes with
    neither readers nor updaters.

    Args:
        uses: what the step did, in the order in which it did it.
    """
    operations: dict[Hashable, int] = {}
    for target, operation in uses:
        if operations.setdefault(target, operation) != operation:
            operations[target] = WRITE
    return tuple(operations.items())


@final
class HappensBefore:
    """The happens-before relation of a growing execution.

    The relation is the least partial order that contains: the order of each process's own steps; a
    step before the next step of whatever it started or woke; and the order of execution of any two
    steps that used an object in ways that do not commute.
    """

    __slots__ = (
        "_by_object",
        "_conflicts",
        "_enablers",
        "_keys",
        "_wakes",
        "_whole",
        "_woken",
        "before",
        "by_process",
        "draws",
        "footprints",
        "processes",
        "races",
        "uses",
    )

    def __init__(self) -> None:
        self.processes: list[Process] = []
        """Who took each step."""
        self.uses: list[Sequence[Use]] = []
        """What each step did to objects, in its own order."""
        self.footprints: list[Footprint] = []
        """The same, each object once."""
        self.before: list[int] = []
        """Bit set of the steps that happen before each step."""
        self.races: list[list[int]] = []
        """The earlier steps with which each step has a reversible race."""
        self.draws: list[tuple[int, ...]] = []
        """The outcomes of the choices that were made inside each step."""
        # Bit sets of steps. For an object: at each operation's index those that used it in this way
        # only, but at WRITE all that used it. Invariant: no bit at or past len(self).
        self._by_object: dict[Hashable, list[int]] = {}
        self.by_process: dict[Process, int] = {}
        """Bit set of each process's steps."""
        # For a process the steps that woke it, and for a step the processes it woke.
        self._woken: dict[Process, list[int]] = {}
        self._wakes: list[Sequence[Process]] = []
        # For each step a number for all that happens before it, and for steps of whole executions
        # and what they used, from earlier executions too, the same once more.
        self._keys: list[int] = []
        self._whole: set[int] = set()
        # Answers of `conflicting`, by address, until the execution changes.
        self._conflicts: dict[int, tuple[Footprint, int]] = {}
        # Bit set of the steps without which each step's process would have waited still.
        self._enablers: list[int] = []

    def __len__(self) -> int:
        return len(self.processes)

    def append(
        self,
        process: Process,
        uses: Sequence[Use],
        wakes: Sequence[Process],
        *,
        after_all: bool = False,
        draws: tuple[int, ...] = (),
    ) -> None:
        """Adds the step that was run next.

        Args:
            process: who took it.
            uses: what it did to objects, in its own order.
            wakes: the processes that can run now and could not before, because of this step.
            after_all: whether it could run only because nothing else could: then every earlier
                step happens before it, and none races with it.
            draws: the outcomes of the choices that were made inside the step.
        """
        processes = self.processes
        index = len(processes)
        bit = 1 << index
        prints = tuple(uses) if len(uses) <= 1 else footprint(uses)
        own = self.by_process.get(process, 0)
        enablers = bit - 1 if after_all else 0
        received = self._woken.get(process)
        if received is not None and received[-1] >= own.bit_length():
            enablers |= 1 << received[-1]
        if self._conflicts:
            self._conflicts.clear()
        by_object = self._by_object
        conflicts = 0
        for target, operation in prints:
            users = by_object.get(target)
            if users is None:
                users = by_object[target] = [0] * _OPERATIONS
            elif operation == WRITE:
                conflicts |= users[WRITE]
            else:
                conflicts |= users[WRITE] & ~users[operation]
                if operation == JOIN:
                    enablers |= users[WRITE] & ~users[_READ]
            users[WRITE] |= bit
            if operation != WRITE:
                users[operation] |= bit
        before = self.before
        keys = self._keys
        races: list[int] = []
        nearest: list[int] = []
        past = 0
        racing = conflicts & ~enablers
        # Highest first: a step cannot happen before one that was run earlier, so what is still
        # there when its turn comes is ordered by nothing in between.
        pending = conflicts | enablers | (1 << own.bit_length() >> 1)
        while pending:
            last = pending.bit_length() - 1
            past |= before[last] | 1 << last
            pending &= ~past
            nearest.append(keys[last])
            if racing >> last & 1 and processes[last] != process:
                races.append(last)
        if len(nearest) > 1:
            nearest.sort()
        key = hash((process, own.bit_count(), *nearest))
        keys.append(key)
        if len(self._whole) >= _REMEMBERED:
            self._whole.clear()
        self._whole.add(hash((key, prints)) or 1)
        self.by_process[process] = own | bit
        for woken in wakes:
            self._woken.setdefault(woken, []).append(index)
        self._wakes.append(wakes)
        processes.append(process)
        self.uses.append(uses)
        self.footprints.append(prints)
        before.append(past)
        self.races.append(races)
        self._enablers.append(enablers)
        self.draws.append(draws)

    def truncate(self, length: int) -> None:
        """Forgets every step from number `length` on."""
        keep = (1 << length) - 1
        self._conflicts.clear()
        del self._keys[length:]
        while len(self.processes) > length:
            process = self.processes.pop()
            self.uses.pop()
            self.before.pop()
            self.races.pop()
            self._enablers.pop()
            self.draws.pop()
            own = self.by_process.pop(process, 0) & keep
            if own:
                self.by_process[process] = own
            for target, _ in self.footprints.pop():
                users = self._by_object.get(target)
                if users is None:
                    continue
                if users[WRITE] & keep:
                    users[:] = [steps & keep for steps in users]
                else:
                    del self._by_object[target]
            for woken in self._wakes.pop():
                received = self._woken[woken]
                received.pop()
                if not received:
                    del self._woken[woken]

    def conflicting(self, prints: Footprint) -> int:
        """The bit set of the steps that conflict with a footprint."""
        known = self._conflicts.get(id(prints))
        if known is not None:
            return known[1]
        conflicts = 0
        for target, operation in prints:
            users = self._by_object.get(target)
            if users is None:
                continue
            if operation == WRITE:
                conflicts |= users[WRITE]
            else:
                conflicts |= users[WRITE] & ~users[operation]
        self._conflicts[id(prints)] = prints, conflicts
        return conflicts

    def without(self, early: int) -> int:
        """The bit set of the steps after `early` that do not happen after it."""
        before = self.before
        found = 0
        for step in range(early + 1, len(before)):
            if not before[step] >> early & 1:
                found |= 1 << step
        return found

    def certain(self, early: int, late: int) -> Footprint:
        """What is known of the step `late` for an execution in which it precedes `early`.

        Up to its first use that conflicts with `early` a step cannot tell whether `early` has run;
        whatever follows may be different, even if nothing followed here.

        Returns:
            The footprint up to and with that use.
        """
        uses = self.uses[late]
        end = 0
        for target, operation in uses:
            end += 1
            users = self._by_object[target]
            conflicts = users[WRITE] if operation == WRITE else users[WRITE] & ~users[operation]
            if conflicts >> early & 1:
                break
        return self.footprints[late] if end == len(uses) else footprint(uses[:end])

    def certain_past(self, late: int, allowed: int, prints: Footprint) -> tuple[int, int]:
        """What happens before the step `late` in another order, and whether it is known whole.

        It is if the same process has once made this step after the very same past and has used
        nothing else: as steps do nothing that their past does not determine, it will do so again.

        Args:
            late: the step.
            allowed: bit set of the steps that can come before it in that order.
            prints: what is certain of it.

        Returns:
            The bit set of what happens before it, and what `was_whole` takes.
        """
        process = self.processes[late]
        own = self.by_process[process] & (1 << late) - 1
        direct = self.conflicting(prints) & (1 << late) - 1
        direct |= self._enablers[late] | (1 << own.bit_length() >> 1)
        direct &= allowed
        nearest: list[int] = []
        past = 0
        while direct:
            last = direct.bit_length() - 1
            past |= self.before[last] | 1 << last
            direct &= ~past
            nearest.append(self._keys[last])
        nearest.sort()
        key = hash((process, own.bit_count(), *nearest))
        return past, hash((key, prints)) or 1

    def was_whole(self, mark: int) -> bool:
        """Whether a step with that mark was made, in some execution, and used nothing else.

        Then it will do so again, as steps do nothing that their past does not determine.
        """
        return mark in self._whole
