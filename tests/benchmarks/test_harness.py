from __future__ import annotations

from functools import partial
from xml.etree import ElementTree

import pytest

from benchmarks.harness import Row, interleave, markdown, ratio, svg, verdicts


def row(ours: float, *, at_most: float | None, digits: int = 2) -> Row:
    samples = {"ours": [ours] * 3, "theirs": [10.0] * 3}
    return Row("a row", "us", samples, "ours", "theirs", at_most, digits)


def test_every_turn_measures_each_column_once_and_begins_with_another_one() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = interleave({name: partial(measure, name) for name in "abc"}, 3)
    assert ["".join(order[start : start + 3]) for start in range(0, 12, 3)] == ["cab", "abc", "bca", "cab"]
    assert {name: len(values) for name, values in samples.items()} == {"a": 3, "b": 3, "c": 3}
    # The first turn, which finds everything cold, is not counted.
    assert min(min(values) for values in samples.values()) == 4


def test_the_ratio_is_the_median_of_ratios_of_one_turn_each() -> None:
    samples = {"a": [1.0, 20.0, 3.0], "b": [2.0, 10.0, 2.0]}
    assert ratio(samples, "a", "b") == 1.5


@pytest.mark.parametrize(("ours", "said"), [(3.0, "reached"), (3.01, "not reached")])
def test_whether_a_target_is_reached_is_computed(ours: float, said: str) -> None:
    assert row(ours, at_most=0.30).verdict == said
    assert f"| 0.30 | {said} |" in markdown([row(ours, at_most=0.30)])


def test_a_row_without_a_target_has_no_verdict() -> None:
    assert row(3.0, at_most=None).verdict == ""
    assert verdicts([row(3.0, at_most=None)]) == "0 of 0 targets reached.\n"


def test_a_missed_target_is_named_with_both_figures() -> None:
    text = verdicts([row(1.0, at_most=0.5), row(10.3, at_most=1.02, digits=3)])
    assert text == "1 of 2 targets reached. Not reached: a row, 1.030 where 1.02 was aimed at.\n"


def test_the_chart_is_well_formed_and_says_each_ratio() -> None:
    rows = [row(3.0, at_most=0.3), row(20.0, at_most=None)]
    texts = [each.text for each in ElementTree.fromstring(svg(rows, "a < b")).iter() if each.text]
    assert {"a < b", "0.30 (at most 0.30)", "2.00"} <= set(texts)
