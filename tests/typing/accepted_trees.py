"""As accepted.py, of supervision trees, pools and generic servers: each reference is of its kind."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Generic, TypeVar, assert_type

import trio

from trio_genserver import (
    Call,
    ChildSpec,
    DynamicSupervisor,
    DynamicSupervisorRef,
    GenServer,
    ServerRef,
    Supervisor,
    SupervisorRef,
    child_spec,
    dynamic_supervisor_spec,
    handle_call,
    handle_cast,
    open_dynamic_supervisor,
    open_server,
    open_supervisor,
    run_server,
    start_server,
    supervisor_spec,
)
from trio_genserver.agents import Agent, AgentRef, agent_spec, open_agent
from trio_genserver.pools import CheckoutPool, CheckoutPoolRef, checkout_pool_spec, open_checkout_pool
from trio_genserver.supervision import (
    PartitionSupervisor,
    PartitionSupervisorRef,
    open_partition_supervisor,
    partition_supervisor_spec,
)
from trio_genserver.tasks import TaskSupervisor, TaskSupervisorRef, open_task_supervisor, task_supervisor_spec

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Sensor(GenServer):
    def __init__(self, port: int) -> None:
        self.port = port

    @handle_call
    def read(self) -> float:
        return 100 / self.port


class Storage(Supervisor):
    def __init__(self, folder: str) -> None:
        super().__init__([child_spec(Sensor, 1)])

    @handle_call
    def folder(self) -> str:
        assert_type(self.ref.child("Sensor", Sensor), ServerRef[Sensor])
        return ""


class Rooms(DynamicSupervisor):
    @handle_call
    def topic(self) -> str:
        return ""


class Jobs(TaskSupervisor):
    @handle_call
    def topic(self) -> str:
        return ""


class Cache(GenServer, Generic[K, V]):
    def __init__(self, load: Callable[[K], V]) -> None:
        self.load = load

    @handle_call
    def get(self, key: K) -> V:
        return self.load(key)

    @handle_call
    async def get_later(self, key: K) -> V:
        return self.load(key)

    @handle_cast
    def drop(self, key: K) -> None: ...

    @handle_call
    def listed(self, value: T) -> list[T]:
        return [value]


class Above(GenServer, abc.ABC):
    @abc.abstractmethod
    @handle_call
    def ask(self) -> int: ...


class Below(GenServer, abc.ABC):
    @handle_call
    @abc.abstractmethod
    def ask(self) -> int: ...


def size(text: str) -> int:
    return len(text)


async def the_tree_of_the_manual() -> None:
    sensors = supervisor_spec([child_spec(Sensor, 4)], id="sensors")
    async with open_supervisor([sensors, child_spec(Storage, "f"), dynamic_supervisor_spec(id="d")]) as root:
        assert_type(root, SupervisorRef)
        # Of which kind it is, only the one who asks knows; what it has is let through.
        below = root.child("sensors")
        sensor = below.child("sensor 0")
        print(below.count_children(), sensor)
        assert_type(await root.child("sensor").call(Sensor.read()), float)
        assert_type(root.child("sensors", Supervisor), SupervisorRef)
        assert_type(root.child("Storage", Storage), SupervisorRef[Storage])
        assert_type(root.child("Storage", Storage).child("Sensor", Sensor), ServerRef[Sensor])
        assert_type(root.child("d", DynamicSupervisor), DynamicSupervisorRef)
        assert_type(root.child("d", Rooms), DynamicSupervisorRef[Rooms])
        assert_type(root.child("p", PartitionSupervisor).child(3).name, str)
        assert_type(root.child("t", TaskSupervisor), TaskSupervisorRef)
        root.child("a", Agent)
        root.child("c", CheckoutPool[Sensor])
        print(root.which_children()[0].ref.child("x"))
        again = await root.restart_child("sensors")
        print(again.child("sensor 0"))


async def kinds_of_servers_that_are_started(nursery: trio.Nursery) -> None:
    async with open_server(Storage, "f") as storage:
        assert_type(storage, SupervisorRef[Storage])
        assert_type(await storage.call(Storage.folder()), str)
        any_supervisor: SupervisorRef = storage
        any_server: ServerRef[Supervisor] = any_supervisor
        print(any_server)
    async with open_server(dynamic_supervisor_spec()) as dynamic:
        assert_type(dynamic, DynamicSupervisorRef)
        assert_type(await dynamic.start_child(Sensor, 3), ServerRef[Sensor])
        assert_type(await dynamic.start_child(child_spec(Storage, "x")), SupervisorRef[Storage])
    async with open_server(Rooms) as rooms, open_server(Jobs) as jobs:
        assert_type(await rooms.call(Rooms.topic()), str)
        assert_type(await jobs.call(Jobs.topic()), str)
        assert_type(await jobs.start(trio.sleep, 1).wait(), None)
    async with open_server(task_supervisor_spec()) as tasks, open_task_supervisor() as others:
        assert_type(tasks, TaskSupervisorRef)
        assert_type(others, TaskSupervisorRef)
    async with open_server(checkout_pool_spec(Sensor, size=3)) as pool, pool.checkout() as worker:
        assert_type(pool, CheckoutPoolRef[Sensor])
        assert_type(await worker.call(Sensor.read()), float)
    async with open_dynamic_supervisor() as supervisor:
        assert_type(await supervisor.start_child(Storage, "x"), SupervisorRef[Storage])
    assert_type(await start_server(nursery, Storage, "f"), SupervisorRef[Storage])
    maybe: ServerRef[Sensor] | None = None
    maybe = await start_server(nursery, Sensor, 3)
    assert_type(await maybe.call(Sensor.read()), float)
    started: SupervisorRef[Storage] = await nursery.start(run_server, Storage, "f")
    print(started)


async def a_kind_is_opened_with_the_arguments_of_its_specification() -> None:
    async with (
        open_agent(lambda: {"a": 1}, name="numbers") as agent,
        open_server(agent_spec(list[int])) as other,
    ):
        assert_type(agent, AgentRef[dict[str, int]])
        assert_type(other, AgentRef[list[int]])
    async with open_checkout_pool(Sensor, size=3, lazy=True, name="sensors") as pool:
        assert_type(pool, CheckoutPoolRef[Sensor])
    async with open_partition_supervisor(lambda number: child_spec(Sensor, number), 4) as shards:
        assert_type(shards, PartitionSupervisorRef[Sensor])
    async with open_server(partition_supervisor_spec(child_spec(Sensor, 1), 4, id="p")) as shards:
        assert_type(shards.worker_for("key"), ServerRef[Sensor])
    async with open_dynamic_supervisor(max_children=3, name="d") as dynamic:
        assert_type(dynamic, DynamicSupervisorRef)
    assert_type(agent_spec(dict[str, int]), ChildSpec[Agent[dict[str, int]]])


async def an_agent_is_one(dict_spec: ChildSpec[Agent]) -> None:
    async with open_server(dict_spec) as agent:
        print(await agent.get(len))
        known: AgentRef[dict[str, int]] = agent
        assert_type(await known.get(len), int)


async def a_generic_server() -> None:
    async with open_server(Cache[str, int], size) as cache, open_server(Cache, size) as same:
        assert_type(cache, ServerRef[Cache[str, int]])
        assert_type(same, ServerRef[Cache[str, int]])
        assert_type(Cache[str, int].get("a"), Call[Cache[str, int], int])
        assert_type(await cache.call(Cache[str, int].get("a")), int)
        assert_type(await cache.call(Cache[str, int].get_later("a")), int)
        assert_type(await cache.call(Cache[str, int].listed(b"")), list[bytes])
        await cache.cast(Cache[str, int].drop("a"))
    assert_type(child_spec(Cache[str, int], size), ChildSpec[Cache[str, int]])


async def an_abstract_handler_has_its_message(above: ServerRef[Above], below: ServerRef[Below]) -> None:
    assert_type(await above.call(Above.ask()), int)
    assert_type(await below.call(Below.ask()), int)
