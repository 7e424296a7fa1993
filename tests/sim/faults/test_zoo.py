"""Whatever of Trio's sleeps or waits: a fault ends it only if somebody holds a scope around it."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
import trio
import trio.testing

import sim

Partner = Callable[[], Awaitable[object]]
Wait = Callable[[Callable[[Partner], None]], Awaitable[object]]
"""Waits for something, with a partner that it starts: a system task, in no nursery of the program's."""

ZOO: list[Wait] = []


def animal(wait: Wait) -> Wait:
    ZOO.append(wait)
    return wait


@animal
async def sleep(start: Callable[[Partner], None]) -> None:
    began = trio.current_time()
    await trio.sleep(2)
    assert trio.current_time() >= began + 2


@animal
async def sleep_until(start: Callable[[Partner], None]) -> None:
    until = trio.current_time() + 2
    await trio.sleep_until(until)
    assert trio.current_time() >= until


@animal
async def sleep_zero(start: Callable[[Partner], None]) -> None:
    await trio.sleep(0)  # noqa: ASYNC115 - it is one of Trio's


@animal
async def sleep_forever(start: Callable[[Partner], None]) -> None:
    until = trio.current_time() + 2
    with trio.move_on_at(until):
        await trio.sleep_forever()
    assert trio.current_time() >= until


@animal
async def fail_after(start: Callable[[Partner], None]) -> None:
    until = trio.current_time() + 2
    with pytest.raises(trio.TooSlowError), trio.fail_after(2):
        await trio.sleep_forever()
    assert trio.current_time() >= until


@animal
async def no_timeout(start: Callable[[Partner], None]) -> None:
    event = trio.Event()

    async def partner() -> None:
        await trio.sleep(1)
        event.set()

    start(partner)
    with trio.fail_after(math.inf), trio.move_on_after(math.inf), trio.move_on_at(math.inf):
        await event.wait()
    assert event.is_set()


@animal
async def checkpoint(start: Callable[[Partner], None]) -> None:
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.cancel_shielded_checkpoint()
    await trio.lowlevel.checkpoint_if_cancelled()


@animal
async def event(start: Callable[[Partner], None]) -> None:
    event = trio.Event()

    async def partner() -> None:
        await trio.sleep(1)
        event.set()

    start(partner)
    await event.wait()
    assert event.is_set()


@animal
async def lock(start: Callable[[Partner], None]) -> None:
    locks: list[trio.Lock | trio.StrictFIFOLock | trio.Semaphore | trio.CapacityLimiter] = [
        trio.Lock(),
        trio.StrictFIFOLock(),
        trio.Semaphore(1),
        trio.CapacityLimiter(1),
    ]
    for lock in locks:
        held: list[int] = []

        async def partner(
            lock: trio.Lock | trio.StrictFIFOLock | trio.Semaphore | trio.CapacityLimiter = lock,
            held: list[int] = held,
        ) -> None:
            async with lock:
                held.append(1)
                await trio.sleep(1)
                held.pop()

        start(partner)
        await trio.lowlevel.checkpoint()
        async with lock:
            assert not held


@animal
async def condition(start: Callable[[Partner], None]) -> None:
    condition = trio.Condition()
    ready: list[int] = []

    async def partner() -> None:
        await trio.sleep(1)
        async with condition:
            ready.append(1)
            condition.notify_all()

    start(partner)
    async with condition:
        await condition.wait()
        assert ready


@animal
async def memory_channel(start: Callable[[Partner], None]) -> None:
    send, receive = trio.open_memory_channel[int](0)

    async def partner() -> None:
        async with send:
            with contextlib.suppress(trio.BrokenResourceError):
                for number in range(2):
                    await send.send(number)

    start(partner)
    async with receive:
        assert [number async for number in receive] == [0, 1]


@animal
async def memory_stream(start: Callable[[Partner], None]) -> None:
    for pair in (trio.testing.memory_stream_pair(), trio.testing.lockstep_stream_pair()):
        ours, theirs = pair

        async def partner(theirs: trio.abc.HalfCloseableStream = theirs) -> None:
            await theirs.send_all(b"x")
            await theirs.aclose()

        start(partner)
        data = b""
        while chunk := await ours.receive_some(1):
            data += chunk
        assert data == b"x"
        await ours.aclose()


@animal
async def parking_lot(start: Callable[[Partner], None]) -> None:
    lot = trio.lowlevel.ParkingLot()
    woken: list[int] = []

    async def partner() -> None:
        await trio.sleep(1)
        woken.append(1)
        lot.unpark_all()

    start(partner)
    await lot.park()
    assert woken


@animal
async def wait_task_rescheduled(start: Callable[[Partner], None]) -> None:
    waiting = [trio.lowlevel.current_task()]

    async def partner() -> None:
        await trio.sleep(1)
        for task in waiting:
            trio.lowlevel.reschedule(task)

    def abort(_: object) -> trio.lowlevel.Abort:
        waiting.clear()
        return trio.lowlevel.Abort.SUCCEEDED

    start(partner)
    await trio.lowlevel.wait_task_rescheduled(abort)
    assert waiting


@animal
async def thread(start: Callable[[Partner], None]) -> None:
    async def back() -> int:
        await trio.sleep(1)
        return 2

    assert await trio.to_thread.run_sync(lambda: 1) == 1
    assert await trio.to_thread.run_sync(lambda: trio.from_thread.run(back)) == 2
    assert await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(lambda: 3)) == 3


@animal
async def wait_all_tasks_blocked(start: Callable[[Partner], None]) -> None:
    steps: list[int] = []

    async def partner() -> None:
        for number in range(2):
            await trio.lowlevel.checkpoint()
            steps.append(number)

    start(partner)
    await trio.testing.wait_all_tasks_blocked()
    assert len(steps) == 2


@animal
async def sequencer(start: Callable[[Partner], None]) -> None:
    sequencer = trio.testing.Sequencer()
    order: list[int] = []

    async def partner() -> None:
        async with sequencer(0):
            order.append(0)

    start(partner)
    async with sequencer(1):
        order.append(1)
    assert order == [0, 1]


@trio.as_safe_channel
async def numbers() -> AsyncGenerator[int]:
    for number in range(2):
        await trio.sleep(1)
        yield number


@animal
async def safe_channel(start: Callable[[Partner], None]) -> None:
    async with numbers() as channel:
        assert [number async for number in channel] == [0, 1]


def starter() -> Callable[[Partner], None]:
    return lambda partner: trio.lowlevel.spawn_system_task(partner) and None


@pytest.mark.parametrize("kind", [sim.FaultKind.CANCEL, sim.FaultKind.EXPIRE], ids=lambda kind: kind.value)
@pytest.mark.parametrize("wait", ZOO, ids=lambda wait: wait.__name__)
def test_no_fault_ends_a_wait_around_which_nobody_holds_a_scope(wait: Wait, kind: sim.FaultKind) -> None:
    async def scenario() -> None:
        await wait(starter())

    for anytime in (True, False):
        plan = sim.FaultPlan((kind,), anytime=anytime)
        sim.explore(scenario, sweep=plan).check()
        sim.explore(scenario, max_executions=20, faults=plan).check()


# A sequencer turns the cancellation of a wait into an error of its own.
GIVES_UP = [wait for wait in ZOO if wait is not sequencer]


@pytest.mark.parametrize("wait", GIVES_UP, ids=lambda wait: wait.__name__)
def test_fault_ends_a_wait_only_by_the_scope_that_somebody_holds(wait: Wait) -> None:
    ends: set[tuple[bool, bool]] = set()

    async def scenario() -> None:
        over = False
        with trio.CancelScope() as scope:
            try:
                await wait(starter())
            except trio.Cancelled:
                assert scope.cancel_called, "cancelled by nobody"
                raise
            over = True
            await trio.lowlevel.checkpoint()
        ends.add((over, scope.cancelled_caught))

    result = sim.explore(scenario, sweep="cancel")
    result.check()
    assert ends >= {(False, True), (True, True), (True, False)}


@pytest.mark.parametrize("wait", GIVES_UP, ids=lambda wait: wait.__name__)
def test_task_that_waits_is_given_up_alone(wait: Wait) -> None:
    waited: set[bool] = set()

    async def client(over: list[int]) -> None:
        await wait(starter())
        over.append(1)

    async def scenario() -> None:
        began = trio.current_time()
        over: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(client, over), name="client")
            await trio.sleep(10)
        assert trio.current_time() >= began + 10
        waited.add(bool(over))

    sim.explore(scenario, sweep=sim.FaultPlan((sim.FaultKind.CANCEL,), "client")).check()
    assert waited == {True, False}
