"""A server for tests of calls: it answers in every way there is, and ends in several."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
import trio

from trio_genserver import (
    From,
    GenServer,
    ServerRef,
    Stop,
    handle_call,
    handle_cast,
    start_server,
)

tag: contextvars.ContextVar[str] = contextvars.ContextVar("tag", default="nobody's")


class Desk(GenServer):
    def __init__(self, log: list[object] | None = None) -> None:
        self.log: list[object] = [] if log is None else log
        self.value = 0
        self.open = trio.Event()
        self.kept: list[From[Any]] = []

    @handle_call
    def add(self, by: int = 1) -> int:
        self.value += by
        self.log.append(by)
        return self.value

    @handle_call
    async def add_slowly(self, by: int = 1) -> int:
        before = self.value
        await trio.lowlevel.checkpoint()
        self.value = before + by
        return self.value

    @handle_call
    async def wait(self) -> str:
        self.log.append("waiting")
        await self.open.wait()
        self.log.append("waited")
        return "done"

    @handle_call(child=True)
    async def wait_in_child(self) -> str:
        await self.open.wait()
        return "done"

    @handle_cast(child=True)
    async def release(self) -> None:
        self.open.set()

    @handle_call(noreply=True)
    def keep(self, from_: From[int]) -> None:
        self.kept.append(from_)

    @handle_call(noreply=True)
    def answer_at_once(self, from_: From[int], value: int) -> None:
        from_.reply(value)

    @handle_call
    def crash(self, text: str = "boom") -> None:
        raise ValueError(text)

    @handle_call
    async def crash_slowly(self, text: str = "boom") -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(text)

    @handle_call(child=True)
    async def crash_in_child(self, text: str = "boom") -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(text)

    @handle_call
    def leave(self) -> str:
        self.stop("left")
        return "bye"

    @handle_call
    def leave_without_a_word(self) -> str:
        raise Stop("left")

    @handle_call
    def whose(self) -> str:
        return tag.get()

    @handle_call(noreply=True)
    def badly(self, from_: From[int]) -> None:
        return 7  # type: ignore[return-value]  # what the test is about

    async def terminate(self, reason: object) -> None:
        self.log.append(("terminate", reason))


class Stranger(GenServer):
    @handle_call
    def hello(self) -> str:
        return "hello"


async def started(nursery: trio.Nursery, log: list[object] | None = None) -> ServerRef[Desk]:
    return await start_server(nursery, Desk, log)


def quiet(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelname == "ERROR" for record in caplog.records)
