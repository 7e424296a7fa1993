"""Full mailboxes."""

from __future__ import annotations

from typing import Any

import trio_genserver
from trio_genserver import ServerRef, child_spec, open_supervisor

from .servers import (
    Desk,
    Small,
    way,
)


async def fill(desk: ServerRef[Small]) -> None:
    await trio_genserver.sys.suspend(desk)
    desk.cast_nowait(Desk.go_on(None))


@way
async def cast_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.cast(Desk.crash_by_cast(sent))


@way
async def cast_nowait_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        desk.cast_nowait(Desk.crash_by_cast(sent))


@way
async def send_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.send(sent)


@way
async def request_of_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        desk.send_request(Desk.refuse(sent))


@way
async def call_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.call(Desk.refuse(sent))


@way
async def call_that_is_dropped_for_a_newer_one(sent: Any) -> None:
    async with open_supervisor([child_spec(Small).replace(overflow="drop_oldest")]) as supervisor:
        desk = supervisor.child("Small", Small)
        await trio_genserver.sys.suspend(desk)
        request = desk.send_request(Desk.refuse(sent))
        desk.cast_nowait(Desk.go_on(None))
        await request.wait()
