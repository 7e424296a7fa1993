"""Objects that tasks share unseen are found, and objects handed over properly are not reported."""

from __future__ import annotations

import trio

import sim
from sim.oracles.isolation import find_interference


def test_a_list_that_two_tasks_append_to_is_reported_with_both_places() -> None:
    async def scenario() -> None:
        log: list[int] = []

        async def appending(number: int) -> None:
            await trio.lowlevel.checkpoint()
            log.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(appending, 1)
            nursery.start_soon(appending, 2)

    found = find_interference(scenario, 3)
    assert found
    assert {found[0].changed.task, found[0].other.task} == {(0,), (1,)}
    assert found[0].what == "list"
    assert found[0].both_changed
    assert "test_isolation.py" in found[0].changed.start
    assert "sim.Shared" in str(found[0])


def test_a_message_changed_after_it_was_sent_is_reported() -> None:
    async def scenario() -> None:
        send, receive = trio.open_memory_channel[dict[str, int]](1)

        async def sender() -> None:
            message = {"count": 1}
            await send.send(message)
            message["count"] = 2
            await trio.lowlevel.checkpoint()

        async def receiver() -> None:
            message = await receive.receive()
            await trio.lowlevel.checkpoint()
            assert message

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender)
            nursery.start_soon(receiver)

    found = find_interference(scenario, 10)
    assert found
    assert all(one.sent and one.changed.task == (0,) and one.other.task == (1,) for one in found)


def test_a_message_that_its_receiver_changes_is_none() -> None:
    async def scenario() -> None:
        send, receive = trio.open_memory_channel[list[int]](1)

        async def sender() -> None:
            await send.send([1])
            await trio.lowlevel.checkpoint()

        async def receiver() -> None:
            message = await receive.receive()
            message.append(2)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender)
            nursery.start_soon(receiver)

    assert find_interference(scenario, 10) == ()


def test_what_a_lock_an_event_or_a_nursery_orders_is_none() -> None:
    async def scenario() -> None:
        results: list[int] = []
        lock, event = trio.Lock(), trio.Event()

        async def locked(number: int) -> None:
            async with lock:
                results.append(number)
                await trio.lowlevel.checkpoint()

        async def before() -> None:
            async with lock:
                results.append(7)
            event.set()

        async def after() -> None:
            await event.wait()
            async with lock:
                results.append(8)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(locked, 1)
            nursery.start_soon(locked, 2)
            nursery.start_soon(before)
            nursery.start_soon(after)
        results.append(9)

    assert find_interference(scenario, 10) == ()


def test_attributes_of_an_object_of_the_program_are_looked_at() -> None:
    class Account:
        def __init__(self) -> None:
            self.balance = 0

    async def scenario() -> None:
        account = Account()

        async def deposit(amount: int) -> None:
            balance = account.balance
            await trio.lowlevel.checkpoint()
            account.balance = balance + amount

        async with trio.open_nursery() as nursery:
            nursery.start_soon(deposit, 1000)
            nursery.start_soon(deposit, 2000)

    found = find_interference(scenario, 3)
    assert [one.what for one in found][:1] == ["Account"]


def test_what_is_in_a_shared_cell_and_changed_in_place_is_reported() -> None:
    async def scenario() -> None:
        cell = sim.Shared([0])

        async def changing(number: int) -> None:
            cell.get()[0] = number
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(changing, 1)
            nursery.start_soon(changing, 2)

    assert [one.what for one in find_interference(scenario, 3)][:1] == ["list"]
