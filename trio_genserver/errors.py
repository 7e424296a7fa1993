"""Every error of servers and messages.

The ones that a program often catches are at the top level of the package too. Errors of pools, registries,
supervisors and tasks are in the modules of those. Every error about a server is a `ServerError`.
"""

from __future__ import annotations

from ._declarations import InvalidServerClass
from ._errors import (
    AlreadyReplied,
    BadReturnValue,
    CallbackNotAsync,
    CallCycle,
    InitIgnored,
    InitStopped,
    MailboxFull,
    NeverReplied,
    RequestAbandoned,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerStopped,
    UnhandledMessage,
)
from ._spec import InvalidSpec

__all__ = [
    "AlreadyReplied",
    "BadReturnValue",
    "CallCycle",
    "CallbackNotAsync",
    "InitIgnored",
    "InitStopped",
    "InvalidServerClass",
    "InvalidSpec",
    "MailboxFull",
    "NeverReplied",
    "RequestAbandoned",
    "ServerCrashed",
    "ServerError",
    "ServerNotRunning",
    "ServerStopped",
    "UnhandledMessage",
]
