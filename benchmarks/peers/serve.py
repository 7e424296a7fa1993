"""The inside of a peer's process: measures what it is asked to, one line a measurement.

It says ``ready VERSION ROW ROW ...`` first. Then ``ROW COUNT [CLIENTS]`` on stdin is answered with
``ok COST`` or ``error WHAT``, where the cost is microseconds an operation, or bytes a server.

`counter.exs` speaks the same.

A row is a function of the peer's module, with the same arguments. Nothing is imported here that a peer's
environment does not have.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
import os
import sys
import traceback

__all__ = ["ROWS", "main"]

ROWS = ("call", "call_async", "cast", "start_stop", "memory", "crash_restart", "keyed")


def main(name: str) -> None:
    """Serve as `name` until stdin ends."""
    module = importlib.import_module(f"benchmarks.peers.{name}")
    logging.disable(logging.CRITICAL)  # a record a crash is the log's cost
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    distribution = module.DISTRIBUTION
    version = importlib.metadata.version(distribution) if distribution else "-"
    print("ready", version, *(row for row in ROWS if hasattr(module, row)), file=answers)
    # A peer for which the usual number is too many says so; the cost is one operation's in any case.
    most: dict[str, int] = getattr(module, "MOST", {})
    for line in sys.stdin:
        row, count, *arguments = line.split()
        gc.collect()
        try:
            cost = getattr(module, row)(min(int(count), most.get(row, int(count))), *map(int, arguments))
            print("ok", cost, file=answers)
        except Exception as error:  # noqa: BLE001 - it is told, and the next measurement may work
            traceback.print_exc()
            print("error", f"{type(error).__name__}: {error}".replace("\n", " "), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
