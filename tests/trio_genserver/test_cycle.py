"""A call that would wait for ever is refused; one that would not is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing

from trio_genserver import (
    CallCycle,
    From,
    GenServer,
    ServerRef,
    as_completed,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    start_server,
    wait_all,
)
from trio_genserver.tasks import TaskSupervisorRef, open_task_supervisor


class Node(GenServer):
    """Passes a question on along a path of other servers."""

    @handle_call
    async def ask(self, path: tuple[ServerRef[Any], ...]) -> str:
        return await self.pass_on(path)

    @handle_call(child=True)
    async def ask_in_child(self, path: tuple[ServerRef[Any], ...]) -> str:
        return await self.pass_on(path)

    @handle_call(child=True, max_children=1)
    async def ask_in_one_child(self, path: tuple[ServerRef[Any], ...]) -> str:
        return await self.pass_on(path)

    @handle_call
    async def ask_from_nursery(self, path: tuple[ServerRef[Any], ...]) -> str:
        replies: list[str] = []

        async def ask() -> None:
            replies.append(await self.pass_on(path))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
        return replies[0]

    @handle_call
    async def ask_by_request(self, path: tuple[ServerRef[Any], ...]) -> str:
        try:
            return await path[0].send_request(Node.ask(path[1:])).wait()
        except CallCycle as error:
            return shown(error)

    @handle_call
    async def ask_for_any(self, others: tuple[ServerRef[Any], ...]) -> str:
        """The first answer of `others`, asked all at once."""
        try:
            async for request in as_completed([other.send_request(Node.ask(())) for other in others]):
                return request.check()
        except CallCycle as error:
            return shown(error)
        return "nobody"

    @handle_call
    async def stop_other(self, other: ServerRef[Any]) -> str:
        try:
            await other.stop()
        except CallCycle as error:
            return shown(error)
        return "end"

    @handle_call(noreply=True)
    def ask_from_task(self, from_: From[str], path: tuple[ServerRef[Any], ...]) -> None:
        self.start_task(self.answer, from_, path)

    async def answer(self, from_: From[str], path: tuple[ServerRef[Any], ...]) -> None:
        from_.reply(await self.pass_on(path))

    @handle_cast
    async def lend(self, nursery: trio.Nursery, path: tuple[ServerRef[Any], ...], replies: list[str]) -> None:
        async def later() -> None:
            replies.append(await self.pass_on(path))

        nursery.start_soon(later)

    async def pass_on(self, path: tuple[ServerRef[Any], ...]) -> str:
        if not path:
            return "end"
        try:
            return await path[0].call(Node.ask(path[1:]))
        except CallCycle as error:
            return shown(error)


def shown(error: CallCycle) -> str:
    return " > ".join(error.cycle)


async def asked(servers: int, message: Callable[[list[ServerRef[Node]]], Any]) -> str:
    """Start `servers`, send `message(refs)` to the first, and give its reply."""
    async with trio.open_nursery() as nursery:
        refs = [
            await start_server(nursery, child_spec(Node).replace(name=f"n{number}"))
            for number in range(servers)
        ]
        reply: str = await refs[0].call(message(refs))
        assert all(ref.is_running for ref in refs)
        nursery.cancel_scope.cancel()
    return reply


async def test_server_that_calls_itself_is_refused() -> None:
    # OTP 30, 32
    assert await asked(1, lambda refs: Node.ask((refs[0],))) == "n0 > n0"


@pytest.mark.parametrize("servers", [2, 3, 200])
async def test_cycle_is_refused_by_the_call_that_closes_it(servers: int) -> None:
    reply = await asked(servers, lambda refs: Node.ask((*refs[1:], refs[0])))
    last = f"n{servers - 1}"
    assert reply == " > ".join([last, *(f"n{number}" for number in range(servers))])


Build: TypeAlias = "Callable[[list[ServerRef[Node]]], Any]"

WAYS: list[tuple[str, Build, str]] = [
    ("nursery, itself", lambda refs: Node.ask_from_nursery((refs[0],)), "n0 > n0"),
    ("nursery, other", lambda refs: Node.ask_from_nursery((refs[1], refs[0])), "n1 > n0 > n1"),
    ("request, itself", lambda refs: Node.ask_by_request((refs[0],)), "n0 > n0"),
    ("request, other", lambda refs: Node.ask_by_request((refs[1], refs[0])), "n1 > n0 > n1"),
    ("any, itself", lambda refs: Node.ask_for_any((refs[0], refs[0])), "n0 > n0"),
    ("stop", lambda refs: Node.stop_other(refs[0]), "n0 > n0"),
]


@pytest.mark.parametrize(("way", "message", "expected"), WAYS, ids=[way for way, *_ in WAYS])
async def test_every_way_to_wait_counts(way: str, message: Build, expected: str) -> None:
    assert await asked(2, message) == expected


def test_error_shows_the_cycle_and_what_to_do() -> None:
    error = CallCycle("b", Node.ask(()), ["a", "b", "a"])
    assert "a waits for b waits for a" in str(error)
    assert "let one of them cast" in str(error)
    assert "cannot call itself" in str(CallCycle("a", Node.ask(()), ["a", "a"]))
    assert len(str(CallCycle("a", Node.ask(()), [f"n{number}" for number in range(9999)]))) < 500


async def test_cycle_over_a_reply_deferred_to_a_child_is_refused() -> None:
    class First(GenServer):
        @handle_call
        async def go(self, second: ServerRef[Second]) -> str:
            return await second.call(Second.work(self.ref))

        @handle_call
        def ping(self) -> str:
            return "pong"

    class Second(GenServer):
        @handle_call(child=True)
        async def work(self, first: ServerRef[First]) -> str:
            try:
                return await first.call(First.ping())
            except CallCycle as error:
                return shown(error)

    async with open_server(First) as first, open_server(Second) as second:
        assert await first.call(First.go(second)) == "Second > First > Second"


@pytest.mark.parametrize("message", [Node.ask_in_child, Node.ask_from_task])
async def test_child_task_may_call_its_own_server(message: Any) -> None:
    async with open_server(Node) as node:
        assert await node.call(message((node,))) == "end"


async def test_child_that_answers_later_is_not_a_false_alarm() -> None:
    async with open_server(Node) as one, open_server(Node) as two:
        assert await one.call(Node.ask_in_child((two, one))) == "end"
        assert await one.call(Node.ask_in_child((one, two, one)[1:])) == "end"


async def test_task_put_into_somebody_elses_nursery_is_not_a_false_alarm() -> None:
    replies: list[str] = []
    async with open_server(Node) as node:
        async with trio.open_nursery() as nursery:
            await node.cast(Node.lend(nursery, (node,), replies))
            await trio.testing.wait_all_tasks_blocked()
        assert replies == ["end"]


class Bounded(GenServer):
    @handle_call(child=True, max_children=2)
    async def again(self, times: int) -> str:
        try:
            return await self.ref.call(Bounded.again(times - 1)) if times else "end"
        except CallCycle as error:
            return shown(error)


async def test_children_that_are_all_stuck_are_a_cycle_for_the_one_that_waits_its_turn() -> None:
    async with open_server(Bounded) as bounded:
        assert await bounded.call(Bounded.again(1)) == "end"
        # Two places, and three that each wait for the next.
        assert (await bounded.call(Bounded.again(2))).startswith("Bounded > Bounded")
        assert bounded.is_running


async def test_one_child_that_will_end_is_enough_for_no_alarm(autojump_clock: trio.testing.MockClock) -> None:
    class Mixed(GenServer):
        @handle_call(child=True, max_children=2)
        async def work(self, deeper: bool) -> str:
            await trio.sleep(1)
            return await self.ref.call(Mixed.work(False)) if deeper else "end"

    async with open_server(Mixed) as mixed, trio.open_nursery() as nursery:
        nursery.start_soon(mixed.call, Mixed.work(False))
        assert await mixed.call(Mixed.work(True)) == "end"


async def test_one_of_several_that_can_answer_is_enough_for_no_alarm() -> None:
    asked_first = await asked(2, lambda refs: Node.ask_for_any((refs[0], refs[1])))
    assert " > " not in asked_first


@pytest.mark.parametrize("way", ["call", "stop", "wait", "wait_all", "as_completed"])
async def test_refusing_a_cycle_is_a_checkpoint(way: str) -> None:
    class Itself(GenServer):
        @handle_call
        async def wait_for_itself(self) -> str:
            message = Itself.wait_for_itself()
            with trio.testing.assert_checkpoints():
                try:
                    if way == "call":
                        await self.ref.call(message)
                    elif way == "stop":
                        await self.ref.stop()
                    elif way == "wait":
                        await self.ref.send_request(message).wait()
                    elif way == "wait_all":
                        await wait_all([self.ref.send_request(message)])
                    else:
                        await anext(as_completed([self.ref.send_request(message)]))
                except CallCycle:
                    self.stop()
            return "refused"

    async with open_server(Itself) as itself:
        assert await itself.call(Itself.wait_for_itself()) == "refused"


class Front(GenServer):
    @handle_call
    async def go(self, message: Any, back: ServerRef[Any]) -> str:
        reply: str = await back.call(message)
        return reply

    @handle_call
    def ping(self) -> str:
        return "pong"


class Back(GenServer):
    """Answers later, and asks back first."""

    async def ask_back(self, from_: From[str], front: ServerRef[Front]) -> None:
        try:
            from_.reply(await front.call(Front.ping()))
        except CallCycle as error:
            from_.reply(shown(error))

    @handle_call(noreply=True)
    async def by_itself(self, from_: From[str], front: ServerRef[Front]) -> None:
        await self.ask_back(from_, front)

    @handle_call(noreply=True)
    def by_a_task(self, from_: From[str], front: ServerRef[Front]) -> None:
        self.start_task(self.ask_back, from_, front)

    @handle_call(noreply=True)
    def by_somebody_else(self, from_: From[str], front: ServerRef[Front], event: trio.Event) -> None:
        self.start_task(self.wait_with_it, from_, event)
        self.start_task(self.reply_after, from_, event, front)

    async def wait_with_it(self, from_: From[str], event: trio.Event) -> None:
        await event.wait()
        from_.reply("by another")

    async def reply_after(self, from_: From[str], event: trio.Event, front: ServerRef[Front]) -> None:
        event.set()


@pytest.mark.parametrize("message", [Back.by_itself, Back.by_a_task])
async def test_cycle_over_a_reply_that_is_deferred_is_refused(message: Any) -> None:
    async with open_server(Front) as front, open_server(Back) as back:
        assert await front.call(Front.go(message(front), back)) == "Back > Front > Back"


async def test_reply_that_others_may_give_is_not_a_cycle() -> None:
    async with open_server(Front) as front, open_server(Back) as back:
        message = Back.by_somebody_else(front, trio.Event())
        assert await front.call(Front.go(message, back)) == "by another"


async def test_waiting_for_room_in_ones_own_mailbox_is_refused() -> None:
    class Itself(GenServer):
        mailbox_size = 1

        @handle_call
        async def fill(self) -> str:
            await self.ref.cast(Itself.note())
            try:
                with trio.testing.assert_checkpoints():
                    try:
                        await self.ref.cast(Itself.note())
                    except CallCycle as error:
                        return shown(error)
            finally:
                assert self.ref.mailbox_length == 1
            return "it had room"

        @handle_cast
        def note(self) -> None:
            pass

    async with open_server(Itself) as itself:
        assert await itself.call(Itself.fill()) == "Itself > Itself"
        assert itself.dropped == 1


@pytest.mark.parametrize("way", ["wait", "poll", "shutdown"])
async def test_waiting_for_ever_for_a_task_that_asks_back_is_refused(way: str) -> None:
    class Starter(GenServer):
        @handle_call
        async def start(self, tasks: TaskSupervisorRef) -> str:
            task = tasks.start_isolated(self.ask_back)
            if way == "wait":
                return await task.wait()
            if way == "poll":
                outcome = await task.poll(math.inf)
                assert outcome is not None
                return outcome.unwrap()
            return str(await task.shutdown(math.inf))

        async def ask_back(self) -> str:
            try:
                return await self.ref.call(Starter.ping())
            except CallCycle as error:
                return error.cycle[-1]

        @handle_call
        def ping(self) -> str:
            return "pong"

    async with open_task_supervisor() as tasks, open_server(Starter) as starter:
        assert "ask_back" in await starter.call(Starter.start(tasks))
