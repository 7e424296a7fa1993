"""Crashes and other ends, and who asks for them."""

from __future__ import annotations

from typing import Any

import trio

import trio_genserver
from trio_genserver import (
    ServerCrashed,
    ServerRef,
    child_spec,
    open_server,
    open_supervisor,
    run_server,
    start_server,
)

from .servers import (
    Broken,
    Desk,
    FailsInTerminate,
    way,
)


@way
async def crash_by_a_cast(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.crash_by_cast(sent))
        await trio.sleep_forever()


@way
async def crash_by_a_message(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.send(sent)
        await desk.wait_stopped()


@way
async def crash_in_a_continuation(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.go_on(sent))
        await desk.wait_stopped()


@way
async def crash_in_a_task(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.start_failing(sent))
        await trio.sleep_forever()


@way
async def crash_and_look_at_the_reason(sent: Any) -> None:
    reasons: list[str] = []
    async with open_server(Desk) as desk:
        await desk.cast(Desk.crash_by_cast(sent))
        with trio.CancelScope(shield=True):
            reasons.append(repr(await desk.wait_stopped()))
            reasons.append(repr(await desk.wait_stopped()))


@way
async def crash_and_stay_in_the_handler(sent: Any) -> None:
    async with open_server(Desk) as desk:
        try:
            await desk.call(Desk.crash(sent))
        except ServerCrashed:
            await trio.sleep_forever()


@way
async def crash_in_a_nursery(sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        desk = await start_server(nursery, Desk)
        await desk.cast(Desk.crash_by_cast(sent))


@way
async def crash_in_a_task_of_its_own(sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        desk: ServerRef[Desk] = await nursery.start(run_server, Desk)
        await desk.call(Desk.crash(sent))


@way
async def fail_in_terminate(sent: Any) -> None:
    async with open_server(FailsInTerminate) as server:
        await server.stop()


@way
async def stop_with_an_exception(sent: Any) -> None:
    async with open_supervisor([child_spec(FailsInTerminate).replace(restart="temporary")]) as supervisor:
        server = supervisor.child("FailsInTerminate", FailsInTerminate)
        await server.stop()


@way
async def stop_who_is_not_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        pass
    await desk.stop()


@way
async def terminate_by_sys(sent: Any) -> None:
    async with open_supervisor([child_spec(FailsInTerminate).replace(restart="temporary")]) as supervisor:
        await trio_genserver.sys.terminate(supervisor.child("FailsInTerminate", FailsInTerminate), "now")


@way
async def replace_a_state_by_sys(sent: Any) -> None:
    def change(state: object) -> Any:
        raise Broken("changed")

    async with open_server(Desk) as desk:
        await trio_genserver.sys.replace_state(desk, change)


@way
async def crash_in_two_children_at_once(sent: Any) -> None:
    async with open_server(Desk) as desk:
        desk.send_request(Desk.crash_in_a_child(sent))
        desk.send_request(Desk.crash_in_a_child(sent))
        await trio.sleep_forever()
