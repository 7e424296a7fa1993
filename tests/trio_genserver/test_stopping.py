"""Between a server's last message and its end."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import GenServer, ServerNotRunning, handle_call, open_server


class Leaving(GenServer):
    async def init(self) -> None:
        self.let_go = trio.Event()
        self.start_task(self.linger)

    async def linger(self) -> None:
        with trio.CancelScope(shield=True):
            await self.let_go.wait()

    @handle_call
    async def leave(self) -> trio.Event:
        self.stop()
        return self.let_go


async def test_a_message_after_the_last_is_refused_at_once_and_was_not_sent() -> None:
    """A child task still runs; who calls then must not wait for it, and may send the same again elsewhere."""
    async with open_server(Leaving) as server:
        let_go = await server.call(Leaving.leave())
        await trio.testing.wait_all_tasks_blocked()
        assert not server.is_running
        with pytest.raises(ServerNotRunning):
            await server.call(Leaving.leave())
        let_go.set()
        assert await server.wait_stopped() == "normal"
