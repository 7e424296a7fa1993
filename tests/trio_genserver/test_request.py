"""Calls in flight: `send_request`, `wait_all`, `as_completed`."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import (
    GenServer,
    Request,
    ServerCrashed,
    ServerNotRunning,
    ServerStopped,
    as_completed,
    handle_call,
    open_server,
    start_server,
    wait_all,
)
from trio_genserver.errors import RequestAbandoned


class Worker(GenServer):
    def __init__(self) -> None:
        self.done: list[float] = []

    @handle_call(child=True)
    async def take(self, seconds: float) -> float:
        await trio.sleep(seconds)
        self.done.append(seconds)
        return seconds

    @handle_call
    def at_once(self, value: int) -> int:
        return value

    @handle_call(child=True)
    async def fail_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        raise ValueError(seconds)


async def test_request_is_sent_waited_for_and_checked(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 34
    async with open_server(Worker) as worker:
        request = worker.send_request(Worker.take(3), label="three")
        assert request.label == "three"
        assert not request.done
        with pytest.raises(trio.WouldBlock):
            request.check()
        with trio.move_on_after(1) as scope:
            await request.wait()
        assert scope.cancelled_caught  # the wait is given up, the request is not
        assert await request.wait() == 3
        assert trio.current_time() == 3
        assert request.done
        assert request.check() == 3
        assert await request.wait() == 3


async def test_request_that_is_abandoned(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 34
    async with open_server(Worker) as worker, trio.open_nursery() as nursery:
        begun = worker.send_request(Worker.take(3))
        await trio.testing.wait_all_tasks_blocked()
        queued = worker.send_request(Worker.take(1))

        async def wait_in_vain() -> None:
            with pytest.raises(RequestAbandoned):
                await begun.wait()

        nursery.start_soon(wait_in_vain)
        queued.abandon()
        await trio.testing.wait_all_tasks_blocked()
        begun.abandon()
        begun.abandon()
        with pytest.raises(RequestAbandoned):
            queued.check()
        await trio.sleep(10)
        # What was begun ran to its end, what was queued never began.
        assert worker._process.instance.done == [3]
        assert worker.dropped == 2


async def test_many_requests_in_the_order_of_their_completion(autojump_clock: trio.testing.MockClock) -> None:
    # OTP 35
    async with open_server(Worker) as one, open_server(Worker) as two:
        requests = [one.send_request(Worker.take(seconds), label=f"one {seconds}") for seconds in (5, 1, 3)]
        requests += [two.send_request(Worker.take(seconds), label=f"two {seconds}") for seconds in (4, 2)]
        labels = [request.label async for request in as_completed(requests)]
        assert labels == ["one 1", "two 2", "one 3", "two 4", "one 5"]
        again = [request.label async for request in as_completed(requests)]
        assert sorted(map(str, again)) == sorted(map(str, labels))


async def test_leaving_the_loop_leaves_the_rest_in_flight(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(Worker) as worker:
        requests = [worker.send_request(Worker.take(seconds)) for seconds in (2, 1)]
        async for request in as_completed(requests):
            assert request.check() == 1
            break
        assert await requests[0].wait() == 2


async def test_wait_all_gives_the_replies_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(Worker) as worker:
        assert await wait_all([]) == []
        requests = [worker.send_request(Worker.take(seconds)) for seconds in (2, 1, 3)]
        with trio.testing.assert_checkpoints():
            assert await wait_all(requests) == [2, 1, 3]
        with trio.testing.assert_checkpoints():
            assert await wait_all(requests) == [2, 1, 3]
        assert trio.current_time() == 3
        hundred = [worker.send_request(Worker.at_once(value)) for value in range(100)]
        assert await wait_all(hundred) == list(range(100))


async def test_wait_all_fails_with_the_first_that_fails(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        slow = await start_server(nursery, Worker)
        other = await start_server(nursery, Worker)
        requests = [slow.send_request(Worker.take(9)), other.send_request(Worker.take(9))]
        nursery.start_soon(other.stop)
        with pytest.raises(ServerStopped):
            await wait_all(requests)
        assert trio.current_time() == 0
        assert await requests[0].wait() == 9
        await slow.stop()


async def test_several_tasks_may_wait_for_one_request(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(Worker) as worker, trio.open_nursery() as nursery:
        request = worker.send_request(Worker.take(3))
        replies: list[float] = []

        async def wait() -> None:
            replies.append(await request.wait())

        async def wait_with_others() -> None:
            replies.extend(await wait_all([request]))

        with trio.move_on_after(1):
            await request.wait()
        for waiter in (wait, wait, wait_with_others):
            nursery.start_soon(waiter)
        await trio.sleep(5)
        assert replies == [3, 3, 3]


async def test_request_ends_with_its_server(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(ValueError, match="2"):
        async with open_server(Worker) as worker:
            crashing = worker.send_request(Worker.fail_after(2))
            other = worker.send_request(Worker.take(5))
            with trio.CancelScope(shield=True):
                for request in (crashing, other):
                    with pytest.raises(ServerCrashed) as caught:
                        await request.wait()
                    assert isinstance(caught.value.__cause__, ValueError)
                assert trio.current_time() == 2
                late = worker.send_request(Worker.at_once(1))
                assert late.done
                with pytest.raises(ServerNotRunning):
                    await late.wait()
            await trio.sleep_forever()


async def test_block_that_is_cancelled_with_its_server_hears_of_the_cancellation() -> None:
    with trio.CancelScope() as scope:
        async with open_server(Worker) as worker:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await worker.wait_stopped()
            # The server has ended, and this task has not come to a checkpoint yet.
            request = worker.send_request(Worker.at_once(1))
            await request.wait()
    assert scope.cancelled_caught


async def test_send_request_is_not_a_checkpoint_and_wait_is_one() -> None:
    async with open_server(Worker) as worker:
        with trio.testing.assert_no_checkpoints():
            request = worker.send_request(Worker.at_once(1))
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                assert await request.wait() == 1


async def test_what_a_callback_of_the_client_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request[int]) -> None:
        raise ZeroDivisionError

    async with open_server(Worker) as worker:
        first, second = worker.send_request(Worker.at_once(1)), worker.send_request(Worker.at_once(2))
        told: list[object] = []
        second.on_done(fail)
        second.on_done(told.append)
        assert await wait_all([first, second]) == [1, 2]
        assert told == [second]
        assert await worker.call(Worker.at_once(3)) == 3
    (record,) = caplog.records
    assert "at_once(2)" in record.getMessage()


async def test_waits_that_were_cancelled_leave_nothing_in_the_request() -> None:
    async with open_server(Worker) as worker, trio.open_nursery() as nursery:
        request = worker.send_request(Worker.take(1000))
        other = worker.send_request(Worker.take(1000))
        nursery.start_soon(wait_all, [request, other])
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(100):
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_soon, scope)
                await request.wait()
        assert not request._notify
        nursery.cancel_scope.cancel()
    assert request.waiter is None


async def cancel_soon(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


@pytest.mark.parametrize("queued", [0, 1, 5])
async def test_request_to_a_server_that_is_ending_is_told_so_at_once(
    queued: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Ending(GenServer):
        @handle_call(child=True)
        async def end_slowly(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)

        @handle_call
        async def fail(self) -> None:
            await trio.sleep(1)
            raise ValueError("no")

        @handle_call
        def get(self) -> int:
            return 1

    with pytest.RaisesGroup(ValueError):
        async with trio.open_nursery() as nursery:
            ending = await start_server(nursery, Ending)
            ending.send_request(Ending.end_slowly())
            await trio.testing.wait_all_tasks_blocked()
            ending.send_request(Ending.fail())
            await trio.testing.wait_all_tasks_blocked()
            waiting = [ending.send_request(Ending.get()) for _ in range(queued)]
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
                assert not any(request.done for request in waiting)
                late = ending.send_request(Ending.get())
                assert late.done
                with pytest.raises(ServerNotRunning):
                    await late.wait()


async def test_calls_given_up_make_room_for_others_that_wait_for_a_child_task() -> None:
    class Few(GenServer):
        mailbox_size = 3

        @handle_call(child=True, max_children=1)
        async def work(self, event: trio.Event) -> None:
            await event.wait()

        @handle_call
        def ping(self) -> str:
            return "pong"

    async with open_server(Few) as few:
        event = trio.Event()
        requests = [few.send_request(Few.work(event)) for _ in range(4)]
        await trio.testing.wait_all_tasks_blocked()
        ping = few.send_request(Few.ping())
        await trio.testing.wait_all_tasks_blocked()
        assert not ping.done
        requests[2].abandon()
        assert await ping.wait() == "pong"
        assert few.dropped == 1
        event.set()
        await requests[3].wait()


async def test_one_iteration_is_for_one_task() -> None:
    async with open_server(Worker) as worker:
        replies = as_completed([worker.send_request(Worker.at_once(each)) for each in range(3)])
        await trio.testing.wait_all_tasks_blocked()

        async def take() -> None:
            async for _ in replies:
                pass

        with pytest.RaisesGroup(trio.BusyResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take)
                nursery.start_soon(take)
