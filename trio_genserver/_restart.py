"""When a child is started again, and how often that may happen: the rules, without any server."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, cast

from ._spec import InvalidSpec

if TYPE_CHECKING:
    from ._spec import Restart

__all__ = ["RestartWindow", "is_orderly", "wants_restart"]


def is_orderly(reason: object) -> bool:
    """Whether a server that ended for `reason` ended as planned, so that a transient one stays ended.

    Those are ``"normal"``, ``"shutdown"`` and ``("shutdown", anything)``, as in OTP.
    """
    if isinstance(reason, str):
        return reason in ("normal", "shutdown")
    if isinstance(reason, tuple):
        pair = cast("tuple[object, ...]", reason)
        return len(pair) == 2 and isinstance(pair[0], str) and pair[0] == "shutdown"
    return False


def wants_restart(restart: Restart, reason: object) -> bool:
    """Whether to restart a child of this restart type that ended by itself for `reason`."""
    return restart == "permanent" or (restart == "transient" and not is_orderly(reason))


class RestartWindow:
    """Counts the restarts of one supervisor, all its children together, over the last `max_seconds`.

    The boundary is exact: `max_restarts` within the window are allowed, one more is too many. A
    restart that is exactly `max_seconds` old still counts, as in OTP's ``supervisor:add_restart``.

    Args:
      max_restarts: from 0.
      max_seconds: more than 0; `math.inf` means that nothing is ever forgotten.

    Raises:
      InvalidSpec: one of the two is invalid; the error names it.
    """

    __slots__ = ("_times", "max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        if isinstance(max_restarts, bool) or not isinstance(max_restarts, int) or max_restarts < 0:
            raise InvalidSpec("max_restarts", max_restarts, "a whole number of at least 0", of="a supervisor")
        if (
            isinstance(max_seconds, bool)
            or not isinstance(max_seconds, int | float)
            or not max_seconds > 0
            or math.isnan(max_seconds)
        ):
            raise InvalidSpec("max_seconds", max_seconds, "a positive number of seconds", of="a supervisor")
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        # Never more than max_restarts + 1 of them.
        self._times: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Count a restart at `now` (seconds, never less than the time before); False: it is one too many."""
        times = self._times
        while times and now - times[0] > self.max_seconds:
            times.popleft()
        if len(times) > self.max_restarts:
            times.popleft()
        times.append(now)
        return len(times) <= self.max_restarts

    @property
    def count(self) -> int:
        """How many restarts were in the window when the last was added, that one included."""
        return len(self._times)
