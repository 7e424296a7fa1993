"""`SortedMap`, an immutable map in the order of its keys, of which a changed copy is cheap.

A list is a value: adding an entry makes a new list and leaves the old one alone. With a dict inside that
would copy 100,000 entries to add one. A B+ tree of tuples shares all but one path between the two: some two
or three tuples of at most `WIDTH` references are copied, whatever the size. The order comes for free, and
with it the entries of one day, or of a range of days, without looking at the others.

Prior art: Driscoll, Sarnak, Sleator and Tarjan, "Making Data Structures Persistent" (1989), section 2 (path
copying); Bayer and McCreight's B-tree. Deletion does not rebalance, it only removes nodes that are empty:
Sen and Tarjan, "Deletion Without Rebalancing in Multiway Search Trees" (2014), show that the height then
stays logarithmic in the number of insertions.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast, final

__all__ = ["SortedMap"]

WIDTH = 32
"""The most items of a node; 16 to 64 were within 10 % of each other."""


class Comparable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=Comparable)
V = TypeVar("V")

# A leaf is (keys, values); a branch is (first keys of its children, children). Which it is follows from the
# height, so that a node costs two tuples and nothing else.
_Node = tuple[tuple[Any, ...], tuple[Any, ...]]
_EMPTY: _Node = ((), ())


@final
class SortedMap(Generic[K, V]):
    """Keys of one comparable type, each with a value. Immutable, if keys and values are."""

    __slots__ = ("_height", "_root", "_size")

    def __init__(self) -> None:
        self._root: _Node = _EMPTY
        self._height = 0
        self._size = 0

    @classmethod
    def from_sorted(cls, items: Iterable[tuple[K, V]]) -> SortedMap[K, V]:
        """A map of `items`, which come with their keys rising; in linear time.

        Raises:
          ValueError: a key is not above the one before it.
        """
        keys: list[Any] = []
        values: list[Any] = []
        for key, value in items:
            if keys and not keys[-1] < key:
                raise ValueError(f"the key {key!r} is not above {keys[-1]!r}, which came before it")
            keys.append(key)
            values.append(value)
        if not keys:
            return cls()
        # Three quarters full, so that the next additions do not split at once.
        fill = WIDTH * 3 // 4
        height = 0
        firsts, nodes = _pack(keys, values, fill)
        while len(nodes) > 1:
            firsts, nodes = _pack(firsts, nodes, fill)
            height += 1
        return cls._make(nodes[0], height, len(keys))

    @classmethod
    def _make(cls, root: _Node, height: int, size: int) -> SortedMap[K, V]:
        new = cls.__new__(cls)
        new._root = root
        new._height = height
        new._size = size
        return new

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for keys, _ in self._leaves():
            yield from keys

    def __contains__(self, key: K) -> bool:
        return self._find(key) is not None

    def __repr__(self) -> str:
        return f"SortedMap({dict(self.items())!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SortedMap):
            return NotImplemented
        theirs = cast("SortedMap[Any, Any]", cast("object", other))
        return self._size == theirs._size and list(self.items()) == list(theirs.items())

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_sorted, (list(self.items()),)

    def items(self) -> Iterator[tuple[K, V]]:
        """The keys with their values, in order."""
        for keys, values in self._leaves():
            yield from zip(keys, values, strict=True)

    def values(self) -> tuple[V, ...]:
        """The values in the order of their keys."""
        if self._height == 0:
            return self._root[1]
        found: list[V] = []
        for _, values in self._leaves():
            found.extend(values)
        return tuple(found)

    def values_between(self, first: K, last: K) -> tuple[V, ...]:
        """The values whose keys lie from `first` to `last`, both included, in order."""
        found: list[V] = []
        _collect(self._root, self._height, first, last, found)
        return tuple(found)

    def get(self, key: K) -> V | None:
        """The value of `key`, or None if there is none."""
        found = self._find(key)
        if found is None:
            return None
        values, index = found
        return cast("V", values[index])

    def last_key(self) -> K | None:
        """The highest key, or None if the map is empty."""
        if not self._size:
            return None
        node = self._root
        for _ in range(self._height):
            node = node[1][-1]
        return cast("K", node[0][-1])

    def set(self, key: K, value: V) -> SortedMap[K, V]:
        """A map in which `key` has `value`; all else as here."""
        added, left, right = _set(self._root, self._height, key, value)
        height = self._height
        if right is not None:
            left = ((left[0][0], right[0][0]), (left, right))
            height += 1
        return self._make(left, height, self._size + added)

    def remove(self, key: K) -> SortedMap[K, V]:
        """A map without `key`; this one if it has none."""
        if self._find(key) is None:
            return self
        root = _remove(self._root, self._height, key)
        height = self._height
        if root is None:
            return type(self)()
        while height and len(root[1]) == 1:
            root = cast("_Node", root[1][0])
            height -= 1
        return self._make(root, height, self._size - 1)

    def _find(self, key: K) -> tuple[tuple[Any, ...], int] | None:
        node = self._root
        for _ in range(self._height):
            keys, children = node
            node = children[max(bisect_right(keys, key) - 1, 0)]
        keys, values = node
        index = bisect_left(keys, key)
        if index < len(keys) and keys[index] == key:
            return values, index
        return None

    def _leaves(self) -> Iterator[_Node]:
        return _leaves(self._root, self._height)


def _pack(keys: list[Any], values: list[Any], fill: int) -> tuple[list[Any], list[Any]]:
    """One level of nodes over `values`, and the first key of each."""
    starts = range(0, len(keys), fill)
    nodes: list[Any] = [(tuple(keys[i : i + fill]), tuple(values[i : i + fill])) for i in starts]
    return [keys[i] for i in starts], nodes


def _leaves(node: _Node, height: int) -> Iterator[_Node]:
    if height == 0:
        yield node
    else:
        for child in node[1]:
            yield from _leaves(child, height - 1)


def _collect(node: _Node, height: int, first: Any, last: Any, found: list[Any]) -> None:
    keys, values = node
    if height == 0:
        found.extend(values[bisect_left(keys, first) : bisect_right(keys, last)])
        return
    for index in range(max(bisect_right(keys, first) - 1, 0), bisect_right(keys, last)):
        _collect(values[index], height - 1, first, last, found)


def _set(node: _Node, height: int, key: Any, value: Any) -> tuple[int, _Node, _Node | None]:
    """How many items came in, what takes the place of `node`, and its new right neighbour."""
    keys, values = node
    if height == 0:
        index = bisect_left(keys, key)
        if index < len(keys) and keys[index] == key:
            return 0, (keys, (*values[:index], value, *values[index + 1 :])), None
        keys = (*keys[:index], key, *keys[index:])
        values = (*values[:index], value, *values[index:])
        added = 1
    else:
        index = max(bisect_right(keys, key) - 1, 0)
        added, left, right = _set(values[index], height - 1, key, value)
        if right is None:
            if left[0][0] is not keys[index]:
                keys = (*keys[:index], left[0][0], *keys[index + 1 :])
            return added, (keys, (*values[:index], left, *values[index + 1 :])), None
        keys = (*keys[:index], left[0][0], right[0][0], *keys[index + 1 :])
        values = (*values[:index], left, right, *values[index + 1 :])
    if len(keys) <= WIDTH:
        return added, (keys, values), None
    # Ids rise, so most additions are at the end: there, leave a full node behind and not two halves.
    middle = WIDTH if index >= WIDTH - 1 else WIDTH // 2
    return added, (keys[:middle], values[:middle]), (keys[middle:], values[middle:])


def _remove(node: _Node, height: int, key: Any) -> _Node | None:
    """The node that takes the place of `node`, or None: nothing is left. `key` is in it."""
    keys, values = node
    if height == 0:
        index = bisect_left(keys, key)
        replaced: tuple[Any, ...] = ()
        first: tuple[Any, ...] = ()
    else:
        index = max(bisect_right(keys, key) - 1, 0)
        child = _remove(values[index], height - 1, key)
        replaced = () if child is None else (child,)
        first = () if child is None else (child[0][0],)
    keys = (*keys[:index], *first, *keys[index + 1 :])
    if not keys:
        return None
    return keys, (*values[:index], *replaced, *values[index + 1 :])
