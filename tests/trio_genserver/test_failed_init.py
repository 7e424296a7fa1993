"""An init that fails leaves nothing behind, also not what it has started itself."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_genserver import GenServer, InitStopped, Stop, open_server


class StartsAndFails(GenServer):
    def __init__(self, error: Exception, log: list[str]) -> None:
        self.error = error
        self.log = log

    async def work(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.log.append("ended")

    async def init(self) -> None:
        self.start_task(self.work)
        await trio.testing.wait_all_tasks_blocked()
        raise self.error


@pytest.mark.parametrize(("error", "raised"), [(ValueError("no"), ValueError), (Stop("no"), InitStopped)])
async def test_an_init_that_fails_ends_the_tasks_that_it_has_started(
    error: Exception, raised: type[Exception]
) -> None:
    log: list[str] = []
    with pytest.raises(raised):
        async with open_server(StartsAndFails, error, log):
            raise AssertionError("it must not start")
    assert log == ["ended"]
