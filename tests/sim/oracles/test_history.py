from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from sim.oracles.history import UNKNOWN, History, OperationEnded, Raised, Returned


def only(history: History) -> object:
    (operation,) = history.operations
    return operation.outcome


def test_positions_tell_what_was_over_before_what_began() -> None:
    history = History()
    first = history.operation("put", 1)
    second = history.operation("put", 2)
    first.returned(None)
    third = history.operation("put", 3)
    second.returned(None)
    third.returned(None)
    one, two, three = history.operations
    assert one.returned < three.called
    assert two.called < one.returned
    assert three.called < two.returned


def test_a_block_left_without_a_word_has_returned_none() -> None:
    history = History()
    with history.operation("put", "k", 1):
        pass
    assert only(history) == Returned(None)


def test_returned_gives_its_value_back() -> None:
    history = History()
    with history.operation("get") as operation:
        assert operation.returned(5) == 5
    assert only(history) == Returned(5)


def test_an_exception_passes_through_and_leaves_the_outcome_unknown() -> None:
    history = History()
    with pytest.raises(ZeroDivisionError), history.operation("put", 1):
        raise ZeroDivisionError
    assert only(history) is UNKNOWN


def test_an_exception_named_in_raises_is_an_answer() -> None:
    history = History()
    with pytest.raises(KeyError), history.operation("get", 1, raises=LookupError):
        raise KeyError(1)
    assert only(history) == Raised(KeyError, "1")


def test_an_exception_after_the_answer_changes_nothing() -> None:
    history = History()
    operation = history.operation("get")
    operation.returned(1)
    with pytest.raises(ZeroDivisionError), operation:
        raise ZeroDivisionError
    assert only(history) == Returned(1)


def test_a_refused_operation_leaves_the_history() -> None:
    history = History()
    with history.operation("put", 1) as operation:
        operation.refused()
    assert history.operations == ()
    assert len(history) == 0


def test_a_second_outcome_is_an_error_that_names_the_first() -> None:
    history = History()
    operation = history.operation("get", 1, client="ann")
    operation.returned(7)
    with pytest.raises(OperationEnded, match=r"get\(\) of ann has ended already \(-> 7\)"):
        operation.returned(8)
    refused = history.operation("get", 2)
    refused.refused()
    with pytest.raises(OperationEnded, match="it was refused"):
        refused.raised(KeyError())


def test_what_changes_later_is_recorded_as_it_was() -> None:
    history = History()
    argument, answer = [1, {"k": [2]}], {"a": {1}}
    with history.operation("put", argument) as operation:
        operation.returned(answer)
    argument.clear()
    answer["a"].add(2)
    (recorded,) = history.operations
    assert recorded.args == ([1, {"k": [2]}],)
    assert recorded.outcome == Returned({"a": {1}})


def test_a_client_outside_trio_and_one_in_a_thread_are_recorded() -> None:
    history = History()

    async def main() -> None:
        await trio.to_thread.run_sync(lambda: history.operation("put", 1).returned(None))

    trio.run(main)
    assert [operation.client for operation in history.operations] == ["outside Trio"]


async def test_a_cancelled_client_is_of_unknown_outcome_and_stays_cancelled() -> None:
    history = History()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def client() -> None:
                with history.operation("get"):
                    await trio.sleep_forever()

            nursery.start_soon(client)
            await wait_all_tasks_blocked()
            assert only(history) is UNKNOWN
            scope.cancel()
    assert scope.cancelled_caught
    assert only(history) is UNKNOWN


async def test_clients_are_named_after_their_tasks_and_told_apart() -> None:
    history = History()

    async def client() -> None:
        with history.operation("put", 1):
            await trio.lowlevel.checkpoint()
        with history.operation("put", 2):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        nursery.start_soon(client)
    clients = [operation.client for operation in history.operations]
    assert sorted(clients) == ["client", "client", "client#2", "client#2"]


async def test_call_records_what_it_awaits() -> None:
    history = History()

    async def add(a: int, b: int) -> int:
        await trio.lowlevel.checkpoint()
        return a + b

    assert await history.call("add", add, 1, 2) == 3
    with pytest.raises(TypeError):
        await history.call("add", add, 1, "2")
    with pytest.raises(TypeError):
        await history.call("add", add, 1, "2", raises=TypeError)
    outcomes = [operation.outcome for operation in history.operations]
    assert outcomes[:2] == [Returned(3), UNKNOWN]
    assert isinstance(outcomes[2], Raised)


async def test_recording_adds_no_checkpoint() -> None:
    history = History()
    with trio.testing.assert_no_checkpoints(), history.operation("get") as operation:
        operation.returned(1)
