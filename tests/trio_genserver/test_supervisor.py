"""Supervisors: children started in order, ended in reverse, restarted by their strategy."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import (
    ChildNotFound,
    GenServer,
    RestartIntensityExceeded,
    ServerCrashed,
    ServerRef,
    child_spec,
    handle_call,
    open_supervisor,
)


class Worker(GenServer):
    """Writes down its life."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def init(self) -> None:
        self.log.append(f"start {self.name}")

    async def terminate(self, reason: object) -> None:
        self.log.append(f"stop {self.name} {reason!r}")

    @handle_call
    def ping(self) -> str:
        return self.name

    @handle_call
    def crash(self) -> None:
        raise ValueError(self.name)


async def crash(ref: ServerRef[Worker]) -> None:
    """Crash it, and wait until its supervisor has dealt with it."""
    with pytest.raises(ServerCrashed):
        await ref.call(Worker.crash())
    await trio.testing.wait_all_tasks_blocked()


async def test_children_start_in_the_given_order_and_stop_in_reverse() -> None:  # OTP 83
    log: list[str] = []
    async with open_supervisor([child_spec(Worker, n, log).replace(id=n) for n in "abc"]) as sup:
        assert log == ["start a", "start b", "start c"]
        assert await sup.child("b", Worker).call(Worker.ping()) == "b"
        with pytest.raises(ChildNotFound):
            sup.child("d")
        log.clear()
    assert log == ["stop c 'shutdown'", "stop b 'shutdown'", "stop a 'shutdown'"]


async def test_a_crashed_child_is_restarted_behind_the_same_reference() -> None:  # OTP 101
    log: list[str] = []
    async with open_supervisor([child_spec(Worker, n, log).replace(id=n) for n in "abc"]) as sup:
        b = sup.child("b", Worker)
        log.clear()
        await crash(b)
        assert log == ["stop b ValueError('b')", "start b"]
        assert await b.call(Worker.ping()) == "b"


async def test_one_restart_too_many_ends_the_supervisor_with_the_crash_as_the_cause() -> None:
    log: list[str] = []
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with open_supervisor([child_spec(Worker, "a", log)], max_restarts=1) as sup:
            await crash(sup.child("Worker", Worker))
            await crash(sup.child("Worker", Worker))
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.child == "Worker"
    assert log.count("start a") == log.count("stop a ValueError('a')") == 2
