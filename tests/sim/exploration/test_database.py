"""A failing run is kept, tried first next time, and forgotten when it no longer fails."""

import json
from functools import partial
from pathlib import Path

import pytest
import trio

import sim
from sim._exploration.database import FailureDatabase

MENDED = False


async def scenario() -> None:
    cell = sim.Shared(0)
    lock = trio.Lock()

    async def increment() -> None:
        if MENDED:
            await lock.acquire()
        value = cell.get()
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)
        if MENDED:
            lock.release()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(increment)
    assert cell.get() == 3


def test_failing_run_is_tried_first_next_time(tmp_path: Path) -> None:
    database = tmp_path / "folder" / "failures.json"
    (found,) = sim.explore(scenario, seed=1, database=database).failures
    assert found.token in database.read_text()
    again = sim.explore(scenario, seed=99, database=database)
    assert again.executions == 1
    assert [failure.token for failure in again.failures] == [found.token]
    assert again.failures[0].steps == found.steps


def test_run_that_no_longer_fails_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "failures.json"
    assert sim.explore(scenario, database=database).failures
    monkeypatch.setattr("tests.sim.exploration.test_database.MENDED", True)
    result = sim.explore(scenario, max_executions=20, database=database)
    assert result.failures == ()
    assert database.read_text().strip() == "{}"


def test_nothing_is_written_when_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "failures.json"
    monkeypatch.setattr("tests.sim.exploration.test_database.MENDED", True)
    sim.explore(scenario, max_executions=5, database=database)
    assert not database.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [1]}'])
def test_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    database = tmp_path / "something.json"
    database.write_text(content)
    with pytest.raises(sim.WrongUse, match=r"something\.json"):
        sim.explore(scenario, database=database)
    assert database.read_text() == content


def test_processes_that_test_at_the_same_time_keep_each_others_failures(tmp_path: Path) -> None:
    path = tmp_path / "failures.json"
    one, other = FailureDatabase(path), FailureDatabase(path)
    one.add("a", "1sA00")
    other.add("b", "1sB00")
    one.save()
    other.save()
    both = FailureDatabase(path)
    assert (both.tokens("a"), both.tokens("b")) == (["1sA00"], ["1sB00"])
    both.remove("a", "1sA00")
    both.save()
    assert FailureDatabase(path).tokens("a") == []
    assert FailureDatabase(path).tokens("b") == ["1sB00"]


def test_scenario_with_its_arguments_is_known_by_its_function(tmp_path: Path) -> None:
    database = tmp_path / "failures.json"
    assert sim.explore(partial(scenario), database=database).failures
    assert list(json.loads(database.read_text())) == [f"{__name__}:scenario"]
