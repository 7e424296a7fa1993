"""What both type checkers accept, and what they then know; checked by test_typing, never run."""

from __future__ import annotations

from typing import assert_type

import trio

import trio_genserver
from trio_genserver import (
    Call,
    CallOrCast,
    Cast,
    ChildSpec,
    From,
    GenServer,
    Request,
    ServerRef,
    as_completed,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
    wait_all,
)
from trio_genserver.pools import KeyedPool


class Counter(GenServer):
    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.value = start

    @handle_call
    def increment(self, by: int = 1) -> int:
        return self.value

    @handle_call
    async def settle(self) -> str:
        return ""

    @handle_call(noreply=True)
    def later(self, from_: From[bytes], size: int) -> None:
        from_.reply(bytes(size))

    @handle_call(noreply=True)
    async def much_later(self, from_: From[bytes]) -> None: ...

    @handle_call(child=True, max_children=3)
    async def heavy(self, size: int) -> float:
        return float(size)

    @handle_call(cast=True)
    def either(self) -> bool:
        return True

    @handle_cast
    def reset(self) -> None: ...

    @handle_cast
    async def settle_at(self, value: int) -> None: ...

    @handle_cast(child=True)
    async def work(self, size: int) -> None: ...

    async def handle_info(self, message: object) -> None:
        own: ServerRef[Counter] = self.ref
        assert_type(await own.call(Counter.increment()), int)
        # On an instance, a handler is the method it is written as.
        assert_type(self.increment(2), int)
        assert_type(await self.settle(), str)
        assert_type(await self.heavy(2), float)
        self.reset()
        self.start_task(self.work, 3)


class Sub(Counter):
    @handle_call
    def increment(self, by: int = 1) -> int:
        return -1

    @handle_call
    def more(self) -> list[int]:
        return []


async def replies_have_the_types_of_their_handlers(counter: ServerRef[Counter]) -> None:
    assert_type(Counter.increment(5), Call[Counter, int])
    assert_type(Counter.increment(by=5), Call[Counter, int])
    assert_type(Counter.reset(), Cast[Counter])
    assert_type(Counter.either(), CallOrCast[Counter, bool])
    assert_type(await counter.call(Counter.increment(5)), int)
    assert_type(await counter.call(Counter.settle()), str)
    assert_type(await counter.call(Counter.later(1)), bytes)
    assert_type(await counter.call(Counter.much_later()), bytes)
    assert_type(await counter.call(Counter.heavy(1)), float)
    assert_type(await counter.call(Counter.either()), bool)


async def casts_take_casts_and_what_may_be_both(counter: ServerRef[Counter]) -> None:
    await counter.cast(Counter.reset())
    await counter.cast(Counter.settle_at(1))
    await counter.cast(Counter.work(1))
    await counter.cast(Counter.either())
    counter.cast_nowait(Counter.settle_at(1))
    await counter.send("anything")


async def requests_keep_the_type(counter: ServerRef[Counter]) -> None:
    request = counter.send_request(Counter.settle(), label=3)
    assert_type(request, Request[str])
    assert_type(await request.wait(), str)
    assert_type(request.check(), str)
    requests = [counter.send_request(Counter.increment(by)) for by in range(3)]
    assert_type(await wait_all(requests), list[int])
    async for answered in as_completed(requests):
        assert_type(answered.check(), int)


async def sys_answers_with_values_of_its_own(counter: ServerRef[Counter]) -> None:
    assert_type(await trio_genserver.sys.get_status(counter), trio_genserver.sys.Status)
    assert_type(await trio_genserver.sys.statistics(counter), trio_genserver.sys.Statistics)
    assert_type(await trio_genserver.sys.install(counter, lambda count, event: count + 1, 0), bool)


async def starting_knows_the_class(nursery: trio.Nursery) -> None:
    spec = child_spec(Counter, 1, step=2)
    assert_type(spec, ChildSpec[Counter])
    assert_type(spec.replace(name="c"), ChildSpec[Counter])
    async with open_server(Counter, 10) as counter, open_server(spec) as other, open_server(Counter) as third:
        assert_type(counter, ServerRef[Counter])
        assert_type(other, ServerRef[Counter])
        assert_type(third, ServerRef[Counter])
        assert_type(KeyedPool([counter, other]).worker_for("key"), ServerRef[Counter])
    assert_type(await start_server(nursery, Counter, 10), ServerRef[Counter])


async def a_subclass_is_a_counter_too(sub: ServerRef[Sub]) -> None:
    base: ServerRef[Counter] = sub
    await base.call(Counter.increment())
    assert_type(await sub.call(Counter.increment(5)), int)
    assert_type(await sub.call(Sub.increment(5)), int)
    assert_type(await sub.call(Sub.more()), list[int])
    specs: list[ChildSpec[Counter]] = [child_spec(Sub), child_spec(Counter)]
    assert specs
