"""The partial order of an execution, on executions small enough to see it."""

from __future__ import annotations

from random import Random

from sim.strategies import Operation
from sim.strategies._footprints import Footprints, Use
from sim.strategies._happens_before import HappensBefore

READ, UPDATE, WRITE, JOIN = Operation


def order(*steps: tuple[str, list[Use], list[str]]) -> HappensBefore:
    found = HappensBefore()
    for process, uses, wakes in steps:
        found.append(process, found.footprints.of(uses), wakes)
    return found


def races(found: HappensBefore) -> list[list[int]]:
    """The places of the earlier steps that each step races with."""
    return [[early.depth for early in event.races] for event in found.events]


def before(found: HappensBefore) -> list[list[int]]:
    """The places of the steps that happen before each step."""
    return [
        [other.depth for other in found.events if other is not event and event.history & other.bit]
        for event in found.events
    ]


def test_writes_race_and_reads_do_not() -> None:
    found = order(("p", [("x", READ)], []), ("q", [("x", READ)], []), ("r", [("x", WRITE)], []))
    assert races(found) == [[], [], [1, 0]]
    assert before(found) == [[], [], [0, 1]]


def test_only_the_nearest_of_ordered_conflicts_is_a_race() -> None:
    found = order(("p", [("x", WRITE)], []), ("q", [("x", WRITE)], []), ("r", [("x", WRITE)], []))
    assert races(found) == [[], [0], [1]]


def test_a_step_does_not_race_with_what_made_it_runnable() -> None:
    found = order(("p", [("x", WRITE)], ["q"]), ("q", [("x", WRITE)], []))
    assert races(found) == [[], []]
    assert before(found) == [[], [0]]


def test_what_woke_a_process_counts_for_its_next_step_only() -> None:
    found = order(("p", [], ["q"]), ("q", [], []), ("p", [("x", WRITE)], []), ("q", [("x", WRITE)], []))
    assert races(found) == [[], [], [], [2]]


def test_a_join_comes_after_all_updates_and_races_with_none() -> None:
    found = order(
        ("p", [("group", UPDATE)], []),
        ("q", [("group", UPDATE)], ["parent"]),
        ("parent", [("group", JOIN)], []),
    )
    assert races(found) == [[], [], []]
    assert before(found) == [[], [], [0, 1]]


def test_a_join_commutes_with_a_look_which_sees_that_all_is_over_before_it_too() -> None:
    found = order(("p", [("group", READ)], []), ("parent", [("group", JOIN)], []))
    assert races(found) == [[], []]
    assert before(found) == [[], []]


def test_a_join_races_with_what_only_looked_and_used_something_else_besides() -> None:
    found = order(
        ("q", [("group", UPDATE)], ["parent"]),
        ("p", [("group", READ), ("lock", WRITE)], []),
        ("parent", [("group", JOIN), ("lock", WRITE)], []),
    )
    assert races(found) == [[], [0], [1]]


def test_the_clock_comes_after_everything() -> None:
    found = order(("p", [("x", WRITE)], []), ("q", [], []))
    found.append("clock", found.footprints.of([("x", WRITE)]), ["p"], after_all=True)
    assert races(found)[2] == []
    assert before(found)[2] == [0, 1]


def test_footprints_conflict_as_their_uses_do() -> None:
    footprints = Footprints()
    commute = {(READ, READ), (UPDATE, UPDATE), (JOIN, JOIN), (READ, JOIN), (JOIN, READ)}
    for one in Operation:
        for other in Operation:
            first, second = footprints.of([("x", one)]), footprints.of([("y", READ), ("x", other)])
            for a, b in ((first, second), (second, first)):
                assert bool(a.against & b.has) == ((one, other) not in commute)


def test_an_object_used_in_two_ways_counts_as_written() -> None:
    footprints = Footprints()
    both = footprints.of([("x", READ), ("y", READ), ("x", UPDATE)])
    for other in Operation:
        assert both.against & footprints.of([("x", other)]).has
    assert not both.against & footprints.of([("y", READ)]).has


def test_what_a_step_did_after_its_first_conflict_is_not_certain() -> None:
    footprints = Footprints()
    late = footprints.of([("y", READ), ("x", READ), ("z", WRITE)])
    early = footprints.of([("x", WRITE)])
    assert footprints.beginning(late, early) is footprints.of([("y", READ), ("x", READ)])


def test_an_event_is_the_same_whatever_order_the_rest_has() -> None:
    steps: list[tuple[str, list[Use], list[str]]] = [
        ("p", [("x", WRITE)], []),
        ("q", [("x", READ)], []),
        ("r", [("y", WRITE)], []),
    ]
    found = HappensBefore()

    def key_of_q(run: str) -> int:
        found.truncate(0)
        for process, uses, wakes in sorted(steps, key=lambda step: run.index(step[0])):
            found.append(process, found.footprints.of(uses), wakes)
        return next(event.key for event in found.events if event.process == "q")

    assert key_of_q("pqr") == key_of_q("prq") == key_of_q("rpq")
    assert key_of_q("pqr") != key_of_q("qpr")


def random_steps(random: Random, count: int) -> list[tuple[str, list[Use], list[str]]]:
    return [
        (
            random.choice("pqr"),
            [(random.choice("xyzuvw"), random.randrange(3)) for _ in range(random.randint(0, 3))],
            random.sample("pst", random.randint(0, 1)),
        )
        for _ in range(count)
    ]


def test_what_happens_before_is_the_closure_of_what_must() -> None:
    # Long enough for many blocks of events to be passed over.
    for seed in range(10):
        steps = random_steps(Random(seed), 150)
        found = order(*steps)
        past: list[set[int]] = []
        for late, (process, uses, _) in enumerate(steps):
            own = [early for early in range(late) if steps[early][0] == process]
            wakers = [early for early in range(late) if process in steps[early][2]]
            direct = {
                early
                for early in range(late)
                if any(
                    one == other and (first != second or first == WRITE)
                    for one, first in steps[early][1]
                    for other, second in uses
                )
            }
            past.append(direct | set(own[-1:]) | set(wakers[-1:]))
            past[late] |= {early for middle in list(past[late]) for early in past[middle]}
        assert before(found) == [sorted(steps_before) for steps_before in past]


def test_forgetting_steps_leaves_what_had_never_been_there() -> None:
    random = Random(1)
    found = HappensBefore()
    steps: list[tuple[str, list[Use], list[str]]] = []
    for _ in range(300):
        if random.random() < 0.05:
            length = random.randint(0, len(steps))
            found.truncate(length)
            del steps[length:]
        (step,) = random_steps(random, 1)
        steps.append(step)
        process, uses, wakes = step
        found.append(process, found.footprints.of(uses), wakes)
        afresh = order(*steps)
        assert (before(found), races(found)) == (before(afresh), races(afresh))
