"""A call ends also if whoever was to reply has thrown the `From` away."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_genserver import (
    From,
    GenServer,
    NeverReplied,
    Refuse,
    Request,
    ServerCrashed,
    ServerRef,
    ServerStopped,
    handle_call,
    open_server,
    open_supervisor,
)


class Till(GenServer):
    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.go_on = trio.Event()

    @handle_call(noreply=True)
    def drop(self, from_: From[str]) -> None: ...

    @handle_call(noreply=True)
    async def drop_slowly(self, from_: From[str]) -> None:
        await trio.sleep(1)

    @handle_call(noreply=True)
    def keep(self, from_: From[str]) -> None:
        self.kept.append(from_)

    @handle_call(noreply=True)
    async def drop_and_wait(self, from_: From[str]) -> None:
        del from_
        await self.go_on.wait()

    @handle_call(noreply=True)
    def drop_and_crash(self, from_: From[str]) -> None:
        del from_
        raise ValueError("boom")

    @handle_call(noreply=True)
    def drop_and_refuse(self, from_: From[str]) -> None:
        del from_
        raise Refuse(LookupError("no"))

    @handle_call(noreply=True)
    def drop_and_stop(self, from_: From[str]) -> None:
        self.stop("tired")

    @handle_call(noreply=True)
    def hand_to_a_task(self, from_: From[str], work: Callable[[From[str]], Any]) -> None:
        self.start_task(work, from_)

    @handle_call(noreply=True)
    def tie(self, from_: From[str]) -> None:
        knot: list[Any] = [from_]
        knot.append(knot)

    @handle_call(noreply=True, cast=True)
    def unheard(self, from_: From[str]) -> None: ...

    @handle_call
    def clear(self) -> None:
        self.kept.clear()

    @handle_call
    def count(self) -> int:
        return len(self._process.deferred)


def till_of(server: ServerRef[Till]) -> Till:
    instance = server._process.instance
    assert isinstance(instance, Till)
    return instance


both_ways = pytest.mark.usefixtures("path")


@pytest.mark.parametrize("message", [Till.drop(), Till.drop_slowly()], ids=["plain", "async"])
@both_ways
async def test_a_handler_that_drops_its_from_has_told_the_caller(
    message: Any, autojump_clock: MockClock
) -> None:
    async with open_server(Till) as till:
        with pytest.raises(NeverReplied, match="will never reply") as caught:
            await till.call(message)
        assert (caught.value.server, caught.value.request) == ("Till", message)
        request: Request[Any] = till.send_request(message)
        with pytest.raises(NeverReplied):
            await request.wait()
        # Nothing is left of it, and the server goes on.
        assert await till.call(Till.count()) == 0


@both_ways
async def test_a_from_that_is_dropped_later_tells_the_caller_then() -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:
        told: list[str] = []

        async def call() -> None:
            with pytest.raises(NeverReplied):
                await till.call(Till.keep())
            told.append("told")

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        assert told == []
        await till.call(Till.clear())
        await wait_all_tasks_blocked()
        assert told == ["told"]
        assert await till.call(Till.count()) == 0


@both_ways
async def test_a_from_in_a_reference_cycle_is_found_by_the_garbage_collector() -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(NeverReplied):
                await till.call(Till.tie())
            nursery.cancel_scope.cancel()

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        gc.collect()
        await trio.sleep_forever()


@both_ways
async def test_a_from_that_is_dropped_in_a_thread_tells_the_caller() -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(NeverReplied):
                await till.call(Till.keep())
            nursery.cancel_scope.cancel()

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        thread = threading.Thread(target=till_of(till).kept.clear)
        thread.start()
        thread.join()
        await trio.sleep_forever()


@both_ways
async def test_a_task_that_ends_without_a_reply_has_dropped_it(autojump_clock: MockClock) -> None:
    async def work(from_: From[str]) -> None:
        await trio.sleep(1)

    async with open_server(Till) as till:
        with pytest.raises(NeverReplied):
            await till.call(Till.hand_to_a_task(work))
        assert trio.current_time() == 1


@both_ways
async def test_the_caller_is_told_at_once_only_when_the_handler_is_over() -> None:
    """Until then it may say more of what became of the call, as by raising."""
    async with open_server(Till) as till, trio.open_nursery() as nursery:
        told: list[str] = []

        async def call() -> None:
            with pytest.raises(NeverReplied):
                await till.call(Till.drop_and_wait())
            told.append("told")

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        assert told == []
        till_of(till).go_on.set()
        await wait_all_tasks_blocked()
        assert told == ["told"]


@both_ways
async def test_a_refusal_a_crash_and_an_end_say_more_than_that_the_from_is_gone() -> None:
    async with open_supervisor([Till], max_restarts=10) as root:
        till = root.child("Till", Till)
        with pytest.raises(LookupError, match="no"):
            await till.call(Till.drop_and_refuse())
        with pytest.raises(ServerCrashed, match="boom"):
            await till.call(Till.drop_and_crash())
        await wait_all_tasks_blocked()
        with pytest.raises(ServerStopped, match="tired"):
            await till.call(Till.drop_and_stop())
        await wait_all_tasks_blocked()
        request = till.send_request(Till.keep())
        await wait_all_tasks_blocked()
        await till.stop()
        with pytest.raises(ServerStopped):
            await request.wait()


@both_ways
async def test_a_cast_and_a_caller_that_has_given_up_are_told_nothing(caplog: Any) -> None:
    async with open_server(Till) as till:
        await till.cast(Till.unheard())
        request = till.send_request(Till.keep())
        await wait_all_tasks_blocked()
        request.abandon()
        await till.call(Till.clear())
        await wait_all_tasks_blocked()
        assert await till.call(Till.count()) == 0
    assert caplog.records == []


@both_ways
async def test_a_copy_of_a_from_is_that_from_and_none_can_be_pickled() -> None:
    async with open_server(Till) as till, trio.open_nursery() as nursery:
        replies: list[str] = []

        async def call() -> None:
            replies.append(await till.call(Till.keep()))

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        instance = till_of(till)
        copies = [copy.copy(instance.kept[0]), copy.deepcopy(instance.kept)[0]]
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(instance.kept[0])
        instance.kept.clear()
        await wait_all_tasks_blocked()
        copies.pop().reply("by a copy")
    assert replies == ["by a copy"]


def test_a_from_that_outlives_its_run_hurts_nobody() -> None:
    kept: list[From[str]] = []

    class Keeps(GenServer):
        @handle_call(noreply=True)
        def keep(self, from_: From[str]) -> None:
            kept.append(from_)

    async def main() -> None:
        async with open_server(Keeps) as keeps:
            keeps.send_request(Keeps.keep())
            await wait_all_tasks_blocked()

    trio.run(main)
    kept.clear()
