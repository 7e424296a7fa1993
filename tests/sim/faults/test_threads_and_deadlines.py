"""Deadlines expire, and threads are slow or fail, where a strategy says: sampled, swept, replayed."""

import errno

import pytest
import trio

import sim
from sim._world.clock import CLOCK_START


class Disk:
    """Stores in a thread, as a program with a database would."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    async def store(self, what: str) -> None:
        await trio.to_thread.run_sync(self.stored.append, what)


async def believes_its_disk() -> None:
    disk = Disk()
    acknowledged: list[str] = []
    codes: set[int | None] = set()

    async def client(name: str) -> None:
        try:
            await disk.store(name)
        except sim.InjectedFailure as error:
            codes.add(error.errno)
            return
        acknowledged.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, "a")
        nursery.start_soon(client, "b")
    assert codes <= {errno.EIO}
    assert sorted(disk.stored) == sorted(acknowledged), "what failed is stored all the same"


@pytest.mark.parametrize("faults", ["fail", "lose"])
def test_disk_fails_at_each_of_its_calls_and_may_have_done_its_work(faults: str) -> None:
    result = sim.explore(believes_its_disk, sweep=faults, schedules=1, max_failures=10, shrink_failures=False)
    assert result.executions == 1 + 2
    assert len(result.failures) == (2 if faults == "lose" else 0)
    for failure in result.failures:
        assert [what for step in failure.steps for what in step.drew] == ["the fault lose"]
        (again,) = sim.replay(believes_its_disk, failure.token).failures
        assert again.steps == failure.steps


def test_failing_disk_that_nobody_minds_is_not_a_failure() -> None:
    async def scenario() -> None:
        await Disk().store("a")

    sim.explore(scenario, sweep="fail").check()


async def trusts_that_disks_are_quick() -> None:
    with trio.fail_after(5):
        for name in "abc":
            await Disk().store(name)


def test_slow_disk_delays_whoever_waits_for_it() -> None:
    ends: list[float] = []

    async def scenario() -> None:
        await trusts_that_disks_are_quick()
        ends.append(trio.current_time() - CLOCK_START)

    sim.explore(scenario, sweep="delay", schedules=1).check()
    assert ends[:4] == [0, 1, 1, 1]
    assert set(ends[4:]) <= {0}  # the first run, repeated
    plan = sim.FaultPlan((sim.FaultKind.DELAY,), at_most=2, seconds=3.5)
    assert sim.FaultPlan.from_code(plan.code) == plan
    (failure,) = sim.explore(scenario, faults=plan).failures
    assert isinstance(failure.error, trio.TooSlowError)
    (again,) = sim.replay(scenario, failure.token).failures
    assert again.steps == failure.steps


async def half_done() -> None:
    books = [10, 0]
    with trio.move_on_after(60):
        await trio.lowlevel.checkpoint()
        books[0] -= 10
        await trio.lowlevel.checkpoint()
        books[1] += 10
        await trio.lowlevel.checkpoint()
    assert sum(books) == 10


def test_deadline_expires_at_each_checkpoint_within_it_and_the_clock_says_so() -> None:
    result = sim.explore(half_done, sweep="expire", max_failures=10)
    assert result.executions == 1 + 3
    (failure,) = result.failures
    assert [step.fault for step in failure.steps if step.fault] == ["expire"]
    assert failure.steps[-1].time == 60
    (again,) = sim.replay(half_done, failure.token).failures
    assert again.steps == failure.steps
    assert sim.explore(half_done, faults="expire").failures


def test_deadline_behind_a_shield_does_not_expire() -> None:
    async def scenario() -> None:
        with trio.move_on_after(60), trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()

    assert sim.explore(scenario, sweep="expire").executions == 1 + 0


def test_deadlines_do_not_expire_under_partial_order_reduction() -> None:
    with pytest.raises(sim.WrongUse, match="expire"):
        sim.explore(half_done, "dpor", faults="expire")


def test_delay_of_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="millisecond"):
        sim.FaultPlan((sim.FaultKind.DELAY,), seconds=0)
