"""The same room for recursion in each execution.

Python bounds the depth of the whole stack, the simulator's own frames included: more of them when a
failing run is made again than when it was found, and another number under a test runner than on the command
line. A program that recurses too deeply would end at another step each time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from types import FrameType


class RecursionRoom:
    """Gives each execution as many frames as the process had in all."""

    def __init__(self) -> None:
        self._room = sys.getrecursionlimit()

    def give(self) -> None:
        """Let whoever is called from here on have that many frames."""
        depth = 0
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            depth += 1
            frame = frame.f_back
        sys.setrecursionlimit(self._room + depth)

    @contextlib.contextmanager
    def kept(self) -> Generator[None]:
        """Restore the process's own limit when the block ends."""
        self._room = sys.getrecursionlimit()
        try:
            yield
        finally:
            sys.setrecursionlimit(self._room)
