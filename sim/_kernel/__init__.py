"""What takes the place of Trio's loop: the only package that reaches into Trio's run.

`_trio` names all of Trio's inside that is relied on; `_scheduler` steps the tasks.
"""

from sim._kernel._scheduler import Ended, Kernel, nested
from sim._kernel._trio import check_trio

__all__ = ["Ended", "Kernel", "check_trio", "nested"]
