"""Footprints as bit sets: what a step did to objects, so that one ``&`` tells whether two steps conflict.

A footprint is a pair of integers, with a bit for each use of an object and one for each use that conflicts
with it. Which object has which bits is up to the search that meets it first.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, TypeAlias, final

from sim._run.step import CONFLICTING, Operation

#: An object and what a step did to it, an `Operation`. Here the object is anything hashable.
Use: TypeAlias = tuple[Hashable, int]

ANY_USE: Final = 1
"""Every footprint has this bit: what comes after everything conflicts with it."""

_OPERATIONS: Final = len(Operation)
_JOIN: Final = int(Operation.JOIN)
# The same as bits.
_AGAINST: Final = tuple(sum(1 << other for other in CONFLICTING[one]) for one in Operation)
_CHANGES: Final = sum(1 << other for other in Operation if other is not Operation.READ)
# Of how many steps it is remembered what they used.
_REMEMBERED: Final = 100_000


@final
class Footprint:
    """The accesses of a step. Made by `Footprints.of`; equal ones are identical.

    Attributes:
        uses: what it did, in its own order.
        has: a bit for each of the uses.
        against: a bit for each use that does not commute with one of them. Two footprints conflict if
            ``one.against & other.has``, which is symmetric.
        joins: a bit for each use that a join comes after.
        number: tells it from all others of the search.
    """

    __slots__ = ("against", "beginnings", "has", "joins", "number", "uses")

    def __init__(self, uses: tuple[Use, ...], has: int, against: int, joins: int, number: int) -> None:
        self.uses = uses
        self.has = has
        self.against = against
        self.joins = joins
        self.number = number
        # Answers of `Footprints.beginning`.
        self.beginnings: dict[Footprint, Footprint] = {}


@final
class Footprints:
    """The footprints of a search."""

    def __init__(self) -> None:
        self._known: dict[tuple[Use, ...], Footprint] = {}
        # The same by the addresses of the uses, which are mostly the very same objects, and slow to hash.
        # It keeps them, so that no address is used again.
        self._by_address: dict[tuple[int, ...], tuple[Footprint, tuple[Use, ...]]] = {}
        self._shifts: dict[Hashable, int] = {}

    def of(self, uses: Iterable[Use]) -> Footprint:
        """The footprint of a step.

        Args:
            uses: what it did, in the order in which it did it. An object used in two ways counts as
                written: a step that reads and updates commutes with neither readers nor updaters.
        """
        key = tuple(uses)
        addresses = tuple(map(id, key))
        kept = self._by_address.get(addresses)
        if kept is not None:
            return kept[0]
        found = self._known.get(key)
        if found is None:
            found = self._make(key)
        if len(self._by_address) >= _REMEMBERED:
            self._by_address.clear()
        self._by_address[addresses] = found, key
        return found

    def _make(self, key: tuple[Use, ...]) -> Footprint:
        has, against = ANY_USE, 0
        joined: dict[int, bool] = {}
        for target, operation in key:
            shift = self._shifts.setdefault(target, 1 + _OPERATIONS * len(self._shifts))
            has |= 1 << operation << shift
            against |= _AGAINST[operation] << shift
            # It does anything else to the object after it has joined.
            joined[shift] = operation == _JOIN or joined.get(shift, False)
        joins = sum(_CHANGES << shift for shift, only in joined.items() if only)
        made = self._known[key] = Footprint(key, has, against, joins, len(self._known))
        return made

    def beginning(self, late: Footprint, early: Footprint) -> Footprint:
        """The known part of a step's footprint for an execution in which it precedes a step that it conflicts
        with.

        Up to its first use that conflicts with the other a step cannot tell whether that has run;
        whatever follows may be different, even if nothing followed here.

        Returns:
            The footprint up to and with that use.
        """
        found = late.beginnings.get(early)
        if found is None:
            uses = late.uses
            end = 1
            while end < len(uses) and not self.of(uses[:end]).has & early.against:
                end += 1
            found = late.beginnings[early] = self.of(uses[:end])
        return found
