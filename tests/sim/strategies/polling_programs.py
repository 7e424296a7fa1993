"""Random programs of tasks that poll, and whether `dpor` meets what other strategies see of them.

What a program comes to leaves out how often somebody has looked, and what the clock shows: fair scheduling
decides those.
"""

# The programs under test poll.
# ruff: noqa: ASYNC110, ASYNC115

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

import trio

import sim
from tests.sim.strategies.outcomes import Program, described

MAX_STEPS: Final = 300
PLACES: Final = 2


class _World:
    """What the tasks of a run share, and what they have seen."""

    def __init__(self) -> None:
        self.cells = [sim.Shared(0) for _ in range(PLACES)]
        self.flags = [sim.Shared(False) for _ in range(PLACES)]
        self.events = [trio.Event() for _ in range(PLACES)]
        self.turn = sim.Shared(0)
        self.send, self.receive = trio.open_memory_channel[int](PLACES)
        self.seen: list[list[Hashable]] = []

    def show_everything(self) -> Hashable:
        return (
            tuple(map(tuple, self.seen)),
            tuple(cell.get() for cell in self.cells),
            tuple(flag.get() for flag in self.flags),
            tuple(event.is_set() for event in self.events),
            self.turn.get(),
            self.receive.statistics().current_buffer_used,
        )


_Statement: TypeAlias = Callable[[_World, list[Hashable]], Awaitable[None]]
_GiveWay: TypeAlias = Callable[[], Awaitable[None]]


async def _sleep_no_time() -> None:
    await trio.sleep(0)


_WAYS: Final[tuple[_GiveWay, ...]] = (
    _sleep_no_time,
    trio.lowlevel.checkpoint,
    trio.lowlevel.cancel_shielded_checkpoint,
)


def _poll_flag(random: Random) -> _Statement:
    place, give_way = random.randrange(PLACES), random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        while not world.flags[place].get():
            await give_way()
        seen.append(tuple(cell.get() for cell in world.cells))

    return statement


def _poll_cell(random: Random) -> _Statement:
    place, least, give_way = random.randrange(PLACES), random.randint(1, 2), random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        while (value := world.cells[place].get()) < least:
            await give_way()
        seen.append(value)

    return statement


def _poll_event(random: Random) -> _Statement:
    place, give_way = random.randrange(PLACES), random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        async def is_set() -> bool:
            await give_way()
            return world.events[place].is_set()

        while not await is_set():
            pass
        seen.append(world.cells[place].get())

    return statement


def _poll_statistics(random: Random) -> _Statement:
    give_way = random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        while not world.receive.statistics().current_buffer_used:
            await give_way()
        seen.append(world.cells[0].get())

    return statement


def _receive_nowait(random: Random) -> _Statement:
    give_way = random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        while True:
            try:
                seen.append(world.receive.receive_nowait())
            except trio.WouldBlock:
                await give_way()
            else:
                return

    return statement


def _poll_until_timeout(random: Random) -> _Statement:
    seconds, polled = random.randint(1, 3), random.choice(_POLLS)(random)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        with trio.move_on_after(seconds) as scope:
            await polled(world, seen)
        seen.append(scope.cancelled_caught)

    return statement


def _look_a_few_times(random: Random) -> _Statement:
    place, times = random.randrange(PLACES), random.randint(1, 3)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        for number in range(times):
            if world.flags[place].get():
                seen.append(number)
                break
            await trio.sleep(0)

    return statement


def _play(random: Random) -> _Statement:
    turns, own = random.randint(1, 2), random.randrange(2)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        for _ in range(turns):
            while world.turn.get() != own:
                await trio.sleep(0)
            seen.append(world.cells[0].get())
            world.turn.set(1 - own)

    return statement


def _set_flag(random: Random) -> _Statement:
    place, value = random.randrange(PLACES), random.random() < 0.8

    async def statement(world: _World, seen: list[Hashable]) -> None:
        world.flags[place].set(value)

    return statement


def _raise_cell(random: Random) -> _Statement:
    place = random.randrange(PLACES)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        world.cells[place].set(world.cells[place].get() + 1)

    return statement


def _set_event(random: Random) -> _Statement:
    place = random.randrange(PLACES)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        world.events[place].set()

    return statement


def _send_nowait(random: Random) -> _Statement:
    message = random.randrange(2)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        try:
            world.send.send_nowait(message)
        except trio.WouldBlock:
            seen.append("full")

    return statement


def _give_way(random: Random) -> _Statement:
    give_way = random.choice(_WAYS)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        await give_way()

    return statement


def _sleep(random: Random) -> _Statement:
    seconds = random.randint(1, 3)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        await trio.sleep(seconds)

    return statement


def _wait(random: Random) -> _Statement:
    place = random.randrange(PLACES)

    async def statement(world: _World, seen: list[Hashable]) -> None:
        with trio.move_on_after(4) as scope:
            await world.events[place].wait()
        seen.append(scope.cancelled_caught)

    return statement


_POLLS: Final = (_poll_flag, _poll_cell, _poll_event, _poll_statistics, _receive_nowait)
_READERS: Final = (*_POLLS, _poll_until_timeout, _poll_until_timeout, _look_a_few_times, _play)
_WRITERS: Final = (_set_flag, _raise_cell, _set_event, _send_nowait, _give_way, _sleep, _wait, _play)


def generated(seed: int) -> Program:
    """A program of two or three tasks, one of which polls; most have somebody who ends each wait at last."""
    random = Random(seed)
    plans: list[list[_Statement]] = []
    for number in range(random.choice((2, 2, 3))):
        reads = number == 0 or random.random() < 0.3
        kinds = _READERS if reads else _WRITERS
        plans.append([random.choice(kinds)(random) for _ in range(random.randint(1, 2 if reads else 4))])
    ends = random.random() < 0.8

    async def program() -> Hashable:
        world = _World()

        async def run(plan: list[_Statement], seen: list[Hashable]) -> None:
            for statement in plan:
                await statement(world, seen)

        async with trio.open_nursery() as nursery:
            for plan in plans:
                seen: list[Hashable] = []
                world.seen.append(seen)
                nursery.start_soon(run, plan, seen)
            if ends:
                await trio.sleep(5)
                for place in range(PLACES):
                    world.flags[place].set(True)
                    world.cells[place].set(9)
                    world.events[place].set()
                for message in range(7, 7 + PLACES):
                    try:
                        world.send.send_nowait(message)
                    except trio.WouldBlock:
                        break
        return world.show_everything()

    return program


@dataclass(frozen=True)
class Comparison:
    """What strategies have seen of a program.

    Attributes:
        trouble: what must not be: an outcome that `dpor` has missed, an error of the harness; "" if nothing.
        complete: whether `dpor` was.
        fair: whether somebody had to stand back.
    """

    trouble: str
    complete: bool
    fair: bool


def compare(program: Program, traces: int, runs: int) -> Comparison:
    """Explore a program by `dpor`, and by `dfs` and at random.

    Args:
        program: called afresh for each run.
        traces: how many at most.
        runs: how many of each other strategy.
    """
    met, result = _explored(program, "dpor", traces)
    trouble = "" if result.diverged is None else f"dpor ended early: {result.diverged}"
    complete = result.complete
    for strategy in ("dfs", "random", "pct"):
        seen, other = _explored(program, strategy, runs)
        if other.diverged is not None:
            trouble = trouble or f"{strategy} ended early: {other.diverged}"
        # A failure ends the search: then the others are compared by that alone.
        if complete and seen - met:
            trouble = trouble or f"dpor has missed {sorted(map(repr, seen - met))} of {strategy}"
        if other.complete and not result.failures and met - seen:
            trouble = trouble or f"dpor has invented {sorted(map(repr, met - seen))}"
        if any(isinstance(failure.error, sim.Nondeterminism) for failure in other.failures):
            trouble = trouble or f"{strategy}: {other.failures[0].error}"
    return Comparison(trouble, complete, result.fair_only)


def _explored(program: Program, strategy: str, limit: int) -> tuple[frozenset[Hashable], sim.Result]:
    seen: set[Hashable] = set()

    async def scenario() -> None:
        seen.add(await program())

    result = sim.explore(scenario, strategy, limit, max_steps=MAX_STEPS, shrink_failures=False)
    seen.update(
        "no end" if isinstance(failure.error, sim.StepBudgetExceeded) else described(failure.raised)
        for failure in result.failures
    )
    return frozenset(seen), result
