"""What both type checkers reject, each mistake on a line of its own; checked by test_typing, never run.

A line that ends in ``error: mypy[...] pyright[...]`` must have exactly these errors, every other line none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import trio

from trio_genserver import (
    ChildSpec,
    From,
    GenServer,
    ServerRef,
    Supervisor,
    SupervisorRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.agents import open_agent
from trio_genserver.pools import KeyedPool, open_checkout_pool
from trio_genserver.supervision import open_partition_supervisor

K = TypeVar("K")
S = TypeVar("S")
P = ParamSpec("P")


class Counter(GenServer):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @handle_call
    def increment(self, by: int = 1) -> int:
        return self.value

    @handle_call
    async def settle(self) -> str:
        return ""

    @handle_call(noreply=True)
    def later(self, from_: From[bytes], size: int) -> None:
        from_.reply("text")  # error: mypy[arg-type] pyright[reportArgumentType]

    @handle_cast
    def reset(self) -> None: ...


class Sub(Counter):
    @handle_call
    def more(self) -> int:
        return 0


class Other(GenServer):
    @handle_call
    def get(self) -> str:
        return ""

    @handle_cast
    def put(self) -> None: ...


async def a_message_for_another_server(counter: ServerRef[Counter]) -> None:
    await counter.call(Other.get())  # error: mypy[arg-type] pyright[reportArgumentType]
    await counter.cast(Other.put())  # error: mypy[arg-type] pyright[reportArgumentType]
    counter.cast_nowait(Other.put())  # error: mypy[arg-type] pyright[reportArgumentType]
    counter.send_request(Other.get())  # error: mypy[arg-type] pyright[reportArgumentType]


async def a_message_of_a_subclass(counter: ServerRef[Counter], sub: ServerRef[Sub]) -> None:
    await counter.call(Sub.more())  # error: mypy[arg-type] pyright[reportArgumentType]
    down: ServerRef[Sub] = counter  # error: mypy[assignment] pyright[reportAssignmentType]
    assert down is not sub


async def a_call_that_is_cast_and_a_cast_that_is_called(counter: ServerRef[Counter]) -> None:
    await counter.cast(Counter.increment(5))  # error: mypy[arg-type] pyright[reportArgumentType]
    counter.cast_nowait(Counter.increment(5))  # error: mypy[arg-type] pyright[reportArgumentType]
    await counter.call(Counter.reset())  # error: mypy[arg-type] pyright[reportArgumentType]
    counter.send_request(Counter.reset())  # error: mypy[arg-type] pyright[reportArgumentType]


async def what_is_no_message(counter: ServerRef[Counter]) -> None:
    await counter.call("increment")  # error: mypy[arg-type] pyright[reportArgumentType]
    await counter.call(Counter.increment)  # error: mypy[arg-type] pyright[reportArgumentType]


async def wrong_arguments(counter: ServerRef[Counter]) -> None:
    await counter.call(Counter.increment("5"))  # error: mypy[arg-type] pyright[reportArgumentType]
    await counter.call(Counter.increment(1, 2))  # error: mypy[call-arg] pyright[reportCallIssue]
    await counter.call(Counter.increment(to=5))  # error: mypy[call-arg] pyright[reportCallIssue]
    await counter.call(Counter.later(None, 1))  # error: mypy[call-arg] pyright[reportCallIssue]
    await counter.call(Counter.later())  # error: mypy[call-arg] pyright[reportCallIssue]


async def wrong_use_of_the_reply(server: ServerRef[Counter]) -> None:
    one: str = await server.call(Counter.increment())  # error: mypy[arg-type] pyright[reportAssignmentType]
    two: int = await server.call(Counter.later(1))  # error: mypy[arg-type] pyright[reportAssignmentType]
    three: int = server.call(Counter.increment())  # error: mypy[assignment] pyright[reportAssignmentType]
    request = server.send_request(Counter.settle())
    four: int = await request.wait()  # error: mypy[assignment] pyright[reportAssignmentType]
    five: int = request.check()  # error: mypy[assignment] pyright[reportAssignmentType]
    reply = await server.call(Counter.settle())
    reply.bit_length()  # error: mypy[attr-defined] pyright[reportAttributeAccessIssue]
    assert [one, two, three, four, five]


async def wrong_starts(nursery: trio.Nursery) -> None:
    open_server(Counter, "10")  # error: mypy[call-overload] pyright[reportArgumentType]
    open_server(Counter, 10, 11)  # error: mypy[call-overload] pyright[reportCallIssue]
    open_server(Counter, begin=10)  # error: mypy[call-overload] pyright[reportCallIssue]
    child_spec(Counter, "10")  # error: mypy[arg-type] pyright[reportArgumentType]
    await start_server(nursery, Counter, "10")  # error: mypy[call-overload] pyright[reportArgumentType]
    spec: ChildSpec[Other] = child_spec(Counter)  # error: mypy[arg-type] pyright[reportAssignmentType]
    assert spec


async def wrong_arguments_of_a_kind() -> None:
    open_supervisor([Counter], strategy="all")  # error: mypy[arg-type] pyright[reportArgumentType]
    open_supervisor([Counter], max_restart=3)  # error: mypy[call-arg] pyright[reportCallIssue]
    open_supervisor([Counter], "one_for_all")  # error: mypy[call-arg] pyright[reportCallIssue]
    open_checkout_pool(Counter)  # error: mypy[call-arg] pyright[reportCallIssue]
    open_checkout_pool(Counter, size="3")  # error: mypy[arg-type] pyright[reportArgumentType]
    open_partition_supervisor(Counter, 4)  # error: mypy[arg-type] pyright[reportArgumentType]
    async with open_agent(lambda: 1) as agent:
        await agent.get(len)  # error: mypy[arg-type] pyright[reportArgumentType]


async def pools_know_their_servers(pool: KeyedPool[Counter]) -> None:
    await pool.worker_for("key").call(Other.get())  # error: mypy[arg-type] pyright[reportArgumentType]


class Mistaken(GenServer):
    @handle_cast  # error: mypy[arg-type] pyright[reportArgumentType]
    def returns_something(self) -> int:
        return 1

    @handle_call(child=True)  # error: mypy[arg-type] pyright[reportArgumentType]
    def is_no_coroutine(self) -> int:
        return 1

    @handle_call(noreply=True)  # error: mypy[arg-type] pyright[reportArgumentType]
    def takes_no_from(self) -> None: ...

    async def init(self) -> int:  # error: mypy[override] pyright[reportIncompatibleMethodOverride]
        return 1


class Cache(GenServer, Generic[K]):
    def __init__(self, first: K) -> None: ...

    @handle_call
    def get(self, key: K) -> K:
        return key


class Tree(Supervisor):
    @handle_call
    def name(self) -> str:
        return ""


class Described(Generic[S, P]):
    """The least descriptor that does on the class what the decorators of handlers do."""

    def __init__(self, function: Callable[Concatenate[S, P], object], /) -> None: ...

    def __get__(self, instance: None, owner: type[Any]) -> Callable[P, S]:
        raise NotImplementedError


class Box(Generic[K]):
    @Described
    def put(self, value: K) -> None: ...


async def a_generic_server(cache: ServerRef[Cache[str]]) -> None:
    open_server(Cache[str], 5)  # error: mypy[call-overload] pyright[reportArgumentType]
    Cache[str].get(5)  # error: mypy[arg-type] pyright[reportArgumentType]
    # A limit of both checkers, not a mistake: see the class below, which has nothing of ours.
    Cache.get("a")  # error: mypy[arg-type] pyright[reportUnknownMemberType]
    Box.put("a")  # error: mypy[arg-type] pyright[reportUnknownMemberType]
    Box[str].put("a")
    await cache.call(Cache[int].get(5))  # error: mypy[arg-type] pyright[reportArgumentType]


async def the_kind_of_a_reference(tree: SupervisorRef, server: ServerRef[Counter]) -> None:
    server.child("x")  # error: mypy[attr-defined] pyright[reportAttributeAccessIssue]
    tree.child("x", Counter).child("y")  # error: mypy[attr-defined] pyright[reportAttributeAccessIssue]
    await tree.child("x", Counter).call(Other.get())  # error: mypy[arg-type] pyright[reportArgumentType]
    await tree.child("x", Tree).call(Other.get())  # error: mypy[arg-type] pyright[reportArgumentType]
    await tree.call(Tree.name())  # error: mypy[arg-type] pyright[reportArgumentType]
    tree.child("x", int)  # error: mypy[arg-type] pyright[reportArgumentType]
    await tree.start_child(Counter, "5")  # error: mypy[call-overload] pyright[reportArgumentType]
    await tree.start_child(int)  # error: mypy[call-overload] pyright[reportArgumentType]
