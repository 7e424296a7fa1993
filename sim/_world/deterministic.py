"""The wall clock and the sources of randomness, made a function of the run.

Their values depend on the virtual clock and on one choice, the seed of all randomness, made at the first draw
of a run. Seed 0 is the plain one.

Each function is replaced in its own module and, for programs say ``from time import monotonic``, wherever a
module has it by that or another name. A reference kept elsewhere, as the default of an argument, in an object
or in a tuple, is replaced as locks of before the run are (`sim._world.older_locks`): wherever it can be
reached from the scenario. Where code written in C holds it, it is out of reach. If it is a clock, the
exploration is then not complete; a function of `random` gives the same numbers in each run.

Threads that do not belong to the run, as a metrics exporter of the host process, get the real thing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import random
import select
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from typing import Any, Final

from sim._run.looking import attributes_of, is_a, members_of, module_names
from sim._world.clock import CLOCK_START, WALL_CLOCK_START, VirtualClock
from sim._world.datetime import virtual_now
from sim._world.escapes import announced, belongs_to_the_run
from sim._world.kept_random import KeptRandom, kept_generators
from sim._world.lookups import lookups
from sim._world.numbered import numbered
from sim._world.older_locks import OlderLocks
from sim._world.own_threads import Starter, hook_of_threads_kept, own_threads
from sim._world.survey import Locks, survey
from sim._world.thread_pools import finalizers_kept
from sim._world.thread_primitives import ADOPTED, older_locks_adopted, thread_primitives
from sim._world.threads import in_thread, sleep_in_thread
from sim._world.unlocked_looks import unlocked_attributes_seen

SEEDS: Final = 1 << 16
"""How many ways there are for a run's random sources to go."""

# The simulator and what runs it keep the real clock; Trio is the kernel's own concern.
_LEFT_ALONE: Final = frozenset(
    {"sim", "trio", "outcome", "sniffio", "_pytest", "pytest", "pluggy", "xdist", "execnet", "hypothesis"}
    | {"coverage", "click", *sys.stdlib_module_names}
) - {"__main__"}

_NODE: Final = 0x02_00_00_00_00_01
"""The machine's address for `uuid.uuid1`: one that no network card has."""

Replacement = tuple[Any, str, Any]

# The state of these modules has no public name, and is reset with each execution.
_uuid: Any = uuid
_tempfile: Any = tempfile
_shared: Final[random.Random] = vars(random)["_inst"]
_seed: Final = random.Random.seed
_real_urandom: Final = os.urandom
_real_sleep: Final = time.sleep
_real_time: Final = time.time


class DeterministicSources:
    """Stands for clock and randomness.

    Args:
        clock: the virtual time.
        choose_seed: makes the choice of a seed, among so many.
        starter: simulates the threads that the program starts.

    Attributes:
        older_locks: finds the locks that the program has made before; None outside of an exploration.
    """

    def __init__(self, clock: VirtualClock, choose_seed: Callable[[int], int], starter: Starter) -> None:
        self._clock = clock
        self._starter = starter
        self._choose_seed = choose_seed
        self._seed: int | None = None
        self._bytes: random.Random | None = None
        self._seeded = False
        self._kept: list[KeptRandom] = []
        self._host = random.Random(0)
        self.older_locks: OlderLocks | None = None
        self._number_anew: Callable[[], None] = lambda: None

    def reset(self) -> None:
        """Begin an execution."""
        self._seed = self._bytes = None
        self._seeded = False
        # For who draws from it through a reference that was kept where it cannot be replaced.
        _seed(_shared, 0)
        for kept in self._kept:
            kept.begin_run()
        _tempfile._name_sequence = None
        _uuid._last_timestamp = None
        self._number_anew()

    def _stream(self, purpose: str) -> str:
        """The seed of a generator; the same for the same choice."""
        if self._seed is None:
            self._seed = self._choose_seed(SEEDS)
        return f"{purpose} {self._seed}"

    def _urandom(self, size: int, /) -> bytes:
        if not belongs_to_the_run():
            return _real_urandom(size)
        if self._bytes is None:
            self._bytes = random.Random(self._stream("bytes"))
        return self._bytes.randbytes(size)

    def _getrandom(self, size: int, flags: int = 0) -> bytes:
        return self._urandom(size)

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        # Code outside the run continues with its earlier numbers.
        self._host.setstate(random.getstate())
        names, timestamp = _tempfile._name_sequence, _uuid._last_timestamp
        replacements = [
            *self._clocks(),
            *self._random_sources(),
            *own_threads(self._starter),
            *lookups(),
            *_selects(),
        ]
        replacements += thread_primitives()
        # Which of the private ones exist depends on the version of Python.
        replacements = [entry for entry in replacements if hasattr(entry[0], entry[1])]
        locks = Locks(ADOPTED)
        replaced = {id(_names_of(owner)[name]): new for owner, name, new in replacements if new is not None}
        found = survey(_is_left_alone, replaced, locks)
        replacements += found.named
        kept = list(kept_generators(found.generators, self._stream))
        self._kept = [generator for _, _, generator in kept]
        replacements += kept
        originals = [(owner, name, _names_of(owner)[name]) for owner, name, _ in replacements]
        functions = {
            id(original): new
            for (owner, _, original), (_, _, new) in zip(originals, replacements, strict=True)
            if owner in (time, os, random) and new is not None
        }
        known = set(sys.modules)
        for owner, name, replacement in replacements:
            _put(owner, name, replacement)
        try:
            with (
                virtual_now(self._wall_seconds),
                older_locks_adopted(_is_left_alone, functions, found.holders, locks) as self.older_locks,
                hook_of_threads_kept(),
                finalizers_kept(),
                unlocked_attributes_seen(),
                numbered() as self._number_anew,
            ):
                yield
        finally:
            for owner, name, original in originals:
                _put(owner, name, original)
            _put_back(replacements, originals, sys.modules.keys() - known)
            random.setstate(self._host.getstate())
            _tempfile._name_sequence, _uuid._last_timestamp = names, timestamp

    def _wall_seconds(self) -> float:
        return WALL_CLOCK_START + (self._clock.now - CLOCK_START)

    def _clocks(self) -> Iterator[Replacement]:
        clock = self._clock

        def seconds(real: Callable[[], float]) -> float:
            return clock.now if belongs_to_the_run() else real()

        def nanoseconds(real: Callable[[], int]) -> int:
            return round(clock.now * 1e9) if belongs_to_the_run() else real()

        def wall_seconds() -> float:
            return self._wall_seconds() if belongs_to_the_run() else _real_time()

        def wall_nanoseconds(real: Callable[[], int]) -> int:
            return round(self._wall_seconds() * 1e9) if belongs_to_the_run() else real()

        def get(real: Callable[[int], float], which: int, /) -> float:
            if not belongs_to_the_run():
                return real(which)
            return self._wall_seconds() if which == time.CLOCK_REALTIME else clock.now

        def get_nanoseconds(real: Callable[[int], int], which: int, /) -> int:
            if not belongs_to_the_run():
                return real(which)
            return round((self._wall_seconds() if which == time.CLOCK_REALTIME else clock.now) * 1e9)

        def sleep(duration: float, /) -> None:
            if not belongs_to_the_run():
                _real_sleep(duration)
            elif in_thread():
                sleep_in_thread(duration)
            else:
                # As the real one announces itself to the hook, which refuses it.
                sys.audit("time.sleep", duration)

        for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
            # An object for each, so that it is known which one to put back.
            yield time, name, partial(seconds, getattr(time, name))
            yield time, f"{name}_ns", partial(nanoseconds, getattr(time, f"{name}_ns"))
        yield time, "time", wall_seconds
        yield time, "time_ns", partial(wall_nanoseconds, time.time_ns)
        yield time, "clock_gettime", partial(get, time.clock_gettime)
        yield time, "clock_gettime_ns", partial(get_nanoseconds, time.clock_gettime_ns)
        yield time, "sleep", sleep
        for name in ("gmtime", "localtime", "ctime"):
            yield time, name, _now_unless_given(getattr(time, name), wall_seconds)
        for name, given in (("asctime", 0), ("strftime", 1)):
            yield time, name, _today_unless_given(getattr(time, name), given)

    def _random_sources(self) -> Iterator[Replacement]:
        yield os, "urandom", self._urandom
        yield os, "getrandom", self._getrandom
        # Also where they are not imported yet: whoever needs them would import them inside of a run.
        for module, name in (("ssl", "RAND_bytes"), ("_ssl", "RAND_bytes")):
            with contextlib.suppress(ImportError):  # built without it
                yield importlib.import_module(module), name, partial(self._urandom)
        yield random, "_urandom", self._urandom

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None:
                a = int.from_bytes(self._urandom(8))
            _seed(generator, a, version)

        yield random.Random, "seed", seed
        # The functions of the module are methods of one generator. It is seeded by the first that is used.
        for name, function in vars(random).items():
            if getattr(function, "__self__", None) is _shared:
                yield random, name, self._seeding(function)
        # Else they ask the system, and libuuid's own clock.
        yield uuid, "_generate_time_safe", None
        yield uuid, "_UuidCreate", None
        getnode = uuid.getnode
        yield uuid, "getnode", lambda: _NODE if belongs_to_the_run() else getnode()

    def _seeding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        of_host: Callable[..., Any] = getattr(self._host, function.__name__)

        def drawn(*args: Any, **kwargs: Any) -> Any:
            if not belongs_to_the_run():
                return of_host(*args, **kwargs)
            if not self._seeded:
                self._seeded = True
                _seed(_shared, self._stream("shared"))
            return function(*args, **kwargs)

        return drawn


@functools.cache
def _is_left_alone(module_name: str) -> bool:
    return module_name.partition(".")[0] in _LEFT_ALONE


def _selects() -> Iterator[Replacement]:
    """Ways to wait for files that say so to the hook."""
    for name in ("select", "poll", "epoll", "kqueue"):
        wait = getattr(select, name, None)
        if wait is not None:
            yield select, name, announced(wait, "select.select")


def _now_unless_given(function: Callable[..., Any], now: Callable[[], float]) -> Callable[..., Any]:
    def of(seconds: float | None = None, /) -> Any:
        return function(now() if seconds is None else seconds)

    return of


def _today_unless_given(function: Callable[..., Any], given: int) -> Callable[..., Any]:
    def of(*args: Any) -> Any:
        return function(*args, *([] if len(args) > given else [time.localtime()]))

    return of


def _names_of(owner: Any) -> Any:
    return members_of(owner) if is_a(owner, type) else attributes_of(owner)


def _put(owner: Any, name: str, value: Any) -> None:
    if is_a(owner, type):
        setattr(owner, name, value)
    else:
        # Not over the module, whose class may be one of the program's.
        attributes_of(owner)[name] = value


def _put_back(
    replacements: list[Replacement], originals: list[Replacement], modules: Collection[str]
) -> None:
    """Give modules that were imported meanwhile, and so have taken over what was replaced, the originals."""
    taken = {
        id(new): original
        for (_, _, new), (_, _, original) in zip(replacements, originals, strict=True)
        if new is not None
    }
    for module_name in modules:
        names = module_names(sys.modules[module_name]) or {}
        for name, value in list(names.items()):
            if id(value) in taken:
                names[name] = taken[id(value)]
