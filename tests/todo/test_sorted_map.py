"""The persistent map behaves as a sorted dict, and old versions stay what they were."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from todo.sorted_map import WIDTH, SortedMap

KEYS = st.integers(0, 300)


class SortedMapMachine(RuleBasedStateMachine):
    """Against a dict; every older version is kept with what it held."""

    def __init__(self) -> None:
        super().__init__()
        self.map: SortedMap[int, str] = SortedMap()
        self.model: dict[int, str] = {}
        self.older: list[tuple[SortedMap[int, str], dict[int, str]]] = []

    @rule(key=KEYS, value=st.text(max_size=2))
    def set(self, key: int, value: str) -> None:
        self.older.append((self.map, dict(self.model)))
        self.map = self.map.set(key, value)
        self.model[key] = value

    @rule(first=st.integers(0, 300), count=st.integers(1, 80))
    def set_many(self, first: int, count: int) -> None:
        for key in range(first, first + count):
            self.map = self.map.set(key, str(key))
            self.model[key] = str(key)

    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        self.older.append((self.map, dict(self.model)))
        self.map = self.map.remove(key)
        self.model.pop(key, None)

    @rule(first=KEYS, last=KEYS)
    def remove_range(self, first: int, last: int) -> None:
        for key in range(first, last):
            self.map = self.map.remove(key)
            self.model.pop(key, None)

    @rule(first=KEYS, last=KEYS)
    def between(self, first: int, last: int) -> None:
        expected = tuple(self.model[key] for key in sorted(self.model) if first <= key <= last)
        assert self.map.values_between(first, last) == expected

    @invariant()
    def same_as_the_model(self) -> None:
        assert list(self.map.items()) == sorted(self.model.items())
        assert len(self.map) == len(self.model)
        assert self.map.last_key() == max(self.model, default=None)
        assert self.map.values() == tuple(value for _, value in sorted(self.model.items()))

    def teardown(self) -> None:
        for old, model in self.older:
            assert list(old.items()) == sorted(model.items())


TestSortedMap = SortedMapMachine.TestCase
TestSortedMap.settings = settings(max_examples=40, stateful_step_count=25)


@given(st.lists(st.integers(), unique=True))
def test_built_at_once_or_one_by_one_is_the_same(keys: list[int]) -> None:
    one_by_one: SortedMap[int, int] = SortedMap()
    for key in keys:
        one_by_one = one_by_one.set(key, -key)
    at_once = SortedMap[int, int].from_sorted((key, -key) for key in sorted(keys))
    assert at_once == one_by_one
    assert hash(at_once) == hash(one_by_one)
    assert pickle.loads(pickle.dumps(at_once)) == at_once
    assert all(at_once.get(key) == -key for key in keys)
    assert [key in at_once for key in keys] == [True] * len(keys)


def test_unsorted_items_are_refused() -> None:
    with pytest.raises(ValueError, match="not above"):
        SortedMap[int, int].from_sorted([(1, 1), (1, 2)])


def test_a_change_copies_one_path_whatever_the_size() -> None:
    """What a copy shares with its original: all nodes but one a level."""

    def nodes(node: Any, height: int) -> set[int]:
        found = {id(node)}
        if height:
            for child in node[1]:
                found |= nodes(child, height - 1)
        return found

    for size in (100, 10_000, 100_000):
        before = SortedMap[int, int].from_sorted((n, n) for n in range(size))
        for after in (before.set(size, 0), before.set(size // 2, -1), before.remove(size // 3)):
            new = nodes(after._root, after._height) - nodes(before._root, before._height)
            # One a level, and one more where a full one was split.
            assert len(new) <= 2 * (after._height + 1)
            assert after._height <= math.log(size, WIDTH * 3 // 4) + 1
