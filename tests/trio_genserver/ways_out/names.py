"""What is not there: children, names."""

from __future__ import annotations

from typing import Any

from trio_genserver import child_spec, open_server, open_supervisor
from trio_genserver.registry import Registry

from .servers import (
    Desk,
    way,
)


@way
async def ask_a_supervisor_for_nothing(sent: Any) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.terminate_child(sent)


@way
async def look_for_no_child(sent: Any) -> None:
    async with open_supervisor() as supervisor:
        supervisor.child(sent)


@way
async def look_up_nobody(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    names["desk"]


@way
async def register_twice(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    async with open_server(Desk) as desk, open_server(Desk) as other:
        names.register("desk", desk)
        names.register("desk", other)


@way
async def start_twice_under_a_name(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    spec = child_spec(Desk).replace(via=names.via("desk"))
    async with open_server(spec), open_server(spec):
        pass


@way
async def call_a_name_that_nobody_has(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    await names.via("desk").call(Desk.refuse(sent))
