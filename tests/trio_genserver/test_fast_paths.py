"""The fast copies of what a server does with a message come to what the plain path comes to.

The same random sequences of messages are run twice: as they are, and under an instrument that looks at
messages, which switches every fast copy off. What the client gets and what the server sees must be the same.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from tests.trio_genserver.paths import LongWay
from trio_genserver import (
    Call,
    CallOrCast,
    ChildSpec,
    From,
    GenServer,
    MailboxFull,
    Overflow,
    Refuse,
    Request,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    run_server,
    wait_all,
)
from trio_genserver.instruments import LoggingInstrument, add_instrument, remove_instrument

FAST = ("run_inline", "run_noreply_inline", "drain")
"""The functions that call a handler on a fast copy."""


class Recorder(GenServer):
    """Does what it is told, and keeps what it was told in which order, and by whom it was run.

    `act` is one of `ACTS`, done in the middle of a handler.
    """

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.runners: Counter[str] = Counter()
        self.kept: list[From[Any]] = []
        self.tasks = 0

    def _see(self, name: str, *args: object) -> None:
        self.runners[sys._getframe(2).f_code.co_name] += 1
        self.seen.append((name, *args))

    def _act(self, act: str) -> Any:
        match act:
            case "refuse":
                raise Refuse(LookupError("refused"))
            case "stop by raising":
                raise Stop("enough")
            case "crash":
                raise ValueError("crash")
            case "interrupt":
                raise KeyboardInterrupt
            case "stop":
                self.stop("stopped")
            case "continue":
                self.continue_with("go on")
            case "continue, then raise":
                self.continue_with("never")
                raise Stop("without it")
            case "timeout":
                self.set_timeout(1)
            case "no timeout":
                self.set_timeout(None)
            case "task":
                self.start_task(self._task)
            case "tell itself":
                self.ref.cast_nowait(Recorder.note("from itself"))
            case "ask itself":
                # Nobody collects the reply; a request to a full mailbox is refused.
                self.ref.send_request(Recorder.none())
            case "awaitable":
                return self._later(act)
            case "awaitable that refuses" | "awaitable that stops" | "awaitable that crashes":
                return self._later(act.removeprefix("awaitable that "))
            case _:
                pass
        return ("did", act)

    async def _later(self, act: str) -> object:
        await trio.lowlevel.checkpoint()
        names = {"refuses": "refuse", "stops": "stop by raising", "crashes": "crash"}
        return self._act(names.get(act, ""))

    async def _task(self) -> None:
        self.tasks += 1

    @handle_call
    def none(self) -> int:
        self._see("none")
        return len(self.seen)

    @handle_call
    def one(self, act: str) -> object:
        self._see("one", act)
        return self._act(act)

    @handle_call(cast=True)
    def two(self, act: str, by: int) -> object:
        self._see("two", act, by)
        return self._act(act) if act.startswith("awaitable") else (self._act(act), by)

    @handle_call(cast=True)
    def named(self, *, act: str) -> object:
        self._see("named", act)
        return self._act(act)

    @handle_call
    async def slow(self, act: str) -> object:
        self._see("slow", act)
        await trio.lowlevel.checkpoint()
        return self._act("" if act.startswith("awaitable") else act)

    @handle_call(noreply=True)
    def by_others(self, from_: From[object], act: str, how: str) -> object:
        self._see("by_others", act, how)
        match how:
            case "keep":
                self.kept.append(from_)
            case "reply":
                from_.reply("at once")
            case "fail":
                from_.reply_error(LookupError("failed"))
            case "reply twice":
                from_.reply("at once")
                from_.reply("again")
            case _:
                del from_
        done = self._act(act)
        return done if act.startswith("awaitable") or how == "return" else None

    @handle_cast
    def note(self, act: str) -> Any:
        self._see("note", act)
        done = self._act(act)
        return done if act.startswith("awaitable") or act == "return" else None

    @handle_cast
    def answer(self) -> None:
        self._see("answer")
        kept, self.kept = self.kept, []
        for from_ in kept:
            from_.reply("at last")

    async def handle_info(self, message: object) -> None:
        self.seen.append(("info", message))

    async def handle_continue(self, argument: object) -> None:
        self.seen.append(("continued", argument))

    async def handle_timeout(self) -> None:
        self.seen.append("timeout")

    async def terminate(self, reason: object) -> None:
        self.seen.append(("terminate", repr(reason)))


HARMLESS = (
    *("", "", "", "refuse", "continue", "timeout", "no timeout", "task", "tell itself", "ask itself"),
    *("awaitable", "awaitable that refuses"),
)
LAST = (
    *("stop by raising", "crash", "interrupt", "stop", "continue, then raise", "return"),
    *("awaitable that stops", "awaitable that crashes"),
)
HOW = ("keep", "reply", "fail", "drop")
LAST_HOW = ("reply twice", "return")
OVERFLOWS: tuple[Overflow, ...] = ("wait", "raise", "drop_oldest", "drop_newest")


class Step(NamedTuple):
    """What the client does: `way` with `messages`, of which all but those of a burst have one."""

    way: str
    messages: tuple[Any, ...]


def generated(seed: int) -> tuple[list[Step], int, Overflow]:
    draw = random.Random(seed)
    deadly = draw.choice((0.0, 0.0, 0.03, 0.1))

    def act() -> str:
        return draw.choice(LAST if draw.random() < deadly else HARMLESS)

    def call() -> Any:
        made: list[Callable[[], Any]] = [
            Recorder.none,
            lambda: Recorder.one(act()),
            lambda: Recorder.one(act()),
            lambda: Recorder.two(act(), draw.randrange(9)),
            lambda: Recorder.named(act=act()),
            lambda: Recorder.slow(act()),
        ]
        return draw.choice(made)()

    def by_others() -> Any:
        return Recorder.by_others(act(), draw.choice(LAST_HOW if draw.random() < deadly else HOW))

    def cast() -> Any:
        made: list[Callable[[], Any]] = [
            lambda: Recorder.note(act()),
            lambda: Recorder.note(act()),
            lambda: Recorder.two(act(), draw.randrange(9)),
            lambda: Recorder.named(act=act()),
            Recorder.answer,
        ]
        return draw.choice(made)()

    steps: list[Step] = []
    for _ in range(draw.randrange(2, 14)):
        way = draw.choice(
            ("call", "call", "call", "noreply", "cast", "burst", "burst", "burst", "info", "wait")
        )
        match way:
            case "call":
                steps.append(Step(way, (call(),)))
            case "noreply":
                steps.append(Step(way, (by_others(),)))
            case "cast":
                steps.append(Step(way, (cast(),)))
            case "burst":
                some = [
                    draw.choice((call, call, by_others, cast, cast))() for _ in range(draw.randrange(1, 9))
                ]
                steps.append(
                    Step(draw.choice(("burst", "burst of which some are given up", "wait_all")), tuple(some))
                )
            case "info":
                steps.append(Step(way, (draw.randrange(9),)))
            case _:
                steps.append(Step(way, ()))
    return steps, draw.choice((1, 3, 1000)), draw.choice(OVERFLOWS)


async def outcome_of(awaited: Awaitable[object]) -> object:
    try:
        with trio.fail_after(50):
            return await awaited
    except Exception as error:  # noqa: BLE001 - which one it is, is the outcome
        return described(error)


def described(error: BaseException) -> object:
    return type(error).__name__, str(error), None if error.__cause__ is None else described(error.__cause__)


async def done(step: Step, server: ServerRef[Recorder]) -> object:
    messages = step.messages
    match step.way:
        case "call":
            return await outcome_of(server.call(messages[0]))
        case "noreply":
            if "keep" not in messages[0].args:
                return await outcome_of(server.call(messages[0]))
            # Somebody has to ask for the answer.
            request: Request[object] = server.send_request(messages[0])
            asked = await outcome_of(server.cast(Recorder.answer()))
            return asked, await outcome_of(request.wait())
        case "cast":
            return await outcome_of(server.cast(messages[0]))
        case "info":
            return await outcome_of(server.send(messages[0]))
        case "wait":
            await trio.sleep(3)
            return None
        case _:
            return await burst(step, server)


async def burst(step: Step, server: ServerRef[Recorder]) -> object:
    came: list[object] = []
    requests: list[Request[Any]] = []
    for message in step.messages:
        try:
            if message.__class__ is Call or (message.__class__ is CallOrCast and len(requests) % 2):
                requests.append(server.send_request(message))
            else:
                came.append(server.cast_nowait(message))
        except Exception as error:  # noqa: BLE001 - which one it is, is the outcome
            came.append(described(error))
    if step.way != "burst":
        for request in requests[1::3] if step.way != "wait_all" else ():
            request.abandon()
    if step.way == "wait_all":
        # Before any of them is answered: which of two failed first would else be up to the scheduler.
        with suppress(MailboxFull):
            server.cast_nowait(Recorder.answer())
        came.append(await outcome_of(wait_all(requests)))
    else:
        came.append(await outcome_of(server.cast(Recorder.answer())))
    came.extend([await outcome_of(request.wait()) for request in requests])
    return came


class Result(NamedTuple):
    """What the client got at each step; what the server saw, why it ended, and what it dropped."""

    came: list[object]
    seen: list[object]
    tasks: int
    dropped: int
    reason: object
    raised: object


def run(steps: list[Step], capacity: int, overflow: Overflow, *, plain: bool) -> tuple[Result, Counter[str]]:
    raised: list[object] = []

    async def host(spec: ChildSpec[Recorder], task_status: trio.TaskStatus[ServerRef[Recorder]]) -> None:
        try:
            await run_server(spec, task_status=task_status)
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever it was
            raised.append(described(error))

    async def main() -> tuple[Result, Counter[str]]:
        if plain:
            add_instrument(LongWay())
        remove_instrument(LoggingInstrument)
        spec = child_spec(Recorder).replace(mailbox_size=capacity, overflow=overflow)
        came: list[object] = []
        async with trio.open_nursery() as nursery:
            server: ServerRef[Recorder] = await nursery.start(host, spec)
            instance = server._process.instance
            for step in steps:
                # How much waits in the mailbox is then not up to the scheduler.
                await trio.testing.wait_all_tasks_blocked()
                came.append(await done(step, server))
            await trio.testing.wait_all_tasks_blocked()
            came.append(await outcome_of(server.stop()))
            reason = repr(await server.wait_stopped())
        return Result(came, instance.seen, instance.tasks, server.dropped, reason, raised), instance.runners

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def compare(seeds: range) -> None:
    fast: Counter[str] = Counter()
    for seed in seeds:
        steps, capacity, overflow = generated(seed)
        quick, runners = run(steps, capacity, overflow, plain=False)
        slow, plain_runners = run(steps, capacity, overflow, plain=True)
        assert quick == slow, f"seed {seed}: {overflow} at {capacity}, {steps}"
        assert plain_runners.keys().isdisjoint(FAST)
        fast += runners
    # None of them is left out by the sequences.
    assert all(fast[each] > len(seeds) / 20 for each in FAST), fast


def test_a_fast_copy_comes_to_what_the_plain_path_comes_to() -> None:
    compare(range(300))


@pytest.mark.torture
def test_a_fast_copy_comes_to_what_the_plain_path_comes_to_in_many_sequences(
    dose: Callable[[int], int],
) -> None:
    compare(range(1_000, 1_000 + dose(10_000)))
