"""The `sim` command: list scenarios, explore one, replay a run of it.

Exit codes: 0 what was explored held; 1 a failure of the scenario was found, and nothing else ends with 1;
2 it was used wrongly, or the scenario cannot be loaded, or its runs cannot be repeated;
130 Ctrl-C, after what was found until then.
"""

from __future__ import annotations

from sim.cli._main import main

__all__ = ["main"]
