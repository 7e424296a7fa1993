"""Cancellation, swept: a caller cancelled after each of its steps, a server after each of its own.

A loop over k: the run is made again and again, and cut in after the k-th step of the one in question, until
a run ends before its k-th step. After each cut the same questions: does everybody's wait end, is the server
alive or properly ended, did `terminate` run as often as it should, is no task left?
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_genserver import (
    Call,
    From,
    GenServer,
    ServerError,
    ServerRef,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
)
from trio_genserver.instruments import add_instrument

from .balance import Balance


class After(trio.abc.Instrument):
    """Calls `act` after the k-th step of the task that `is_it` picks."""

    def __init__(
        self, k: int, is_it: Callable[[trio.lowlevel.Task], bool], act: Callable[[], object]
    ) -> None:
        self.k = k
        self.steps = 0
        self.is_it = is_it
        self.act = act

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.is_it(task):
            self.steps += 1
            if self.steps == self.k:
                self.act()


class Desk(GenServer):
    def __init__(self, ended: list[object]) -> None:
        self.ended = ended
        self.handled = 0

    async def init(self) -> None:
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        self.ended.append("init")

    @handle_call
    def quick(self) -> int:
        self.handled += 1
        return self.handled

    @handle_call
    async def slow(self) -> int:
        await trio.sleep(1)
        await trio.lowlevel.checkpoint()
        self.handled += 1
        return self.handled

    @handle_call(child=True, max_children=1)
    async def in_child(self) -> int:
        await trio.sleep(1)
        self.handled += 1
        return self.handled

    @handle_call(noreply=True)
    def deferred(self, from_: From[int]) -> None:
        self.start_task(self.answer, from_)

    async def answer(self, from_: From[int]) -> None:
        await trio.sleep(1)
        from_.reply(0)

    @handle_cast
    async def note(self) -> None:
        await trio.lowlevel.checkpoint()
        self.continue_with("more")

    async def handle_continue(self, argument: object) -> None:
        await trio.lowlevel.checkpoint()

    async def terminate(self, reason: object) -> None:
        await trio.lowlevel.checkpoint()
        self.ended.append("terminate")


MESSAGES: list[Call[Desk, int]] = [Desk.quick(), Desk.slow(), Desk.in_child(), Desk.deferred()]


def simulate(plain: bool, main: Callable[[], Awaitable[int]]) -> int:
    """Run `main` in virtual time. The clock finds a task that waits forever, because it runs out."""

    async def limited() -> int:
        # It has every message take the long way, and every one must be accounted for.
        balance = Balance()
        if plain:
            add_instrument(balance)
        with trio.fail_after(1000):
            steps = await main()
        balance.check()
        return steps

    return trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0))


def sweep(run: Callable[[int], Awaitable[int]], plain: bool) -> int:
    """Cut in after each step; gives how many there were."""
    k = 1
    while True:

        async def main(k: int = k) -> int:
            return await run(k)

        if simulate(plain, main) < k:
            return k - 1
        k += 1


@pytest.mark.parametrize("plain", [False, True], ids=["inline", "mailbox"])
@pytest.mark.parametrize("capacity", [1, 10])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.handler.name)
def test_caller_cancelled_after_each_of_its_steps_harms_nobody(
    message: Call[Desk, int], capacity: int, plain: bool
) -> None:
    # OTP 163, 164
    async def run(k: int) -> int:
        ended: list[object] = []
        replies: list[int] = []

        async def others(desk: ServerRef[Desk]) -> None:
            for each in MESSAGES:
                reply = await desk.call(each)
                replies.append(reply)

        async with open_server(child_spec(Desk, ended).replace(mailbox_size=capacity)) as desk:
            scope = trio.CancelScope()

            async def caller() -> None:
                with scope:
                    for _ in range(2):
                        await desk.call(message)

            after = After(k, lambda task: task.name == "caller", scope.cancel)
            trio.lowlevel.add_instrument(after)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(others, desk)
                nursery.start_soon(others, desk)
                nursery.start_soon(caller, name="caller")
            trio.lowlevel.remove_instrument(after)
            assert len(replies) == 2 * len(MESSAGES)
            assert desk.is_running
            assert desk.mailbox_length == 0
            assert await desk.call(Desk.quick()) > 0
            assert not desk._process.deferred
        assert ended == ["init", "terminate"]
        return after.steps

    assert sweep(run, plain) >= 2


END: list[tuple[str, Callable[[trio.Nursery, ServerRef[Desk]], object]]] = [
    ("nursery", lambda nursery, desk: nursery.cancel_scope.cancel()),
    ("kill", lambda nursery, desk: desk._process.kill()),
    ("stop", lambda nursery, desk: desk._process.stop_in_order("normal")),
]


@pytest.mark.parametrize("plain", [False, True], ids=["inline", "mailbox"])
@pytest.mark.parametrize(("how", "end"), END, ids=[how for how, _ in END])
def test_server_ended_after_each_of_its_steps_leaves_nobody_waiting(
    how: str, end: Callable[[trio.Nursery, ServerRef[Desk]], object], plain: bool
) -> None:
    # OTP 33, 56
    async def run(k: int) -> int:
        ended: list[object] = []
        outcomes: list[object] = []

        async def caller(desk: ServerRef[Desk], message: Call[Desk, int]) -> None:
            await desk.cast(Desk.note())
            for _ in range(2):
                try:
                    outcomes.append(await desk.call(message))
                except ServerError as error:
                    outcomes.append(error)

        refs: list[ServerRef[Desk]] = []
        nursery_of: list[trio.Nursery] = []

        def cut() -> None:
            if refs:
                end(nursery_of[0], refs[0])
            else:
                nursery_of[0].cancel_scope.cancel()

        after = After(k, lambda task: task.name in ("Desk", "Desk.in_child"), cut)
        trio.lowlevel.add_instrument(after)
        async with trio.open_nursery() as callers:
            async with trio.open_nursery() as nursery:
                nursery_of.append(nursery)
                desk = await start_server(nursery, child_spec(Desk, ended).replace(mailbox_size=2))
                refs.append(desk)
                for message in MESSAGES * 2:
                    callers.start_soon(caller, desk, message)
                # All that the callers ask for takes less than this, in virtual time.
                await trio.sleep(50)
                if desk.is_running:
                    await desk.stop()
            trio.lowlevel.remove_instrument(after)
        if refs:
            assert len(outcomes) == 4 * len(MESSAGES)
            assert not refs[0].is_running
            assert "ended" in repr(refs[0]._process)
        assert ended in (["init", "terminate"], [])
        if refs:
            assert ended
        return after.steps

    assert sweep(run, plain) > 20
