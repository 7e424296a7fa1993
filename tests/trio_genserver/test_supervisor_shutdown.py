"""However a tree ends, every `terminate` runs once, in reverse order of the starts, and no task is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from tests.trio_genserver.supervised import Worker, World, crash, not_ended, worker
from trio_genserver import (
    DynamicSupervisor,
    DynamicSupervisorRef,
    GenServer,
    ServerCrashed,
    ServerRef,
    Supervisor,
    SupervisorRef,
    dynamic_supervisor_spec,
    handle_call,
    open_dynamic_supervisor,
    open_supervisor,
    supervisor_spec,
)


@pytest.fixture
def world() -> World:
    return World()


def all_tasks() -> set[trio.lowlevel.Task]:
    """Every task of this run."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    tasks: set[trio.lowlevel.Task] = set()
    todo = [root]
    while todo:
        task = todo.pop()
        tasks.add(task)
        for nursery in task.child_nurseries:
            todo += nursery.child_tasks
    return tasks


def tree(world: World, size: int) -> list[Any]:
    """The specifications of a tree of `size` workers, named by the order in which they start."""
    half = size // 2
    return [
        *[worker(world, str(n)) for n in range(half)],
        supervisor_spec([worker(world, str(n)) for n in range(half, size)], id="inner"),
    ]


def in_reverse(size: int) -> list[str]:
    return [f"stop {n}: 'shutdown'" for n in reversed(range(size))]


SIZE = 1000


async def test_a_cancelled_tree_ends_in_reverse_order_and_leaves_no_task(world: World) -> None:  # OTP 165
    before = all_tasks()
    with trio.CancelScope() as scope:
        async with open_supervisor(tree(world, SIZE)):
            assert len(all_tasks()) > SIZE
            world.take()
            scope.cancel()
            await not_ended()
    assert scope.cancelled_caught
    assert world.log == in_reverse(SIZE)
    assert all_tasks() == before


async def test_a_block_that_fails_ends_the_tree_in_reverse_order(world: World) -> None:  # OTP 165
    before = all_tasks()
    with pytest.raises(LookupError):
        async with open_supervisor(tree(world, SIZE)):
            world.take()
            raise LookupError("the block's own")
    assert world.log == in_reverse(SIZE)
    assert all_tasks() == before


async def test_a_nursery_that_another_task_breaks_ends_the_tree_in_reverse_order(world: World) -> None:
    # OTP 165
    before = all_tasks()

    async def fail() -> None:
        raise LookupError("somebody else's")

    with pytest.raises(ExceptionGroup):
        async with trio.open_nursery() as nursery, open_supervisor(tree(world, SIZE)):
            world.take()
            nursery.start_soon(fail)
            await not_ended()
    assert world.log == in_reverse(SIZE)
    assert all_tasks() == before


def test_an_interrupt_from_the_keyboard_ends_the_tree_in_reverse_order(world: World) -> None:  # OTP 165
    left: list[set[trio.lowlevel.Task]] = []

    async def main() -> None:
        before = all_tasks()
        try:
            async with open_supervisor(tree(world, SIZE)):
                world.take()
                signal.raise_signal(signal.SIGINT)
                await not_ended()
        finally:
            left.append(all_tasks() - before)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert world.log == in_reverse(SIZE)
    assert left == [set()]


async def test_an_interrupt_in_a_child_is_not_answered_with_a_restart(world: World) -> None:
    class Interrupted(Worker):
        async def handle_info(self, message: object) -> None:
            raise KeyboardInterrupt

    inner = supervisor_spec(
        [worker(world, "a"), worker(world, "b").replace(server_class=Interrupted), worker(world, "c")],
        id="inner",
    )
    with pytest.raises(KeyboardInterrupt):
        async with open_supervisor([inner, worker(world, "d")]) as top:
            sup = top.child("inner", Supervisor)
            assert isinstance(sup, SupervisorRef)
            world.take()
            sup.child("b").send_nowait("now")
            await not_ended()
    assert world.log == [
        "stop b: KeyboardInterrupt()",
        "stop c: 'shutdown'",
        "stop a: 'shutdown'",
        "stop d: 'shutdown'",
    ]


async def test_an_interrupt_in_the_init_of_a_restart_is_not_tried_again(world: World) -> None:
    class Interrupted(Worker):
        async def init(self) -> None:
            if self.world.instances[self.name]:
                raise KeyboardInterrupt
            await super().init()

    with pytest.raises(KeyboardInterrupt):
        async with open_supervisor(
            [worker(world, "a"), worker(world, "b").replace(server_class=Interrupted)]
        ) as sup:
            await crash(sup.child("b", Worker))
            await not_ended()
    assert world.log[-1] == "stop a: 'shutdown'"


async def test_a_dynamic_supervisor_in_a_cancelled_tree_ends_in_its_turn(world: World) -> None:  # OTP 165
    before = all_tasks()
    specs = [worker(world, "first"), dynamic_supervisor_spec(id="many"), worker(world, "last")]
    with trio.CancelScope() as scope:
        async with open_supervisor(specs) as top:
            many = top.child("many", DynamicSupervisor)
            assert isinstance(many, DynamicSupervisorRef)
            for n in range(100):
                await many.start_child(worker(world, str(n)))
            world.take()
            scope.cancel()
            await not_ended()
    assert world.log[0] == "stop last: 'shutdown'"
    assert world.log[-1] == "stop first: 'shutdown'"
    assert sorted(world.log[1:-1]) == sorted(in_reverse(100))
    assert all_tasks() == before


async def test_a_tree_that_is_cancelled_at_any_of_its_checkpoints_leaves_nothing(world: World) -> None:
    # OTP 165: the block is cancelled after each number of steps of the run, until it comes to its end.
    class CancelAfter(trio.abc.Instrument):
        def __init__(self, steps: int, scope: trio.CancelScope) -> None:
            self.left = steps
            self.scope = scope

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()

    before = all_tasks()
    steps = 0
    finished = False
    while not finished:
        steps += 1
        world.log.clear()
        world.instances.clear()
        with trio.CancelScope() as scope:
            instrument = CancelAfter(steps, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with open_supervisor(
                    [worker(world, "a"), supervisor_spec([worker(world, "b"), worker(world, "c")])],
                    strategy="one_for_all",
                ) as top:
                    await crash(top.child("a", Worker))
                    await top.terminate_child("a")
                    await top.restart_child("a")
                    finished = instrument.left > 0
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert all_tasks() == before, f"cancelled after {steps} steps"
        started = sorted(line.split()[1] for line in world.log if line.startswith("start"))
        stopped = sorted(line.split()[1].rstrip(":") for line in world.log if line.startswith("stop"))
        assert started == stopped, f"cancelled after {steps} steps"
    assert steps > 50


# The cost of many children.


class Steps(trio.abc.Instrument):
    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def measure(work: Callable[[], Awaitable[None]]) -> tuple[int, int]:
    """How many steps of tasks, and how many calls of functions, `work` takes."""
    steps = Steps()
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    trio.lowlevel.add_instrument(steps)
    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        await work()
    finally:
        sys.setprofile(previous)
        trio.lowlevel.remove_instrument(steps)
    return steps.count, calls


@pytest.mark.parametrize("kind", ["static", "static in advance", "dynamic", "by hand", "temporary"])
async def test_starting_and_ending_many_children_costs_the_same_for_each(kind: str) -> None:  # OTP 109
    # Counted, not timed: five times as many children take five times as many steps and calls.
    def run(size: int) -> Callable[[], Awaitable[None]]:
        world = World()
        specs = [worker(world, str(n)) for n in range(size)]

        async def work() -> None:
            if kind == "static in advance":
                async with open_supervisor(specs):
                    pass
            elif kind == "dynamic":
                async with open_dynamic_supervisor() as dynamic:
                    for spec in specs:
                        await dynamic.start_child(spec)
            elif kind == "temporary":
                async with open_dynamic_supervisor() as dynamic:
                    refs = [await dynamic.start_child(spec.replace(restart="temporary")) for spec in specs]
                    for ref in refs:
                        await ref.stop()
            else:
                async with open_supervisor() as sup:
                    for spec in specs:
                        await sup.start_child(spec)
                    if kind == "by hand":
                        for spec in specs:
                            await sup.terminate_child(spec.id)
                            await sup.delete_child(spec.id)

        return work

    few = await measure(run(100))
    many = await measure(run(500))
    for counted_few, counted_many in zip(few, many, strict=True):
        assert 4.5 < counted_many / counted_few < 5.5


class LeavesOpen(GenServer):
    """A mistake: what is entered in one callback is to be left in the same."""

    @handle_call
    async def leave_a_scope_open(self) -> None:
        trio.CancelScope().__enter__()


async def test_child_that_leaves_a_scope_open_has_crashed_and_is_restarted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    others: list[object] = []

    class Other(GenServer):
        async def terminate(self, reason: object) -> None:
            others.append(reason)

    async with open_supervisor([Other, LeavesOpen]) as supervisor:
        leaves_open: ServerRef[LeavesOpen] = supervisor.child("LeavesOpen")
        for _ in range(2):
            await leaves_open.call(LeavesOpen.leave_a_scope_open())
            with pytest.raises(ServerCrashed, match="corrupted"):
                await leaves_open.stop()
            await trio.testing.wait_all_tasks_blocked()
        assert others == []
        assert leaves_open.is_running
    assert others == ["shutdown"]
    crashes = [record for record in caplog.records if record.levelname == "ERROR"]
    assert ["corrupted" in str(record.exc_info) for record in crashes] == [True, True]
