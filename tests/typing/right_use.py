"""What the type checkers must accept, and infer: run by tests/trio_genserver/test_typing.py."""

# pyright: strict
from __future__ import annotations

from typing import assert_type

import trio

from trio_genserver import (
    Call,
    Cast,
    ChildSpec,
    From,
    GenServer,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
    sys,
)


class Counter(GenServer):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @handle_call
    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_call
    async def settle(self) -> str:
        return str(self.value)

    @handle_call(noreply=True)
    def later(self, from_: From[bytes], size: int) -> None:
        from_.reply(bytes(size))

    @handle_call(child=True, max_children=3)
    async def heavy(self, amount: int) -> float:
        return amount / 2

    @handle_cast
    def reset(self) -> None:
        self.value = 0

    @handle_cast
    async def reset_to(self, value: int) -> None:
        self.value = value


class Wider(Counter):
    @handle_call
    def history(self) -> list[int]:
        return [self.value]


async def use() -> None:
    assert_type(child_spec(Counter, 1), ChildSpec[Counter])
    async with open_server(Counter, 10) as counter, open_server(child_spec(Wider)) as wider:
        assert_type(counter, ServerRef[Counter])
        assert_type(wider, ServerRef[Wider])
        assert_type(Counter.increment(5), Call[Counter, int])
        assert_type(Counter.reset(), Cast[Counter])
        assert_type(await counter.call(Counter.increment(5)), int)
        assert_type(await counter.call(Counter.settle()), str)
        assert_type(await counter.call(Counter.later(1)), bytes)
        assert_type(await counter.call(Counter.heavy(1)), float)
        await counter.cast(Counter.reset())
        counter.cast_nowait(Counter.reset_to(1))
        request = counter.send_request(Counter.increment())
        assert_type(await request.wait(), int)
        assert_type(request.check(), int)
        # A server of a subclass understands what its base class does, and is one.
        assert_type(await wider.call(Counter.increment(5)), int)
        assert_type(await wider.call(Wider.history()), list[int])
        as_base: ServerRef[Counter] = wider
        assert_type(await as_base.call(Counter.increment()), int)
        assert_type(await sys.get_status(counter), sys.Status)
    async with trio.open_nursery() as nursery:
        assert_type(await start_server(nursery, Counter, 1), ServerRef[Counter])
    # On an instance, a handler is the plain method.
    alone = Counter(1)
    assert_type(alone.increment(1), int)
    assert_type(await alone.settle(), str)
