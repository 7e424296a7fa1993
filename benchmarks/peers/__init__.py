"""The peers: other libraries for servers and actors in Python, each in an environment and a process of its
own."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Peer", "installed"]


class Peer(Protocol):
    """A peer, ready to be measured; all figures in microseconds for one operation."""

    def has(self, what: str) -> bool: ...
    def call(self, clients: int, calls: int) -> float: ...
    def cast(self, messages: int) -> float: ...
    def spawn(self, servers: int) -> float: ...


def installed() -> dict[str, Peer]:
    """The peers that are there, by name."""
    return {}
