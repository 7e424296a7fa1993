"""Generators of random numbers that are older than an exploration: the `random.Random()` of a module.

Such a generator goes on from run to run, from where the process happened to have seeded it: no run could be
made again. In its place, for as long as an exploration lasts, stands one that is seeded afresh in each run
that draws from it, from the seed of the run. It is replaced wherever a module of the program has it by a
name. What an object keeps is out of reach; it is found by making the first run again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sim._world.escapes import belongs_to_the_run


class KeptRandom(random.Random):
    """Stands for a generator of a module.

    Args:
        stream: what to seed it with, asked once in each run that draws from it.
        host: what it stands for; threads that do not belong to the run draw from that.
    """

    def __init__(self, stream: Callable[[], str], host: random.Random) -> None:
        self._host = host
        self._stream = stream
        self._fresh = False
        super().__init__(0)

    def begin_run(self) -> None:
        """Forget what was drawn."""
        self._fresh = True

    def seed(self, a: Any = None, version: int = 2) -> None:
        """As in its base: a program that seeds it itself gets those numbers."""
        self._fresh = False
        super().seed(a, version)

    def random(self) -> float:
        """As in its base."""
        if not belongs_to_the_run():
            return self._host.random()
        self._begin()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        """As in its base."""
        if not belongs_to_the_run():
            return self._host.getrandbits(k)
        self._begin()
        return super().getrandbits(k)

    def getstate(self) -> tuple[Any, ...]:
        """As in its base."""
        self._begin()
        return super().getstate()

    def setstate(self, state: tuple[Any, ...]) -> None:
        """As in its base."""
        self._fresh = False
        super().setstate(state)

    def _begin(self) -> None:
        if self._fresh:
            self.seed(self._stream())
            self.gauss_next = None


def kept_generators(
    found: Iterable[tuple[str, Any, str, random.Random]], stream: Callable[[str], str]
) -> Iterator[tuple[Any, str, KeptRandom]]:
    """The stand-in for each generator of a module: (module, name, stand-in).

    Args:
        found: (name of the module, module, name, generator).
        stream: what to seed one with, for its name.
    """
    known: dict[int, KeptRandom] = {}
    for module_name, module, name, generator in found:
        if id(generator) not in known:
            known[id(generator)] = KeptRandom(_Stream(stream, f"{module_name}.{name}"), generator)
        yield module, name, known[id(generator)]


class _Stream:
    def __init__(self, stream: Callable[[str], str], name: str) -> None:
        self._stream = stream
        self._name = name

    def __call__(self) -> str:
        return self._stream(self._name)
