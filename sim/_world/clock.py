"""Virtual time: it stands still while anything can run, and jumps when nothing can.

So a timeout of an hour costs nothing, and a run does not depend on how fast the machine is. The
clock starts at the same moment in every execution, and not at 0: programs take that for "never".
`jump` is there as on Trio's own `MockClock`, for programs
that move their clock themselves.
"""

from __future__ import annotations

import math
from typing import Final

import trio

CLOCK_START: Final = 10_000.0
"""`trio.current_time()` and `time.monotonic()` at the start of a run, in seconds."""

WALL_CLOCK_START: Final = 1_700_000_000.0
"""`time.time()` at the start of a run: a plausible date, the same each time."""


class VirtualClock(trio.abc.Clock):
    """The clock of the runs of one exploration; times are in seconds."""

    def __init__(self) -> None:
        self.now = CLOCK_START
        # Read and written by programs that were written for MockClock. The clock always jumps
        # when nothing can run, which is what a threshold of 0 means there.
        self.rate = 0.0
        self.autojump_threshold = 0.0

    def start_clock(self) -> None:
        self.now = CLOCK_START

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.now - CLOCK_START

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return max(0.0, deadline - self.now)

    def jump(self, seconds: float) -> None:
        """Move the clock forward.

        Raises:
            ValueError: ``seconds`` is negative or not a number.
        """
        if math.isnan(seconds) or seconds < 0:
            raise ValueError(f"time can only go forwards, not by {seconds} seconds")
        self.now += seconds
