"""Locks made before the run, or by a reference that was kept: simulated wherever a program holds them."""

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import count, repeat
from typing import Any, NamedTuple

import pytest
import trio

import sim


@dataclass
class Account:
    """Its lock is made by a reference that was kept before the run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    balance: int = 0


class Slotted:
    __slots__ = ("__lock",)

    def __init__(self) -> None:
        self.__lock = threading.Lock()

    def get(self) -> threading.Lock:
        return self.__lock


class Factory:
    make = threading.RLock


class Deep:
    """Two objects down, and it is a condition's."""

    def __init__(self) -> None:
        self.inner = {"changed": threading.Condition()}
        self.queue: queue.Queue[int] = queue.Queue()


def made_by_default(make: Callable[[], Any] = threading.Lock) -> Any:
    return make()


def made_by_keyword(*, make: Callable[[], Any] = threading.Lock) -> Any:
    return make()


ACCOUNT = Account()
SLOTTED = Slotted()
DEEP = Deep()
LISTED = [threading.Lock()]
NAMED = {"lock": threading.RLock()}
BOUND = {lock: (lock.acquire, lock.release) for lock in [threading.Lock()]}
FACTORIES = {"lock": threading.Lock}
IN_A_TUPLE = (threading.Lock(),)
DEEP_IN_TUPLES = [((), (1, (threading.Lock(), "two")))]
FROM_A_PARTIAL = partial(Account, threading.Lock())
IN_A_SET = {threading.Lock()}
IN_A_FROZENSET = (frozenset([threading.Lock()]),)
A_KEY = {1: "one", threading.Lock(): "two", "three": 3}


class Pair(NamedTuple):
    name: str
    lock: threading.Lock


IN_A_NAMED_TUPLE = Pair("pair", threading.Lock())
# What a cache calls, and what an iterator yields, is out of reach.
IN_A_CACHE = lru_cache(threading.Lock)
IN_AN_ITERATOR = repeat(threading.Lock())
CLOCK_IN_A_CACHE = lru_cache(time.monotonic)
CLOCK_IN_AN_ITERATOR = iter(time.monotonic, None)
DRAWS = map(random.Random(1).randrange, count(2))


def in_a_cell() -> Callable[[], Any]:
    lock = threading.Lock()
    return lambda: lock


CELL = in_a_cell()


async def two_deposits(get: Callable[[], Any]) -> int:
    """What a balance comes to that is guarded in halves."""
    lock = get()
    balance = [0]

    def deposit() -> None:
        with lock:
            before = balance[0]
        with lock:
            balance[0] = before + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, deposit)
        nursery.start_soon(trio.to_thread.run_sync, deposit)
    return balance[0]


@pytest.mark.parametrize("strategy", ["random", "dpor"])
@pytest.mark.parametrize(
    "get",
    [
        lambda: ACCOUNT.lock,
        lambda: Account().lock,
        lambda: SLOTTED.get(),
        lambda: DEEP.inner["changed"],
        lambda: DEEP.queue.mutex,
        lambda: LISTED[0],
        lambda: NAMED["lock"],
        lambda: FACTORIES["lock"](),
        lambda: Factory.make(),
        lambda: made_by_default(),
        lambda: made_by_keyword(),
        lambda: CELL(),
        lambda: IN_A_TUPLE[0],
        lambda: DEEP_IN_TUPLES[0][1][1][0],
        lambda: IN_A_NAMED_TUPLE.lock,
        lambda: FROM_A_PARTIAL().lock,
        lambda: next(iter(IN_A_SET)),
        lambda: next(iter(IN_A_FROZENSET[0])),
        lambda: [*A_KEY][1],
    ],
    ids=[
        *("object", "dataclass", "slot", "condition", "queue", "list", "dict", "factory"),
        *("class", "default", "keyword", "cell"),
        *("tuple", "tuples in tuples", "named tuple", "partial", "set", "frozenset", "key"),
    ],
)
def test_update_that_is_guarded_in_halves_is_found(get: Callable[[], Any], strategy: str) -> None:
    async def scenario() -> None:
        assert await two_deposits(get) == 2

    (failure,) = sim.explore(scenario, strategy, 5_000).failures
    assert isinstance(failure.error, AssertionError)


def test_lock_of_the_test_itself_is_one_of_the_run() -> None:
    lock = threading.Lock()
    seen: set[int] = set()

    async def scenario() -> None:
        seen.add(await two_deposits(lambda: lock))

    result = sim.explore(scenario, "dpor", 20_000)
    result.check()
    assert result.complete
    assert seen == {1, 2}


@pytest.mark.parametrize("get", [lambda: IN_A_CACHE(), lambda: next(IN_AN_ITERATOR)])
def test_exploration_is_not_complete_if_a_lock_cannot_be_replaced(get: Callable[[], Any]) -> None:
    async def scenario() -> None:
        await two_deposits(get)

    result = sim.explore(scenario, "dpor", 20_000)
    result.check()
    assert not result.complete
    assert "locks made before the run" in result.coverage


def test_exploration_without_threads_is_complete_whatever_it_holds() -> None:
    async def scenario() -> None:
        with next(IN_AN_ITERATOR):
            await trio.lowlevel.checkpoint()

    assert sim.explore(scenario, "dpor").complete


@pytest.mark.parametrize("read", [lambda: CLOCK_IN_A_CACHE(), lambda: next(CLOCK_IN_AN_ITERATOR)])
def test_exploration_is_not_complete_if_a_clock_cannot_be_replaced(read: Callable[[], object]) -> None:
    async def scenario() -> None:
        # To read it here would fail: the second run sees another time.
        assert callable(read)

    result = sim.explore(scenario, "dpor")
    result.check()
    assert not result.complete
    assert "clocks kept before the run that cannot be replaced" in result.coverage


def test_exploration_is_complete_if_a_generator_with_a_seed_cannot_be_replaced() -> None:
    async def scenario() -> None:
        assert DRAWS is not None

    assert sim.explore(scenario, "dpor").complete


def test_everything_is_held_as_before_afterwards() -> None:
    def held() -> list[object]:
        return [
            ACCOUNT.lock,
            SLOTTED.get(),
            *vars(DEEP.inner["changed"]).values(),
            DEEP.queue.mutex,
            *LISTED,
            *NAMED.values(),
            *FACTORIES.values(),
            vars(Factory)["make"],
            made_by_default.__defaults__,
            made_by_keyword.__kwdefaults__,
            CELL(),
            IN_A_TUPLE,
            DEEP_IN_TUPLES,
            IN_A_NAMED_TUPLE,
            FROM_A_PARTIAL.args,
            IN_A_SET,
            IN_A_FROZENSET,
            [*A_KEY.items()],
            Account.__init__.__closure__ and [cell.cell_contents for cell in Account.__init__.__closure__],
        ]

    before, lock = held(), type(threading.Lock())

    async def scenario() -> None:
        assert type(LISTED[0]) is not lock
        assert type(IN_A_TUPLE[0]) is not lock
        assert [*A_KEY.values()] == ["one", "two", 3]

    sim.explore(scenario, max_executions=1).check()
    assert held() == before


def test_what_the_program_has_taken_out_meanwhile_stays_out_and_the_rest_is_put_back() -> None:
    lock = threading.Lock()
    shrinking = [1, threading.Lock()]
    moving = [lock, "first"]
    a_set = {time.monotonic}

    async def scenario() -> None:
        shrinking.clear()
        a_set.clear()
        moving.reverse()

    sim.explore(scenario, max_executions=1).check()
    assert shrinking == []
    assert a_set == set()
    assert moving == ["first", lock]
