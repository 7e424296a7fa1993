"""Dataclasses, generic classes and others with a will of their own are servers, or refused by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

import trio_genserver
from trio_genserver import (
    From,
    GenServer,
    Supervisor,
    child_spec,
    handle_call,
    open_server,
    open_supervisor,
    start_server,
)
from trio_genserver.errors import InvalidServerClass
from trio_genserver.pools import open_checkout_pool
from trio_genserver.supervision import open_partition_supervisor

K = TypeVar("K")
V = TypeVar("V")


@dataclasses.dataclass(frozen=True)
class Frozen(GenServer):
    x: int = 3
    seen: list[str] = dataclasses.field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.seen.append(self.ref.name)

    @handle_call
    def get(self) -> tuple[int, list[str]]:
        return self.x, self.seen

    @handle_call(noreply=True)
    def later(self, from_: From[int]) -> None:
        from_.reply(self.x)

    @handle_call(child=True)
    async def heavy(self) -> int:
        return self.x


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots(Frozen):
    y: int = 4


@dataclasses.dataclass(slots=True)
class Slots(GenServer):
    x: int = 3

    @handle_call
    def get(self) -> int:
        return self.x

    @handle_call
    def put(self, x: int) -> None:
        self.x = x


class Guarded(GenServer):
    """Its class decides what may be set, as those of attrs and pydantic do."""

    def __init__(self) -> None:
        object.__setattr__(self, "x", 3)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is frozen")

    @handle_call
    def get(self) -> Any:
        return vars(self)["x"]


@pytest.mark.parametrize("frozen", [Frozen, FrozenSlots])
async def test_frozen_dataclasses_are_servers(frozen: type[Frozen]) -> None:
    async with open_supervisor([child_spec(frozen, 5)]) as supervisor:
        server = supervisor.child(frozen.__name__, frozen)
        assert await server.call(Frozen.get()) == (5, [frozen.__name__])
        assert await server.call(Frozen.later()) == 5
        assert await server.call(Frozen.heavy()) == 5
        assert (await trio_genserver.sys.get_state(server))["x"] == 5
        await server.stop("again")


async def test_other_classes_with_a_will_of_their_own_are_servers() -> None:
    async with open_server(Slots, 5) as slots, open_server(Guarded) as guarded:
        await slots.call(Slots.put(6))
        assert await slots.call(Slots.get()) == 6
        assert await guarded.call(Guarded.get()) == 3


class Cache(GenServer, Generic[K, V]):
    def __init__(self, load: Callable[[K], V]) -> None:
        self.load = load

    @handle_call
    def get(self, key: K) -> V:
        return self.load(key)


class Empty(GenServer, Generic[K]):
    @handle_call
    def get(self) -> int:
        return 0


# What the type checkers make of it is in tests/typing.
CACHE: Any = Cache
EMPTY: Any = Empty


async def test_a_generic_class_may_be_given_with_its_types() -> None:
    class Tree(Supervisor):
        def __init__(self) -> None:
            super().__init__([child_spec(Cache[str, int], len), EMPTY[str]])

    async with open_server(CACHE[str, int], len) as cache, open_supervisor([Tree]) as supervisor:
        tree: Any = supervisor.child("Tree")
        assert await cache.call(CACHE.get("abc")) == 3
        assert await cache.call(CACHE[str, int].get("abc")) == 3
        assert await tree.child("Cache", CACHE[str, int]).call(CACHE.get("ab")) == 2
        with pytest.raises(TypeError, match="is a Empty, not a Cache"):
            tree.child("Empty", CACHE[str, int])
        async with open_checkout_pool(EMPTY[str], size=1) as pool, pool.checkout() as worker:
            assert await worker.call(EMPTY.get()) == 0
        async with open_partition_supervisor(child_spec(EMPTY[str]), 2) as parts:
            assert await parts.child(1).call(EMPTY.get()) == 0


async def test_an_alias_of_something_else_is_not_a_server(nursery: Any) -> None:
    aliases: Any = (list[int], dict[str, int], Callable[[], GenServer])
    for wrong in aliases:
        with pytest.raises(TypeError, match="expected a subclass of GenServer"):
            await start_server(nursery, wrong)


@dataclasses.dataclass(frozen=True)
class FrozenTree(Supervisor):
    folder: str

    def __post_init__(self) -> None:
        super().__init__([])


async def test_a_frozen_kind_of_server_that_must_change_is_refused_by_name() -> None:
    with pytest.raises(InvalidServerClass, match="FrozenTree is a frozen dataclass, but a Supervisor"):
        child_spec(FrozenTree, "folder")


@dataclasses.dataclass
class Tree(Supervisor):
    folder: str

    def __post_init__(self) -> None:
        super().__init__([child_spec(Frozen, 3)])


async def test_a_supervisor_may_be_a_dataclass() -> None:
    async with open_server(Tree, "folder") as tree:
        assert (await tree.child("Frozen", Frozen).call(Frozen.get()))[0] == 3
