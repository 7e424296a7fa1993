"""Makes the Trio run in which the kernel works."""

from __future__ import annotations

import trio

from sim._exploration.alone import exploring_alone
from sim._exploration.loop import Exploration
from sim._kernel import nested
from sim._run.errors import WrongUse
from sim._run.strategy import Strategy
from sim._trio import check_trio


def run_nested(strategy: Strategy, max_steps: int, exploration: Exploration) -> None:
    """Run an exploration to its end.

    Args:
        strategy: the exploration's own.
        max_steps: after how many a run is given up.
        exploration: what it comes to is in there.

    Raises:
        WrongUse: called from a task, or while another exploration goes on.
    """
    if trio.lowlevel.in_trio_run():
        raise WrongUse(
            "explore() and replay() start a Trio run themselves: call them from a plain function, "
            "not from a task"
        )
    check_trio()

    async def host() -> None:
        with nested(max_steps, strategy.wants_footprints) as kernel:
            exploration.run(kernel)

    try:
        with exploring_alone():
            trio.run(host, strict_exception_groups=exploration.strict_exception_groups)
    except KeyboardInterrupt:
        # Before the first run, or after the last.
        exploration.interrupted = True
