"""Errors about names; each has the server that owns the name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from . import _errors
from ._errors import ServerError
from ._ref import ServerRef
from ._text import show

__all__ = ["AlreadyRegistered", "AlreadyStarted"]


class AlreadyRegistered(ServerError):
    """The key of a registry belongs to another server (OTP's ``already_registered``).

    Attributes:
      key: the key.
      ref: the server that has it. If that one is ending, the key is free when it has ended.
    """

    key: Hashable
    ref: ServerRef[Any]

    def __init__(self, server: str, key: Hashable, ref: ServerRef[Any]) -> None:
        super().__init__(
            f"{server} cannot have the key {show(key)}, because {show(ref)} has it", server=server
        )
        self.key = key
        self.ref = ref


class AlreadyStarted(AlreadyRegistered):
    """There is a server under this name already, so no second one was started (OTP's ``already_started``).

    Attributes:
      key: the name.
      ref: the server that has it; it may still be in its `init`, a call then waits.
    """


# Where they were once: what was pickled then looks for them there.
_errors.__dict__.update(AlreadyRegistered=AlreadyRegistered, AlreadyStarted=AlreadyStarted)
