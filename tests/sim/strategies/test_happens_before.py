"""The partial order of an execution, on executions small enough to see it."""

from __future__ import annotations

from random import Random

from sim.strategies import Operation
from sim.strategies._happens_before import HappensBefore, Use, footprint

READ, UPDATE, WRITE, JOIN = Operation


def order(*steps: tuple[str, list[Use], list[str]]) -> HappensBefore:
    found = HappensBefore()
    for process, uses, wakes in steps:
        found.append(process, uses, wakes)
    return found


def test_writes_race_and_reads_do_not() -> None:
    found = order(("p", [("x", READ)], []), ("q", [("x", READ)], []), ("r", [("x", WRITE)], []))
    assert found.races == [[], [], [1, 0]]
    assert found.before == [0, 0, 0b11]


def test_only_the_nearest_of_ordered_conflicts_is_a_race() -> None:
    found = order(("p", [("x", WRITE)], []), ("q", [("x", WRITE)], []), ("r", [("x", WRITE)], []))
    assert found.races == [[], [0], [1]]


def test_a_step_does_not_race_with_what_made_it_runnable() -> None:
    found = order(("p", [("x", WRITE)], ["q"]), ("q", [("x", WRITE)], []))
    assert found.races == [[], []]
    assert found.before[1] == 0b1


def test_a_join_comes_after_all_updates_and_races_with_none() -> None:
    found = order(
        ("p", [("group", UPDATE)], []),
        ("q", [("group", UPDATE)], ["parent"]),
        ("parent", [("group", JOIN)], []),
    )
    assert found.races == [[], [], []]
    assert found.before == [0, 0, 0b11]


def test_the_clock_comes_after_everything() -> None:
    found = order(("p", [("x", WRITE)], []), ("q", [], []))
    found.append("clock", [("x", WRITE)], ["p"], after_all=True)
    assert found.races[2] == []
    assert found.before[2] == 0b11


def test_an_object_used_in_two_ways_counts_as_written() -> None:
    assert footprint([("x", READ), ("y", READ), ("x", UPDATE)]) == (("x", WRITE), ("y", READ))


def test_what_a_step_did_after_its_first_conflict_is_not_certain() -> None:
    found = order(("p", [("x", WRITE)], []), ("q", [("y", READ), ("x", READ), ("z", WRITE)], []))
    assert found.certain(0, 1) == (("y", READ), ("x", READ))


def test_forgetting_steps_leaves_what_had_never_been_there() -> None:
    random = Random(1)
    found = HappensBefore()
    steps: list[tuple[str, list[Use], list[str]]] = []
    for _ in range(300):
        if random.random() < 0.3:
            length = random.randint(0, len(steps))
            found.truncate(length)
            del steps[length:]
        uses: list[Use] = [(random.choice("xyz"), random.randrange(3)) for _ in range(random.randint(0, 3))]
        step = random.choice("pqr"), uses, random.sample("stu", random.randint(0, 1))
        steps.append(step)
        found.append(*step)
        afresh = order(*steps)
        assert (found.before, found.races) == (afresh.before, afresh.races)
        assert found.conflicting((("x", READ),)) == afresh.conflicting((("x", READ),))
