"""One exploration at a time: what a run is given, as the clock, is replaced for the whole process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from typing import Final

from sim._run.errors import ExplorationUnderWay

_under_way: Final[list[str]] = []
# Both steps of taking it are one: of two threads that begin at once, one is refused.
_looking: Final = threading.Lock()


@contextlib.contextmanager
def exploring_alone() -> Generator[None]:
    """Refuse every other exploration of this process until the block ends.

    Raises:
        ExplorationUnderWay: there is one already.
    """
    name = threading.current_thread().name
    with _looking:
        if _under_way:
            raise ExplorationUnderWay(_under_way[0], name)
        _under_way.append(name)
    try:
        yield
    finally:
        _under_way.clear()
