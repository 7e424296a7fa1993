"""An instrument that keeps the books: whatever was sent has been accounted for in the end, once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from trio_genserver import Request, ServerRef
from trio_genserver.instruments import Envelope, Instrument


class Balance(Instrument):
    """Writes down every event of every message; `check` finds what does not add up."""

    def __init__(self) -> None:
        self.events: dict[Envelope, list[str]] = defaultdict(list)

    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        assert envelope not in self.events
        self.events[envelope].append("sent")

    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.events[envelope].append("received")

    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.events[envelope].append("handled")

    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.events[envelope].append("replied")

    def message_abandoned(self, server: ServerRef[Any], envelope: Envelope) -> None:
        self.events[envelope].append("abandoned")

    def message_dropped(self, server: ServerRef[Any], envelope: Envelope, why: str) -> None:
        self.events[envelope].append(why)

    def check(self) -> None:
        """Call this when no server is running."""
        for envelope, events in self.events.items():
            told = (envelope.message, events)
            assert len(set(events)) == len(events), told
            if events == ["not running"]:
                continue
            assert events[0] == "sent", told
            assert "handled" not in events or "received" in events[: events.index("handled")], told
            dropped = {"mailbox full", "stopped", "withdrawn"} & set(events)
            if isinstance(envelope, Request):
                # It ended for its caller in one way, and nothing was left to guess.
                assert len({"replied", "abandoned"} & set(events)) == 1, told
                assert "late reply" not in events or {"abandoned", "received"} <= set(events), told
                assert not dropped or "received" not in events, told
                assert ("withdrawn" not in events) or "abandoned" in events, told
            else:
                # It came to its handler, or it is known why not.
                assert ("received" in events) != bool(dropped), told
