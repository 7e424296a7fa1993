"""The `sim` command, also as ``python -m sim``.

Nothing but this is imported before Ctrl-C ends the command in one line.
"""

from __future__ import annotations

import sys

__all__ = ["run"]


def run() -> None:
    """Run the command, with the arguments of the process, and exit."""
    try:
        from sim.cli import main
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        sys.exit(130)
    main(prog_name="sim")


if __name__ == "__main__":
    run()
