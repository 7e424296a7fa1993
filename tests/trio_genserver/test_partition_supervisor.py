"""Partition supervisors: each key served by the same one of several servers."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio.testing

from tests.trio_genserver.supervised import Worker, World, crash, worker
from trio_genserver import ChildSpec, InvalidSpec, ServerNotRunning, child_spec, open_supervisor
from trio_genserver.pools import stable_hash
from trio_genserver.supervision import (
    ChildNotFound,
    ChildStartFailed,
    NoPartitions,
    PartitionSupervisor,
    PartitionSupervisorRef,
    open_partition_supervisor,
    partition_supervisor_spec,
)

KEYS = [f"list {number}" for number in range(200)]


@pytest.fixture
def world() -> World:
    return World()


async def test_there_is_one_child_for_each_partition(world: World) -> None:  # OTP 127
    async with open_partition_supervisor(worker(world, "shard"), 3) as sup:
        assert sup.partitions == 3
        assert [info.id for info in sup.which_children()] == [0, 1, 2]
        assert [info.ref.name for info in sup.which_children()] == ["shard[0]", "shard[1]", "shard[2]"]
        counts = sup.count_children()
        assert (counts.specs, counts.active, counts.supervisors, counts.workers) == (3, 3, 0, 3)
        assert {sup.child(n) for n in range(3)} == {info.ref for info in sup.which_children()}
        with pytest.raises(ChildNotFound):
            sup.child(3)


async def test_a_key_belongs_to_the_partition_that_its_stable_hash_says(world: World) -> None:  # OTP 127
    async with open_partition_supervisor(worker(world), 5) as sup:
        for key in KEYS:
            assert sup.worker_for(key) is sup.child(stable_hash(key) % 5)
        assert {sup.worker_for(key) for key in KEYS} == {sup.child(n) for n in range(5)}


async def test_a_key_keeps_its_reference_over_restarts_of_the_partition_and_of_the_supervisor(
    world: World,
) -> None:
    # OTP 127
    spec = partition_supervisor_spec(worker(world), 2, max_restarts=1, id="shards")
    async with open_supervisor([spec]) as top:
        sup: PartitionSupervisorRef[Worker] = cast(
            "PartitionSupervisorRef[Worker]", top.child("shards", PartitionSupervisor)
        )
        server = sup.worker_for("groceries")
        await crash(server)
        assert sup.worker_for("groceries") is server
        assert await server.call(Worker.incarnation()) == 3
        await crash(server)
        assert sup.worker_for("groceries") is server
        assert await server.call(Worker.ping()) == "worker"


async def test_each_partition_gets_arguments_of_its_own_also_on_restart(world: World) -> None:  # OTP 128
    async with open_partition_supervisor(lambda n: child_spec(Worker, world, f"shard {n}"), 3) as sup:
        for number in range(3):
            assert await sup.child(number).call(Worker.ping()) == f"shard {number}"
        await crash(sup.child(1))
        assert await sup.child(1).call(Worker.ping()) == "shard 1"
        assert world.instances == {"shard 0": 1, "shard 1": 2, "shard 2": 1}


def no_spec(_: int) -> Any:
    return Worker


@pytest.mark.parametrize(
    ("child", "partitions", "options", "field"),
    [
        (child_spec(Worker, World()), 0, {}, "partitions"),
        (child_spec(Worker, World()), -1, {}, "partitions"),
        (child_spec(Worker, World()), 1.5, {}, "partitions"),
        (child_spec(Worker, World()), True, {}, "partitions"),
        (child_spec(Worker, World()), "2", {}, "partitions"),
        (None, 2, {}, "child"),
        (Worker, 2, {}, "child"),
        (no_spec, 2, {}, "child"),
        (child_spec(Worker, World()), 2, {"max_restarts": "3"}, "max_restarts"),
        (child_spec(Worker, World()), 2, {"max_seconds": -1}, "max_seconds"),
    ],
)
def test_an_invalid_argument_is_refused_by_name(
    child: Any, partitions: Any, options: dict[str, Any], field: str
) -> None:
    # OTP 129
    with pytest.raises(InvalidSpec) as caught:
        partition_supervisor_spec(child, partitions, **options)
    assert caught.value.field == field
    with pytest.raises(InvalidSpec):
        open_partition_supervisor(child, partitions, **options)


async def test_resizing_ends_the_last_partitions_and_starts_them_again(world: World) -> None:  # OTP 130
    def shard(number: int) -> ChildSpec[Worker]:
        return child_spec(Worker, world, str(number))

    async with open_partition_supervisor(shard, 4) as sup:
        refs = [sup.child(n) for n in range(4)]
        world.take()
        await sup.resize(2)
        assert world.take() == ["stop 3: 'shutdown'", "stop 2: 'shutdown'"]
        assert sup.partitions == 2
        assert {sup.worker_for(key) for key in KEYS} == set(refs[:2])
        assert sup.count_children().active == 2
        await sup.resize(2)
        assert world.take() == []
        await sup.resize(4)
        assert world.take() == ["start 2", "start 3"]
        assert {sup.worker_for(key) for key in KEYS} == set(refs)


async def test_a_supervisor_of_no_partitions_has_none_for_a_key(world: World) -> None:  # OTP 130
    async with open_partition_supervisor(worker(world), 2) as sup:
        await sup.resize(0)
        assert sup.partitions == 0
        with pytest.raises(NoPartitions) as caught:
            sup.worker_for("groceries")
        assert caught.value.child == "groceries"
        await sup.resize(1)
        assert sup.worker_for("groceries") is sup.child(0)


@pytest.mark.parametrize("partitions", [-1, 3, 1.5, True])
async def test_it_cannot_be_resized_beyond_the_start(partitions: Any, world: World) -> None:  # OTP 130
    async with open_partition_supervisor(worker(world), 2) as sup:
        with pytest.raises(ValueError, match="can have 0 to 2"):
            await sup.resize(partitions)
        assert sup.partitions == 2


async def test_a_partition_that_does_not_start_stops_the_growth_there(world: World) -> None:  # OTP 130
    async with open_partition_supervisor(lambda n: child_spec(Worker, world, str(n)), 3) as sup:
        await sup.resize(0)
        world.fail_start["1"] = 1
        with pytest.raises(ChildStartFailed):
            await sup.resize(3)
        assert sup.partitions == 1
        await sup.resize(3)
        assert sup.count_children().active == 3


async def test_all_partitions_are_gone_when_stop_returns(world: World) -> None:  # OTP 131
    async with open_partition_supervisor(lambda n: child_spec(Worker, world, str(n)), 3) as sup:
        refs = [sup.child(n) for n in range(3)]
        world.take()
        await sup.stop()
        assert world.log == ["stop 2: 'shutdown'", "stop 1: 'shutdown'", "stop 0: 'shutdown'"]
        assert not any(ref.is_running for ref in refs)
        with pytest.raises(ServerNotRunning):
            sup.worker_for("groceries")
        with pytest.raises(ServerNotRunning):
            assert sup.partitions
        await trio.testing.wait_all_tasks_blocked()
        assert not any(ref.is_running for ref in refs)
