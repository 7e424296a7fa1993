"""What a crash takes with it: an entry that was cast may be lost, one that was called for may not.

The system is cancelled as a whole while a client works, at every point that the simulator chooses, and what
it stored is looked at afterwards. That is the end that a program meets when it is told to stop at once;
ends that leave no time for anything (a kill, the power) are tried on the real program, by the tests of
`todo`.
"""

from __future__ import annotations

from pathlib import Path

import trio

from todo import Entry, TodoServer
from todo.shard import Shard
from todo.system import open_tree

__all__ = ["Lost", "a_call_survives", "a_cast_survives"]


class Lost(AssertionError):
    """The client went on in the belief that its entry was taken, and it is not stored."""


async def a_call_survives() -> None:
    """A call that returned is stored, whenever the system is stopped."""
    await _stop_while_adding(wait=True)


async def a_cast_survives() -> None:
    """The same with a cast, which is only handed over: this fails, as the documentation says."""
    await _stop_while_adding(wait=False)


class _Kept(Shard):
    """A shard in memory that is there after it was closed, as a file would be."""

    def close(self) -> None:
        """Nothing to do: SQLite has it in memory."""


async def _stop_while_adding(*, wait: bool) -> None:
    with Shard.open(Path(":memory:"), create=True) as shard:
        stored = _Kept(shard.path, shard.database.conn)
        went_on = await _add_and_be_stopped(stored, wait=wait)
        if went_on and not len(stored.load("bob")):
            raise Lost("the client went on, and its entry is not stored")


async def _add_and_be_stopped(stored: Shard, *, wait: bool) -> bool:
    """Whether the client went on after it had given its entry away."""
    went_on = False

    async def stop(scope: trio.CancelScope) -> None:
        await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.CancelScope() as scope:
        async with open_tree([lambda: stored]) as tree, trio.open_nursery() as nursery:
            bob = await tree.cache.server("bob")
            nursery.start_soon(stop, scope)
            message = TodoServer.add_entry(Entry(title="Dentist"))
            if wait:
                await bob.call(message)
            else:
                await bob.cast(message)
            went_on = True
            await trio.sleep_forever()
    return went_on
