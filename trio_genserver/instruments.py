"""Instruments, which are told what servers do; and what a tool has to know of what tasks share."""

from __future__ import annotations

from ._instrument import Instrument, LoggingInstrument, add_instrument, remove_instrument
from ._request import Envelope
from ._shared_state import SharedState, shared_state

__all__ = [
    "Envelope",
    "Instrument",
    "LoggingInstrument",
    "SharedState",
    "add_instrument",
    "remove_instrument",
    "shared_state",
]
