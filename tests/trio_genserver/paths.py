"""The two ways of a call, for tests that must hold on both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from trio_genserver import ServerRef
from trio_genserver.instruments import Envelope, Instrument, add_instrument, remove_instrument

__all__ = ["LongWay", "path"]


class LongWay(Instrument):
    """Looks at messages and does nothing: no call is then run by its caller."""

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        pass


@pytest.fixture(params=["inline", "mailbox"])
async def path(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """ "inline": a caller may run a sync handler itself; "mailbox": every call goes the long way."""
    if request.param == "mailbox":
        instrument = LongWay()
        add_instrument(instrument)
        yield "mailbox"
        remove_instrument(instrument)
    else:
        yield "inline"
