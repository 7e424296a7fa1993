"""The report of a deadlock: what each task waits for, who could end that, and the cycle drawn."""

import re
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

import sim
from trio_genserver import GenServer, handle_call, open_server


def deadlock(scenario: Callable[[], Awaitable[None]]) -> sim.Deadlock:
    (failure,) = sim.explore(scenario).failures
    assert isinstance(failure.error, sim.Deadlock)
    return failure.error


def reasons(scenario: Callable[[], Awaitable[None]]) -> dict[str, str]:
    return {task.label: task.waits_for for task in deadlock(scenario).waiting}


async def crossed() -> None:
    first, second = trio.Lock(), trio.Lock()

    async def forwards() -> None:
        async with first, second:
            pass

    async def backwards() -> None:
        async with second, first:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forwards)
        nursery.start_soon(backwards)


def test_deadlock_is_a_failure_that_names_who_waits_for_what_and_who_holds_it() -> None:
    (failure,) = sim.explore(crossed).failures
    assert isinstance(failure.error, sim.Deadlock)
    waiting = {task.name: task for task in failure.error.waiting}
    assert set(waiting) == {"crossed", "forwards", "backwards"}
    assert waiting["forwards"].waits_for == "Lock.acquire, held by backwards"
    assert waiting["backwards"].waits_for == "Lock.acquire, held by forwards"
    assert waiting["crossed"].waits_for == "the tasks of its nursery, namely forwards, backwards"
    assert "test_waits.py" in waiting["forwards"].where[0]
    (again,) = sim.replay(crossed, failure.token).failures
    assert str(again.error) == str(failure.error)


def test_cycle_is_drawn_with_who_holds_what_and_where() -> None:
    drawing = re.sub(r"[^ ]*test_waits\.py:\d+", "LINE", str(deadlock(crossed)))
    assert (
        drawing
        == """\
deadlock: 3 tasks are blocked and no deadline is due
  ╭─▶ forwards   waits for Lock.acquire
  │                at LINE in forwards
  │              held by
  │   backwards  waits for Lock.acquire
  │                at LINE in backwards
  ╰── held by forwards

  crossed waits for the tasks of its nursery, namely forwards, backwards
      LINE in crossed"""
    )


class Careless(GenServer):
    def __init__(self, lock: trio.Lock) -> None:
        self.lock = lock

    @handle_call
    async def take(self) -> None:
        async with self.lock:
            pass


async def through_a_server() -> None:
    lock = trio.Lock()
    async with open_server(Careless, lock) as careless:

        async def client() -> None:
            async with lock:
                await careless.call(Careless.take())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)


def test_cycle_through_a_server_is_found() -> None:
    found = reasons(through_a_server)
    assert found["Careless"] == "Lock.acquire, held by client"
    assert found["client"] == "the answer to Careless.take(), from Careless"
    assert "╰── from Careless" in str(deadlock(through_a_server))


async def idle_server() -> None:
    async with open_server(Careless, trio.Lock()):
        await trio.sleep_forever()


async def limiter() -> None:
    tokens = trio.CapacityLimiter(1)

    async def holder() -> None:
        async with tokens:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder)
        await trio.testing.wait_all_tasks_blocked()
        await tokens.acquire()


async def semaphore() -> None:
    permits = trio.Semaphore(0)

    async def knows() -> None:
        kept = permits
        await trio.sleep_forever()
        kept.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(knows)
        nursery.start_soon(trio.sleep_forever)
        await permits.acquire()


async def channel() -> None:
    send, receive = trio.open_memory_channel[int](0)

    async def could_send(end: trio.MemorySendChannel[int]) -> None:
        await trio.sleep_forever()
        await end.send(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(could_send, send.clone())
        send.close()
        await receive.receive()


async def thread() -> None:
    await trio.to_thread.run_sync(trio.from_thread.run, trio.Event().wait, thread_name="disk")


@pytest.mark.parametrize(
    ("scenario", "waits_for"),
    [
        (idle_server, {"Careless": "a message"}),
        (limiter, {"limiter": "CapacityLimiter.acquire, held by holder"}),
        (semaphore, {"semaphore": "Semaphore.acquire, known to knows"}),
        (channel, {"channel": "MemoryReceiveChannel.receive, known to could_send"}),
        (thread, {"<thread: disk>": "an answer of trio.from_thread"}),
    ],
)
def test_owner_is_named_where_there_is_one_and_else_who_could_help(
    scenario: Callable[[], Awaitable[None]], waits_for: dict[str, str]
) -> None:
    assert waits_for.items() <= reasons(scenario).items()


def test_tasks_of_one_name_are_told_apart() -> None:
    async def scenario() -> None:
        locks = [trio.Lock() for _ in range(3)]

        async def philosopher(number: int) -> None:
            async with locks[number]:
                await trio.testing.wait_all_tasks_blocked()
                async with locks[(number + 1) % 3]:
                    pass

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(philosopher, number)

    error = deadlock(scenario)
    assert [task.label for task in error.waiting] == ["scenario"] + [f"philosopher {n}" for n in range(3)]
    assert {task.needs for task in error.waiting[1:]} == {(f"philosopher {n}",) for n in range(3)}
    assert str(error).count("waits for Lock.acquire") == 3
    assert "╰── held by philosopher 0" in str(error)
