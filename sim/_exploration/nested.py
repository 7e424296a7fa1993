"""Makes the Trio run in which the kernel works."""

from __future__ import annotations

from collections.abc import Callable

import trio

from sim._exploration.alone import exploring_alone
from sim._exploration.exploration import Exploration
from sim._exploration.loop import Loop
from sim._kernel import nested
from sim._run.errors import WrongUse
from sim._trio import check_trio


def run_nested(exploration: Exploration, stopped: Callable[[], bool] | None = None) -> None:
    """Run an exploration to its end.

    Args:
        exploration: the result is added to it.
        stopped: see `Loop`.

    Raises:
        WrongUse: called from a task, or while another exploration goes on.
    """
    if trio.lowlevel.in_trio_run():
        raise WrongUse(
            "explore() and replay() start their own Trio run: call them from a plain function, "
            "not from a task"
        )
    check_trio()
    exploration.begun = True

    async def host() -> None:
        with nested(exploration.options.max_steps, exploration.strategy.wants_footprints) as kernel:
            Loop(exploration, kernel, stopped).run()

    try:
        with exploring_alone():
            trio.run(host, strict_exception_groups=exploration.options.strict_exception_groups)
    except KeyboardInterrupt:
        # Before the first run, or after the last.
        exploration.interrupted = True
