"""The oracle at its work: a history recorded in each explored run, and judged at its end."""

from __future__ import annotations

import trio

import sim


class Store:
    """A map behind an await; a `forgetful` one writes back what it read before."""

    def __init__(self, *, forgetful: bool) -> None:
        self._values: sim.Shared[dict[str, int]] = sim.Shared({})
        self._forgetful = forgetful

    async def put(self, key: str, value: int) -> None:
        seen = self._values.get()
        await trio.lowlevel.checkpoint()
        if not self._forgetful:
            seen = self._values.get()
        self._values.set({**seen, key: value})

    async def get(self, key: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._values.get().get(key)


async def _use(store: Store, *, cancel: bool = False) -> None:
    history = sim.History()

    async def client(key: str, value: int) -> None:
        await history.call("put", store.put, key, value)
        await history.call("get", store.get, key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, "x", 1)
        nursery.start_soon(client, "y", 2)
        if cancel:
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    sim.assert_linearizable(history, sim.models.Map())


async def forgetful() -> None:
    await _use(Store(forgetful=True))


async def faithful() -> None:
    await _use(Store(forgetful=False))


async def faithful_with_cancelled_clients() -> None:
    await _use(Store(forgetful=False), cancel=True)


def test_a_store_that_loses_writes_is_found_and_the_failing_part_shown() -> None:
    result = sim.explore(forgetful, strategy="dfs")
    (failure,) = result.failures
    assert isinstance(failure.error, sim.NotLinearizable)
    violation = failure.error.verdict.violation
    assert violation is not None
    assert [operation.name for operation in violation.operations] == ["put", "get"]
    (again,) = sim.replay(forgetful, failure.token).failures
    assert str(again.error) == str(failure.error)


def test_a_right_store_holds_in_every_interleaving() -> None:
    result = sim.explore(faithful, strategy="dfs", max_executions=2_000)
    assert result.complete
    assert not result.failures


def test_a_right_store_holds_with_cancelled_clients() -> None:
    result = sim.explore(faithful_with_cancelled_clients, strategy="dfs", max_executions=2_000)
    assert result.complete
    assert not result.failures
