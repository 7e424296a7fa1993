"""Random programs for `abstract_program`, small enough to enumerate and nasty for their size."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from tests.sim.strategies.abstract_program import Body, Cancelled, Program, Thread, World

Act: TypeAlias = Callable[[World, dict[str, object]], Thread]
"""One statement; the dictionary holds the thread's variables."""

CELLS = ("x", "y", "z")


def random_program(random: Random, kinds: frozenset[str], threads: int, length: int) -> Program:
    """A program of a few threads that use some kinds of object.

    Args:
        random: where the randomness comes from.
        kinds: of "cells", "branches", "locks", "channels", "events", "nurseries", "scopes", "time",
            "draws", "failures".
        threads: how many threads there are at the start.
        length: how many statements each has at most.
    """
    cells = CELLS[: random.randint(1, len(CELLS))]
    bodies = [_body(random, kinds, random.randint(1, length), cells, 0) for _ in range(threads)]
    capacity = random.randint(0, 2)

    def program(world: World) -> None:
        world.channel("channel", capacity)
        for body in bodies:
            world.spawn(body)

    return program


def _body(random: Random, kinds: frozenset[str], length: int, cells: tuple[str, ...], level: int) -> Body:
    acts = [_act(random, kinds, cells, level) for _ in range(length)]

    def body(world: World) -> Thread:
        variables: dict[str, object] = {"v": 0}
        try:
            for act in acts:
                yield from act(world, variables)
        finally:
            world.note(tuple(variables.values()))

    return body


def _act(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    choices: list[Callable[[Random, frozenset[str], tuple[str, ...], int], Act]] = [_read, _write]
    if "branches" in kinds:
        choices += [_several, _branch, _branch]
    if "draws" in kinds:
        choices += [_draw]
    if "failures" in kinds:
        choices += [_fail, _fail]
    if "locks" in kinds:
        choices += [_locked]
    if "channels" in kinds:
        choices += [_send, _receive]
    if "events" in kinds:
        choices += [_set, _wait]
    if "nurseries" in kinds and level < 2:
        choices += [_nursery]
    if "scopes" in kinds:
        choices += [_scope, _cancel, _cancel]
    if "time" in kinds:
        choices += [_sleep, _timeout]
    return random.choice(choices)(random, kinds, cells, level)


def _read(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    cell = random.choice(cells)

    def act(world: World, variables: dict[str, object]) -> Thread:
        variables["v"] = world.read(cell)
        yield from world.checkpoint()

    return act


def _write(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    cell = random.choice(cells)
    value = random.randint(1, 3)

    def act(world: World, variables: dict[str, object]) -> Thread:
        world.write(cell, value)
        yield from world.checkpoint()

    return act


def _several(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    uses = [(random.choice(cells), random.random() < 0.5) for _ in range(random.randint(2, 3))]

    def act(world: World, variables: dict[str, object]) -> Thread:
        for cell, writes in uses:
            if writes:
                value = variables["v"]
                assert isinstance(value, int)
                world.write(cell, (value + 1) % 4)
            else:
                variables["v"] = world.read(cell)
        yield from world.checkpoint()

    return act


def _branch(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    cell = random.choice(cells)
    value = random.randint(0, 1)
    same_step = random.random() < 0.5
    here = [_act(random, kinds, cells, level) for _ in range(random.randint(0, 1))]
    there = [_act(random, kinds, cells, level) for _ in range(random.randint(0, 2))]

    def act(world: World, variables: dict[str, object]) -> Thread:
        found = world.read(cell)
        if not same_step:
            yield from world.checkpoint()
        for one in here if found == value else there:
            yield from one(world, variables)

    return act


def _draw(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    alternatives = [_act(random, kinds, cells, level) for _ in range(random.randint(2, 3))]

    def act(world: World, variables: dict[str, object]) -> Thread:
        yield from alternatives[world.draw(len(alternatives))](world, variables)

    return act


def _fail(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    """A step that ends the run if it finds something, and may have changed something itself."""
    wanted = {random.choice(cells): random.randint(0, 2) for _ in range(random.randint(1, 2))}
    writes = random.choice((*cells, None, None))
    value = random.randint(1, 2)

    def act(world: World, variables: dict[str, object]) -> Thread:
        if writes is not None:
            world.write(writes, value)
        if all(world.read(cell) == found for cell, found in wanted.items()):
            world.fail(tuple(wanted.items()))
        yield from world.checkpoint()

    return act


def _locked(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    name = random.choice(("lock", "latch"))
    inner = _act(random, frozenset({"cells"}), cells, level)

    def act(world: World, variables: dict[str, object]) -> Thread:
        yield from world.acquire(name)
        try:
            yield from inner(world, variables)
        finally:
            world.release(name)
        yield from world.checkpoint()

    return act


def _send(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    value = random.randint(1, 3)

    def act(world: World, variables: dict[str, object]) -> Thread:
        yield from world.send("channel", value)

    return act


def _receive(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    def act(world: World, variables: dict[str, object]) -> Thread:
        variables["v"] = yield from world.receive("channel")

    return act


def _set(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    def act(world: World, variables: dict[str, object]) -> Thread:
        world.set("event")
        yield from world.checkpoint()

    return act


def _wait(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    def act(world: World, variables: dict[str, object]) -> Thread:
        yield from world.wait("event")

    return act


def _nursery(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    bodies = [
        _body(random, kinds, random.randint(0, 2), cells, level + 1) for _ in range(random.randint(1, 2))
    ]
    pause = random.random() < 0.3

    def act(world: World, variables: dict[str, object]) -> Thread:
        nursery = world.open_nursery()
        for body in bodies:
            world.spawn(body, nursery)
            if pause:
                yield False
        yield from world.join(nursery)

    return act


def _scope(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    name = random.choice(("scope", "range"))
    inner = [_act(random, kinds, cells, level) for _ in range(random.randint(1, 2))]

    def act(world: World, variables: dict[str, object]) -> Thread:
        scope = world.open_scope(name)
        try:
            for one in inner:
                yield from one(world, variables)
        except Cancelled:
            world.note("caught")
        finally:
            world.close_scope(scope)
        yield from world.checkpoint()

    return act


def _cancel(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    name = random.choice(("scope", "range"))

    def act(world: World, variables: dict[str, object]) -> Thread:
        world.cancel(name)
        yield from world.checkpoint()

    return act


def _sleep(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    time = random.randint(1, 2)

    def act(world: World, variables: dict[str, object]) -> Thread:
        yield from world.sleep(time)

    return act


def _timeout(random: Random, kinds: frozenset[str], cells: tuple[str, ...], level: int) -> Act:
    name = random.choice(("scope", "range"))
    time = random.randint(1, 2)

    def act(world: World, variables: dict[str, object]) -> Thread:
        world.cancel_at(time, name)
        yield from world.checkpoint()

    return act
