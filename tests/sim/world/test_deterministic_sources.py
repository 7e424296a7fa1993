"""Clock and randomness are a function of the choices, however the program got hold of them."""

import copy
import dataclasses
import datetime
import functools
import importlib
import os
import pickle
import queue
import random
import secrets
import ssl
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime as imported_datetime
from functools import partial, singledispatch
from operator import methodcaller
from pathlib import Path
from random import Random, choice
from time import monotonic as imported_monotonic
from time import time as imported_time
from typing import NamedTuple
from uuid import uuid4 as imported_uuid4

import pytest
import trio

import sim
from sim._world.clock import CLOCK_START

SOURCES: dict[str, Callable[[], object]] = {
    "random.random": lambda: random.random(),
    "random.choice": lambda: choice(range(10**9)),
    "random.gauss": lambda: random.gauss(0, 1),
    "random.shuffle": lambda: random.sample(range(100), 100),
    "random.Random": lambda: random.Random().random(),
    "Random": lambda: Random().getrandbits(64),
    "random.SystemRandom": lambda: random.SystemRandom().random(),
    "secrets.token_hex": secrets.token_hex,
    "secrets.choice": lambda: secrets.choice(range(10**9)),
    "secrets.randbelow": lambda: secrets.randbelow(10**9),
    "os.urandom": lambda: os.urandom(16),
    "uuid.uuid1": uuid.uuid1,
    "uuid.uuid4": uuid.uuid4,
    "uuid4": lambda: imported_uuid4(),
}


def drawn(source: Callable[[], object], strategy: str, seed: int, executions: int) -> list[object]:
    seen: list[object] = []

    async def scenario() -> None:
        first, second = source(), source()
        assert first != second
        seen.append((first, second))

    result = sim.explore(scenario, strategy, executions, seed=seed)
    result.check()
    # The following runs are repetitions, to see that they have left nothing behind.
    return seen[: result.executions]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_random_source_varies_with_the_choices_and_with_nothing_else(source: Callable[[], object]) -> None:
    first = drawn(source, "random", 1, 20)
    assert drawn(source, "random", 1, 20) == first
    if source is not uuid.uuid1:  # made of the time, which is the same, and of 14 bits
        assert len(set(map(repr, first))) == 20
    assert drawn(source, "random", 2, 20) != first


def test_source_out_of_reach_gives_the_same_in_every_run() -> None:
    kept = iter(random.random, None)
    first = drawn(lambda: next(kept), "random", 1, 20)
    assert len(set(first)) == 1
    assert drawn(lambda: next(kept), "random", 2, 20) == first


def test_exhaustive_strategies_keep_to_one_seed() -> None:
    for strategy in ("dfs", "dpor", "preemption:1"):
        assert len(drawn(lambda: random.random(), strategy, 0, 100)) == 1


def test_program_that_draws_nothing_makes_no_choice_of_a_seed() -> None:
    async def scenario() -> None:
        raise AssertionError

    (failure,) = sim.explore(scenario).failures
    assert failure.choices == 0


def test_failure_that_depends_on_what_was_drawn_is_replayed_and_shrunk() -> None:
    async def rare() -> None:
        assert random.random() > 0.02

    (failure,) = sim.explore(rare).failures
    (again,) = sim.replay(rare, failure.token).failures
    assert again.steps == failure.steps
    assert "seed " in "".join(failure.steps[0].drew)

    async def always() -> None:
        raise AssertionError(random.random())

    (failure,) = sim.explore(always, seed=3).failures
    assert failure.steps[0].drew == ("seed 0",)


def test_seed_of_the_program_is_obeyed() -> None:
    seen: list[float] = []

    async def scenario() -> None:
        random.seed(17)
        seen.append(random.random())

    sim.explore(scenario, max_executions=5).check()
    assert seen == [random.Random(17).random()] * 7  # the first run is repeated twice


def test_random_state_of_the_caller_is_untouched() -> None:
    async def scenario() -> None:
        random.random()

    random.seed(5)
    expected = random.Random(5).random()
    sim.explore(scenario, max_executions=5)
    assert random.random() == expected


START = 1_700_000_000.0


def utcnow() -> object:
    # Deprecated, hence not by its name, and there all the same.
    return methodcaller("utcnow")(datetime.datetime)


def called(clock: Callable[[], float]) -> float:
    return clock()


def by_default_of_tuple(clocks: tuple[Callable[[], float], ...] = (time.time,)) -> float:
    return clocks[0]()


class Timing(NamedTuple):
    name: str
    now: Callable[[], float]


class Kept:
    clocks = (time.time,)


IN_A_TUPLE = (time.time,)
IN_TUPLES = (datetime.datetime.now, (time.time,))
IN_A_DICT = {"clocks": ("monotonic", time.monotonic)}
IN_A_FROZENSET = frozenset([time.time])
IN_A_SET = {time.time}
A_KEY = {time.time: "seconds"}
ARGUMENT = partial(called, time.time)
KEYWORD = partial(called, clock=time.time)
IN_A_NAMED_TUPLE = Timing("now", time.time)

CLOCKS: dict[str, tuple[Callable[[], object], object]] = {
    "time.time": (lambda: time.time(), START + 2),
    "time.time_ns": (lambda: time.time_ns(), 1_700_000_002_000_000_000),
    "time.monotonic": (lambda: time.monotonic(), CLOCK_START + 2),
    "time.perf_counter_ns": (lambda: time.perf_counter_ns(), 10_002_000_000_000),
    "time.process_time": (lambda: time.process_time(), CLOCK_START + 2),
    "time.clock_gettime": (lambda: time.clock_gettime(time.CLOCK_REALTIME), START + 2),
    "time.clock_gettime of another": (lambda: time.clock_gettime(time.CLOCK_MONOTONIC), CLOCK_START + 2),
    "time.gmtime": (lambda: tuple(time.gmtime())[:6], (2023, 11, 14, 22, 13, 22)),
    "time.strftime": (lambda: time.strftime("%M:%S"), "13:22"),
    "time.asctime": (lambda: time.asctime()[-10:], "13:22 2023"),
    "time.ctime": (lambda: time.ctime()[-10:], "13:22 2023"),
    "time.localtime": (lambda: time.localtime().tm_sec, 22),
    "imported time": (lambda: imported_time(), START + 2),
    "imported monotonic": (lambda: imported_monotonic(), CLOCK_START + 2),
    "datetime.now": (lambda: datetime.datetime.now(datetime.UTC).timestamp(), START + 2),
    "datetime.now, local": (lambda: datetime.datetime.now().timestamp(), START + 2),  # noqa: DTZ005 - naive too
    "datetime.utcnow": (lambda: str(utcnow()), "2023-11-14 22:13:22"),
    "datetime.today": (lambda: datetime.datetime.today().second, 22),  # noqa: DTZ002 - naive too
    "date.today": (lambda: datetime.date.today().year, 2023),  # noqa: DTZ011 - likewise
    "in a tuple": (lambda: IN_A_TUPLE[0](), START + 2),
    "in a tuple in a tuple": (lambda: IN_TUPLES[1][0](), START + 2),
    "in a tuple of a dict": (lambda: IN_A_DICT["clocks"][1](), CLOCK_START + 2),
    "in a frozenset": (lambda: sum(clock() for clock in IN_A_FROZENSET), START + 2),
    "in a set": (lambda: sum(clock() for clock in IN_A_SET), START + 2),
    "a key": (lambda: sum(clock() for clock in A_KEY), START + 2),
    "an argument of a partial": (lambda: ARGUMENT(), START + 2),
    "a keyword of a partial": (lambda: KEYWORD(), START + 2),
    "a named tuple": (lambda: IN_A_NAMED_TUPLE.now(), START + 2),
    "a default that is a tuple": (lambda: by_default_of_tuple(), START + 2),
    "a tuple of a class": (lambda: Kept.clocks[0](), START + 2),
    "datetime.now in a tuple": (lambda: IN_TUPLES[0](datetime.UTC).timestamp(), START + 2),
    "imported datetime": (lambda: imported_datetime.now(datetime.UTC).timestamp(), START + 2),
}


@pytest.mark.parametrize(("read", "expected"), CLOCKS.values(), ids=CLOCKS)
def test_clock_is_virtual(read: Callable[[], object], expected: object) -> None:
    seen: list[object] = []

    async def scenario() -> None:
        await trio.sleep(2)
        seen.append(read())

    sim.explore(scenario, max_executions=2).check()
    assert seen == [expected] * 4  # the first run is repeated twice


def test_clock_functions_still_take_a_time() -> None:
    async def scenario() -> None:
        assert time.gmtime(0).tm_year == 1970
        assert time.strftime("%Y", time.gmtime(0)) == "1970"
        assert time.asctime(time.gmtime(0)).endswith("1970")

    sim.explore(scenario, max_executions=1).check()


class Stamp(datetime.datetime):
    """What programs derive from the class."""

    def label(self) -> str:
        return f"{self:%Y}"


def test_datetime_is_itself() -> None:
    real = datetime.datetime

    @singledispatch
    def kind(value: object) -> str:
        return "another"

    @kind.register
    def _(value: datetime.datetime) -> str:
        return "datetime"

    async def scenario() -> None:
        assert imported_datetime is datetime.datetime is real
        now = imported_datetime.now(datetime.UTC)
        assert type(now) is real
        assert pickle.loads(pickle.dumps(now)) == now
        assert pickle.loads(pickle.dumps(real)) is real
        assert copy.deepcopy([now]) == [now]
        assert kind(now) == "datetime"
        match now:
            case datetime.datetime(year=2023):
                pass
            case _:
                raise AssertionError(now)
        stamp = Stamp.now(datetime.UTC)
        assert type(stamp) is Stamp
        assert (stamp, stamp.label()) == (now, "2023")
        assert type(Stamp(2024, 1, 1, tzinfo=datetime.UTC)) is Stamp

        class Inner(datetime.datetime): ...

        assert type(Inner.now(datetime.UTC)) is Inner
        with pytest.raises(TypeError):
            imported_datetime.now("UTC")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # refused as always

    sim.explore(scenario, max_executions=2).check()


def test_now_is_real_in_a_thread_that_is_not_a_part_of_the_run() -> None:
    ask, answer = queue.SimpleQueue[bool](), queue.SimpleQueue[datetime.datetime]()

    def outside() -> None:
        while ask.get():
            answer.put(datetime.datetime.now(datetime.UTC))

    thread = threading.Thread(target=outside)
    thread.start()
    years: list[int] = []

    async def scenario() -> None:
        ask.put(True)
        years.append(answer.get().year)

    try:
        sim.explore(scenario, max_executions=1).check()
    finally:
        ask.put(False)
        thread.join()
    assert years[0] > 2023
    assert datetime.datetime.now(datetime.UTC).year > 2023


def test_the_clock_begins_where_never_is_long_ago() -> None:
    async def scenario() -> None:
        last_flush = 0.0
        assert time.monotonic() - last_flush > 3600
        assert trio.current_time() == time.monotonic()

    sim.explore(scenario, max_executions=1).check()


@pytest.mark.parametrize(
    "draw", [lambda: ssl.RAND_bytes(8), lambda: os.getrandom(8), lambda: secrets.token_bytes(8)]
)
def test_bytes_from_the_system_are_a_function_of_the_run(draw: Callable[[], bytes]) -> None:
    seen: list[bytes] = []

    async def scenario() -> None:
        seen.append(draw())

    for _ in range(2):
        sim.explore(scenario, "dfs", max_executions=1).check()
    assert seen[0] == seen[1]
    assert draw() != seen[0]


def test_everything_is_real_again_after_an_exploration_also_in_modules_imported_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "imported_in_a_run.py").write_text(
        "from time import monotonic, perf_counter\nfrom random import random\nfrom datetime import datetime\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = time.monotonic, random.random, datetime.datetime, os.urandom, uuid.getnode

    async def scenario() -> None:
        module = importlib.import_module("imported_in_a_run")
        assert module.monotonic() == CLOCK_START

    sim.explore(scenario, max_executions=2).check()
    after = time.monotonic, random.random, datetime.datetime, os.urandom, uuid.getnode
    assert all(one is other for one, other in zip(before, after, strict=True))
    module = sys.modules.pop("imported_in_a_run")
    assert (module.monotonic, module.random, module.datetime) == before[:3]
    assert module.perf_counter is time.perf_counter
    assert imported_monotonic is time.monotonic


def test_names_of_temporary_files_are_no_escape(tmp_path: Path) -> None:
    seen: list[str] = []

    async def scenario() -> None:
        with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
            seen.append(file.name)
        raise AssertionError

    (failure,) = sim.explore(scenario, shrink_failures=False).failures
    assert isinstance(failure.error, AssertionError)
    assert len(set(seen)) == 1


@dataclasses.dataclass
class Stamped:
    """Its times come from references that were kept before the run."""

    day: datetime.datetime = dataclasses.field(default_factory=datetime.datetime.now)
    seconds: float = dataclasses.field(default_factory=time.time)


class Ticks:
    clock = staticmethod(time.monotonic)


def by_default(clock: Callable[[], float] = time.monotonic) -> float:
    return clock()


NOW = datetime.datetime.now
IN_UTC = functools.partial(datetime.datetime.now, datetime.UTC)
KEPT_BY_NAME = {"wall": time.time}


@pytest.mark.parametrize(
    "read",
    [
        lambda: NOW().timestamp(),
        lambda: IN_UTC().timestamp(),
        lambda: Stamped().day.timestamp(),
        lambda: Stamped().seconds,
        lambda: Ticks.clock(),
        lambda: by_default(),
        lambda: KEPT_BY_NAME["wall"](),
    ],
    ids=["method", "partial", "datetime factory", "factory", "static method", "default", "dict"],
)
def test_kept_clock_is_virtual_and_real_again_afterwards(read: Callable[[], float]) -> None:
    async def scenario() -> None:
        before = read()
        await trio.sleep(86_400)
        assert round(read() - before) == 86_400

    sim.explore(scenario, max_executions=2).check()
    assert abs(Stamped().seconds - time.time()) < 3_600
    assert abs(NOW().timestamp() - IN_UTC().timestamp()) < 3_600
