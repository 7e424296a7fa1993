"""A `datetime.datetime` whose now is that of the virtual clock.

The real class is written in C and cannot be given another `now`. So modules see a stand-in for as long as an
exploration lasts: every instance is one of the real class, and only what asks for the present is answered
here.
(`date.today` and `datetime.today` ask `time.time`, which is pinned anyway.)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

_real: Any = datetime.datetime


def pinned_datetime(now: Callable[[], float]) -> type:
    """The stand-in.

    Args:
        now: seconds since the epoch.
    """

    class OfInstances(type):
        """Makes the stand-in equal to the real class wherever classes are compared."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, _real)

        def __eq__(cls, other: object) -> bool:
            return other is cls or other is _real

        def __hash__(cls) -> int:
            return hash(_real)

        def __repr__(cls) -> str:
            return repr(_real)

    class VirtualDatetime(_real, metaclass=OfInstances):  # type: ignore[misc]  # a class known at run time
        """The present is virtual; all else is `datetime.datetime`."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _real(*args, **kwargs)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _real.fromtimestamp(now(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return _real.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

    VirtualDatetime.__name__ = VirtualDatetime.__qualname__ = "datetime"
    VirtualDatetime.__module__ = "datetime"
    return VirtualDatetime
