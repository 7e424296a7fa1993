"""What takes the place of Trio's loop: the only package that reaches into Trio's run.

`_trio` names what is relied on of Trio's inside, and checks that it is there; `_scheduler` steps the tasks;
`_dependence` wraps what tells which steps commute.
"""

from sim._kernel._scheduler import Ended, Kernel, nested
from sim._kernel._trio import check_trio

__all__ = ["Ended", "Kernel", "check_trio", "nested"]
