"""Promises about what the tasks of a program share, some of which look at one thing only if another is so."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

import trio

import sim
from tests.sim.strategies.trio_grammar import exchange, structure, synchronization, tasks
from tests.sim.strategies.trio_grammar.world import Act, Kind, World

Look: TypeAlias = Callable[[World, int], bool]
Change: TypeAlias = Callable[[World, int, int], object]
Promise: TypeAlias = Callable[[World], None]


@dataclass(frozen=True)
class Subject:
    """What a promise can be about.

    Attributes:
        kinds: the statements that are about it.
        changes: what changes it without waiting.
        looks: what a condition may see of it.
    """

    kinds: tuple[Kind, ...]
    changes: tuple[Change, ...]
    looks: tuple[Look, ...]


def _is_alone(world: World, which: int) -> bool:
    nursery = world.nurseries[which].get()
    return nursery is not None and not nursery.child_tasks


def _is_in_a_lot(world: World, which: int) -> bool:
    task = world.tasks[which].get()
    return task is not None and isinstance(task.custom_sleep_data, trio.lowlevel.ParkingLot)


def _has_nurseries(world: World, which: int) -> bool:
    task = world.tasks[which].get()
    return task is not None and bool(task.child_nurseries)


S, E, T, A = synchronization, exchange, structure, tasks
SUBJECTS: Final = (
    Subject(
        (S.event, S.event_wait),
        (lambda world, which, number: world.events[which].set(),),
        (
            lambda world, which: world.events[which].is_set(),
            lambda world, which: world.events[which].statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (S.cell, S.cell_later),
        (lambda world, which, number: world.cells[which].set(number),),
        (
            lambda world, which: world.cells[which].get() > 0,
            lambda world, which: world.cells[which].get() % 2 == 1,
        ),
    ),
    Subject(
        (S.lock_kept, S.lock_nowait),
        (lambda world, which, number: world.locks[which].acquire_nowait(),),
        (
            lambda world, which: world.locks[which].locked(),
            lambda world, which: world.locks[which].statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (S.semaphore, S.semaphore_wait),
        (
            lambda world, which, number: world.semaphores[which].acquire_nowait(),
            lambda world, which, number: world.semaphores[which].release(),
        ),
        (
            lambda world, which: world.semaphores[which].value > 0,
            lambda world, which: world.semaphores[which].statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (S.limiter, S.limiter_wait),
        (lambda world, which, number: world.limiters[which].acquire_on_behalf_of_nowait(number),),
        (
            lambda world, which: world.limiters[which].borrowed_tokens > 0,
            lambda world, which: world.limiters[which].statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (S.lot, S.lot_park, S.condition),
        (lambda world, which, number: world.lots[which].unpark_all(),),
        (
            lambda world, which: len(world.lots[which]) > 0,
            lambda world, which: world.conditions[which].statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (E.channel, E.channel_wait, E.channel_clone),
        (
            lambda world, which, number: world.channels[which][0].send_nowait(number),
            lambda world, which, number: world.channels[which][1].receive_nowait(),
        ),
        (
            lambda world, which: world.channels[which][0].statistics().current_buffer_used > 0,
            lambda world, which: world.channels[which][1].statistics().tasks_waiting_receive > 0,
            lambda world, which: world.channels[which][1].statistics().open_send_channels > 0,
        ),
    ),
    Subject(
        (E.queue, E.queue_wait),
        (
            lambda world, which, number: world.queue.put_nowait(number),
            lambda world, which, number: world.queue.get_batch_nowait(),
        ),
        (
            lambda world, which: world.queue.qsize() > 0,
            lambda world, which: world.queue.statistics().tasks_waiting > 0,
        ),
    ),
    Subject(
        (T.scope, T.scope_entered, T.timeout, T.sleep),
        (lambda world, which, number: world.scopes[which].cancel(),),
        (
            lambda world, which: world.scopes[which].cancel_called,
            lambda world, which: world.scopes[which].cancelled_caught,
            lambda world, which: trio.current_time() >= world.began + 1 + which,
        ),
    ),
    Subject(
        (T.nursery, T.nursery_of_another, A.look_into_task, A.look_into_task, T.start),
        (lambda world, which, number: world.tasks[which].set(trio.lowlevel.current_task()),),
        (
            _is_alone,
            _has_nurseries,
            _is_in_a_lot,
            lambda world, which: len(world.root.child_nurseries[0].child_tasks) > 1 + which,
            lambda world, which: trio.lowlevel.current_statistics().tasks_living > 4 + which,
        ),
    ),
)


def promised(random: Random, subjects: Sequence[Subject]) -> Promise:
    """A promise of a random kind, about two or three looks."""
    kind = random.choice(("always", "eventually", "sometimes"))
    looks = [
        (random.choice(random.choice(subjects).looks), int(random.random() < 0.25), random.random() < 0.6)
        for _ in range(3)
    ]
    shape = random.choice(("and", "and", "both", "if"))
    within = random.choice((1.0, 3.0, float("inf"), float("inf")))

    def promise(world: World) -> None:
        def sees(place: int) -> bool:
            look, which, wanted = looks[place]
            return look(world, which) is wanted

        def holds() -> bool:
            match shape:
                case "and":
                    return sees(0) and sees(1)
                case "both":
                    return (sees(0), sees(1)) == (True, True)
                case _:
                    return sees(0) if sees(1) else sees(2)

        match kind:
            case "always":
                # One that is so from the start is none.
                if not holds():
                    sim.always(lambda: not holds(), "it never is so")
            case "eventually":
                sim.eventually(holds, "it is so once", within=within)
            case _:
                sim.sometimes(holds, "it may be so")

    return promise


def changing(subjects: Sequence[Subject]) -> Kind:
    """A statement that changes what a promise can be about, and does nothing else."""
    return S.simple(*(_silently(change) for subject in subjects for change in subject.changes))


def _silently(change: Change) -> Callable[[World, int, int], Hashable]:
    def changed(world: World, which: int, number: int) -> Hashable:
        change(world, which, number)
        return "changed"

    return changed


def promising(promise: Promise) -> Act:
    """The statement that makes a promise."""

    async def act(world: World) -> Hashable:
        promise(world)
        return "promised"

    return act
