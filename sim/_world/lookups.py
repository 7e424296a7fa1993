"""Addresses that need no look-up, in runs: numbers stay numbers, and what would ask the network is refused.

Trio first tries whether an address is a number, and asks a resolver only if it is none; that one may be the
scenario's own (`trio.socket.set_custom_hostname_resolver`). The audit event of a look-up does not say whether
it would leave the machine. So the functions are replaced by ones that know.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from sim._world.escapes import unguarded

_REAL = {name: getattr(socket, name) for name in ("getaddrinfo", "getnameinfo")}


def lookups() -> Iterator[tuple[Any, str, Any]]:
    """The replacements: the object, its place, and the stand-in."""
    yield socket, "getaddrinfo", _getaddrinfo
    yield socket, "getnameinfo", _getnameinfo


def _getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> list[Any]:
    flags = named.get("flags", more[3] if len(more) > 3 else 0)
    if flags & socket.AI_NUMERICHOST or host is None or _is_number(host):
        with unguarded():
            return list(_REAL["getaddrinfo"](host, port, *more, **named))
    return list(_REAL["getaddrinfo"](host, port, *more, **named))


def _getnameinfo(sockaddr: Any, flags: int, /) -> Any:
    if flags & socket.NI_NUMERICHOST:
        with unguarded():
            return _REAL["getnameinfo"](sockaddr, flags)
    return _REAL["getnameinfo"](sockaddr, flags)


def _is_number(host: Any) -> bool:
    try:
        text = host.decode("ascii") if isinstance(host, bytes | bytearray) else str(host)
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
