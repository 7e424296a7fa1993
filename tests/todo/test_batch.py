"""A batch: one transaction, few statements, and a failing operation fails alone."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from todo import Entry, OperationRefused, TodoList
from todo.operations import AddEntries, DeleteEntry, Operation, ReplaceEntry
from todo.shard import Shard

DAY = datetime.date(2023, 12, 19)


class Recording(sqlite3.Connection):
    """Keeps the statements that it was given; SQLite's own trace shows those of triggers as well."""

    statements: ClassVar[list[str]] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.statements.append(sql)
        return super().execute(sql, parameters)


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shard]:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recording))
    with Shard.open(tmp_path / "0.db", create=True) as shard:
        yield shard


def add(name: str, *numbers: int, title: str = "Dentist") -> AddEntries:
    return AddEntries(
        name, tuple(Entry(id=number, title=f"{title} {number}", date=DAY) for number in numbers)
    )


def statements_of(shard: Shard, operations: list[Operation]) -> list[str]:
    """The first words of the statements that `operations` take."""
    Recording.statements.clear()
    assert shard.apply(operations) == [None] * len(operations)
    return [statement.split()[0] for statement in Recording.statements]


def test_a_batch_is_one_transaction_and_a_failing_operation_fails_alone(shard: Shard) -> None:
    statements: list[str] = []
    shard.database.conn.set_trace_callback(statements.append)
    operations: list[Operation] = [
        add("bob", 1),
        add("bob", 1),
        DeleteEntry("bob", 9),
        add("eve", 1, 2, 1),
        add("ann", 1, 2),
        ReplaceEntry("ann", Entry(id=3, title="nobody")),
        ReplaceEntry("nobody", Entry(id=1, title="nobody")),
    ]
    outcomes = shard.apply(operations)
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        OperationRefused,
        OperationRefused,
        OperationRefused,
        type(None),
        OperationRefused,
        OperationRefused,
    ]
    assert [statement for statement in statements if statement in ("BEGIN IMMEDIATE", "COMMIT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert [(summary.name, summary.entries) for summary in shard.lists()] == [("ann", 2), ("bob", 1)]
    refused = outcomes[1]
    assert isinstance(refused, OperationRefused)
    assert refused.operation == add("bob", 1)
    # A list that a refused operation would have made is not remembered either.
    assert shard.apply([add("eve", 1)]) == [None]
    assert len(shard.load("eve")) == 1


def test_deleting_the_last_entry_does_not_free_its_number(shard: Shard) -> None:
    shard.apply([add("bob", 1, 2)])
    assert shard.apply([DeleteEntry("bob", 2), DeleteEntry("bob", 1)]) == [None, None]
    assert shard.load("bob") == TodoList.restore([], next_id=3)


def test_additions_to_lists_that_are_there_are_one_statement_and_that_is_the_transaction(
    shard: Shard,
) -> None:
    shard.apply([add("ann", 1), add("bob", 1)])
    assert statements_of(shard, [add("ann", 2), add("bob", 2, 3), add("ann", 3)]) == ["INSERT"]
    assert [entry.id for entry in shard.load("ann")] == [1, 2, 3]
    assert [entry.id for entry in shard.load("bob")] == [1, 2, 3]


def test_additions_between_other_changes_are_one_statement_in_the_order_of_all(shard: Shard) -> None:
    shard.apply([add("ann", 1), add("bob", 1)])
    operations: list[Operation] = [
        add("ann", 2),
        add("bob", 2),
        add("bob", 3),
        ReplaceEntry("bob", Entry(id=3, title="replaced")),
        add("bob", 4),
        add("ann", 3),
    ]
    assert statements_of(shard, operations) == ["BEGIN", "INSERT", "UPDATE", "INSERT", "COMMIT"]
    assert [entry.title for entry in shard.load("bob")] == ["Dentist 1", "Dentist 2", "replaced", "Dentist 4"]
    assert [entry.id for entry in shard.load("ann")] == [1, 2, 3]


def test_of_additions_that_were_tried_at_once_only_the_wrong_ones_are_refused(shard: Shard) -> None:
    shard.apply([add("ann", 1), add("bob", 1)])
    outcomes = shard.apply([add("ann", 2), add("bob", 2, 1), add("bob", 2), add("ann", 2), add("bob", 3)])
    assert [outcome is None for outcome in outcomes] == [True, False, True, False, True]
    assert [entry.id for entry in shard.load("ann")] == [1, 2]
    assert [entry.id for entry in shard.load("bob")] == [1, 2, 3]
    assert shard.check() == []
    assert len(shard.search("dentist")) == 5


@pytest.mark.parametrize(
    "entry", [Entry(id=2**63, title="too high"), Entry(id=2**64, title="too high")], ids=["2^63", "2^64"]
)
def test_a_number_that_a_column_cannot_hold_is_refused_and_not_rounded(shard: Shard, entry: Entry) -> None:
    shard.apply([add("bob", 1)])
    outcomes = shard.apply([add("bob", 2), AddEntries("bob", (entry,)), add("bob", 2**63 - 2)])
    assert [type(outcome) for outcome in outcomes] == [type(None), OperationRefused, type(None)]
    assert [stored.id for stored in shard.load("bob")] == [1, 2, 2**63 - 2]


def test_a_connection_of_any_state_is_ready_again_after_a_failure(shard: Shard) -> None:
    """What failed is undone, and no transaction stays open."""
    shard.apply([add("bob", 1)])
    connection = shard.database.conn
    connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON entries WHEN new.id = 7 BEGIN SELECT no_such(); END"
    )
    batches: list[list[Operation]] = [[add("bob", 7)], [add("bob", 2), DeleteEntry("bob", 1), add("bob", 7)]]
    for operations in batches:
        with pytest.raises(Exception, match="no_such"):
            shard.apply(operations)
        assert not connection.in_transaction
    connection.execute("DROP TRIGGER no")
    assert shard.apply([add("bob", 7)]) == [None]
    assert [entry.id for entry in shard.load("bob")] == [1, 7]


titles = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30).filter(
    lambda title: title.strip()
)
days = st.none() | st.dates()


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    done = draw(st.booleans())
    return Entry(
        title=draw(titles | st.sampled_from(['"', "\\", "\\u0041", "null", "1", "1e3", "{}", "\U0001f600"])),
        date=draw(days),
        done=done,
        priority=draw(st.none() | st.sampled_from("AZ")),
        created_on=draw(days),
        completed_on=draw(days) if done else None,
    )


@settings(deadline=None)
@given(st.lists(entries(), min_size=2, max_size=5))
def test_any_entry_is_stored_the_same_way_singly_and_in_a_batch(given: list[Entry]) -> None:
    with Shard.open(Path(":memory:"), create=True) as shard:
        numbered = [entry.with_id(number) for number, entry in enumerate(given, 1)]
        shard.apply([AddEntries("new", tuple(numbered)), add("known", 10_000)])
        shard.apply([AddEntries("known", (entry,)) for entry in numbered])
        columns = (
            "entries.id, title, typeof(title), date, typeof(date), done, typeof(done), priority, created_on"
        )
        rows = [
            shard.database.conn.execute(
                f"SELECT {columns}, completed_on FROM entries JOIN lists ON lists.id = entries.list_id"
                " WHERE name = ? AND entries.id < 10000 ORDER BY entries.id",
                (name,),
            ).fetchall()
            for name in ("new", "known")
        ]
        assert rows[0] == rows[1]
        assert shard.load("new") == TodoList.restore(numbered)
