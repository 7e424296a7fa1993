"""What takes the place of Trio's loop: the only package that reaches into Trio's run.

`_trio` names what is relied on of Trio's inside, and checks that it is there; `_takeover` puts ours in its
place and gives it back; `_execution` executes a scenario: in `_outer_nurseries`, stepped by `_scheduler`,
struck by `_faults`, judged by `_findings`, and cleaned up after by `_cleanup`. `_dependence` wraps what tells
which steps commute.
"""

from sim._kernel._execution import Kernel, nested
from sim._kernel._findings import Ended
from sim._kernel._trio import check_trio

__all__ = ["Ended", "Kernel", "check_trio", "nested"]
