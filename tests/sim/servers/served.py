"""A server that answers in every way there is, and what clients may do with one: parts of random programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

import trio_genserver
from trio_genserver import (
    From,
    GenServer,
    Refuse,
    ServerRef,
    Stop,
    handle_call,
    handle_cast,
    monitor,
)

Operation: TypeAlias = Callable[[int], Awaitable[object]]
"""Something that a client does, with a small number, and what it sees of it."""


class Cell(GenServer):
    """Keeps a number and a log.

    Args:
        ended: where to say how it has ended; nobody else may write to it, and nobody read it before.
    """

    def __init__(self, value: int = 0, ended: list[str] | None = None) -> None:
        self.value = value
        self.log: list[str] = []
        self.held: list[From[int]] = []
        self.ended = ended

    @handle_call
    def get(self) -> tuple[int, tuple[str, ...]]:
        return self.value, tuple(self.log)

    @handle_call
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @handle_call
    async def add_slowly(self, by: int) -> int:
        before = self.value
        await trio.lowlevel.checkpoint()
        self.value = before + by
        return self.value

    @handle_call
    async def add_after_a_second(self, by: int) -> int:
        await trio.sleep(1)
        self.value += by
        return self.value

    @handle_call(child=True)
    async def add_in_a_child(self, by: int) -> int:
        before = self.value
        await trio.lowlevel.checkpoint()
        self.value = before + by
        return self.value

    @handle_call(child=True, max_children=1)
    async def add_in_turn(self, by: int) -> int:
        before = self.value
        await trio.lowlevel.checkpoint()
        self.value = before + by
        return self.value

    @handle_call(noreply=True)
    def hold(self, from_: From[int], by: int) -> None:
        self.value += by
        self.held.append(from_)

    @handle_call
    def let_go(self) -> int:
        held, self.held = self.held, []
        for from_ in held:
            from_.reply(self.value)
        return len(held)

    @handle_call(noreply=True)
    def answer_later(self, from_: From[int], by: int) -> None:
        self.start_task(self._answer, from_, by)

    async def _answer(self, from_: From[int], by: int) -> None:
        await trio.lowlevel.checkpoint()
        self.value += by
        from_.reply(self.value)

    @handle_call(cast=True)
    def multiply(self, by: int) -> int:
        self.value *= by
        return self.value

    @handle_call
    def refuse(self) -> int:
        self.value += 1
        raise Refuse(LookupError(self.value))

    @handle_call
    def fail(self) -> int:
        raise RuntimeError(self.value)

    @handle_call
    def stop_and_answer(self, by: int) -> int:
        self.stop("enough")
        return self.value + by

    @handle_call
    def stop_at_once(self) -> int:
        raise Stop("at once")

    @handle_call
    def go_on(self, by: int) -> int:
        self.continue_with(by)
        return self.value

    @handle_call
    def wake_up(self) -> int:
        self.set_timeout(1)
        return self.value

    @handle_call
    def watch(self, server: ServerRef[Cell]) -> int:
        self.monitor(server)
        return self.value

    @handle_cast
    def put(self, value: int) -> None:
        self.value = value

    @handle_cast
    async def put_slowly(self, value: int) -> None:
        await trio.lowlevel.checkpoint()
        self.value = value

    @handle_cast(child=True)
    async def put_in_a_child(self, value: int) -> None:
        await trio.lowlevel.checkpoint()
        self.value = value

    @handle_cast
    def crash(self) -> None:
        raise RuntimeError("crashed")

    async def handle_continue(self, argument: int) -> None:
        await trio.lowlevel.checkpoint()
        self.value += argument
        self.log.append("continued")

    async def handle_timeout(self) -> None:
        self.log.append("timeout")

    async def handle_info(self, message: object) -> None:
        self.log.append(seen(message))

    async def terminate(self, reason: object) -> None:
        await trio.lowlevel.checkpoint()
        if self.ended is not None:
            self.ended.append(f"{seen(reason)} {self.value}")


def seen(value: object) -> str:
    """What a client sees of a value, the same in all runs in which it is the same."""
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, ServerRef):
        return "a server"
    if type(value).__name__ == "Down":
        return f"Down {seen(getattr(value, 'reason', None))}"
    return repr(value)


def calls(ref: ServerRef[Cell], *, ends: bool = True) -> dict[str, Operation]:
    """What clients may do with one server.

    Args:
        ref: the server.
        ends: whether it may also be made to end.
    """

    async def either(by: int) -> object:
        await ref.cast(Cell.multiply(by))
        return await ref.call(Cell.multiply(by))

    async def cast_nowait(by: int) -> None:
        ref.cast_nowait(Cell.put(by))

    async def send_nowait(by: int) -> None:
        ref.send_nowait(by)

    async def burst(by: int) -> object:
        for number in range(2):
            await ref.cast(Cell.put_slowly(by + number))
        return None

    async def asked(by: int) -> object:
        request = ref.send_request(Cell.add_slowly(by))
        before = request.done
        return before, await request.wait()

    async def abandoned(by: int) -> object:
        request = ref.send_request(Cell.add_slowly(by))
        await trio.lowlevel.checkpoint()
        request.abandon()
        return request.done

    async def told(by: int) -> object:
        request = ref.send_request(Cell.add_in_a_child(by))
        done = trio.Event()
        request.on_done(lambda _: done.set())
        await done.wait()
        return request.check()

    async def shared(by: int) -> object:
        # Two wait for one request.
        request = ref.send_request(Cell.add_slowly(by))
        got: dict[int, str] = {}

        async def wait(number: int) -> None:
            try:
                got[number] = seen(await request.wait())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what this one saw
                got[number] = seen(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, 0)
            nursery.start_soon(wait, 1)
        return tuple(sorted(got.items()))

    async def held(by: int) -> object:
        with trio.move_on_after(5):
            return await ref.call(Cell.hold(by))
        return "held too long"

    async def running(_: int) -> object:
        return ref.is_running

    async def state(_: int) -> object:
        return (await trio_genserver.sys.get_state(ref))["value"]

    async def status(_: int) -> object:
        found = await trio_genserver.sys.get_status(ref)
        return len(repr(found.state)) > 0

    async def paused(by: int) -> None:
        await trio_genserver.sys.suspend(ref)
        await trio.lowlevel.checkpoint()
        ref.cast_nowait(Cell.put(by))
        await trio_genserver.sys.resume(ref)

    async def replaced(by: int) -> object:
        return (
            await trio_genserver.sys.replace_state(ref, lambda state: {**state, "value": state["value"] + by})
        )["value"]

    async def counted(_: int) -> object:
        await trio_genserver.sys.start_statistics(ref)
        await trio.lowlevel.checkpoint()
        return (await trio_genserver.sys.statistics(ref)).messages_in

    async def watched(_: int) -> object:
        with monitor(ref) as watching:
            with trio.move_on_after(2):
                return seen(await watching.wait())
            return seen(watching.down)

    async def glanced(_: int) -> object:
        watching = monitor(ref)
        await trio.lowlevel.checkpoint()
        down = watching.down
        watching.demonitor()
        return seen(down)

    operations: dict[str, Operation] = {
        "get": lambda _: ref.call(Cell.get()),
        "add": lambda by: ref.call(Cell.add(by)),
        "slow": lambda by: ref.call(Cell.add_slowly(by)),
        "second": lambda by: ref.call(Cell.add_after_a_second(by)),
        "child": lambda by: ref.call(Cell.add_in_a_child(by)),
        "in turn": lambda by: ref.call(Cell.add_in_turn(by)),
        "later": lambda by: ref.call(Cell.answer_later(by)),
        "let go": lambda _: ref.call(Cell.let_go()),
        "refuse": lambda _: ref.call(Cell.refuse()),
        "go on": lambda by: ref.call(Cell.go_on(by)),
        "wake up": lambda _: ref.call(Cell.wake_up()),
        "cast": lambda by: ref.cast(Cell.put(by)),
        "cast slow": lambda by: ref.cast(Cell.put_slowly(by)),
        "cast child": lambda by: ref.cast(Cell.put_in_a_child(by)),
        "send": lambda by: ref.send(by),
        "either": either,
        "cast_nowait": cast_nowait,
        "send_nowait": send_nowait,
        "burst": burst,
        "asked": asked,
        "abandoned": abandoned,
        "told": told,
        "shared": shared,
        "held": held,
        "running": running,
        "state": state,
        "status": status,
        "paused": paused,
        "replaced": replaced,
        "counted": counted,
        "glanced": glanced,
    }
    if ends:
        operations |= {
            "stop": lambda by: ref.stop(by),
            "fail": lambda _: ref.call(Cell.fail()),
            "crash": lambda _: ref.cast(Cell.crash()),
            "stop and answer": lambda by: ref.call(Cell.stop_and_answer(by)),
            "stop at once": lambda _: ref.call(Cell.stop_at_once()),
            "terminate": lambda _: trio_genserver.sys.terminate(ref, "by sys"),
            "watched": watched,
        }
    return operations
