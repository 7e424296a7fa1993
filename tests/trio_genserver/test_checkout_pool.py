"""The checkout pool: one worker, one client, and neither is ever lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import trio
import trio.testing

from trio_genserver import (
    GenServer,
    InvalidSpec,
    ServerCrashed,
    ServerNotRunning,
    ServerRef,
    ServerStopped,
    child_spec,
    handle_call,
    open_supervisor,
)
from trio_genserver.pools import CheckoutPoolRef, PoolFull, checkout_pool_spec, open_checkout_pool

Clock = trio.testing.MockClock


class World:
    """Where the workers write down their lives."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.count = 0
        self.fail = 0
        self.start_time = 0.0

    @property
    def alive(self) -> int:
        starts = sum(line.startswith("start") for line in self.log)
        return starts - sum(line.startswith("stop") for line in self.log)


class Worker(GenServer):
    def __init__(self, world: World) -> None:
        self.world = world

    async def init(self) -> None:
        if self.world.start_time:
            await trio.sleep(self.world.start_time)
        if self.world.fail:
            self.world.fail -= 1
            raise OSError("no connection")
        self.number = self.world.count
        self.world.count += 1
        self.world.log.append(f"start {self.number}")

    async def terminate(self, reason: object) -> None:
        self.world.log.append(f"stop {self.number} {reason!r}")

    @handle_call
    def get_number(self) -> int:
        return self.number

    @handle_call
    async def work(self, seconds: float) -> int:
        await trio.sleep(seconds)
        return self.number

    @handle_call
    def crash(self) -> None:
        raise ValueError("crashed")


class Client:
    """A task that checks a worker out and keeps it until it is told to give it back."""

    def __init__(self, pool: CheckoutPoolRef[Worker], nursery: trio.Nursery) -> None:
        self.pool = pool
        self.give_back = trio.Event()
        self.scope = trio.CancelScope()
        self.number: int | None = None
        self.error: Exception | None = None
        nursery.start_soon(self.run)

    async def run(self) -> None:
        with self.scope:
            try:
                async with self.pool.checkout() as worker:
                    self.number = await worker.call(Worker.get_number())
                    await self.give_back.wait()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.error = error


settle = trio.testing.wait_all_tasks_blocked


def counts(pool: CheckoutPoolRef[Any]) -> tuple[str, int, int, int]:
    """How the pool is, its idle and busy workers, and who waits."""
    status = pool.status()
    assert status.starting == status.ending == 0
    return status.state, status.idle, status.busy, status.waiting


# Size and overflow.


async def test_a_pool_starts_its_workers_and_ends_them_with_the_block() -> None:  # OTP 156, OTP 160
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=3) as pool:
        assert world.log == ["start 0", "start 1", "start 2"]
        assert counts(pool) == ("ready", 3, 0, 0)
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) in range(3)
            assert counts(pool) == ("ready", 2, 1, 0)
        assert counts(pool) == ("ready", 3, 0, 0)
    assert sorted(world.log[3:]) == [f"stop {number} 'shutdown'" for number in range(3)]
    with pytest.raises(ServerNotRunning, match="checkout"):
        async with pool.checkout():
            pass
    with pytest.raises(ServerNotRunning):
        pool.status()


async def test_a_client_waits_in_turn_while_all_workers_are_in_use() -> None:  # OTP 156
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=2) as pool,
        trio.open_nursery() as nursery,
    ):
        clients: list[Client] = []
        for _ in range(4):
            clients.append(Client(pool, nursery))
            await settle()
        assert [client.number is None for client in clients] == [False, False, True, True]
        assert counts(pool) == ("full", 0, 2, 2)
        clients[1].give_back.set()
        await settle()
        assert clients[2].number == clients[1].number
        assert clients[3].number is None
        clients[2].give_back.set()
        await settle()
        assert clients[3].number == clients[1].number
        clients[0].give_back.set()
        clients[3].give_back.set()
        await settle()
        assert counts(pool) == ("ready", 2, 0, 0)
    assert world.count == 2


async def test_overflow_workers_are_started_for_waiting_clients_and_dismissed_after_use() -> None:
    # OTP 156, OTP 160
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1, max_overflow=2) as pool,
        trio.open_nursery() as nursery,
    ):
        clients = [Client(pool, nursery) for _ in range(4)]
        await settle()
        assert counts(pool) == ("full", 0, 3, 1)
        assert world.alive == 3
        served = [client for client in clients if client.number is not None]
        served[0].give_back.set()
        await settle()
        assert counts(pool) == ("full", 0, 3, 0)  # the one that waited has it
        served[1].give_back.set()
        await settle()
        assert counts(pool) == ("overflow", 0, 2, 0)
        assert world.alive == 2
        for client in clients:
            client.give_back.set()
        await settle()
        assert counts(pool) == ("ready", 1, 0, 0)
        assert world.alive == 1


async def test_a_client_that_will_not_wait_is_told_that_the_pool_is_full() -> None:  # OTP 156
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1, max_overflow=1, name="DB") as pool,
        trio.open_nursery() as nursery,
    ):
        first = Client(pool, nursery)
        await settle()
        async with pool.checkout(wait=False) as overflow:
            assert await overflow.call(Worker.get_number()) == 1
            with pytest.raises(PoolFull, match=r"DB are in use \(size 1, max_overflow 1\)") as caught:
                async with pool.checkout(wait=False):
                    pass
            assert (caught.value.size, caught.value.max_overflow) == (1, 1)
            assert counts(pool) == ("full", 0, 2, 0)
        first.give_back.set()


async def test_an_idle_worker_is_had_with_one_checkpoint() -> None:
    async with open_checkout_pool(child_spec(Worker, World()), size=1) as pool:
        with trio.testing.assert_checkpoints():
            async with pool.checkout():
                pass
        with trio.CancelScope() as scope:
            scope.cancel()
            async with pool.checkout():
                raise AssertionError("it is cancelled")
        assert counts(pool) == ("ready", 1, 0, 0)


# A worker that dies.


async def test_a_worker_that_dies_while_idle_is_replaced_and_never_given_out() -> None:  # OTP 157
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=2) as pool:
        async with pool.checkout() as worker:
            pass
        with pytest.raises(ServerCrashed):
            await worker.call(Worker.crash())
        async with pool.checkout() as another:
            assert another is not worker
            assert another.is_running
        await settle()
        assert counts(pool) == ("ready", 2, 0, 0)
        assert world.count == 3


async def test_a_worker_that_dies_in_use_is_replaced_and_a_waiting_client_gets_the_new_one() -> None:
    # OTP 157
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        async with pool.checkout() as worker:
            waiting = Client(pool, nursery)
            await settle()
            assert waiting.number is None
            with pytest.raises(ServerCrashed):
                await worker.call(Worker.crash())
        await settle()
        assert waiting.number == 1
        waiting.give_back.set()
        await settle()
        assert counts(pool) == ("ready", 1, 0, 0)


async def test_an_overflow_worker_that_dies_is_not_replaced_while_nobody_waits() -> None:  # OTP 157
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=1, max_overflow=1) as pool:
        async with pool.checkout(), pool.checkout() as worker:
            with pytest.raises(ServerCrashed):
                await worker.call(Worker.crash())
            await settle()
            assert counts(pool) == ("ready", 0, 1, 0)
        assert counts(pool) == ("ready", 1, 0, 0)
        assert world.count == 2


async def test_many_deaths_at_once_are_all_made_good() -> None:  # OTP 157
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=5) as pool,
        trio.open_nursery() as nursery,
    ):
        clients = [Client(pool, nursery) for _ in range(10)]
        await settle()
        for each in list(pool._process.instance._workers):
            each.process.kill()
        await settle()
        # Those in use are gone with their workers; those that waited have the new ones.
        assert sum(client.number is not None for client in clients) == 10
        for client in clients:
            client.give_back.set()
        await settle()
        assert counts(pool) == ("ready", 5, 0, 0)
        assert world.alive == 5


async def test_a_worker_that_dies_on_its_way_to_a_client_is_not_what_the_client_gets() -> None:  # OTP 157
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        holder = pool.checkout()
        worker = await holder.__aenter__()
        first = Client(pool, nursery)
        await settle()
        second = Client(pool, nursery)
        await settle()
        await holder.__aexit__(None, None, None)
        # No task has run since: the first client has been given the worker, and is yet to go on.
        worker._process.kill()
        await settle()
        assert first.error is None
        assert (first.number, second.number) == (1, None)
        first.give_back.set()
        await settle()
        assert second.number == 1
        second.give_back.set()


async def test_a_worker_that_cannot_be_replaced_fails_one_client_a_try() -> None:  # OTP 157
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        async with pool.checkout() as worker:
            clients: list[Client] = []
            for _ in range(3):
                clients.append(Client(pool, nursery))
                await settle()
            world.fail = 2
            with pytest.raises(ServerCrashed):
                await worker.call(Worker.crash())
        await settle()
        assert [repr(client.error) for client in clients] == [
            "OSError('no connection')",
            "OSError('no connection')",
            "None",
        ]
        assert clients[2].number == 1
        clients[2].give_back.set()


async def test_a_replacement_that_fails_is_tried_again_when_it_is_needed(
    caplog: pytest.LogCaptureFixture,
) -> None:  # OTP 157
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=1) as pool:
        world.fail = 1
        with pytest.raises(ServerCrashed):
            async with pool.checkout() as worker:
                await worker.call(Worker.crash())
        await settle()
        assert "could not start a worker: OSError('no connection')" in caplog.text
        assert counts(pool) == ("ready", 0, 0, 0)
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 1


async def test_a_pool_of_which_a_worker_cannot_be_started_does_not_start() -> None:
    world = World()
    world.fail = 1
    with pytest.raises(OSError, match="no connection"):
        async with open_checkout_pool(child_spec(Worker, world), size=3):
            raise AssertionError("it must not start")
    assert world.alive == 0


# A client that goes.


@pytest.mark.parametrize("what", ["exception", "timeout", "cancel"])
async def test_the_worker_comes_back_however_the_block_is_left(what: str, autojump_clock: Clock) -> None:
    # OTP 158, OTP 159
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        if what == "exception":
            with pytest.raises(RuntimeError):
                async with pool.checkout():
                    raise RuntimeError
        elif what == "timeout":
            with pytest.raises(trio.TooSlowError):
                async with pool.checkout() as worker:
                    with trio.fail_after(1):
                        await worker.call(Worker.work(3))
        else:
            client = Client(pool, nursery)
            await settle()
            assert counts(pool) == ("full", 0, 1, 0)
            client.scope.cancel()
            await settle()
        assert counts(pool) == ("ready", 1, 0, 0)
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 0
    assert world.count == 1


async def test_a_client_that_is_cancelled_hands_its_worker_to_the_next() -> None:  # OTP 158
    async with (
        open_checkout_pool(child_spec(Worker, World()), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        first = Client(pool, nursery)
        await settle()
        second = Client(pool, nursery)
        await settle()
        first.scope.cancel()
        await settle()
        assert second.number == 0
        second.give_back.set()


async def test_a_client_that_gives_up_in_the_queue_releases_its_place() -> None:  # OTP 161
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        clients: list[Client] = []
        for _ in range(4):
            clients.append(Client(pool, nursery))
            await settle()
        clients[1].scope.cancel()
        clients[3].scope.cancel()
        await settle()
        assert counts(pool) == ("full", 0, 1, 1)
        clients[0].give_back.set()
        await settle()
        assert [client.number for client in clients] == [0, None, 0, None]
        clients[2].give_back.set()
        await settle()
        assert counts(pool) == ("ready", 1, 0, 0)


@pytest.mark.parametrize("steps", range(8))
async def test_no_worker_is_lost_wherever_a_client_is_cancelled(steps: int) -> None:  # OTP 158, OTP 161
    """The worker is given back, and some checkpoints later, one after the other, the client is cancelled."""
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=1) as pool,
        trio.open_nursery() as nursery,
    ):
        first = Client(pool, nursery)
        await settle()
        second = Client(pool, nursery)
        third = Client(pool, nursery)
        await settle()
        first.give_back.set()
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        second.scope.cancel()
        await settle()
        assert third.number == 0 or second.number is None
        third.give_back.set()
        await settle()
        assert counts(pool) == ("ready", 1, 0, 0)
    assert world.count == 1


async def test_a_client_that_gives_up_while_its_worker_starts_leaves_the_worker_to_the_pool(
    autojump_clock: Clock,
) -> None:  # OTP 161
    world = World()
    world.start_time = 5
    for max_overflow in (0, 1):
        async with open_checkout_pool(
            child_spec(Worker, world), size=1, max_overflow=max_overflow, lazy=not max_overflow
        ) as pool:
            if max_overflow:
                async with pool.checkout():
                    with trio.move_on_after(1) as scope:
                        async with pool.checkout():
                            pass
                    await trio.sleep(10)
                    assert counts(pool) == ("ready", 0, 1, 0)  # dismissed
            else:
                with trio.move_on_after(1) as scope:
                    async with pool.checkout():
                        pass
                await trio.sleep(10)
            assert scope.cancelled_caught
            assert counts(pool) == ("ready", 1, 0, 0)
    assert world.alive == 0


# Which worker.


@pytest.mark.parametrize(("order", "different"), [("lifo", 1), ("fifo", 3)])
async def test_the_order_says_which_idle_worker_is_taken(order: Any, different: int) -> None:
    # OTP 160
    async with open_checkout_pool(child_spec(Worker, World()), size=3, order=order) as pool:
        numbers: list[int] = []
        for _ in range(6):
            async with pool.checkout() as worker:
                numbers.append(await worker.call(Worker.get_number()))
        assert len(set(numbers[:3])) == different
        assert numbers[3:] == numbers[:3]


# Lazy, removal, ping, the end.


async def test_lazy_workers_are_started_when_they_are_needed() -> None:  # OTP 162
    world = World()
    async with (
        open_checkout_pool(child_spec(Worker, world), size=2, lazy=True) as pool,
        trio.open_nursery() as nursery,
    ):
        assert world.count == 0
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 0
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 0
        clients = [Client(pool, nursery) for _ in range(3)]
        await settle()
        assert world.count == 2
        with pytest.raises(ServerCrashed):
            for each in list(pool._process.instance._workers)[:1]:
                await each.ref.call(Worker.crash())
        for client in clients:
            client.give_back.set()
        await settle()
        assert counts(pool)[1:] == (world.alive, 0, 0)


async def test_the_start_of_a_lazy_worker_that_fails_is_its_clients() -> None:  # OTP 162
    world = World()
    world.fail = 1
    async with open_checkout_pool(child_spec(Worker, world), size=1, lazy=True) as pool:
        with pytest.raises(OSError, match="no connection"):
            async with pool.checkout():
                pass
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 0


async def test_workers_start_at_the_same_time(autojump_clock: Clock) -> None:  # OTP 162
    world = World()
    world.start_time = 5
    async with open_checkout_pool(child_spec(Worker, world), size=10):
        assert trio.current_time() == 5
        assert world.count == 10


async def test_a_removed_worker_is_ended_when_it_comes_back_and_replaced() -> None:  # OTP 162
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=1) as pool:
        async with pool.checkout() as worker:
            pool.remove(worker)
            assert await worker.call(Worker.get_number()) == 0
        await settle()
        assert world.log == ["start 0", "stop 0 'shutdown'", "start 1"]
        async with pool.checkout() as another:
            assert another is not worker
        pool.remove(another)
        pool.remove(another)
        pool.remove(worker)
        await settle()
        assert counts(pool) == ("ready", 1, 0, 0)
        assert world.count == 3


async def test_a_worker_that_is_busy_with_a_call_that_was_given_up_can_be_removed(
    autojump_clock: Clock,
) -> None:  # OTP 162
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=1) as pool:
        async with pool.checkout() as worker:
            with trio.move_on_after(1):
                await worker.call(Worker.work(1000))
            pool.remove(worker)
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 1
        assert trio.current_time() == 1


@pytest.mark.parametrize("lazy", [True, False])
async def test_an_idle_worker_is_removed_after_its_time(lazy: bool, autojump_clock: Clock) -> None:  # OTP 162
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=1, lazy=lazy, idle_timeout=10) as pool:
        for _ in range(3):
            await trio.sleep(7)
            async with pool.checkout() as worker:
                assert await worker.call(Worker.get_number()) == 0
        await trio.sleep(9)
        assert world.alive == 1
        assert world.count == 1
        await trio.sleep(2)
        assert world.log[1] == "stop 0 'shutdown'"
        assert world.alive == (0 if lazy else 1)
        async with pool.checkout() as worker:
            assert await worker.call(Worker.get_number()) == 1


async def yes(worker: ServerRef[Worker]) -> bool:
    await worker.call(Worker.work(1))
    return True


async def no(worker: ServerRef[Worker]) -> bool:
    return False


async def broken(worker: ServerRef[Worker]) -> bool:
    await worker.call(Worker.crash())
    return True


async def raising(worker: ServerRef[Worker]) -> bool:
    raise OSError("no answer")


@pytest.mark.parametrize("ping", [yes, no, broken, raising])
async def test_an_idle_worker_is_pinged_and_kept_only_if_that_says_so(
    ping: Callable[[ServerRef[Worker]], Any], autojump_clock: Clock
) -> None:  # OTP 162
    world = World()
    async with open_checkout_pool(child_spec(Worker, world), size=2, idle_timeout=10, ping=ping) as pool:
        await trio.sleep(10.5)
        if ping is yes:
            # While it is pinged nobody gets it.
            assert counts(pool) == ("ready", 0, 2, 0) or counts(pool) == ("full", 0, 2, 0)
        await trio.sleep(3)
        assert counts(pool) == ("ready", 2, 0, 0)
        assert world.count == (2 if ping is yes else 4)
        async with pool.checkout() as worker:
            assert worker.is_running


async def test_the_end_of_the_pool_is_told_to_who_waits_and_who_works(autojump_clock: Clock) -> None:
    # OTP 162
    world = World()
    async with trio.open_nursery() as nursery:
        async with open_checkout_pool(child_spec(Worker, world), size=1, name="DB") as pool:

            async def work() -> None:
                async with pool.checkout() as worker:
                    with pytest.raises(ServerStopped, match="Worker stopped"):
                        await worker.call(Worker.work(1000))

            nursery.start_soon(work)
            await settle()
            waiting = Client(pool, nursery)
            await settle()
        await settle()
        assert isinstance(waiting.error, ServerStopped)
        assert "DB stopped" in str(waiting.error)
        assert world.log == ["start 0", "stop 0 'shutdown'"]
        assert trio.current_time() == 0


async def test_a_pool_in_a_tree_is_restarted_with_new_workers() -> None:
    world = World()
    spec = checkout_pool_spec(child_spec(Worker, world), size=2, id="pool")
    async with open_supervisor([spec]) as supervisor:
        pool = cast("CheckoutPoolRef[Worker]", supervisor.child("pool"))
        async with pool.checkout():
            pool._process.crashed(RuntimeError("the pool itself"), None)
            await settle()
        assert counts(pool) == ("ready", 2, 0, 0)
        assert world.count == 4
        assert world.alive == 2
    assert world.alive == 0


@pytest.mark.parametrize(
    "option",
    [
        {"size": 0},
        {"size": 1.5},
        {"max_overflow": -1},
        {"order": "random"},
        {"idle_timeout": 0},
        {"idle_timeout": math.nan},
    ],
)
def test_an_option_that_is_invalid_is_refused_where_it_is_written(option: dict[str, Any]) -> None:
    options: dict[str, Any] = {"size": 1, **option}
    with pytest.raises(InvalidSpec, match=f"{next(iter(option))} of a checkout pool"):
        checkout_pool_spec(child_spec(Worker, World()), **options)
