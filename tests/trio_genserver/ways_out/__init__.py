"""Every public way in which an exception comes out, for the tests of what it leads to."""

from __future__ import annotations

# Each adds its ways to WAYS.
from . import calls as calls
from . import ends as ends
from . import mailboxes as mailboxes
from . import names as names
from . import starts as starts
from . import tasks as tasks
from .servers import WAYS, Desk, Payload, Way, family

__all__ = ["WAYS", "Desk", "Payload", "Way", "family"]
