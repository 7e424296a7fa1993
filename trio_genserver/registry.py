"""Registries: names for servers, one server a name (`Registry`) or several (`DuplicateRegistry`)."""

from __future__ import annotations

from ._errors import NotRegistered
from ._registry import DuplicateRegistry, Entry, Registered, Registry, ServerName, Unregistered
from ._registry_errors import AlreadyRegistered, AlreadyStarted

__all__ = [
    "AlreadyRegistered",
    "AlreadyStarted",
    "DuplicateRegistry",
    "Entry",
    "NotRegistered",
    "Registered",
    "Registry",
    "ServerName",
    "Unregistered",
]
