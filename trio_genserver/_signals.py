"""Signals that a callback raises to decide about its server; they are not failures and do not crash it."""

from __future__ import annotations

from ._portable import PortableError
from ._text import show

__all__ = ["Ignore", "Refuse", "Stop"]


class Stop(PortableError, Exception):
    """Raised in a callback: stop this server, for `reason`.

    The caller whose request is being handled gets `ServerStopped`; to answer and then stop, call
    ``self.stop(reason)`` and return the reply.
    """

    def __init__(self, reason: object = "normal") -> None:
        super().__init__(reason)
        self.reason = reason


class Refuse(PortableError, Exception):
    """Raised in a call's handler: the caller's `call` raises `error`, and the server goes on.

    For what is the caller's mistake and not the server's (OTP's ``{reply, {error, Reason}, State}``):
    there is nothing to crash for. As for every handler, what it changed before it raised stays changed. A
    message that was cast has no caller to tell; it is dropped.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        if not isinstance(error, Exception):
            raise TypeError(f"Refuse takes the exception to raise in the caller, not {show(error)}")
        self.error = error


class Ignore(PortableError, Exception):
    """Raise this in `GenServer.init` to start no server, without a failure."""
