"""Servers to be supervised in tests: they write down their lives, and fail as they are told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing

from trio_genserver import (
    ChildSpec,
    GenServer,
    Ignore,
    ServerCrashed,
    ServerRef,
    child_spec,
    handle_call,
)


class StartError(Exception):
    """What a worker's start fails with when the world says so."""


class World:
    """What the workers of one test share.

    Attributes:
      log: what happened, in order: ``start a``, ``stop a: reason``, and ``gone a`` if ending takes time.
      fail_start: how many more starts of a worker are to fail, by its name.
      ignore_start: whose `init` is to raise `Ignore`.
      instances: how many starts of each there were, failed ones included.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fail_start: dict[str, float] = {}
        self.ignore_start: set[str] = set()
        self.instances: Counter[str] = Counter()

    def take(self) -> list[str]:
        """The log so far, which is then cleared."""
        log, self.log = self.log, []
        return log


class Worker(GenServer):
    """A server that does what is needed in a test.

    Args:
      ending: how many seconds its `terminate` takes.
    """

    def __init__(self, world: World, name: str = "worker", ending: float = 0) -> None:
        self.world = world
        self.name = name
        self.ending = ending

    async def init(self) -> None:
        self.world.instances[self.name] += 1
        left = self.world.fail_start.get(self.name, 0)
        if left > 0:
            self.world.fail_start[self.name] = left - 1
            self.world.log.append(f"fail {self.name}")
            raise StartError(self.name)
        if self.name in self.world.ignore_start:
            self.world.log.append(f"ignore {self.name}")
            raise Ignore
        self.world.log.append(f"start {self.name}")

    async def terminate(self, reason: object) -> None:
        self.world.log.append(f"stop {self.name}: {reason!r}")
        if self.ending:
            await trio.sleep(self.ending)
            self.world.log.append(f"gone {self.name}")

    @handle_call
    def ping(self) -> str:
        return self.name

    @handle_call
    def incarnation(self) -> int:
        return self.world.instances[self.name]

    @handle_call
    def crash(self) -> None:
        raise ValueError(self.name)

    @handle_call
    def end(self, reason: object) -> None:
        self.stop(reason)


def worker(world: World, name: str = "worker", ending: float = 0, **changes: Any) -> ChildSpec[Worker]:
    """The specification of a worker whose id is its name."""
    return child_spec(Worker, world, name, ending).replace(id=name, **changes)


async def crash(ref: ServerRef[Worker]) -> None:
    """Crash it, and wait until its supervisor has done what it does about that."""
    with pytest.raises(ServerCrashed):
        await ref.call(Worker.crash())
    await trio.testing.wait_all_tasks_blocked()


async def end(ref: ServerRef[Worker], reason: object) -> None:
    """Have it stop itself for `reason`, and wait until its supervisor has done what it does about that."""
    await ref.call(Worker.end(reason))
    await trio.testing.wait_all_tasks_blocked()


async def not_ended() -> None:
    """The last line of a block that is to be ended from outside: fails if it is not."""
    await trio.testing.wait_all_tasks_blocked()
    raise AssertionError("nobody has ended this block")
