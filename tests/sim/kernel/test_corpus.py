"""Programs whose result no schedule changes have the same one here as under `trio.run`."""

import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable

import outcome
import pytest
import trio
import trio.lowlevel
import trio.testing

import sim

Program = Callable[[], Awaitable[object]]


async def producer_and_consumer() -> object:
    send, receive = trio.open_memory_channel[int](2)
    got: list[int] = []

    async def produce() -> None:
        async with send:
            for number in range(10):
                await send.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        got += [number async for number in receive]
    return got


async def many_producers() -> object:
    send, receive = trio.open_memory_channel[int](0)
    got: list[int] = []

    async def produce(channel: trio.MemorySendChannel[int], start: int) -> None:
        async with channel:
            for number in range(start, start + 5):
                await channel.send(number)

    async with trio.open_nursery() as nursery:
        async with send:
            for start in (0, 10, 20):
                nursery.start_soon(produce, send.clone(), start)
        got += [number async for number in receive]
    return sorted(got)


async def lock_and_condition() -> object:
    condition = trio.Condition()
    tokens: list[int] = []
    got: list[int] = []

    async def consumer() -> None:
        async with condition:
            while not tokens:
                await condition.wait()
            got.append(tokens.pop())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(consumer)
        for number in range(3):
            async with condition:
                tokens.append(number)
                condition.notify()
    return sorted(got)


async def limiter_and_semaphore() -> object:
    limiter, semaphore = trio.CapacityLimiter(2), trio.Semaphore(1)
    most = running = 0

    async def job() -> None:
        nonlocal most, running
        async with limiter:
            running += 1
            most = max(most, running)
            async with semaphore:
                await trio.lowlevel.checkpoint()
            running -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(job)
    return most <= 2, running, limiter.borrowed_tokens, semaphore.value


async def nested_timeouts() -> object:
    seen: list[object] = []
    began = trio.current_time()
    with trio.move_on_after(3) as outer:
        with trio.move_on_after(1) as inner:
            await trio.sleep(2)
        seen += [inner.cancelled_caught, trio.current_time() - began]
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
        await trio.sleep(1)
    return [*seen, outer.cancelled_caught, trio.current_time() - began]


async def failure_cancels_siblings() -> object:
    cleaned: list[str] = []

    async def sibling(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(name)

    async def failing() -> None:
        await trio.sleep(1)
        raise ValueError("one")

    caught: list[str] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sibling, "a")
            nursery.start_soon(sibling, "b")
            nursery.start_soon(failing)
    except* ValueError as group:
        caught += [str(error) for error in group.exceptions]
    return sorted(cleaned), caught


async def start_and_started() -> object:
    async def service(*, task_status: trio.TaskStatus[int]) -> None:
        await trio.sleep(1)
        task_status.started(42)
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        value = await nursery.start(service)
        at_start = trio.current_time()
    return value, trio.current_time() - at_start


async def start_that_fails() -> object:
    async def service(*, task_status: trio.TaskStatus[int]) -> None:
        raise KeyError("no start")

    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(service)
        except KeyError as error:
            return str(error)
    return None


async def generators_and_contexts() -> object:
    closed: list[str] = []

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(3):
                yield number
                await trio.lowlevel.checkpoint()
        finally:
            closed.append("numbers")

    @contextlib.asynccontextmanager
    async def resource() -> AsyncGenerator[str]:
        await trio.lowlevel.checkpoint()
        yield "resource"
        closed.append("resource")

    async with resource() as name, contextlib.aclosing(numbers()) as generator:
        got = [number async for number in generator if number < 2]
    return name, got, closed


async def memory_streams() -> object:
    left, right = trio.testing.memory_stream_pair()

    async def echo() -> None:
        async for chunk in right:
            await right.send_all(bytes(chunk).upper())
        await right.aclose()

    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for chunk in (b"one", b"two"):
            await left.send_all(chunk)
        await left.send_eof()
        async for reply in left:
            received.extend(reply)
    return bytes(received)


async def lockstep_streams() -> object:
    left, right = trio.testing.lockstep_stream_pair()
    received = bytearray()

    async def send() -> None:
        async with left:
            for chunk in (b"one", b"two"):
                await left.send_all(chunk)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        async for chunk in right:
            received.extend(chunk)
    return bytes(received)


async def sequencer() -> object:
    seq = trio.testing.Sequencer()
    order: list[int] = []

    async def step(number: int) -> None:
        async with seq(number):
            order.append(number)

    async with trio.open_nursery() as nursery:
        for number in (2, 0, 1):
            nursery.start_soon(step, number)
    return order


async def threads_both_ways() -> object:
    seen: list[object] = []

    def in_thread() -> int:
        seen.append(trio.from_thread.run_sync(lambda: "from the thread"))
        return 7

    seen.append(await trio.to_thread.run_sync(in_thread))
    return seen


async def context_variables() -> object:
    import contextvars

    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    async def child() -> None:
        seen.append(variable.get())
        variable.set(5)
        await trio.lowlevel.checkpoint()
        seen.append(variable.get())

    variable.set(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
    return seen, variable.get()


async def checkpoints_are_where_they_should_be() -> object:
    with trio.testing.assert_checkpoints():
        await trio.lowlevel.checkpoint()
    with trio.testing.assert_no_checkpoints():
        trio.Event().set()
    return True


async def files() -> object:
    async with await trio.open_file(__file__) as file:
        first = await file.readline()
    return first, await trio.Path(__file__).exists()


async def closed_and_broken_channels() -> object:
    seen: list[str] = []
    send, receive = trio.open_memory_channel[int](math.inf)
    send.close()
    for action in (lambda: send.send_nowait(1), receive.receive_nowait):
        try:
            action()
        except (trio.ClosedResourceError, trio.EndOfChannel, trio.WouldBlock) as error:
            seen.append(type(error).__name__)
    return seen


async def safe_channel_left_early() -> object:
    closed: list[str] = []

    @trio.as_safe_channel
    async def numbers() -> AsyncGenerator[int]:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.lowlevel.checkpoint)
                for number in range(3):
                    yield number
        finally:
            closed.append("numbers")

    async with numbers() as channel:
        async for number in channel:
            if number == 1:
                break
    return closed


async def thread_of_ones_own() -> object:
    delivered = trio.Event()
    token = trio.lowlevel.current_trio_token()
    results: list[int] = []

    def deliver(result: outcome.Outcome[int]) -> None:
        results.append(result.unwrap())
        token.run_sync_soon(delivered.set)

    trio.lowlevel.start_thread_soon(lambda: 4, deliver)
    await delivered.wait()
    return results


async def tree_of_tasks() -> object:
    """From a task of the system up to the root, as debuggers go."""
    depths: list[int] = []

    async def depth() -> None:
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        nursery = task.parent_nursery if task else None
        count = 0
        while nursery is not None:
            nursery = nursery.parent_task.parent_nursery
            count += 1
        depths.append(count)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(depth)
    trio.lowlevel.spawn_system_task(depth)
    await trio.testing.wait_all_tasks_blocked()
    return depths


async def statistics() -> object:
    found = trio.lowlevel.current_statistics()
    return found.seconds_to_next_deadline, found.run_sync_soon_queue_size, bool(found.io_statistics.backend)


PROGRAMS: list[Program] = [
    safe_channel_left_early,
    thread_of_ones_own,
    tree_of_tasks,
    statistics,
    producer_and_consumer,
    many_producers,
    lock_and_condition,
    limiter_and_semaphore,
    nested_timeouts,
    failure_cancels_siblings,
    start_and_started,
    start_that_fails,
    generators_and_contexts,
    memory_streams,
    lockstep_streams,
    sequencer,
    threads_both_ways,
    context_variables,
    checkpoints_are_where_they_should_be,
    files,
    closed_and_broken_channels,
]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("strategy", ["random", "pct", "dfs", "dpor"])
def test_program_has_the_result_it_has_under_trio(program: Program, strategy: str) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0.01 if "thread" in program.__name__ else 0)
    expected = trio.run(program, clock=clock)
    results: list[object] = []

    async def scenario() -> None:
        results.append(await program())

    sim.explore(scenario, strategy, 40).check()
    assert results
    assert all(result == expected for result in results)
