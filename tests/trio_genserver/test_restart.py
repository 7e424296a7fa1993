"""When a child is started again, and how often: the rules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trio_genserver import InvalidSpec
from trio_genserver._restart import RestartWindow, is_orderly, wants_restart

ORDERLY = ["normal", "shutdown", ("shutdown", "done"), ("shutdown", None)]
ABNORMAL = [
    "other",
    None,
    0,
    ValueError("x"),
    ("shutdown",),
    ("normal", 1),
    ("shutdown", 1, 2),
    ["shutdown", 1],
]


@pytest.mark.parametrize("reason", ORDERLY)
def test_an_orderly_end_restarts_only_the_permanent(reason: object) -> None:  # OTP 97
    assert is_orderly(reason)
    assert [wants_restart(r, reason) for r in ("permanent", "transient", "temporary")] == [True, False, False]


@pytest.mark.parametrize("reason", ABNORMAL, ids=repr)
def test_an_abnormal_end_restarts_all_but_the_temporary(reason: object) -> None:  # OTP 97
    assert not is_orderly(reason)
    assert [wants_restart(r, reason) for r in ("permanent", "transient", "temporary")] == [True, True, False]


def test_exactly_max_restarts_are_allowed_within_the_window() -> None:  # OTP 102
    window = RestartWindow(3, 5.0)
    assert [window.add(0.0) for _ in range(4)] == [True, True, True, False]
    assert window.count == 4


def test_a_restart_as_old_as_the_window_still_counts_and_an_older_one_does_not() -> None:  # OTP 102
    window = RestartWindow(1, 5.0)
    assert window.add(0.0)
    assert not window.add(5.0)
    window = RestartWindow(1, 5.0)
    assert window.add(0.0)
    assert window.add(math.nextafter(5.0, 6.0))


def test_spaced_restarts_never_trip() -> None:  # OTP 100
    window = RestartWindow(2, 10.0)
    assert all(window.add(5.1 * n) for n in range(1000))


def test_without_a_bound_in_time_nothing_is_forgotten() -> None:
    window = RestartWindow(2, math.inf)
    assert [window.add(1e9 * n) for n in range(3)] == [True, True, False]


def test_no_restarts_allowed_means_none() -> None:
    assert not RestartWindow(0, 5.0).add(0.0)


def test_it_remembers_no_more_than_it_needs() -> None:
    window = RestartWindow(2, math.inf)
    for n in range(1000):
        window.add(float(n))
    assert window.count == 3


@pytest.mark.parametrize(
    ("max_restarts", "max_seconds", "field"),
    [
        (-1, 5, "max_restarts"),
        (1.5, 5, "max_restarts"),
        (True, 5, "max_restarts"),
        (None, 5, "max_restarts"),
        (3, 0, "max_seconds"),
        (3, -1, "max_seconds"),
        (3, math.nan, "max_seconds"),
        (3, "5", "max_seconds"),
        (3, True, "max_seconds"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(
    max_restarts: Any, max_seconds: Any, field: str
) -> None:
    # OTP 78
    with pytest.raises(InvalidSpec) as caught:
        RestartWindow(max_restarts, max_seconds)
    assert caught.value.field == field
