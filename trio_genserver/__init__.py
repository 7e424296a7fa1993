"""Erlang/OTP's GenServer on Trio's structured concurrency.

The top level has what a first program needs: servers, messages, references, supervisors, monitors, and the
errors that are often caught. The rest is in modules, which ``import trio_genserver`` is enough for: `agents`,
`errors`, `instruments`, `pools`, `registry`, `supervision`, `sys` and `tasks`. Only
`trio_genserver.opentelemetry`, which needs an extra, is to be imported by its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _moved, _shared_state
from . import sys as sys
from ._child_spec import child_spec
from ._decorators import handle_call, handle_cast
from ._dynamic_supervisor import (
    DynamicSupervisor,
    DynamicSupervisorRef,
    dynamic_supervisor_spec,
    open_dynamic_supervisor,
)
from ._errors import (
    CallCycle,
    InitIgnored,
    InitStopped,
    MailboxFull,
    NeverReplied,
    ServerCrashed,
    ServerError,
    ServerNotRunning,
    ServerStopped,
)
from ._message import Call, CallOrCast, Cast
from ._monitor import Down, Monitor, monitor
from ._ref import ServerRef
from ._request import From, Request
from ._request_collection import as_completed, wait_all
from ._server import GenServer
from ._signals import Ignore, Refuse, Stop
from ._spec import ChildSpec, InvalidSpec, Overflow, Restart, Shutdown
from ._start import open_server, run_server, start_server
from ._supervisor import Supervisor, SupervisorRef, open_supervisor, supervisor_spec

if TYPE_CHECKING:
    from typing import Any

    from . import agents as agents
    from . import errors as errors
    from . import instruments as instruments
    from . import pools as pools
    from . import registry as registry
    from . import supervision as supervision
    from . import tasks as tasks

    # For one release: what had its path here type checks under it as well.
    from .agents import *  # noqa: F403
    from .errors import *  # noqa: F403
    from .instruments import *  # noqa: F403
    from .pools import *  # noqa: F403
    from .registry import *  # noqa: F403
    from .supervision import *  # noqa: F403
    from .tasks import *  # noqa: F403

    amap_nolink = tasks.amap_isolated

__all__ = [
    "Call",
    "CallCycle",
    "CallOrCast",
    "Cast",
    "ChildSpec",
    "Down",
    "DynamicSupervisor",
    "DynamicSupervisorRef",
    "From",
    "GenServer",
    "Ignore",
    "InitIgnored",
    "InitStopped",
    "InvalidSpec",
    "MailboxFull",
    "Monitor",
    "NeverReplied",
    "Overflow",
    "Refuse",
    "Request",
    "Restart",
    "ServerCrashed",
    "ServerError",
    "ServerNotRunning",
    "ServerRef",
    "ServerStopped",
    "Shutdown",
    "Stop",
    "Supervisor",
    "SupervisorRef",
    "as_completed",
    "child_spec",
    "dynamic_supervisor_spec",
    "handle_call",
    "handle_cast",
    "monitor",
    "open_dynamic_supervisor",
    "open_server",
    "open_supervisor",
    "run_server",
    "start_server",
    "supervisor_spec",
    "wait_all",
]

__shared_state__ = _shared_state.shared_state

if not TYPE_CHECKING:
    # Hidden from type checkers, which would let any name through.

    def __getattr__(name: str) -> Any:
        return _moved.find(name)


def __dir__() -> list[str]:
    """The public names, without the old paths."""
    return sorted({*__all__, *_moved.MODULES, *(name for name in globals() if name.startswith("__"))})
