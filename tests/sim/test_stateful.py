from __future__ import annotations

import collections
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

import sim
from sim.stateful import (
    Call,
    InvalidStateMachine,
    Program,
    StateMachine,
    operation,
    run_parallel,
    run_sequential,
)
from trio_genserver import GenServer, handle_call, open_server

quick = settings(
    max_examples=60,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
# Where it is enough that something is found: shrinking it takes most of the time.
unshrunk = settings(quick, phases=[Phase.generate], max_examples=500)
keys = st.sampled_from("ab")
values = st.integers(0, 3)


class Store:
    """A map whose every operation passes checkpoints."""

    def __init__(self) -> None:
        self.values: sim.Shared[dict[str, int]] = sim.Shared({})

    async def put(self, key: str, value: int) -> None:
        await trio.lowlevel.checkpoint()
        self.values.set({**self.values.get(), key: value})

    async def get(self, key: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self.values.get().get(key)


class LosesUpdates(Store):
    async def put(self, key: str, value: int) -> None:
        seen = self.values.get()
        await trio.lowlevel.checkpoint()
        self.values.set({**seen, key: value})


class ForgetsZero(Store):
    async def put(self, key: str, value: int) -> None:
        if value != 0:
            await super().put(key, value)


class LocksUpAfterCancel(Store):
    def __init__(self) -> None:
        super().__init__()
        self.permit = trio.Semaphore(1)

    async def put(self, key: str, value: int) -> None:
        await self.permit.acquire()
        await super().put(key, value)
        self.permit.release()


class StoreMachine(StateMachine):
    model = sim.models.Map()
    store_class: type[Store] = Store

    def __init__(self) -> None:
        self.store = self.store_class()

    @operation(key=keys, value=values)
    async def put(self, key: str, value: int) -> None:
        await self.store.put(key, value)

    @operation(key=keys)
    async def get(self, key: str) -> int | None:
        return await self.store.get(key)


class LosesUpdatesMachine(StoreMachine):
    store_class = LosesUpdates


class ForgetsZeroMachine(StoreMachine):
    store_class = ForgetsZero


class LocksUpAfterCancelMachine(StoreMachine):
    store_class = LocksUpAfterCancel


def test_a_right_object_holds_alone_in_parallel_and_cancelled() -> None:
    begun: collections.Counter[str] = collections.Counter()
    ended: collections.Counter[str] = collections.Counter()
    way = ""

    class Counted(Store):
        async def put(self, key: str, value: int) -> None:
            begun[way] += 1
            await super().put(key, value)
            ended[way] += 1

    class CountedMachine(StoreMachine):
        store_class = Counted

    way = "alone"
    run_sequential(CountedMachine, settings=quick)
    way = "in parallel"
    run_parallel(CountedMachine, settings=quick)
    way = "cancelled"
    run_parallel(CountedMachine, cancel=True, settings=quick)
    assert ended.keys() == {"alone", "in parallel", "cancelled"}
    assert min(ended.values()) > 40
    given_up = begun - ended
    assert given_up["cancelled"] > given_up["in parallel"]


def test_a_wrong_answer_is_found_alone_and_shrunk() -> None:
    with pytest.raises(sim.NotLinearizable) as caught:
        run_sequential(ForgetsZeroMachine, settings=settings(quick, max_examples=500))
    violation = caught.value.verdict.violation
    assert violation is not None
    assert [str(op) for op in violation.operations] == ["put('a', 0) -> None", "get('a') -> None"]


def test_a_race_is_found_in_parallel_shrunk_and_told_as_a_program() -> None:
    run_sequential(LosesUpdatesMachine, settings=quick)
    with pytest.raises(sim.NotLinearizable) as caught:
        run_parallel(LosesUpdatesMachine, settings=settings(quick, max_examples=1_000))
    # Two writes of different keys, one of which is then missing; and hardly anything else.
    told = "\n".join(caught.value.__notes__)
    program = told[told.index("Program") : told.index("schedule=")]
    assert "before" not in program
    assert program.count("put(") == 2
    assert program.count("get(") <= 2


def test_an_object_that_does_not_survive_a_cancelled_client_is_found() -> None:
    run_parallel(LocksUpAfterCancelMachine, settings=quick)
    with pytest.raises(sim.Deadlock):
        run_parallel(LocksUpAfterCancelMachine, cancel=True, settings=unshrunk)


class InsufficientFunds(Exception):
    pass


class AccountModel(sim.Model[int]):
    initial = 0

    def deposit(self, state: int, amount: int) -> sim.Step[int]:
        return state + amount, None

    def withdraw(self, state: int, amount: int) -> sim.Step[int]:
        if amount > state:
            return state, sim.Raised(InsufficientFunds)
        return state - amount, None


class OverdrawableModel(AccountModel):
    """Without the check: what raises must be an answer in the model too."""

    def withdraw(self, state: int, amount: int) -> sim.Step[int]:
        return state - amount, None


def test_what_an_operation_raises_is_an_answer_if_it_says_so() -> None:
    class Purse:
        def __init__(self) -> None:
            self.content = 0

    class PurseMachine(StateMachine):
        model: ClassVar[sim.Model[Any]] = AccountModel()

        def __init__(self) -> None:
            self.purse = Purse()

        @operation(amount=values)
        async def deposit(self, amount: int) -> None:
            await trio.lowlevel.checkpoint()
            self.purse.content += amount

        @operation(InsufficientFunds, amount=values)
        async def withdraw(self, amount: int) -> None:
            await trio.lowlevel.checkpoint()
            if amount > self.purse.content:
                raise InsufficientFunds
            self.purse.content -= amount

    class Overdrawable(PurseMachine):
        model = OverdrawableModel()

    run_sequential(PurseMachine, settings=quick)
    run_parallel(PurseMachine, settings=quick)
    with pytest.raises(sim.NotLinearizable, match="raised InsufficientFunds"):
        run_sequential(Overdrawable, settings=unshrunk)


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = sim.Shared(0)

    @handle_call
    async def increment(self, by: int) -> int:
        seen = self.value.get()
        await trio.lowlevel.checkpoint()
        self.value.set(seen + by)
        return self.value.get()

    @handle_call(child=True)
    async def increment_in_a_child(self, by: int) -> int:
        seen = self.value.get()
        await trio.lowlevel.checkpoint()
        self.value.set(seen + by)
        return self.value.get()


class CounterMachine(StateMachine):
    model = sim.models.Counter()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        async with open_server(Counter) as self.counter:
            yield

    @operation(by=values)
    async def increment(self, by: int) -> int:
        return await self.counter.call(Counter.increment(by))


class ChildCounterMachine(CounterMachine):
    @operation(by=values)
    async def increment(self, by: int) -> int:
        return await self.counter.call(Counter.increment_in_a_child(by))


def test_a_server_handles_one_message_at_a_time_and_its_child_tasks_do_not() -> None:
    run_parallel(CounterMachine, cancel=True, settings=quick)
    with pytest.raises(sim.NotLinearizable):
        run_parallel(ChildCounterMachine, settings=unshrunk)


def test_a_program_is_told_line_by_line() -> None:
    put, get = Call("put", ("a", 1)), Call("get", ("a",))
    assert repr(Program((put,), ((get,), (put, get)), (1,), ())).splitlines() == [
        "Program",
        "    before: put('a', 1)",
        "    branch 0: get('a')",
        "    branch 1, cancelled: put('a', 1), get('a')",
    ]


def test_a_machine_that_cannot_be_run_says_what_is_missing() -> None:
    class NoModel(StateMachine):
        @operation()
        async def get(self) -> None: ...

    class NoOperations(StateMachine):
        model = sim.models.Map()

    with pytest.raises(InvalidStateMachine, match="NoModel has no model"):
        run_sequential(NoModel)
    with pytest.raises(InvalidStateMachine, match="NoOperations has no operations"):
        run_sequential(NoOperations)
    with pytest.raises(InvalidStateMachine, match="at least 2"):
        run_parallel(StoreMachine, max_branches=1)
    with pytest.raises(InvalidStateMachine, match=r"put has the parameters \['key'\].*\['kee'\]"):

        @operation(kee=keys)
        async def put(self: StoreMachine, key: str) -> None: ...
