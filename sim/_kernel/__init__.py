"""The kernel, which takes the place of Trio's loop.

`takeover` puts ours in its place and gives it back; `execution` executes a scenario: in `outer_nurseries`,
stepped by `scheduler`, struck by `faults`, judged by `findings`, and brought to its end by `ending`.
"""

from sim._kernel.execution import Kernel, nested
from sim._kernel.findings import Ended

__all__ = ["Ended", "Kernel", "nested"]
